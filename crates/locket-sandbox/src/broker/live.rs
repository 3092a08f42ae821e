//! A running worker, as its broker sees it: one exchange after another, and its end.

use std::{
    io,
    num::NonZero,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};

use super::{crowd::Place, habit::Habit, malformed};
use crate::{
    Death, SandboxError,
    launch::Process,
    ring::{self, AWAKE, Ring},
};

/// Rings of the bell without a reply, after which a worker is taken for hostile.
const FALSE_ALARMS: u32 = 64;
/// How long a killed process may take to end.
const REAP: Duration = Duration::from_secs(2);
/// Longest wait, where more is asked for than clocks can tell.
const LONGEST: Duration = Duration::from_secs(1 << 30);
/// How late a thread that sleeps may wake: 50 µs are the kernel's slack of timers, the rest is the way to the processor.
const WAKING: Duration = Duration::from_micros(80);

/// Until when an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    started: Instant,
    /// When it should be there.
    due: Option<Instant>,
    /// When the worker is given up.
    end: Instant,
}

impl Deadline {
    /// Of an answer that is due some time after the start, if at any certain time, and waited for until a grace is over.
    pub(super) fn of(started: Instant, due: Option<Duration>, grace: Duration) -> Self {
        // A time that is longer than clocks can tell is no certain one, and is waited for as long as can be.
        let end = due.unwrap_or_default().checked_add(grace);
        Self {
            started,
            due: due.and_then(|due| started.checked_add(due)),
            end: started + end.unwrap_or(LONGEST).min(LONGEST),
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) kind: u32,
    /// It was not there yet when it was looked for after it was due.
    pub(super) late: bool,
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) process: Process,
    pub(super) ring: Ring,
    request_bell: OwnedFd,
    reply_bell: OwnedFd,
    /// The worker's end of the bell: while we hold it too, ringing for a dead worker is no SIGPIPE.
    _heard: OwnedFd,
    sequence: u32,
    processors: usize,
    habit: Habit,
    /// Bytes of the last request that are still in shared memory.
    request_bytes: usize,
    /// When the current reply was last looked for in vain.
    missed: Instant,
    gone: bool,
}

impl Live {
    /// A process that was just started, with both bells: where to ring for a request, where a reply rings, and the other end of the
    /// first.
    pub(super) fn new(
        process: Process,
        ring: Ring,
        request_bell: OwnedFd,
        reply_bell: OwnedFd,
        heard: OwnedFd,
    ) -> Self {
        Self {
            process,
            ring,
            request_bell,
            reply_bell,
            _heard: heard,
            sequence: 1,
            processors: std::thread::available_parallelism().map_or(1, NonZero::get),
            habit: Habit::default(),
            request_bytes: 0,
            missed: Instant::now(),
            gone: false,
        }
    }

