//! What the boundary costs: `cargo run --release -p locket-sandbox --example cost [-- ROUNDS]`.
//!
//! Each figure is taken with all layers and with none, in turns, in one run. Time until ready is from the call to the report, with this
//! program as the worker; a round trip is a request of 16 bytes that is echoed; throughput sums up requests of the size of a picture of
//! 224 x 224 x 3 bytes.
#![expect(clippy::print_stdout, reason = "an example prints what it measured")]

use std::time::{Duration, Instant};

use locket_sandbox::{Broker, Layers, Options, Policy, SandboxError, Wipe, WorkerCommand, worker};

#[global_allocator]
static ALLOCATOR: Wipe = Wipe::new();

/// Bytes of a picture of 224 x 224 x 3.
const PICTURE: usize = 150_528;
const WITHIN: Duration = Duration::from_secs(10);

fn main() -> Result<(), SandboxError> {
    if worker::requested() {
        let (worker, ()) = worker::enter(|_| Ok(()));
        worker.serve(|request, reply| {
            if request.kind == 0 {
                reply.push(request.bytes);
            } else {
                reply.push(&sum(request.bytes).to_le_bytes());
            }
            request.kind
        });
    }
    let rounds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200_usize);
    let mut ready = [Vec::new(), Vec::new()];
    let mut trips = [Vec::new(), Vec::new()];
    let mut pictures = [Vec::new(), Vec::new()];
    let mut inside = Vec::new();
    let picture: Vec<u8> = (0..PICTURE).map(|at| at as u8).collect();
    for _ in 0..rounds {
        for (which, layers) in [Layers::ALL, Layers::NONE].into_iter().enumerate() {
            let options = Options {
                policy: Policy {
                    layers,
                    ..Policy::strict()
                },
                ..Options::default()
            };
            let started = Instant::now();
            let mut broker = Broker::start(WorkerCommand::own("cost", options))?;
            ready[which].push(started.elapsed());
            for _ in 0..100 {
                let started = Instant::now();
                broker.request(0, &[&[7; 16]], WITHIN)?;
                trips[which].push(started.elapsed());
            }
            for _ in 0..20 {
                let started = Instant::now();
                broker.request(1, &[&picture], WITHIN)?;
                pictures[which].push(started.elapsed());
            }
        }
        for _ in 0..20 {
            let started = Instant::now();
            std::hint::black_box(sum(std::hint::black_box(&picture)));
            inside.push(started.elapsed());
        }
    }
    println!("{rounds} workers of each kind; microseconds: median, 95 %, 99 %");
    for (name, [all, none]) in [
        ("until ready", &mut ready),
        ("round trip, 16 bytes", &mut trips),
        ("picture: copied, summed, wiped", &mut pictures),
    ] {
        println!("{name:32} all layers {}   no layer {}", shares(all), shares(none));
    }
    println!(
        "{:32} same work in process {}",
        "picture: summed",
        shares(&mut inside)
    );
    Ok(())
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

fn shares(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    format!("{:8.1} {:8.1} {:8.1}", at(0.5), at(0.95), at(0.99))
}
