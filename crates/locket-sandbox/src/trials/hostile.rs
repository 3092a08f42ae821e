//! The worker that forks, and what its forks do.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{DIED, ENDED, HUNG};
use crate::{
    OnViolation,
    attempts::{self, Attempt, Target},
    lockdown::{Rest, rest},
    worker,
};

/// Calls and attempts of one trial.
const CALLS: u32 = 64;
/// Numbers of system calls are below this, on kernels so far.
const NUMBERS: u64 = 480;
/// One of so many steps is a named attempt, the others are random calls.
const NAMED: u64 = 4;
/// How long a fork may take, in microseconds.
const ALARM: i64 = 200_000;

/// What a fork counts, in memory that it shares with the worker.
#[repr(C)]
struct Counts {
    calls: AtomicU64,
    returned: AtomicU64,
}

/// Random numbers: xorshift, which needs no system call.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}

/// The worker's side: for each request, forks a process that locks itself down completely and attacks.
pub fn serve() -> ! {
    let attempts = attempts::all();
    // Read before there is no /proc any more.
    let rest = rest();
    let (worker, counts) = worker::enter(|_| {
        // SAFETY: a new mapping of a page, never undone; its bytes are atomics, for which zero is valid.
        let counts: &'static Counts = unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if page == libc::MAP_FAILED {
                return Err("no memory".to_owned());
            }
            &*page.cast::<Counts>()
        };
        Ok(counts)
    });
    worker.serve(move |request, reply| {
        let seed = request.bytes.get(..8).and_then(|bytes| bytes.try_into().ok());
        let target = request.bytes.get(8..).and_then(Target::decode);
        let (Some(seed), Some(target)) = (seed, target) else {
            return ENDED;
        };
        counts.calls.store(0, Ordering::Relaxed);
        counts.returned.store(0, Ordering::Relaxed);
        let how = trial(u64::from_le_bytes(seed), &target, &attempts, &rest, counts);
        for count in [&counts.calls, &counts.returned] {
            reply.push(&count.load(Ordering::Relaxed).to_le_bytes());
        }
        how
    })
}

/// Forks, and waits for the fork's end.
fn trial(seed: u64, target: &Target, attempts: &[Attempt], rest: &Rest, counts: &Counts) -> u32 {
    // SAFETY: the worker has one thread, so that its fork may do anything.
    unsafe {
        match libc::fork() {
            -1 => DIED,
            0 => {
                // No handler catches it, and no call that could put it off is left.
                let alarm = [0_i64, 0, 0, ALARM];
                libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, alarm.as_ptr(), 0);
                if rest.put_up(OnViolation::Errno).is_ok() {
                    attack(seed, target, attempts, counts);
                    worker::end(0);
                }
                worker::end(worker::EXIT_NOT_READY);
            }
            child => {
                let mut status = 0;
                while libc::waitpid(child, &raw mut status, 0) < 0 {}
                if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM {
                    HUNG
                } else if libc::WIFSIGNALED(status) {
                    DIED
                } else if libc::WEXITSTATUS(status) == worker::EXIT_NOT_READY {
                    // A trial without its walls would prove nothing; the broker sees this worker end.
                    worker::end(worker::EXIT_NOT_READY)
                } else {
                    ENDED
                }
            }
        }
    }
}

/// Random calls with plausible arguments, and attempts.
fn attack(seed: u64, target: &Target, attempts: &[Attempt], counts: &Counts) {
    // Seeds lie side by side; the first steps of xorshift would too.
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut scratch = vec![0_u64; 512];
    let paths = [c"/proc/self/mem", c"/etc/passwd", c"/tmp", c".", c"/"];
    for _ in 0..CALLS {
        let returned = if random.below(NAMED) == 0 {
            let attempt = &attempts[random.below(attempts.len() as u64) as usize];
            attempt.attempt(target).is_ok()
        } else {
            let number = random.below(NUMBERS) as i64;
            let mut argument = || match random.below(8) {
                0 | 1 => random.below(8),
                2 => u64::MAX,
                3 => libc::AT_FDCWD as u64,
                4 => paths[random.below(5) as usize].as_ptr() as u64,
                5 => target.mark().as_ptr() as u64,
                6 => scratch.as_mut_ptr() as u64 + random.below(64) * 8,
                _ => random.next() >> random.below(64),
            };
            let arguments: [u64; 6] = std::array::from_fn(|_| argument());
            if number == libc::SYS_exit || number == libc::SYS_exit_group {
                continue;
            }
            let [a, b, c, d, e, f] = arguments;
            // SAFETY: none: the call may destroy this process, which is what it is for. Nothing of it is used afterwards but its exit.
            unsafe { libc::syscall(number, a, b, c, d, e, f) >= 0 }
        };
        counts.calls.fetch_add(1, Ordering::Relaxed);
        counts.returned.fetch_add(u64::from(returned), Ordering::Relaxed);
    }
}