    /// Room for the next request, all 0; a request must fit.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        // Whoever filled it last may have panicked.
        self.ring.wipe(self.request_bytes, 0);
        self.request_bytes = bytes;
        self.ring.request_room(bytes)
    }

    /// Sends what is in the room, waits for the reply, copies it, overwrites both.
    pub(super) fn exchange(
        &mut self,
        kind: u32,
        deadline: Deadline,
        threads: usize,
        into: &mut Vec<u8>,
    ) -> Result<Answer, SandboxError> {
        let place = Place::take(threads, self.processors);
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = self.request_bytes;
        let foretold = self.habit.foretell(kind, bytes);
        self.ring.let_look(place.is_roomy_afterwards());
        if self.ring.send(self.sequence, kind, bytes, deadline.due) {
            match rustix::io::write(&self.request_bell, &[1]) {
                Ok(_) => {}
                // The bell is full only if the worker heard none of thousands; it is waited for like any other.
                Err(Errno::AGAIN) => {}
                Err(source) => return Err(SandboxError::system("ring for the worker")(source)),
            }
        }
        let sent = Instant::now();
        let answer = self.receive("a request", deadline, foretold, &place, into)?;
        self.habit.learn(kind, bytes, sent.elapsed());
        self.ring.wipe(std::mem::take(&mut self.request_bytes), into.len());
        Ok(answer)
    }

    /// Waits for what a worker says before it is asked anything.
    pub(super) fn hear_of_start(
        &mut self,
        deadline: Deadline,
        into: &mut Vec<u8>,
    ) -> Result<Answer, SandboxError> {
        let place = Place::take(1, self.processors);
        self.receive("its start", deadline, None, &place, into)
    }

    /// Waits for the reply to the current request, awake around the time that is foretold, and copies it.
    fn receive(
        &mut self,
        what: &'static str,
        deadline: Deadline,
        foretold: Option<[Duration; 2]>,
        place: &Place,
        into: &mut Vec<u8>,
    ) -> Result<Answer, SandboxError> {
        let started = Instant::now();
        self.missed = started;
        // A processor that others need is looked on only if the answer is about to come.
        let awake = match foretold {
            Some([soonest, _]) if soonest > AWAKE && !place.is_roomy() => Duration::ZERO,
            _ => ring::awake_for(self.processors),
        };
        let mut is_there = self.look(deadline.end.min(started + awake));
        if let Some([soonest, latest]) = foretold.filter(|_| !is_there && !awake.is_zero()) {
            is_there = self.wait(deadline.end.min(started + soonest))?;
            if !is_there {
                // Time to spare.
                if self.ring.is_read(self.sequence) {
                    self.ring.wipe(std::mem::take(&mut self.request_bytes), 0);
                }
                if place.is_roomy() {
                    is_there = self.look(deadline.end.min(started + latest));
                }
            }
        }
        for _ in 0..FALSE_ALARMS {
            // Once it is due one look decides whether it is late.
            if !is_there && let Some(due) = deadline.due {
                is_there = self.wait(due)?;
            }
            if !is_there && !self.wait(deadline.end)? {
                let within = deadline.end.saturating_duration_since(deadline.started);
                return Err(SandboxError::Timeout { what, within });
            }
            let looked = Instant::now();
            let envelope = self.ring.reply();
            if envelope.sequence == self.sequence {
                let (length, room) = (envelope.length as usize, self.ring.reply_bytes());
                if length > room {
                    return Err(malformed(format!("a reply of {length} bytes, room is for {room}")));
                }
                self.ring.copy_reply(length, into);
                return Ok(Answer {
                    kind: envelope.kind,
                    late: deadline.due.is_some_and(|due| self.missed >= due),
                });
            }
            self.missed = looked;
            is_there = false;
        }
        Err(malformed("the bell rings without a reply"))
    }

    /// Looks for the reply until that time.
    fn look(&mut self, until: Instant) -> bool {
        self.ring.look_for_reply(self.sequence, until, &mut self.missed)
    }

    /// Waits until the bell rings: true, or the time is over: false. It wakes a little early and stays awake for the rest, because
    /// sleeping to the end would be late.
    fn wait(&mut self, deadline: Instant) -> Result<bool, SandboxError> {
        loop {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
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
                Ok(0) => {
                    // Nothing had rung by then.
                    self.missed = now;
                    if left.is_zero() {
                        return Ok(false);
                    }
                    continue;
                }
                Err(Errno::INTR) => continue,
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
    pub(super) fn kill(&mut self) {
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Deadline, LONGEST};

    #[test]
    fn an_answer_is_waited_for_until_it_is_due_and_a_grace_is_over() {
        let (started, grace) = (Instant::now(), Duration::from_micros(100));
        let due = Duration::from_millis(25);
        let deadline = Deadline::of(started, Some(due), grace);
        assert_eq!((deadline.due, deadline.end), (Some(started + due), started + due + grace));
        let deadline = Deadline::of(started, None, grace);
        assert_eq!((deadline.due, deadline.end), (None, started + grace));
        let deadline = Deadline::of(started, Some(Duration::MAX), grace);
        assert_eq!((deadline.due, deadline.end), (None, started + LONGEST));
        assert_eq!(Deadline::of(started, None, Duration::MAX).end, started + LONGEST);
    }
}
