//! Attempts against layers: each attempt in a fresh worker, without any layer, with each one alone, with all.

use std::time::Duration;

use super::{Attempt, Canaries, FAILED, Family, Proof, RETURNED, ROLE, Target, all};
use crate::{Broker, Layer, Layers, Options, Policy, Program, SandboxError, WorkerCommand};

/// How long an attempt may take.
const WITHIN: Duration = Duration::from_secs(5);
/// How long the canaries are watched after an attempt that says it succeeded.
const ARRIVAL: Duration = Duration::from_millis(50);

/// A set of layers that is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What it is called in a table.
    pub name: String,
    /// The layers, and what a forbidden call does.
    pub policy: Policy,
}

impl Configuration {
    /// No layer: the positive control.
    pub fn control() -> Self {
        Self {
            name: "control".to_owned(),
            policy: Policy::partial(Layers::NONE),
        }
    }

    /// One layer alone.
    pub fn alone(layer: Layer) -> Self {
        Self {
            name: layer.name().to_owned(),
            policy: Policy::partial(Layers::of(&[layer])),
        }
    }

    /// All layers, with forbidden calls that return: whatever an attempt does after the first of them is tried as well.
    pub fn all() -> Self {
        Self {
            name: "all".to_owned(),
            policy: Policy::partial(Layers::ALL),
        }
    }

    /// All layers as in the product: the first forbidden call kills.
    pub fn product() -> Self {
        Self {
            name: "product".to_owned(),
            policy: Policy::strict(),
        }
    }

    /// Each layer alone, all, and the product.
    pub fn every() -> Vec<Self> {
        let alone = Layer::ALL.into_iter().map(Self::alone);
        alone.chain([Self::all(), Self::product()]).collect()
    }

    fn is_one_layer(&self) -> bool {
        self.policy.layers.iter().count() == 1
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A canary saw it, or it brought the secret back, or the call did what it is for.
    Reached,
    /// It did not arrive; how it failed.
    Blocked(String),
    /// It could not be tried: no worker with just these layers can be had.
    Untried(String),
}

/// An attempt and what became of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Unique together with the family.
    pub name: &'static str,
    /// What it is about.
    pub family: Family,
    /// One sentence.
    pub what: &'static str,
    /// Without any layer. Only an attempt that arrives then is testable here.
    pub control: Outcome,
    /// In the order of the configurations; empty if it is not testable.
    pub outcomes: Vec<Outcome>,
    /// How many single layers stop it by themselves.
    pub walls: usize,
}

impl Row {
    /// True if the control arrived.
    pub fn is_testable(&self) -> bool {
        self.control == Outcome::Reached
    }
}

/// All rows.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// What each column stands for.
    pub configurations: Vec<Configuration>,
    /// One for each attempt.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// The rows whose control arrived.
    pub fn testable(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_testable())
    }

    /// Testable attempts that did not arrive in a configuration, and all testable ones.
    pub fn blocked(&self, column: usize) -> (usize, usize) {
        let blocked = |row: &&Row| matches!(row.outcomes.get(column), Some(Outcome::Blocked(_)));
        (self.testable().filter(blocked).count(), self.testable().count())
    }

    /// Testable attempts that at least `walls` layers stop, each alone.
    pub fn stopped_by_at_least(&self, walls: usize) -> usize {
        self.testable().filter(|row| row.walls >= walls).count()
    }
}

/// What is tried.
#[derive(Debug)]
pub struct MatrixOptions {
    /// The worker's program, whose `main` serves the role [`ROLE`].
    pub program: Program,
    /// The columns, beside the control.
    pub configurations: Vec<Configuration>,
    /// The attempts.
    pub attempts: Vec<Attempt>,
}

impl MatrixOptions {
    /// Everything, with the running program as the worker.
    pub fn whole() -> Self {
        Self {
            program: Program::Own,
            configurations: Configuration::every(),
            attempts: all(),
        }
    }
}

/// Makes every attempt in every configuration; `progress` is told how many attempts of how many are done.
///
/// # Errors
///
/// If the canaries cannot be set up, or no worker can be started at all.
pub fn matrix(options: &MatrixOptions, progress: &mut dyn FnMut(usize, usize)) -> Result<Matrix, SandboxError> {
    let mut canaries = Canaries::set_up()?;
    // The numbers that a worker knows attempts by.
    let known = all();
    // The control of the controls: where nothing is attempted, nothing may be seen.
    let nothing = Attempt {
        proof: Proof::Canary,
        ..known[0]
    };
    let control = Configuration::control().policy;
    if make(&mut canaries, &nothing, u32::MAX, &options.program, control)? == Outcome::Reached {
        return Err(SandboxError::System {
            what: "canaries: they saw something where nothing was attempted",
            source: std::io::Error::other("somebody else acts on this machine in the same places"),
        });
    }
    let mut rows = Vec::new();
    for (done, attempt) in options.attempts.iter().enumerate() {
        progress(done, options.attempts.len());
        let number = known
            .iter()
            .position(|other| (other.family, other.name) == (attempt.family, attempt.name))
            .expect("attempts come from the list") as u32;
        let mut run = |configuration: &Configuration| {
            make(&mut canaries, attempt, number, &options.program, configuration.policy)
        };
        let control = run(&Configuration::control())?;
        let mut outcomes = Vec::new();
        if control == Outcome::Reached {
            for configuration in &options.configurations {
                outcomes.push(run(configuration)?);
            }
        }
        let walls = options
            .configurations
            .iter()
            .zip(&outcomes)
            .filter(|(configuration, outcome)| {
                configuration.is_one_layer() && matches!(outcome, Outcome::Blocked(_))
            })
            .count();
        rows.push(Row {
            name: attempt.name,
            family: attempt.family,
            what: attempt.what,
            control,
            outcomes,
            walls,
        });
    }
    progress(options.attempts.len(), options.attempts.len());
    Ok(Matrix {
        configurations: options.configurations.clone(),
        rows,
    })
}

