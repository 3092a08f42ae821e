//! Whatever a worker does, the broker has an error in time and the next request is served.

use std::time::{Duration, Instant};

use locket_sandbox::{Broker, Death, Program, SandboxError, WorkerCommand};

use super::{PATIENCE, SHORT, options, probe, program, start};

const ECHO: u32 = 0;
const HANG: u32 = 1;
const EXIT: u32 = 2;
const ABORT: u32 = 3;
const HOARD: u32 = 4;
const SOCKET: u32 = 5;
const PANIC: u32 = 6;
const TAMPER: u32 = 14;
const FORGE: u32 = 8;

/// A broker that got an error serves the next request with a worker that is new.
fn serves(broker: &mut Broker) {
    let before = broker.generation();
    let reply = broker
        .request(ECHO, &[b"still ", b"", b"here"], PATIENCE)
        .expect("a fresh worker serves");
    assert_eq!((reply.kind, reply.bytes), (ECHO, b"still here".as_slice()));
    assert_eq!(broker.generation(), before + 1, "a fresh one");
}

fn fails(kind: u32, parts: &[&[u8]], within: Duration) -> SandboxError {
    let mut broker = start(options());
    let error = broker
        .request(kind, parts, within)
        .expect_err("the worker misbehaves");
    serves(&mut broker);
    error
}

#[test]
fn a_worker_that_hangs_is_given_up_at_the_deadline() {
    let mut broker = start(options());
    let started = Instant::now();
    let error = broker.request(HANG, &[], SHORT).expect_err("it hangs");
    assert!(matches!(error, SandboxError::Timeout { .. }), "{error}");
    assert!(started.elapsed() >= SHORT, "not before the deadline");
    serves(&mut broker);
}

#[test]
fn the_next_worker_can_be_prepared_while_nobody_waits() {
    let mut broker = start(options());
    assert!(broker.is_ready());
    // There is one: nothing to prepare.
    broker.prepare();
    for _ in 0..3 {
        let before = broker.generation();
        broker.request(HANG, &[], SHORT).expect_err("it hangs");
        assert!(!broker.is_ready());
        broker.prepare();
        broker.prepare();
        let begun = Instant::now();
        while !broker.is_ready() {
            assert!(begun.elapsed() < PATIENCE, "it never becomes ready");
            std::thread::yield_now();
        }
        assert_eq!(broker.generation(), before, "nobody asked it yet");
        serves(&mut broker);
    }
    // One that is not waited for is no trouble either.
    broker.request(HANG, &[], SHORT).expect_err("it hangs");
    broker.prepare();
}

#[test]
fn a_worker_that_cannot_be_prepared_is_told_at_the_next_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let (here, there) = (folder.path().join("worker"), folder.path().join("gone"));
    let Program::Path(original) = program() else {
        panic!("the worker of the tests is a program of its own");
    };
    std::fs::copy(original, &here).expect("a copy of the program");
    let command = WorkerCommand::new(Program::Path(here.clone()), "misbehave", options());
    let mut broker = Broker::start(command).expect("the first starts");
    broker.recycle();
    std::fs::rename(&here, &there).expect("it is moved away");
    broker.prepare();
    let error = broker
        .request(ECHO, &[], PATIENCE)
        .expect_err("there is no program");
    assert!(matches!(error, SandboxError::Start { .. }), "{error}");
    std::fs::rename(&there, &here).expect("it is moved back");
    serves(&mut broker);
}

