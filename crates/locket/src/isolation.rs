//! A model in a worker process that can reach nothing: this side opens its file, hands over tensors, and believes no answer unchecked.

mod protocol;
mod served;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use locket_runtime::RunError;
use locket_sandbox::{Broker, Options, Program, SandboxError, WorkerCommand};
use locket_tensor::{TensorMut, TensorRef};

use crate::{Error, FeatureDescription, ModelConfiguration};
use protocol::{Answer, Interface, Settings};

/// Where a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In this process.
    #[default]
    InProcess,
    /// In a process of its own with no file, no network, no other process and no memory of this one. Its program is this one
    /// again, which must call [`run_if_requested`](crate::worker::run_if_requested) first in `main`, or
    /// [`ModelConfiguration::worker`].
    Worker,
}

/// Time that a worker has for what has no budget: long enough for every model, short enough to notice one that hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time beyond the latency budget until a worker that did not notice it itself is replaced.
const GRACE: Duration = Duration::from_millis(5);
/// Room of a worker beside the plan: program, libraries, the model as it is read, threads' stacks.
const BESIDE_THE_PLAN_BYTES: u64 = 1 << 30;
/// Room for inputs and for outputs, until the worker has said what they take.
const FIRST_ROOM_BYTES: usize = 64 << 10;

/// Whether this program has a worker in it.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Becomes a worker and never returns, if this process was started to be one of [`Isolation::Worker`]'s.
pub fn run_if_requested() {
    ASKED.store(true, Ordering::Relaxed);
    if locket_sandbox::worker::requested()
        && let Some(settings) = Settings::of_role(&locket_sandbox::worker::role())
    {
        served::serve(&settings);
    }
}

/// A model in a worker.
#[derive(Debug)]
pub(crate) struct Isolated {
    broker: Broker,
    interface: Interface,
    latency_budget: Option<Duration>,
}

impl Isolated {
    /// Starts a worker for the model in a file.
    pub(crate) fn load(path: &Path, configuration: &ModelConfiguration) -> Result<Self, Error> {
        if path.is_dir() {
            return Err(Error::NoWorker {
                path: path.to_owned(),
                why: "a package has several files, and a worker takes one: compile it first (`locket compile`), or choose Isolation::InProcess",
            });
        }
        if configuration.worker.is_none() && !ASKED.load(Ordering::Relaxed) {
            return Err(Error::NoWorker {
                path: path.to_owned(),
                why: "this program does not call locket::worker::run_if_requested first in main; call it, name another program in ModelConfiguration::worker, or choose Isolation::InProcess",
            });
        }
        let role = Settings::of(configuration).role();
        let start = |request_bytes, reply_bytes| {
            let options = Options {
                request_bytes,
                reply_bytes,
                memory_bytes: BESIDE_THE_PLAN_BYTES + configuration.memory_budget.unwrap_or(1 << 30) as u64,
                allow_degraded: configuration.allow_degraded,
                ready_within: PATIENCE,
                ..Options::default()
            };
            let program: fn(&PathBuf) -> Program = |path| Program::Path(path.clone());
            let program = configuration.worker.as_ref().map_or(Program::Own, program);
            let mut command = WorkerCommand::new(program, &role, options);
            command.map_file(path).map_err(|source| Error::Io {
                what: format!("opening {}", path.display()),
                source,
            })?;
            Ok::<_, Error>(Broker::start(command)?)
        };
        let mut broker = start(FIRST_ROOM_BYTES, FIRST_ROOM_BYTES)?;
        let interface = describe(&mut broker)?;
        let room = [
            interface.input_bytes() + protocol::HEADER_BYTES,
            interface.output_bytes(),
        ];
        if room.iter().any(|&bytes| bytes > FIRST_ROOM_BYTES) {
            broker = start(room[0], room[1].max(FIRST_ROOM_BYTES))?;
        }
        Ok(Self {
            broker,
            interface,
            latency_budget: configuration.latency_budget,
        })
    }

    pub(crate) fn inputs(&self) -> &[FeatureDescription] {
        &self.interface.inputs
    }

    pub(crate) fn outputs(&self) -> &[FeatureDescription] {
        &self.interface.outputs
    }

    /// The layers that the worker lacks, empty if it lacks none.
    pub(crate) fn degraded(&self) -> String {
        self.broker.degraded()
    }

    /// Predicts from and into memory of the caller's, in the order of the interface. A worker that is lost is replaced at the next
    /// call.
    pub(crate) fn predict(
        &mut self,
        inputs: &[TensorRef<'_>],
        outputs: &mut [TensorMut<'_>],
    ) -> Result<(), Error> {
        protocol::check(
            "input",
            &self.interface.inputs,
            inputs.iter().map(|tensor| (tensor.dtype, tensor.shape)),
        )?;
        protocol::check(
            "output",
            &self.interface.outputs,
            outputs.iter().map(|tensor| (tensor.dtype, tensor.shape)),
        )?;
        let header = protocol::header(self.latency_budget);
        let mut parts = Vec::with_capacity(1 + inputs.len());
        parts.push(header.as_slice());
        parts.extend(inputs.iter().map(|tensor| tensor.bytes));
        let within = self.latency_budget.map_or(PATIENCE, |budget| budget + GRACE);
        self.broker.ensure()?;
        let reply = match self.broker.request(protocol::PREDICT, &parts, within) {
            Ok(reply) => reply,
            Err(SandboxError::Timeout { .. }) if self.latency_budget.is_some() => {
                return Err(late(
                    self.latency_budget.unwrap_or_default(),
                    within,
                    "the worker answered",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let told = protocol::answer(reply.kind, reply.bytes, self.interface.output_bytes());
        let copied = told.map(|answer| match answer {
            Answer::Outputs(mut bytes) => {
                for output in outputs {
                    let (own, rest) = bytes.split_at(output.bytes.len());
                    output.bytes.copy_from_slice(own);
                    bytes = rest;
                }
                Ok(())
            }
            Answer::Late(elapsed, operator) => {
                Err(late(self.latency_budget.unwrap_or_default(), elapsed, &operator))
            }
        });
        copied.unwrap_or_else(|malformed| {
            // A worker that says what none of ours says is not asked again.
            self.broker.recycle();
            Err(malformed)
        })
    }
}

fn late(budget: Duration, elapsed: Duration, operator: &str) -> Error {
    Error::Run(RunError::DeadlineExceeded {
        budget,
        elapsed,
        operator: operator.to_owned(),
    })
}

fn describe(broker: &mut Broker) -> Result<Interface, Error> {
    let reply = broker.request(protocol::DESCRIBE, &[], PATIENCE)?;
    protocol::interface(reply.bytes)
}