/// Attempts that stand for all, one of each kind of canary.
const CONTROLS: [(Family, &str); 10] = [
    (Family::Network, "tcp4"),
    (Family::Network, "udp4"),
    (Family::Network, "dns"),
    (Family::Network, "unix-stream"),
    (Family::Network, "abstract-datagram"),
    (Family::Files, "create"),
    (Family::Files, "mode"),
    (Family::Processes, "signal"),
    (Family::Ipc, "shared-memory"),
    (Family::Inherited, "pipe"),
];

/// Positive controls: how many of how many attempts the canaries see where there is no layer.
pub(crate) fn seen_without_layers(canaries: &mut Canaries, program: &Program) -> Result<(u32, u32), SandboxError> {
    let control = Configuration::control().policy;
    let mut seen = 0;
    for (number, attempt) in all().iter().enumerate() {
        if CONTROLS.contains(&(attempt.family, attempt.name))
            && make(canaries, attempt, number as u32, program, control)? == Outcome::Reached
        {
            seen += 1;
        }
    }
    Ok((seen, CONTROLS.len() as u32))
}

/// One attempt in one fresh worker.
fn make(
    canaries: &mut Canaries,
    attempt: &Attempt,
    number: u32,
    program: &Program,
    policy: Policy,
) -> Result<Outcome, SandboxError> {
    let canary = |source| SandboxError::System {
        what: "canaries",
        source,
    };
    let target = canaries.next().map_err(canary)?;
    let (standard, leaked) = canaries.leaks(&target).map_err(canary)?;
    let mut command = WorkerCommand::new(
        program.clone(),
        ROLE,
        Options {
            request_bytes: 8 << 10,
            reply_bytes: 128 << 10,
            policy,
            ..Options::default()
        },
    );
    command.leaks.standard = Some(standard);
    command.leaks.descriptors = leaked;
    let secret = String::from_utf8_lossy(canaries.secret()).into_owned();
    command.leaks.environment = vec![("LOCKET_CANARY".to_owned(), format!("{secret}{}", "-".repeat(600)))];
    let mut broker = match Broker::start(command) {
        Ok(broker) => broker,
        Err(SandboxError::Refused { missing }) => return Ok(Outcome::Untried(missing)),
        Err(error) => return Err(error),
    };
    let _ = canaries.collect(&target);
    let worker = broker.pid();
    let before = canaries.look(&target, worker);
    let (returned, brought, how) = ask(&mut broker, number, &target);
    // A worker that is gone shows nothing of itself any more.
    let alive = broker.pid();
    let before = if alive.is_some() { before } else { canaries.forget(&before, worker) };
    let mut arrived = false;
    let started = std::time::Instant::now();
    while !arrived && (started.elapsed() < ARRIVAL || !returned) {
        arrived = canaries.has_arrived(&target) || canaries.look(&target, alive) != before;
        if !returned || attempt.proof != Proof::Canary {
            break;
        }
    }
    let reached = arrived
        || match attempt.proof {
            Proof::Canary => false,
            Proof::Secret => contains(&brought, canaries.secret()),
            Proof::Call => returned,
        };
    Ok(if reached { Outcome::Reached } else { Outcome::Blocked(how) })
}

/// Has the attempt made; whether it returned without an error, what it brought, and how it failed.
fn ask(broker: &mut Broker, number: u32, target: &Target) -> (bool, Vec<u8>, String) {
    match broker.request(number, &[target.encode().as_bytes()], WITHIN) {
        Ok(reply) if reply.kind == RETURNED => (true, reply.bytes.to_vec(), "nothing arrived".to_owned()),
        Ok(reply) => {
            let number = reply.bytes.try_into().map_or(0, i32::from_le_bytes);
            let how = match number {
                _ if reply.kind != FAILED => "the attempt is not known".to_owned(),
                crate::FORBIDDEN_ERRNO => "forbidden".to_owned(),
                libc::ENODATA => "nothing found".to_owned(),
                number => std::io::Error::from_raw_os_error(number).to_string(),
            };
            (false, Vec::new(), how)
        }
        // A program that was run in the worker's place is such an end; the canaries tell.
        Err(SandboxError::Violation) => (false, Vec::new(), "killed".to_owned()),
        Err(error) => (false, Vec::new(), error.to_string()),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
