//! Attempts to run code of one's own, and to get memory that others can reach.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{NOTHING, at, call, call3, into, name, open, path, poke, run, write},
};

const fn by_call(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Memory,
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

const READ: u64 = libc::PROT_READ as u64;
const WRITE: u64 = libc::PROT_WRITE as u64;
const EXECUTE: u64 = libc::PROT_EXEC as u64;
const ANONYMOUS: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;

/// A function that returns 42: `mov eax, 42; ret`.
const CODE: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];

fn map(protection: u64, flags: u64, file: u64) -> Result<u64, super::raw::Errno> {
    call(libc::SYS_mmap, [0, 4096, protection, flags, file, 0])
}

fn runs(memory: u64) -> Tried {
    if run(memory) == 42 { Ok(Vec::new()) } else { Err(NOTHING) }
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    by_call("map-code", "map memory that can be written and run, and run it", |_| {
        let memory = map(READ | WRITE | EXECUTE, ANONYMOUS, u64::MAX)?;
        poke(memory, &CODE);
        runs(memory)
    }),
    by_call("turn-into-code", "make memory that was written executable, and run it", |_| {
        let memory = map(READ | WRITE, ANONYMOUS, u64::MAX)?;
        poke(memory, &CODE);
        call3(libc::SYS_mprotect, memory, 4096, READ | EXECUTE)?;
        runs(memory)
    }),
    by_call("turn-into-code-with-key", "the same with a protection key", |_| {
        let memory = map(READ | WRITE, ANONYMOUS, u64::MAX)?;
        poke(memory, &CODE);
        call(
            libc::SYS_pkey_mprotect,
            [memory, 4096, READ | EXECUTE, u64::MAX, 0, 0],
        )?;
        runs(memory)
    }),
    by_call("code-file", "write code to a file in memory, and run it", |_| {
        let label = path("code");
        let file = call3(libc::SYS_memfd_create, name(&label), 0, 0)?;
        write(file, &CODE)?;
        runs(map(READ | EXECUTE, libc::MAP_PRIVATE as u64, file)?)
    }),
    by_call("readable-is-code", "ask that whatever can be read can be run", |_| {
        const READ_IMPLIES_EXEC: u64 = 0x0040_0000;
        call3(libc::SYS_personality, READ_IMPLIES_EXEC, 0, 0)?;
        let memory = map(READ | WRITE, ANONYMOUS, u64::MAX)?;
        poke(memory, &CODE);
        runs(memory)
    }),
    by_call("memory-file", "make a file in memory, to be handed on", |_| {
        let label = path("file");
        call3(libc::SYS_memfd_create, name(&label), 0, 0).map(done)
    }),
    by_call("secret-memory", "make memory that even the kernel does not map", |_| {
        call3(libc::SYS_memfd_secret, 0, 0, 0).map(done)
    }),
    by_call("fault-handler", "handle page faults, which helps to attack the kernel", |_| {
        const USER_MODE_ONLY: u64 = 1;
        call3(libc::SYS_userfaultfd, USER_MODE_ONLY, 0, 0).map(done)
    }),
    by_call("foreign-advice", "advise on another process's memory", |target| {
        let handle = call3(libc::SYS_pidfd_open, target.pid, 0, 0)?;
        let range = [target.secret_at & !4095, 4096_u64];
        const COLD: u64 = 20;
        call(libc::SYS_process_madvise, [handle, at(&range), 1, COLD, 0, 0]).map(done)
    }),
    by_call("page-map", "read which physical pages are used", |_| {
        let file = open("/proc/self/pagemap", libc::O_RDONLY, 0)?;
        super::raw::read(file)
    }),
    by_call("resident", "learn which pages of a file are in memory", |target| {
        let file = open(&target.file("secret"), libc::O_RDONLY, 0)?;
        let memory = map(READ, libc::MAP_SHARED as u64, file)?;
        let mut pages = [0_u8; 1];
        call3(libc::SYS_mincore, memory, 4096, into(&mut pages)).map(done)
    }),
    by_call("lock-memory", "keep memory out of swap beyond the limit", |_| {
        let memory = map(READ | WRITE, ANONYMOUS, u64::MAX)?;
        call3(libc::SYS_mlock, memory, 4096, 0).map(done)
    }),
    canary("program-title", "write the mark where others read the command line", |target| {
        super::raw::write_title(&target.text());
        Ok(Vec::new())
    }),
];
