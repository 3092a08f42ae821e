//! A model in a worker process that can reach nothing: this side opens its files, hands over tensors and pictures, and believes no
//! answer unchecked.

mod handed;
mod launch;
mod protocol;
mod served;
mod watched;

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use locket_formats::Format;
use locket_runtime::RunError;
use locket_sandbox::{Broker, Reply, SandboxError};
use locket_tensor::{TensorMut, TensorRef};

use crate::{Error, FeatureDescription, ModelConfiguration, model::no_recipe, pictures::Given};
use handed::Handed;
use launch::Launch;
pub use watched::Watched;

use protocol::{ALIGN, Answer, Interface, PICTURE, PREDICT, SAMPLE, Settings, room};

/// Where a model computes: in a worker unless told otherwise, on systems that have one, which is Linux on x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In this process.
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), default)]
    InProcess,
    /// In a process of its own with no file, no network, no other process and no memory of this one. Its program is this one
    /// again, which must call [`run_if_requested`](crate::worker::run_if_requested) first in `main`, or
    /// [`ModelConfiguration::worker`].
    #[cfg_attr(all(target_os = "linux", target_arch = "x86_64"), default)]
    Worker,
}

/// Time that a worker has for what has no budget: long enough for every model, short enough to notice one that hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time beyond the latency budget until a worker that did not notice it itself is killed: enough for one that did to say so, which
/// costs less than a new one.
const GRACE: Duration = Duration::from_micros(100);
/// What is between inputs in a request.
const PADDING: [u8; ALIGN] = [0; ALIGN];
/// Room for inputs and for outputs, until the worker has said what they take; the interface itself must fit.
const FIRST_ROOM_BYTES: usize = 1 << 20;

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
    launch: Launch,
    broker: Broker,
    interface: Arc<Interface>,
    has_recipe: bool,
    recycle_after: Option<u32>,
    /// What the current worker was asked, and which it is.
    asked: u32,
    generation: u64,
}