#[test]
fn a_worker_that_was_given_up_is_reaped_without_a_further_request() {
    let mut broker = start(options());
    let process = format!("/proc/{}", broker.pid().expect("it runs"));
    broker.request(HANG, &[], SHORT).expect_err("it hangs");
    assert_eq!(broker.pid(), None);
    let given_up = Instant::now();
    while std::fs::exists(&process).expect("there is /proc") {
        assert!(given_up.elapsed() < PATIENCE, "it is never reaped");
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_that_exits_is_noticed_at_once() {
    let error = fails(EXIT, &[], PATIENCE);
    assert!(matches!(error, SandboxError::Died(Death::Exit(7))), "{error}");
}

#[test]
fn a_worker_that_aborts_is_noticed_at_once() {
    let error = fails(ABORT, &[], PATIENCE);
    assert!(aborted(&error), "{error}");
}

/// True for the end of a worker that aborted. Newer C libraries block signals to abort, which is not on the list.
fn aborted(error: &SandboxError) -> bool {
    const ABORTED: Death = Death::Exit(locket_sandbox::worker::EXIT_ABORT);
    matches!(error, SandboxError::Died(ABORTED) | SandboxError::Violation)
}

#[test]
fn a_worker_that_panics_ends() {
    let error = fails(PANIC, &[], PATIENCE);
    let expected = Death::Exit(locket_sandbox::worker::EXIT_PANIC);
    assert!(
        matches!(error, SandboxError::Died(how) if how == expected),
        "{error}"
    );
}

#[test]
fn a_worker_that_is_killed_is_noticed() {
    let mut broker = start(options());
    let pid = rustix::process::Pid::from_raw(broker.pid().expect("it runs")).expect("a process");
    let killer = std::thread::spawn(move || {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
    });
    let error = broker.request(HANG, &[], PATIENCE).expect_err("it is killed");
    assert!(
        matches!(error, SandboxError::Died(Death::Signal(libc::SIGKILL))),
        "{error}"
    );
    killer.join().expect("no panic");
    serves(&mut broker);
}

#[test]
fn a_worker_that_takes_too_much_memory_ends_alone() {
    let error = fails(HOARD, &[], PATIENCE);
    assert!(aborted(&error), "{error}");
}

#[test]
fn a_worker_that_breaks_out_is_killed() {
    let error = fails(SOCKET, &[], PATIENCE);
    assert!(matches!(error, SandboxError::Violation), "{error}");
}

#[test]
fn a_thread_from_before_the_lock_down_is_locked_as_well() {
    let mut broker = start(options());
    let reply = broker.request(9, &[], PATIENCE).expect("threads work");
    assert_eq!(reply.bytes, 42_u64.to_le_bytes());
    let error = broker
        .request(10, &[], PATIENCE)
        .expect_err("the thread breaks out");
    assert!(matches!(error, SandboxError::Violation), "{error}");
    serves(&mut broker);
}

#[test]
fn no_thread_is_started_after_the_lock_down() {
    let error = fails(12, &[], PATIENCE);
    assert!(matches!(error, SandboxError::Violation), "{error}");
}

/// An envelope: what is added to the right sequence, kind, length, how often the bell rings.
fn envelope(sequence: i32, kind: u32, length: u32, rings: u32) -> Vec<u8> {
    [sequence.cast_unsigned(), kind, length, rings]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

#[test]
fn malformed_replies_and_floods_are_errors_in_time() {
    for (frame, expected) in [
        (envelope(0, 0, u32::MAX, 1), "malformed"),
        (envelope(0, 0, 8193, 1), "malformed"),
        (envelope(1, 0, 0, 1), "time"),
        (envelope(-1, 0, 0, 1), "time"),
        // The right sequence is a reply with and without a ring: a broker that is awake sees it.
        (envelope(1, 0, 0, 0), "time"),
        // More rings than the pipe has room for.
        (envelope(7, 0, 0, 1_000_000), "malformed"),
    ] {
        let within = if expected == "time" { SHORT } else { PATIENCE };
        let mut broker = Broker::start(probe("forge", options())).expect("a worker starts");
        let error = broker.request(FORGE, &[&frame], within).expect_err("it is wrong");
        let found = match error {
            SandboxError::Malformed { .. } => "malformed",
            SandboxError::Timeout { .. } => "time",
            _ => "something else",
        };
        assert_eq!(found, expected, "{frame:?}: {error}");
        let reply = broker
            .request(ECHO, &[b"next"], PATIENCE)
            .expect("the next is served");
        assert_eq!((reply.bytes.len(), broker.generation()), (4, 2));
    }
}

#[test]
fn ten_thousand_forged_envelopes_do_no_harm() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 16) as u32
    };
    let (mut taken, mut refused) = (0, 0);
    let mut broker = Broker::start(probe("forge", options())).expect("a worker starts");
    for _ in 0..10_000 {
        // The length nearly always fits: a refusal costs a new worker. The sequence is right, or there would be nothing to refuse.
        let long = next() % 512 == 0;
        let length = if long { next().max(8193) } else { next() % 8193 };
        let kind = next();
        match broker.request(FORGE, &[&envelope(0, kind, length, 1 + next() % 3)], PATIENCE) {
            Ok(reply) => {
                assert_eq!((reply.kind, reply.bytes.len()), (kind, length as usize));
                taken += 1;
            }
            Err(SandboxError::Malformed { .. }) => {
                assert!(long);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken + refused, 10_000);
    assert!(refused > 0 && taken > 9_000, "{taken} taken, {refused} refused");
}

#[test]
fn a_request_that_does_not_fit_is_the_callers_mistake() {
    let mut broker = start(options());
    let before = broker.generation();
    let large = vec![0; 8193];
    let error = broker.request(ECHO, &[&large], PATIENCE).expect_err("too long");
    assert!(
        matches!(
            error,
            SandboxError::TooLong {
                bytes: 8193,
                limit: 8192
            }
        ),
        "{error}"
    );
    let reply = broker
        .request(ECHO, &[&large[..8192]], PATIENCE)
        .expect("it fits");
    assert_eq!(reply.bytes.len(), 8192);
    assert_eq!(broker.generation(), before, "the worker is the same");
}

#[test]
fn a_recycled_worker_is_another() {
    let mut broker = start(options());
    let pid = broker.pid();
    broker.recycle();
    assert_eq!(broker.pid(), None);
    serves(&mut broker);
    assert_ne!(broker.pid(), pid);
}

#[test]
fn a_worker_that_is_never_ready_is_given_up() {
    let mut impatient = options();
    impatient.ready_within = SHORT;
    let error = Broker::start(probe("never-ready", impatient)).expect_err("it sleeps");
    assert!(matches!(error, SandboxError::Timeout { .. }), "{error}");
}

#[test]
fn a_failed_warm_up_is_told_in_one_line() {
    let error = Broker::start(probe("no-warm-up", options())).expect_err("it gives up");
    assert_eq!(error.to_string(), "worker: not ready: the model isno model");
}

#[test]
fn a_worker_that_has_threads_already_is_refused() {
    let error = Broker::start(probe("thread-first", options())).expect_err("it has threads");
    assert!(matches!(error, SandboxError::NotReady { .. }), "{error}");
}

#[test]
fn a_program_that_is_not_there_or_no_worker_is_an_error() {
    let mut command = probe("misbehave", options());
    command.program = Program::Path("/nowhere/at/all".into());
    let error = Broker::start(command).expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "worker: cannot start: exec of the program: No such file or directory (os error 2)"
    );
    let error = Broker::start(probe("nobody knows", options())).expect_err("it aborts");
    assert!(matches!(error, SandboxError::Died(_)), "{error}");
}

#[test]
fn a_file_is_mapped_for_the_worker_and_a_link_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model");
    std::fs::write(&file, b"weights").expect("a file");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let mut command = probe("misbehave", options());
    command.map_file(&link).expect_err("a link");
    command.map_file(&file).expect("a file");
    let mut broker = Broker::start(command).expect("a worker starts");
    let reply = broker.request(11, &[], PATIENCE).expect("it is mapped");
    assert_eq!(reply.bytes, b"weights");
}

#[test]
fn a_worker_that_writes_where_requests_lie_ends() {
    let error = fails(TAMPER, &[b"the broker's alone"], PATIENCE);
    assert!(
        matches!(error, SandboxError::Died(Death::Signal(libc::SIGSEGV))),
        "{error}"
    );
}

#[test]
fn what_a_filler_left_when_it_panicked_is_gone() {
    let mut broker = start(options());
    let fill = |room: &mut [u8]| {
        room.fill(7);
        panic!("as asked");
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        broker.request_filled(ECHO, 4000, None, PATIENCE, fill).map(drop)
    }));
    outcome.expect_err("it panics");
    let reply = broker.request_filled(ECHO, 4000, None, PATIENCE, |room| room[0] = 1);
    let bytes = reply.expect("the worker lives").bytes;
    assert_eq!((bytes[0], bytes.len()), (1, 4000));
    assert!(bytes[1..].iter().all(|&byte| byte == 0), "all else is 0");
    assert_eq!(broker.generation(), 1);
}
