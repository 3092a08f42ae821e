//! Accidental uploads: a worker that does its owner's whole work on pictures and makes one mistake meanwhile, under the canaries.
//!
//! Each trial is one picture, one [`Mistake`] (or none) and one stage of the work, drawn at random. The owner's worker calls
//! [`Order::at`] at each stage with what it has in its hands there. Every mistake is made at every stage without any layer first: one that
//! reaches no canary even then is left out of the trials and told apart.

mod order;

use std::{
    io, thread,
    time::{Duration, Instant},
};

pub use order::Order;

pub use crate::attempts::Mistake;
use crate::{
    Broker, Layers, Policy, Reply, SandboxError, WorkerCommand,
    attempts::{Canaries, MISTAKES, Sight, Target},
    trials::upper_bound,
};

/// How long one picture may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How long the canaries are watched for what is under way.
const ARRIVAL: Duration = Duration::from_millis(50);
/// One of so many trials has no mistake: its answer shows that the work is done at all.
const CLEAN: usize = 8;

/// What is tried.
pub struct AccidentOptions<'a> {
    /// Makes the command of a worker under a policy: its program, its role, its files. Its `main` serves that role, takes [`Order`]s from
    /// the front of requests and replies with the same bytes to the same picture.
    pub worker: &'a dyn Fn(Policy) -> io::Result<WorkerCommand>,
    /// Names of the stages at which the worker calls [`Order::at`], in order.
    pub stages: &'a [&'static str],
    /// The pictures, as files hold them.
    pub pictures: &'a [Vec<u8>],
    /// How many trials.
    pub count: u32,
    /// Where the random numbers begin.
    pub seed: u64,
    /// The confidence of the bound, for example 0.99.
    pub confidence: f64,
}

impl std::fmt::Debug for AccidentOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} trials on {} pictures", self.count, self.pictures.len())
    }
}

/// What became of one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MistakeCount {
    /// Which.
    pub name: &'static str,
    /// One sentence.
    pub what: &'static str,
    /// At how many of all stages it reached a canary where there was no layer.
    pub controls: u32,
    /// Trials with it; none where a control failed.
    pub trials: u32,
    /// Of these, how many reached a canary.
    pub hits: u32,
    /// Of these, how many ended with the worker killed for a forbidden call.
    pub killed: u32,
    /// Of these, how many were answered all the same, because the mistake failed by itself.
    pub answered: u32,
}

/// What became of all trials.
#[derive(Debug, Clone, PartialEq)]
pub struct Accidents {
    /// How many were made.
    pub count: u32,
    /// In how many something arrived at a canary.
    pub hits: u32,
    /// Trials in which the worker was killed for a forbidden call.
    pub killed: u32,
    /// Trials in which it ended or failed otherwise.
    pub failed: u32,
    /// Trials that were answered.
    pub answered: u32,
    /// Of the answered ones, how many had the right answer: that of the same worker without any layer and without a mistake.
    pub right: u32,
    /// Trials without a mistake, and how many of them had the right answer.
    pub clean: (u32, u32),
    /// Stages of the work.
    pub stages: Vec<&'static str>,
    /// One for each mistake.
    pub mistakes: Vec<MistakeCount>,
    /// Upper bound of the chance of a hit, at the confidence asked for.
    pub upper_bound: f64,
}

impl Accidents {
    /// Positive controls: how many reached a canary, and how many were made.
    pub fn controls(&self) -> (u32, u32) {
        let reached = self.mistakes.iter().map(|mistake| mistake.controls).sum();
        (reached, (self.mistakes.len() * self.stages.len()) as u32)
    }
}

/// Canaries with what they last looked like.
struct Watch {
    canaries: Canaries,
    target: Target,
    before: Sight,
}

impl Watch {
    /// True if anything at all arrived or changed since the last time: stricter than to look for the mark.
    fn saw(&mut self) -> bool {
        let arrived = !self.canaries.collect(&self.target).is_empty() || self.canaries.is_listened_to();
        let now = self.canaries.look(&self.target, None);
        let changed = now != self.before;
        self.before = now;
        arrived || changed
    }

