//! Which replies are late: those that were not there when the broker looked, not those that the broker could not look for.
#![expect(unsafe_code, reason = "a thread is held up by a signal")]

use std::time::{Duration, Instant};

use locket_sandbox::{Broker, Reply};

use super::{PATIENCE, options, start};

/// Answers after some milliseconds, with the nanoseconds that are left until the answer is due.
const AFTER: u32 = 13;

fn ask(broker: &mut Broker, takes_ms: u8, due: Duration) -> Reply<'_> {
    let reply = broker.request_due(AFTER, &[&[takes_ms]], Some(due), PATIENCE);
    reply.expect("it has time enough")
}

fn left(reply: Reply<'_>) -> Duration {
    Duration::from_nanos(u64::from_le_bytes(reply.bytes.try_into().expect("eight bytes")))
}

#[test]
fn a_reply_after_the_due_time_is_late_and_the_worker_lives() {
    let mut broker = start(options());
    let begun = Instant::now();
    let mut late = 0;
    while late < 6 {
        // Once its habits are known the broker looks and sleeps at other times.
        assert!(!ask(&mut broker, 1, PATIENCE).late);
        let reply = ask(&mut broker, 20, Duration::from_millis(10));
        // A broker that a busy machine keeps from looking for 10 ms has no reason to say so.
        late += u32::from(reply.late);
        assert_eq!(
            left(reply),
            Duration::ZERO,
            "10 ms are over when the worker writes"
        );
        assert!(begun.elapsed() < PATIENCE, "only {late} were late");
    }
    assert_eq!(broker.generation(), 1, "the same worker");
}

#[test]
fn the_worker_is_told_when_its_reply_is_due() {
    let mut broker = start(options());
    let (before, due) = (Instant::now(), Duration::from_secs(10));
    let left = left(ask(&mut broker, 0, due));
    assert!(
        left <= due && left >= due.saturating_sub(before.elapsed()),
        "{left:?}"
    );
    let reply = broker.request(AFTER, &[&[0]], PATIENCE).expect("an answer");
    assert_eq!(reply.bytes, u64::MAX.to_le_bytes(), "at no certain time");
}

/// Holds up the thread that it interrupts, as another program on its processor would.
extern "C" fn hold_up(_signal: libc::c_int) {
    let time = libc::timespec {
        tv_sec: 1,
        tv_nsec: 200_000_000,
    };
    // SAFETY: allowed in a handler; the time is valid and nobody asks for what is left.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

#[test]
fn a_reply_in_time_is_not_late_because_the_broker_was_held_up() {
    let mut broker = start(options());
    let due = Duration::from_secs(1);
    // SAFETY: the handler calls nothing that is not allowed in one.
    unsafe {
        libc::signal(
            libc::SIGUSR1,
            hold_up as extern "C" fn(libc::c_int) as libc::sighandler_t,
        )
    };
    // SAFETY: the thread that it names waits for the one that uses it.
    let this = unsafe { libc::pthread_self() };
    let begun = Instant::now();
    let mut is_held_up = false;
    while !is_held_up {
        assert!(begun.elapsed() < PATIENCE, "the signal never came in time");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                // SAFETY: the thread lives, as above.
                unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
            });
            let started = Instant::now();
            let reply = ask(&mut broker, 100, due);
            // On a busy machine the signal may come after the reply.
            is_held_up = started.elapsed() > due;
            assert!(!reply.late, "the answer was there after 100 ms");
            assert!(left(reply) > Duration::ZERO);
        });
    }
}
