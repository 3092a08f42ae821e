//! The trusted side: starts a worker, hands it requests, believes nothing that it says.
//!
//! Every wait has a deadline and watches the worker's death beside its bell. Whatever comes out of shared memory is copied once and
//! judged on the copy. After any error the worker is killed, and reaped by a thread that has nothing else to do; the next request starts
//! a fresh one, which the owner tells by [`Broker::generation`].

mod command;
mod crowd;
mod habit;
mod live;
mod reaper;
mod start;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use command::FIRST_LEAK;
pub use command::WorkerCommand;

use live::{Deadline, Live};
use start::Starting;

use crate::{
    SandboxError,
    report::Readiness,
    ring,
};

/// Kind of the message with which a worker says that it is ready. Kinds of the owner's requests and replies are free.
pub(crate) const READY: u32 = 0x5245_4144;
/// Kind of the message with which it says why it will never be.
pub(crate) const NOT_READY: u32 = 0x4641_494c;

/// What a worker answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What it is, by the owner's own numbers: not checked.
    pub kind: u32,
    /// A copy of what the worker wrote: bytes of a stranger.
    pub bytes: &'a [u8],
    /// True if the broker looked for it after it was due and it was not there. A broker that the machine lets sleep past that time
    /// finds it afterwards and has no reason to say so.
    pub late: bool,
}

/// Owns one worker at a time.
#[derive(Debug)]
pub struct Broker {
    command: Arc<WorkerCommand>,
    worker: Option<Live>,
    next: Option<Starting>,
    generation: u64,
    threads: usize,
    readiness: Option<Readiness>,
    copy: Vec<u8>,
}

impl Broker {
    /// Starts the first worker and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or lacks a layer, or is not ready in time.
    pub fn start(command: WorkerCommand) -> Result<Self, SandboxError> {
        let mut broker = Self {
            command: Arc::new(command),
            worker: None,
            next: None,
            generation: 0,
            threads: 1,
            readiness: None,
            copy: Vec::new(),
        };
        broker.ensure()?;
        Ok(broker)
    }

    /// Sees to it that a worker is ready, starting one if there is none; returns the generation, which is another number for
    /// each worker.
    ///
    /// # Errors
    ///
    /// As [`Broker::start`].
    pub fn ensure(&mut self) -> Result<u64, SandboxError> {
        if self.worker.is_none() {
            let started = self.next.take().and_then(Starting::wait);
            let started = started.unwrap_or_else(|| start::start(&self.command))?;
            self.worker = Some(started.live);
            self.readiness = Some(started.readiness);
            self.generation += 1;
        }
        Ok(self.generation)
    }

    /// Begins to start the next worker on another thread, if there is none: for who has time before the next request.
    pub fn prepare(&mut self) {
        if self.worker.is_none() && self.next.is_none() {
            self.next = Starting::begin(&self.command);
        }
    }

    /// Whether the next request is served, or refused, without waiting for the start of a worker.
    pub fn is_ready(&self) -> bool {
        self.worker.is_some() || self.next.as_ref().is_some_and(Starting::is_over)
    }

    /// With how many threads the worker computes, 1 unless told. Where those of all brokers of this program need every processor, this
    /// side sleeps while it waits instead of looking.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Which worker this is: 1 for the first. What an earlier one was told, this one does not know.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the last worker said of its walls.
    pub fn readiness(&self) -> Option<&Readiness> {
        self.readiness.as_ref()
    }

    /// The worker's process, if one runs: for measurements.
    pub fn pid(&self) -> Option<i32> {
        self.worker.as_ref().map(|live| live.process.pid)
    }

    /// The layers that the policy asks for and the running worker lacks, each with the reason; empty if none.
    /// Only a command that allows it has a worker that lacks any.
    pub fn degraded(&self) -> String {
        self.readiness
            .as_ref()
            .map_or(String::new(), |report| report.missing(self.command.options.policy.layers))
    }

    /// Sends a request, its parts one after another, and waits for the reply. Both are overwritten in shared memory afterwards. A
    /// worker that has to be started first takes its own time, [`crate::Options::ready_within`] at most; `within` begins when it is ready.
    ///
    /// # Errors
    ///
    /// If the request does not fit; if the worker cannot be started, does not answer in time, ends, or answers nonsense. One that does
    /// not answer in time is killed at once, but not waited for.
    pub fn request(&mut self, kind: u32, parts: &[&[u8]], within: Duration) -> Result<Reply<'_>, SandboxError> {
        self.exchange(kind, length(parts), None, within, |room| copy(parts, room))
    }

    /// As [`Broker::request`], with a reply that is due after a time, if any, which the worker is told
    /// ([`crate::worker::Request::left`]). One that comes later is marked; a worker that has not answered `grace` after that is killed.
    ///
    /// # Errors
    ///
    /// As [`Broker::request`].
    pub fn request_due(
        &mut self,
        kind: u32,
        parts: &[&[u8]],
        due: Option<Duration>,
        grace: Duration,
    ) -> Result<Reply<'_>, SandboxError> {
        self.exchange(kind, length(parts), due, grace, |room| copy(parts, room))
    }

    /// As [`Broker::request_due`], for a request of so many bytes that `fill` writes where
    /// the worker reads them; they are 0 before. Times begin when it has.
    ///
    /// # Errors
    ///
    /// As [`Broker::request`].
    pub fn request_filled(
        &mut self,
        kind: u32,
        bytes: usize,
        due: Option<Duration>,
        grace: Duration,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Reply<'_>, SandboxError> {
        self.exchange(kind, bytes, due, grace, |room| {
            fill(room);
            Instant::now()
        })
    }

    /// `fill` tells when times begin.
    fn exchange(
        &mut self,
        kind: u32,
        bytes: usize,
        due: Option<Duration>,
        grace: Duration,
        fill: impl FnOnce(&mut [u8]) -> Instant,
    ) -> Result<Reply<'_>, SandboxError> {
        let limit = ring::area(self.command.options.request_bytes);
        if bytes > limit {
            return Err(SandboxError::TooLong { bytes, limit });
        }
        self.ensure()?;
        let live = self.worker.as_mut().expect("ensure leaves a worker");
        let started = fill(live.room(bytes));
        match live.exchange(kind, Deadline::of(started, due, grace), self.threads, &mut self.copy) {
            Ok(answer) => Ok(Reply {
                kind: answer.kind,
                bytes: &self.copy,
                late: answer.late,
            }),
            Err(error) => {
                if let Some(mut live) = self.worker.take() {
                    live.kill();
                    live.ring.wipe(bytes, 0);
                    reaper::see_to_the_end(live);
                }
                Err(error)
            }
        }
    }

    /// Ends the worker and waits for its end, so that nothing of what it was told remains; the next request starts a fresh one.
    pub fn recycle(&mut self) {
        self.worker = None;
        crate::wipe::wipe_slice(&mut self.copy);
        self.copy.clear();
    }
}

fn length(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Copies the parts one after another; when it began.
fn copy(parts: &[&[u8]], mut room: &mut [u8]) -> Instant {
    let began = Instant::now();
    for part in parts {
        let (place, rest) = room.split_at_mut(part.len());
        place.copy_from_slice(part);
        room = rest;
    }
    began
}

fn malformed(what: impl Into<String>) -> SandboxError {
    SandboxError::Malformed { what: what.into() }
}