    fn saw_within(&mut self, within: Duration) -> bool {
        let started = Instant::now();
        loop {
            if self.saw() {
                return true;
            }
            if started.elapsed() > within {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A worker that is handed what a careless program leaks: descriptors, and an environment with a proxy.
    fn start(&self, command: WorkerCommand) -> Result<Broker, SandboxError> {
        let mut command = command;
        let (standard, leaked) = self.canaries.leaks(&self.target).map_err(canary)?;
        command.leaks.standard = Some(standard);
        command.leaks.descriptors = leaked;
        let proxy = format!("http://127.0.0.1:{}", self.target.tcp4);
        let names = ["http_proxy", "https_proxy", "HTTP_PROXY", "ALL_PROXY"];
        command.leaks.environment = names.map(|name| (name.to_owned(), proxy.clone())).to_vec();
        Broker::start(command)
    }
}

fn canary(source: io::Error) -> SandboxError {
    SandboxError::System {
        what: "canaries",
        source,
    }
}

/// Makes the trials; `progress` is told how many of how many are done.
///
/// Odd trials run under the product's policy, in which the first forbidden call kills; even ones under the same layers with forbidden calls
/// that fail, so that whatever a mistake does afterwards is tried too.
///
/// # Errors
///
/// If the canaries cannot be set up, or see something where nothing was done; if a worker cannot be started, or does not do its work even
/// without layers.
pub fn accidents(options: &AccidentOptions<'_>, progress: &mut dyn FnMut(u32, u32)) -> Result<Accidents, SandboxError> {
    let worker = |policy| {
        (options.worker)(policy).map_err(|source| SandboxError::System {
            what: "files of a worker",
            source,
        })
    };
    let mut canaries = Canaries::set_up()?;
    let target = canaries.next().map_err(canary)?;
    let before = canaries.look(&target, None);
    let mut watch = Watch {
        canaries,
        target,
        before,
    };
    let text = watch.target.encode();
    let control = watch.start(worker(Policy::partial(Layers::NONE))?)?;
    let mut found = Accidents {
        count: options.count,
        hits: 0,
        killed: 0,
        failed: 0,
        answered: 0,
        right: 0,
        clean: (0, 0),
        stages: options.stages.to_vec(),
        mistakes: Vec::new(),
        upper_bound: 1.0,
    };
    let expected = controls(control, &mut watch, &text, options, &mut found)?;
    let mut brokers = [
        watch.start(worker(Policy::partial(Layers::ALL))?)?,
        watch.start(worker(Policy::strict())?)?,
    ];
    // Starting them is none of the trials.
    let _ = watch.saw();
    let mut random = options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % limit
    };
    // What no canary sees even without layers would only add trials that cannot fail.
    let testable: Vec<usize> = (0..MISTAKES.len())
        .filter(|&number| found.mistakes[number].controls as usize == options.stages.len())
        .collect();
    for trial in 0..options.count {
        progress(trial, options.count);
        let picture = below(options.pictures.len());
        let stage = below(options.stages.len());
        let mistake = (below(CLEAN) != 0 && !testable.is_empty()).then(|| testable[below(testable.len())]);
        let order = order::encode(mistake, stage, &text);
        let parts = [order.as_slice(), options.pictures[picture].as_slice()];
        let reply = brokers[trial as usize % 2].request(0, &parts, WITHIN);
        let outcome = Outcome::of(reply, &expected[picture])?;
        found.count_one(mistake, outcome, watch.saw());
    }
    // What is under way after the last.
    if watch.saw_within(ARRIVAL) {
        found.hits += 1;
    }
    progress(options.count, options.count);
    found.hits = found.hits.min(found.count);
    found.upper_bound = upper_bound(found.hits.into(), found.count.into(), options.confidence);
    Ok(found)
}

/// Without any layer: the right answer to each picture, at which no canary may see anything, and every mistake at every stage, which
/// a canary should see.
fn controls(
    mut broker: Broker,
    watch: &mut Watch,
    text: &str,
    options: &AccidentOptions<'_>,
    found: &mut Accidents,
) -> Result<Vec<(u32, Vec<u8>)>, SandboxError> {
    let mut expected = Vec::new();
    let clean = order::encode(None, 0, text);
    let _ = watch.saw();
    for picture in options.pictures {
        let reply = broker.request(0, &[&clean, picture], WITHIN)?;
        expected.push((reply.kind, reply.bytes.to_vec()));
    }
    if watch.saw_within(ARRIVAL) {
        return Err(SandboxError::System {
            what: "canaries: they saw something where no mistake was made",
            source: io::Error::other("somebody else acts on this machine in the same places"),
        });
    }
    for (number, mistake) in MISTAKES.iter().enumerate() {
        let mut reached = 0;
        for stage in 0..options.stages.len() {
            let order = order::encode(Some(number), stage, text);
            let picture = &options.pictures[(number + stage) % options.pictures.len()];
            // What becomes of the answer is not the question here.
            let _ = broker.request(0, &[&order, picture], WITHIN);
            reached += u32::from(watch.saw_within(ARRIVAL));
        }
        found.mistakes.push(MistakeCount {
            name: mistake.name,
            what: mistake.what,
            controls: reached,
            trials: 0,
            hits: 0,
            killed: 0,
            answered: 0,
        });
    }
    Ok(expected)
}

/// How a trial ended for the owner of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Right,
    Wrong,
    Killed,
    Failed,
}

impl Outcome {
    fn of(reply: Result<Reply<'_>, SandboxError>, expected: &(u32, Vec<u8>)) -> Result<Self, SandboxError> {
        match reply {
            Ok(reply) if (reply.kind, reply.bytes) == (expected.0, expected.1.as_slice()) => Ok(Self::Right),
            Ok(_) => Ok(Self::Wrong),
            Err(SandboxError::Violation) => Ok(Self::Killed),
            Err(SandboxError::Died(_) | SandboxError::Timeout { .. } | SandboxError::Malformed { .. }) => Ok(Self::Failed),
            Err(error) => Err(error),
        }
    }
}

impl Accidents {
    fn count_one(&mut self, mistake: Option<usize>, outcome: Outcome, hit: bool) {
        let (killed, answered) = (
            u32::from(outcome == Outcome::Killed),
            u32::from(matches!(outcome, Outcome::Right | Outcome::Wrong)),
        );
        let right = u32::from(outcome == Outcome::Right);
        self.hits += u32::from(hit);
        self.killed += killed;
        self.failed += u32::from(outcome == Outcome::Failed);
        self.answered += answered;
        self.right += right;
        match mistake {
            None => {
                self.clean.0 += 1;
                self.clean.1 += right;
            }
            Some(number) => {
                let count = &mut self.mistakes[number];
                count.trials += 1;
                count.hits += u32::from(hit);
                count.killed += killed;
                count.answered += answered;
            }
        }
    }
}
