//! What it does, on Linux.

use std::hint::black_box;

use locket_sandbox::worker::{self, ReplyArea};

const DESCRIBE: u32 = 1;
const DONE: u32 = 3;
const LATE: u32 = 4;
const FAILED: u32 = 5;
/// Bytes of its input, which lies at the start of a request.
const INPUT: usize = 16;

pub(crate) fn main() {
    if !worker::requested() {
        return;
    }
    let role = worker::role();
    let words = role.lines().next().unwrap_or_default();
    let lie = words.rsplit(' ').next().unwrap_or_default().to_owned();
    let (worker, ()) = worker::enter(|_| Ok(()));
    worker.serve_outlaw(move |request, sequence, reply| {
        let room = reply.room();
        let (kind, rings) = if request.kind == DESCRIBE {
            (describe(&lie, reply), 1)
        } else {
            predict(&request.bytes[..INPUT], reply)
        };
        // What rings no bell answers no request either, or a broker that looks would take it.
        let sequence = sequence.wrapping_sub(u32::from(rings == 0));
        (sequence, kind, (room - reply.room()) as u32, rings)
    })
}

/// One input `x` and one output `y` of four floats, or what the function's name asks for.
fn describe(lie: &str, reply: &mut ReplyArea<'_>) -> u32 {
    let number = |reply: &mut ReplyArea<'_>, number: u32| reply.push(&number.to_le_bytes());
    let text = |reply: &mut ReplyArea<'_>, text: &str| {
        number(reply, text.len() as u32);
        reply.push(text.as_bytes());
    };
    reply.push(&[0; 8]);
    number(reply, 1);
    for name in ["x", "y"] {
        number(reply, if lie == "many" { u32::MAX } else { 1 });
        text(reply, "fp32");
        number(reply, 1);
        number(reply, if lie == "large" { u32::MAX } else { 4 });
        text(reply, name);
    }
    match lie {
        "longer" => reply.push(&[0]),
        "refuse" => return FAILED,
        _ => {}
    }
    DONE
}

/// Answers with the input, or does what its first number says; the kind of the answer, and how often the bell rings.
#[expect(
    clippy::exit,
    reason = "ending without an answer is one of the things that it does"
)]
fn predict(input: &[u8], reply: &mut ReplyArea<'_>) -> (u32, usize) {
    let what = input
        .first_chunk()
        .map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
    match what as u32 {
        1 => loop {
            std::hint::spin_loop();
        },
        2 => std::process::exit(7),
        3 => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(black_box(vec![1; 16 << 20]));
            }
        }
        4 => {
            reply.push(&input[..12]);
            return (DONE, 1);
        }
        5 => return (77, 1),
        6 => {
            reply.push(b"two\nlines\x1b[31m");
            return (FAILED, 1);
        }
        7 => {
            reply.push(b"an\x07operator");
            return (LATE, 1);
        }
        8 => return (DONE, 1_000_000),
        9 => return (DONE, 0),
        10 => return forge(&input[4..], reply),
        _ => {}
    }
    reply.push(input);
    (DONE, 1)
}

/// A kind and bytes that depend on the seed alone; half of them are nearly right.
fn forge(seed: &[u8], reply: &mut ReplyArea<'_>) -> (u32, usize) {
    let mut state = seed.iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, &byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut draw = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % limit
    };
    let kind = if draw(2) == 0 { DONE } else { draw(10) as u32 };
    let length = if draw(2) == 0 { 16 } else { draw(40) };
    for _ in 0..length {
        reply.push(&[draw(256) as u8]);
    }
    (kind, 1 + draw(3) as usize)
}