impl Isolated {
    /// Starts a worker for the model at the path.
    pub(crate) fn load(path: &Path, configuration: &ModelConfiguration) -> Result<Self, Error> {
        if configuration.worker.is_none() && !ASKED.load(Ordering::Relaxed) {
            return Err(Error::NoWorker {
                path: path.to_owned(),
                why: "this program does not call locket::worker::run_if_requested first in main; call it, name another program in ModelConfiguration::worker, or choose Isolation::InProcess".to_owned(),
            });
        }
        let mut launch = Launch::of(Handed::of(path)?, configuration)?;
        let mut broker = launch.start();
        if let Err(Error::Worker(SandboxError::NotReady { reason })) = &broker
            && let Some(names) = protocol::needed(reason)
        {
            // Which files an ONNX model's data is in, only a reader knows: the worker.
            launch.add_files(names, Format::Onnx)?;
            broker = launch.start();
        }
        let mut broker = broker?;
        let reply = broker.request(protocol::DESCRIBE, &[], PATIENCE)?;
        let interface = protocol::interface(reply.kind, reply.bytes)?;
        let (request, reply) = (interface.request_bytes(), interface.output_bytes());
        if launch.make_room(request, reply) {
            broker.recycle();
            broker = launch.start()?;
        }
        broker.set_threads(interface.threads);
        Ok(Self {
            generation: broker.generation(),
            launch,
            broker,
            interface: Arc::new(interface),
            has_recipe: configuration.preprocess.is_some(),
            recycle_after: configuration.recycle_after,
            asked: 0,
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
        budget: Option<Duration>,
    ) -> Result<(), Error> {
        protocol::check(
            "input",
            &self.interface.inputs,
            inputs.iter().map(|tensor| (tensor.dtype, tensor.shape)),
        )?;
        self.check_outputs(outputs)?;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(2 * inputs.len());
        for (feature, tensor) in self.interface.inputs.iter().zip(inputs) {
            parts.extend([tensor.bytes, &PADDING[..room(feature) - tensor.bytes.len()]]);
        }
        self.ask_with(PREDICT, &parts, outputs, budget)
    }

    /// Predicts from inputs that are written where the worker reads them.
    pub(crate) fn predict_filled(
        &mut self,
        fill: impl FnOnce(&mut [TensorMut<'_>]),
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), Error> {
        self.check_outputs(outputs)?;
        let interface = Arc::clone(&self.interface);
        let bytes = interface.request_bytes();
        let started = Cell::new(Instant::now());
        let fill = |mut room: &mut [u8]| {
            let mut views = Vec::with_capacity(interface.inputs.len());
            for feature in &interface.inputs {
                let (own, rest) = room.split_at_mut(protocol::room(feature));
                room = rest;
                views.push(TensorMut {
                    dtype: feature.dtype,
                    shape: &feature.shape,
                    bytes: &mut own[..protocol::bytes(feature)],
                });
            }
            fill(&mut views);
            started.set(Instant::now());
        };
        self.ask(outputs, budget, &started, |broker, grace| {
            broker.request_filled(PREDICT, bytes, budget, grace, fill)
        })
    }

    /// Predicts from what is still to be preprocessed, into memory that fits.
    pub(crate) fn predict_given(
        &mut self,
        given: Given<'_>,
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), Error> {
        if !self.has_recipe {
            return Err(no_recipe());
        }
        let described;
        let (kind, parts) = match given {
            Given::File(file) => (PICTURE, vec![file]),
            Given::Sample(sample) => {
                described = protocol::describe_sample(sample);
                (SAMPLE, vec![described.as_slice(), sample.bytes])
            }
        };
        let bytes = parts.iter().map(|part| part.len()).sum();
        if self.launch.make_room(bytes, self.interface.output_bytes()) {
            self.broker.recycle();
            self.broker = self.launch.start()?;
            self.broker.set_threads(self.interface.threads);
            self.asked = 0;
        }
        self.ask_with(kind, &parts, outputs, budget)
    }

    /// The worker's process, if one runs.
    pub(crate) fn process(&self) -> Option<i32> {
        self.broker.pid()
    }

    /// Bytes of weights, tensors and scratch, as the worker told.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.interface.peak_bytes
    }

    fn check_outputs(&self, outputs: &[TensorMut<'_>]) -> Result<(), Error> {
        let given = outputs.iter().map(|tensor| (tensor.dtype, tensor.shape));
        protocol::check("output", &self.interface.outputs, given)
    }

    fn ask_with(
        &mut self,
        kind: u32,
        parts: &[&[u8]],
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), Error> {
        let started = Cell::new(Instant::now());
        self.ask(outputs, budget, &started, |broker, grace| {
            started.set(Instant::now());
            broker.request_due(kind, parts, budget, grace)
        })
    }

    /// Asks the worker, which is there when `send` is called; `started` is when the budget began, once it was.
    fn ask(
        &mut self,
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
        started: &Cell<Instant>,
        send: impl FnOnce(&mut Broker, Duration) -> Result<Reply<'_>, SandboxError>,
    ) -> Result<(), Error> {
        if self.recycle_after.is_some_and(|most| self.asked >= most) {
            self.broker.recycle();
        }
        let generation = self.broker.ensure()?;
        if generation != self.generation {
            (self.generation, self.asked) = (generation, 0);
        }
        self.asked = self.asked.saturating_add(1);
        let reply = send(&mut self.broker, budget.map_or(PATIENCE, |_| GRACE));
        let late = |operator: &str| {
            Error::Run(RunError::DeadlineExceeded {
                budget: budget.unwrap_or_default(),
                elapsed: started.get().elapsed(),
                operator: operator.to_owned(),
            })
        };
        let reply = match reply {
            Err(error) => {
                // Who has time before the next prediction does not wait for the next worker.
                self.broker.prepare();
                return Err(match error {
                    SandboxError::Timeout { .. } if budget.is_some() => late("the worker answered"),
                    other => other.into(),
                });
            }
            Ok(reply) => reply,
        };
        let told = protocol::answer(reply.kind, reply.bytes, self.interface.output_bytes());
        let told = told.and_then(|answer| match answer {
            Answer::Outputs(_) if reply.late => Ok(Err(late("the outputs"))),
            Answer::Outputs(mut bytes) => {
                for output in outputs {
                    let (own, rest) = bytes.split_at(output.bytes.len());
                    output.bytes.copy_from_slice(own);
                    bytes = rest;
                }
                Ok(Ok(()))
            }
            Answer::Late(_) if budget.is_none() => Err(protocol::malformed("late without a deadline")),
            Answer::Late(operator) => Ok(Err(late(&operator))),
            Answer::Unreadable(why) => Ok(Err(Error::Picture { why })),
        });
        told.unwrap_or_else(|malformed| {
            // A worker that says what none of ours says is not asked again.
            self.broker.recycle();
            self.broker.prepare();
            Err(malformed)
        })
    }
}
