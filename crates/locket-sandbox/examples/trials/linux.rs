//! What the example does on Linux.
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::time::Instant;

use locket_sandbox::{
    Program, SandboxError, Wipe, attempts,
    trials::{self, TrialOptions},
    worker,
};

#[global_allocator]
static ALLOCATOR: Wipe = Wipe::new();

pub(crate) fn main() -> Result<(), SandboxError> {
    if worker::requested() {
        match worker::role().as_str() {
            trials::ROLE => trials::serve(),
            _ => attempts::serve(),
        }
    }
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse().ok());
    let options = TrialOptions {
        program: Program::Own,
        // The fewest without a hit that bound the chance of one by 0.1 % at 99 %.
        count: number(1).unwrap_or(4603),
        seed: u64::from(number(2).unwrap_or(1)),
        confidence: 0.99,
    };
    let started = Instant::now();
    let found = trials::trials(&options, &mut |_, _| {})?;
    println!("{found:?}");
    println!(
        "{} hits in {} trials: at most {:.4} % at {} %, in {:.1} s",
        found.hits,
        found.count,
        found.upper_bound * 100.0,
        options.confidence * 100.0,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
