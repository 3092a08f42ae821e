//! Randomised hostile trials: thousands of locked workers, each firing random system calls and named attempts, under the canaries.
//!
//! A worker is started once, without limits and list of calls, and forks: each fork puts up what is missing and lets go. (Thousands of
//! network namespaces in a row would stall the kernel, which takes them down at leisure.) Zero hits in `n` independent trials bound the
//! chance of one by `1 - α^(1/n)`, for trials like these: a deliberate attacker is no random one.
#![expect(unsafe_code, reason = "a hostile process makes system calls of its own")]

mod bound;
mod hostile;

use std::time::Duration;

pub use bound::upper_bound;
pub use hostile::serve;

use crate::{
    Broker, Layer, Layers, OnViolation, Options, Policy, Program, SandboxError, WorkerCommand,
    attempts::{Canaries, seen_without_layers},
};

/// The role of a worker that forks hostile ones: a program whose `main` finds [`crate::worker::requested`] and this role calls [`serve`].
pub const ROLE: &str = "trials";

/// How long a trial may take, forks and ends included.
const WITHIN: Duration = Duration::from_secs(10);

/// What is tried.
#[derive(Debug, Clone)]
pub struct TrialOptions {
    /// The worker's program, whose `main` serves this module's [`ROLE`] and that of the attempts.
    pub program: Program,
    /// How many trials.
    pub count: u32,
    /// Where the random numbers begin; the same number makes the same calls.
    pub seed: u64,
    /// The confidence of the bound, for example 0.99.
    pub confidence: f64,
}

/// What became of the trials.
#[derive(Debug, Clone, PartialEq)]
pub struct Trials {
    /// How many were made.
    pub count: u32,
    /// In how many something arrived at a canary.
    pub hits: u32,
    /// System calls and attempts that were made.
    pub calls: u64,
    /// Those that came back without an error.
    pub returned: u64,
    /// Trials whose process crashed or was killed.
    pub died: u32,
    /// Trials whose process hung and was killed by its alarm.
    pub hung: u32,
    /// Positive controls: attempts without any layer that the canaries saw, and how many were made.
    pub controls: (u32, u32),
    /// Upper bound of the chance of a hit, at the confidence asked for.
    pub upper_bound: f64,
}

/// How a hostile process ended, in a reply.
const ENDED: u32 = 0;
const DIED: u32 = 1;
const HUNG: u32 = 2;

/// Makes the trials; `progress` is told how many of how many are done.
///
/// # Errors
///
/// If the canaries cannot be set up, or the worker that forks cannot be started or fails itself.
pub fn trials(options: &TrialOptions, progress: &mut dyn FnMut(u32, u32)) -> Result<Trials, SandboxError> {
    let mut canaries = Canaries::set_up()?;
    let controls = seen_without_layers(&mut canaries, &options.program)?;
    let target = canaries.next().map_err(|source| SandboxError::System {
        what: "canaries",
        source,
    })?;
    let layers = Layers::ALL.without(Layer::Limits).without(Layer::Seccomp);
    let command = WorkerCommand::new(
        options.program.clone(),
        ROLE,
        Options {
            policy: Policy {
                layers,
                on_violation: OnViolation::Errno,
            },
            ..Options::default()
        },
    );
    let mut broker = Broker::start(command)?;
    let mut found = Trials {
        count: options.count,
        hits: 0,
        calls: 0,
        returned: 0,
        died: 0,
        hung: 0,
        controls,
        upper_bound: 1.0,
    };
    let text = target.encode();
    let _ = canaries.collect(&target);
    let mut before = canaries.look(&target, None);
    for trial in 0..options.count {
        progress(trial, options.count);
        let seed = options.seed.wrapping_add(u64::from(trial)).to_le_bytes();
        let reply = broker.request(0, &[&seed, text.as_bytes()], WITHIN)?;
        let word = |at: usize| {
            let bytes = reply.bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        found.calls += word(0);
        found.returned += word(1);
        match reply.kind {
            DIED => found.died += 1,
            HUNG => found.hung += 1,
            _ => {}
        }
        let after = canaries.look(&target, None);
        let arrived = canaries.has_arrived(&target);
        if arrived || after != before {
            found.hits += 1;
            before = after;
        }
    }
    progress(options.count, options.count);
    found.upper_bound = upper_bound(found.hits.into(), found.count.into(), options.confidence);
    Ok(found)
}
