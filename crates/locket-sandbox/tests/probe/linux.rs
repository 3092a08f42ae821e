//! What the worker of the tests does, on Linux.
#![expect(unsafe_code, reason = "a hostile worker makes system calls of its own")]

use std::{
    hint::black_box,
    sync::mpsc,
    time::{Duration, Instant},
};

use locket_sandbox::{Wipe, accidents::Order, attempts, covert, scrub_stack, trials, worker};

#[global_allocator]
static ALLOCATOR: Wipe = Wipe::new();

pub(crate) fn main() {
    if worker::requested() {
        match worker::role().as_str() {
            "misbehave" => misbehave(),
            "forge" => forge(),
            attempts::ROLE => attempts::serve(),
            trials::ROLE => trials::serve(),
            covert::ROLE => covert::serve(),
            "discard" => discard(),
            "careless" => careless(),
            "never-ready" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            "no-warm-up" => {
                let (worker, ()) = worker::enter(|_| Err("the model is\nno model".to_owned()));
                worker.serve(|_, _| 0)
            }
            "thread-first" => {
                let (_hold, wait) = mpsc::channel::<()>();
                let _thread = std::thread::spawn(move || wait.recv());
                let (worker, ()) = worker::enter(|_| Ok(()));
                worker.serve(|_, _| 0)
            }
            _ => std::process::abort(),
        }
    }
}

/// What the tests ask for, by the kind of the request.
fn misbehave() -> ! {
    let (worker, (files, ask, answer)) = worker::enter(|inherited| {
        // A thread that is started before the list of calls must be under it as well.
        let (ask, asked) = mpsc::channel::<u64>();
        let (tell, answer) = mpsc::channel::<u64>();
        std::thread::spawn(move || {
            for number in asked {
                let result = if number == u64::MAX { socket() } else { number + 1 };
                if tell.send(result).is_err() {
                    return;
                }
            }
        });
        // A thread that has not begun when the list comes up would die of its own beginning.
        ask.send(1).expect("the thread lives");
        answer.recv().expect("the thread answers");
        Ok((inherited.files().to_vec(), ask, answer))
    });
    worker.serve(move |request, reply| {
        match request.kind {
            0 => reply.push(request.bytes),
            1 => loop {
                std::hint::spin_loop();
            },
            // SAFETY: ends the process.
            2 => unsafe { libc::_exit(7) },
            3 => std::process::abort(),
            4 => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(black_box(vec![1; 16 << 20]));
                }
            }
            5 => reply.push(&socket().to_le_bytes()),
            6 => panic!("as asked"),
            9 => {
                ask.send(41).expect("the thread lives");
                reply.push(&answer.recv().expect("the thread answers").to_le_bytes());
            }
            10 => {
                ask.send(u64::MAX).expect("the thread lives");
                reply.push(&answer.recv().expect("the thread answers").to_le_bytes());
            }
            11 => reply.push(files.first().expect("a file was mapped")),
            // SAFETY: none: the broker's memory is written, or this process ends.
            14 => unsafe { request.bytes.as_ptr().cast_mut().write_volatile(1) },
            13 => {
                let milliseconds = request.bytes.first().copied().unwrap_or_default();
                let until = Instant::now() + Duration::from_millis(milliseconds.into());
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                let left = request.left().map_or(u64::MAX, |left| left.as_nanos() as u64);
                reply.push(&left.to_le_bytes());
            }
            12 => {
                let started = std::thread::Builder::new().spawn(|| ());
                reply.push(&[u8::from(started.is_ok())]);
            }
            _ => {}
        }
        request.kind
    })
}

/// Replies with the envelope that the request holds: sequence (added to the right one), kind, length, rings.
fn forge() -> ! {
    let (worker, ()) = worker::enter(|_| Ok(()));
    worker.serve_outlaw(|request, sequence, _| {
        let word =
            |at: usize| u32::from_le_bytes(request.bytes[at * 4..][..4].try_into().expect("four bytes"));
        if request.kind == 0 {
            return (sequence, 0, request.bytes.len() as u32, 1);
        }
        (sequence.wrapping_add(word(0)), word(1), word(2), word(3) as usize)
    })
}

/// Works on the content of a request in several copies and discards them; keeps some of it if the kind is 1, until asked again.
fn discard() -> ! {
    let (worker, ()) = worker::enter(|_| Ok(()));
    let mut kept: Vec<Vec<u8>> = Vec::new();
    worker.serve(move |request, reply| {
        let copy = request.bytes.to_vec();
        let numbers: Vec<f32> = copy.iter().map(|&byte| f32::from(byte)).collect();
        let mut grown = Vec::new();
        for part in copy.chunks(1000) {
            grown.extend_from_slice(part);
        }
        let mut on_stack = [0_u8; 4096];
        let length = copy.len().min(4096);
        on_stack[..length].copy_from_slice(&copy[..length]);
        black_box(&on_stack);
        reply.push(&numbers.iter().sum::<f32>().to_le_bytes());
        kept.clear();
        if request.kind == 1 {
            kept.push(grown[..800.min(length)].to_vec());
        }
        black_box(&kept);
        locket_sandbox::wipe_slice(&mut on_stack);
        scrub_stack(64 << 10);
        request.kind
    })
}

/// Sums up what it is sent, and makes the mistakes that it is told to make.
fn careless() -> ! {
    let (worker, ()) = worker::enter(|_| Ok(()));
    worker.serve(|request, reply| {
        let Some((order, content)) = Order::decode(request.bytes) else {
            return 0;
        };
        order.at(0, content);
        let sum: u64 = content.iter().map(|&byte| u64::from(byte)).sum();
        order.at(1, &sum.to_le_bytes());
        reply.push(&sum.to_le_bytes());
        1
    })
}

/// What no worker may do.
fn socket() -> u64 {
    // SAFETY: numbers only.
    let result = unsafe { libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0) };
    result.cast_unsigned()
}
