//! The start of a worker: memory, bells, process, and what it says of its walls; here or on another thread.

use std::{
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use rustix::pipe::{PipeFlags, pipe_with};

use super::{
    NOT_READY, READY, WorkerCommand,
    live::{Deadline, Live},
    malformed,
};
use crate::{
    SandboxError,
    report::{REPORT_MAX, Readiness},
    ring::{self, Ring},
};

/// A worker that is ready.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) live: Live,
    pub(super) readiness: Readiness,
}

/// Starts a worker and waits until it is ready.
pub(super) fn start(command: &WorkerCommand) -> Result<Started, SandboxError> {
    let mut live = spawn(command)?;
    let readiness = await_ready(command, &mut live)?;
    Ok(Started { live, readiness })
}

/// A start on another thread. One that nobody waits for ends its worker when it is ready.
#[derive(Debug)]
pub(super) struct Starting {
    thread: JoinHandle<Result<Started, SandboxError>>,
    is_over: Arc<AtomicBool>,
}

impl Starting {
    /// `None` if there can be no thread.
    pub(super) fn begin(command: &Arc<WorkerCommand>) -> Option<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (command, over) = (Arc::clone(command), Arc::clone(&is_over));
        let started = std::thread::Builder::new()
            .name("locket-starter".to_owned())
            .spawn(move || {
                let started = start(&command);
                over.store(true, Ordering::Release);
                started
            });
        started.ok().map(|thread| Self { thread, is_over })
    }

    /// Whether waiting takes no time.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// What came of it; `None` if the thread panicked.
    pub(super) fn wait(self) -> Option<Result<Started, SandboxError>> {
        self.thread.join().ok()
    }
}

fn spawn(command: &WorkerCommand) -> Result<Live, SandboxError> {
    let options = &command.options;
    let (request_bytes, reply_bytes) = (
        ring::area(options.request_bytes),
        ring::area(options.reply_bytes.max(REPORT_MAX)),
    );
    let (ring, memory) =
        Ring::create(request_bytes, reply_bytes).map_err(SandboxError::system("shared memory for a worker"))?;
    if options.lock_ring {
        ring.lock().map_err(SandboxError::system("lock shared memory"))?;
    }
    let bell = |what| pipe_with(PipeFlags::CLOEXEC).map_err(SandboxError::system(what));
    let (heard, request_bell) = bell("bell of requests")?;
    let (reply_bell, rung) = bell("bell of replies")?;
    for end in [&request_bell, &reply_bell] {
        rustix::io::ioctl_fionbio(end, true).map_err(SandboxError::system("bell that does not block"))?;
    }
    let process = command.launch(&ring, heard.as_raw_fd(), rung.as_raw_fd(), &memory)?;
    Ok(Live::new(process, ring, request_bell, reply_bell, heard))
}

fn await_ready(command: &WorkerCommand, live: &mut Live) -> Result<Readiness, SandboxError> {
    let deadline = Deadline::of(Instant::now(), None, command.options.ready_within);
    let mut bytes = Vec::new();
    let kind = live.hear_of_start(deadline, &mut bytes)?.kind;
    if kind == NOT_READY {
        let reason = String::from_utf8_lossy(&bytes)
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        return Err(SandboxError::NotReady { reason });
    }
    if kind != READY {
        return Err(malformed("a reply before it is ready"));
    }
    let readiness = Readiness::decode(&bytes).map_err(malformed)?;
    let policy = &command.options.policy;
    let mut missing = readiness.missing(policy.layers);
    if missing.is_empty() && readiness.policy_hash != policy.hash() {
        missing = format!("it runs policy {}, expected {}", readiness.policy_hash, policy.hash());
    }
    if !missing.is_empty() && !command.options.allow_degraded {
        return Err(SandboxError::Refused { missing });
    }
    Ok(readiness)
}
