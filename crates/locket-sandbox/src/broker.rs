//! The trusted side: starts a worker, hands it requests, believes nothing that it says.
//!
//! Every wait has a deadline and watches the worker's death beside its bell. Whatever comes out of shared memory is copied once and
//! judged on the copy. After any error the worker is killed, and reaped by a thread that has nothing else to do; the next request starts
//! a fresh one, which the owner tells by [`Broker::generation`].

mod command;
mod habit;
mod reaper;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};

pub(crate) use command::FIRST_LEAK;
pub use command::WorkerCommand;

use habit::Habit;

use crate::{
    Death, SandboxError,
    launch::Process,
    report::{REPORT_MAX, Readiness},
    ring::{self, Ring},
};

/// Kind of the message with which a worker says that it is ready. Kinds of the owner's requests and replies are free.
pub(crate) const READY: u32 = 0x5245_4144;
/// Kind of the message with which it says why it will never be.
pub(crate) const NOT_READY: u32 = 0x4641_494c;

/// Rings of the bell without a reply, after which a worker is taken for hostile.
const FALSE_ALARMS: u32 = 64;
/// How long a killed process may take to end.
const REAP: Duration = Duration::from_secs(2);
/// How late a thread that sleeps may wake: 50 µs are the kernel's slack of timers, the rest is the way to the processor.
const WAKING: Duration = Duration::from_micros(80);

/// What a worker answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What it is, by the owner's own numbers: not checked.
    pub kind: u32,
    /// A copy of what the worker wrote: bytes of a stranger.
    pub bytes: &'a [u8],
}

/// Owns one worker at a time.
#[derive(Debug)]
pub struct Broker {
    command: WorkerCommand,
    worker: Option<Live>,
    generation: u64,
    readiness: Option<Readiness>,
    copy: Vec<u8>,
}

/// A running worker.
#[derive(Debug)]
struct Live {
    process: Process,
    ring: Ring,
    request_bell: OwnedFd,
    reply_bell: OwnedFd,
    /// The worker's end of the bell: while we hold it too, ringing for a dead worker is no SIGPIPE.
    _heard: OwnedFd,
    sequence: u32,
    awake: Duration,
    habit: Habit,
    /// Bytes of the last request that are still in shared memory.
    request_bytes: usize,
    gone: bool,
}

