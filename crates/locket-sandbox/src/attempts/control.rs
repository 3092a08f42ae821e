//! Attempts on the worker itself: to loosen a layer, or to signal through a property that others can see.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{NOTHING, at, call, call3, into, name, path},
};

const fn by_call(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Control,
        what,
        proof: Proof::Call,
        run,
    }
}

const fn canary(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Canary,
        ..by_call(name, what, run)
    }
}

fn done(_: u64) -> Vec<u8> {
    Vec::new()
}

fn prctl(operation: i32, argument: u64) -> Result<u64, super::raw::Errno> {
    call(libc::SYS_prctl, [operation as u64, argument, 0, 0, 0, 0])
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    by_call("dumpable", "let other processes read its memory", |_| {
        prctl(libc::PR_SET_DUMPABLE, 1)?;
        if prctl(libc::PR_GET_DUMPABLE, 0)? == 1 { Ok(Vec::new()) } else { Err(NOTHING) }
    }),
    by_call("tracer", "let any process trace it", |_| prctl(0x5961_6d61, u64::MAX).map(done)),
    by_call("outlive", "live on when its parent dies", |_| {
        prctl(libc::PR_SET_PDEATHSIG, 0).map(done)
    }),
    by_call("raise-limit", "get a descriptor more", |_| {
        let mut now = [0_u64; 2];
        let descriptors = libc::RLIMIT_NOFILE.into();
        call(libc::SYS_prlimit64, [0, descriptors, 0, into(&mut now), 0, 0])?;
        let more = [now[1].max(64), now[1].max(64)];
        call(libc::SYS_prlimit64, [0, descriptors, at(&more), 0, 0, 0])?;
        call3(libc::SYS_epoll_create1, 0, 0, 0).map(done)
    }),
    by_call("capability", "have a capability", |_| capabilities()),
    by_call("user", "become root, with its rights", |_| {
        call3(libc::SYS_setresuid, 0, 0, 0)?;
        capabilities()
    }),
    canary("name", "signal through the name of the thread", |target| {
        let label = path(&target.text()[..15]);
        prctl(libc::PR_SET_NAME, name(&label)).map(done)
    }),
    canary("priority", "signal through its priority", |_| call3(libc::SYS_setpriority, 0, 0, 7).map(done)),
    canary("own-affinity", "signal through its cores", |_| {
        let mut mask = [0_u64; 16];
        call3(libc::SYS_sched_getaffinity, 0, 128, into(&mut mask))?;
        let first = mask.iter_mut().find(|word| **word != 0).ok_or(NOTHING)?;
        *first &= first.wrapping_neg();
        call3(libc::SYS_sched_setaffinity, 0, 128, at(&mask)).map(done)
    }),
    canary("policy", "signal through its scheduling", |_| {
        let parameter = [0_u32; 2];
        call3(libc::SYS_sched_setscheduler, 0, libc::SCHED_BATCH as u64, at(&parameter)).map(done)
    }),
    canary("slack", "signal through the slack of its timers", |_| {
        prctl(libc::PR_SET_TIMERSLACK, 123_457).map(done)
    }),
    canary("mask", "signal through the mask of its signals", |_| {
        let mask = [1_u64 << 40];
        call(libc::SYS_rt_sigprocmask, [0, at(&mask), 0, 8, 0, 0]).map(done)
    }),
    by_call("sleep", "time what it does by a clock that sleeps", |_| {
        let moment = [0_u64, 1];
        call(libc::SYS_clock_nanosleep, [1, 0, at(&moment), 0, 0, 0]).map(done)
    }),
    by_call("interval", "be woken at intervals", |_| {
        let interval = [0_u64, 0, 3600, 0];
        call3(libc::SYS_setitimer, 0, at(&interval), 0).map(done)
    }),
];

/// Takes every capability that is permitted; fails if none is.
fn capabilities() -> Tried {
    let header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6];
    call3(libc::SYS_capget, at(&header), into(&mut sets), 0)?;
    let (lower, upper) = (sets[1], sets[4]);
    (sets[0], sets[3]) = (lower, upper);
    call3(libc::SYS_capset, at(&header), at(&sets), 0)?;
    if lower | upper == 0 { Err(NOTHING) } else { Ok(Vec::new()) }
}