impl Broker {
    /// Starts the first worker and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or lacks a layer, or is not ready in time.
    pub fn start(command: WorkerCommand) -> Result<Self, SandboxError> {
        let mut broker = Self {
            command,
            worker: None,
            generation: 0,
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
            let mut live = self.spawn()?;
            let readiness = self.await_ready(&mut live)?;
            self.readiness = Some(readiness);
            self.worker = Some(live);
            self.generation += 1;
        }
        Ok(self.generation)
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
        let limit = ring::area(self.command.options.request_bytes);
        let bytes = parts.iter().map(|part| part.len()).sum();
        if bytes > limit {
            return Err(SandboxError::TooLong { bytes, limit });
        }
        self.ensure()?;
        let live = self.worker.as_mut().expect("ensure leaves a worker");
        let answer = live.exchange(kind, parts, Instant::now() + within, within, &mut self.copy);
        match answer {
            Ok(kind) => {
                live.ring.wipe(std::mem::take(&mut live.request_bytes), self.copy.len());
                Ok(Reply {
                    kind,
                    bytes: &self.copy,
                })
            }
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

    fn spawn(&self) -> Result<Live, SandboxError> {
        let options = &self.command.options;
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
        let process = self.command.launch(
            &ring,
            heard.as_raw_fd(),
            rung.as_raw_fd(),
            memory.as_raw_fd(),
        )?;
        Ok(Live {
            process,
            ring,
            request_bell,
            reply_bell,
            _heard: heard,
            sequence: 1,
            awake: ring::awake_for(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
            habit: Habit::default(),
            request_bytes: 0,
            gone: false,
        })
    }

    fn await_ready(&self, live: &mut Live) -> Result<Readiness, SandboxError> {
        let within = self.command.options.ready_within;
        let mut bytes = Vec::new();
        let kind = live.receive("its start", Instant::now() + within, within, None, &mut bytes)?;
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
        let policy = &self.command.options.policy;
        let mut missing = readiness.missing(policy.layers);
        if missing.is_empty() && readiness.policy_hash != policy.hash() {
            missing = format!("it runs policy {}, expected {}", readiness.policy_hash, policy.hash());
        }
        if !missing.is_empty() && !self.command.options.allow_degraded {
            return Err(SandboxError::Refused { missing });
        }
        Ok(readiness)
    }
}

impl Live {
    fn exchange(
        &mut self,
        kind: u32,
        parts: &[&[u8]],
        deadline: Instant,
        within: Duration,
        into: &mut Vec<u8>,
    ) -> Result<u32, SandboxError> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = parts.iter().map(|part| part.len()).sum();
        let foretold = self.habit.foretell(kind, bytes);
        self.request_bytes = bytes;
        if self.ring.put_request(self.sequence, kind, parts) {
            match rustix::io::write(&self.request_bell, &[1]) {
                Ok(_) => {}
                // The bell is full only if the worker heard none of thousands; it is waited for like any other.
                Err(Errno::AGAIN) => {}
                Err(source) => return Err(SandboxError::system("ring for the worker")(source)),
            }
        }
        let sent = Instant::now();
        let answer = self.receive("a request", deadline, within, foretold, into)?;
        self.habit.learn(kind, bytes, sent.elapsed());
        Ok(answer)
    }

    /// Waits for the reply to the current request, awake around the time that is foretold, and copies it.
    fn receive(
        &mut self,
        what: &'static str,
        deadline: Instant,
        within: Duration,
        foretold: Option<[Duration; 2]>,
        into: &mut Vec<u8>,
    ) -> Result<u32, SandboxError> {
        let started = Instant::now();
        let until = deadline.min(started + self.awake);
        let mut is_there = self.ring.look_for_reply(self.sequence, until);
        if let Some([soonest, latest]) = foretold.filter(|_| !is_there && !self.awake.is_zero()) {
            is_there = self.wait(deadline.min(started + soonest))?;
            if !is_there {
                // Time to spare.
                if self.ring.is_read(self.sequence) {
                    self.ring.wipe(std::mem::take(&mut self.request_bytes), 0);
                }
                is_there = self.ring.look_for_reply(self.sequence, deadline.min(started + latest));
            }
        }
        for _ in 0..FALSE_ALARMS {
            if !is_there && !self.wait(deadline)? {
                return Err(SandboxError::Timeout { what, within });
            }
            is_there = false;
            let envelope = self.ring.reply();
            if envelope.sequence == self.sequence {
                let (length, room) = (envelope.length as usize, self.ring.reply_bytes());
                if length > room {
                    return Err(malformed(format!("a reply of {length} bytes, room is for {room}")));
                }
                self.ring.copy_reply(length, into);
                return Ok(envelope.kind);
            }
        }
        Err(malformed("the bell rings without a reply"))
    }

    /// Waits until the bell rings: true, or the time is over: false. It wakes a little early and stays awake for the rest, because
    /// sleeping to the end would be late.
    fn wait(&mut self, deadline: Instant) -> Result<bool, SandboxError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let asleep = left.saturating_sub(WAKING);
            let timeout = Timespec {
                tv_sec: asleep.as_secs().min(1 << 30) as i64,
                tv_nsec: asleep.subsec_nanos().into(),
            };
            let mut watched = [
                PollFd::new(&self.reply_bell, PollFlags::IN),
                PollFd::new(&self.process.handle, PollFlags::IN),
            ];
            match poll(&mut watched, Some(&timeout)) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(source) => return Err(SandboxError::system("wait for a worker")(source)),
            }
            let (bell, died) = (watched[0].revents(), watched[1].revents());
            if bell.contains(PollFlags::IN) {
                // At most a pipe full is taken at once, so that a worker that floods it cannot keep us here.
                let mut rings = [0_u8; 4096];
                let _ = rustix::io::read(&self.reply_bell, &mut rings);
                return Ok(true);
            }
            if !died.is_empty() || !bell.is_empty() {
                return Err(self.cause_of_death(deadline));
            }
        }
    }

    /// Reaps the worker and says how it ended. One that closed its bell and lives is killed.
    fn cause_of_death(&mut self, deadline: Instant) -> SandboxError {
        // A process closes its files a moment before it has ended; on a busy machine the moment can be long.
        let left = deadline.saturating_duration_since(Instant::now());
        if !self.ended_within(left.clamp(Duration::from_millis(50), Duration::from_secs(1))) {
            return malformed("it closed the bell of replies");
        }
        self.gone = true;
        let status = waitid(
            WaitId::PidFd(self.process.handle.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        match status {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (_, Some(libc::SIGSYS)) => SandboxError::Violation,
                (_, Some(signal)) => SandboxError::Died(Death::Signal(signal)),
                (Some(code), None) => SandboxError::Died(Death::Exit(code)),
                (None, None) => malformed("it ended in no known way"),
            },
            Ok(None) => malformed("it ended and did not"),
            // Somebody else in this program reaped it.
            Err(source) => SandboxError::System {
                what: "learn how a worker ended",
                source: io::Error::from(source),
            },
        }
    }

    fn ended_within(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut watched = [PollFd::new(&self.process.handle, PollFlags::IN)];
            match poll(&mut watched, Some(&timeout)) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => return false,
                Ok(_) => return true,
            }
        }
    }
}

impl Live {
    /// Ends the worker; it may take a while to be gone.
    fn kill(&mut self) {
        if !self.gone {
            let _ = pidfd_send_signal(&self.process.handle, Signal::KILL);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.kill();
        if !self.gone && self.ended_within(REAP) {
            let _ = waitid(
                WaitId::PidFd(self.process.handle.as_fd()),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
        // Only now does nobody write there any more.
        self.ring.wipe(self.ring.request_bytes(), self.ring.reply_bytes());
    }
}

fn malformed(what: impl Into<String>) -> SandboxError {
    SandboxError::Malformed { what: what.into() }
}
