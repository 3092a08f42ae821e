//! Attempts through objects of the kernel that any process with the number can find.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{at, call, call3, name, path, poke},
};

const fn canary(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Ipc,
        what,
        proof: Proof::Canary,
        run,
    }
}

fn done(_: u64) -> Vec<u8> {
    Vec::new()
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    canary("shared-memory", "write to System V shared memory", |target| {
        let memory = call3(libc::SYS_shmat, target.shared_memory, 0, 0)?;
        poke(memory, target.mark());
        Ok(Vec::new())
    }),
    canary("message", "send a System V message", |target| {
        let mut message = 1_u64.to_ne_bytes().to_vec();
        message.extend(target.mark());
        let nowait = libc::IPC_NOWAIT as u64;
        call(
            libc::SYS_msgsnd,
            [
                target.messages,
                at(message.as_slice()),
                target.mark().len() as u64,
                nowait,
                0,
                0,
            ],
        )
        .map(done)
    }),
    canary("semaphore", "raise a System V semaphore", |target| {
        let raise = [0_u16, 1, libc::IPC_NOWAIT as u16];
        call3(libc::SYS_semop, target.semaphore, at(&raise), 1).map(done)
    }),
    canary("queue", "send to a POSIX message queue", |target| {
        let label = path(&target.queue);
        let queue = call(
            libc::SYS_mq_open,
            [name(&label), libc::O_WRONLY as u64, 0, 0, 0, 0],
        )?;
        let mark = target.mark();
        call(
            libc::SYS_mq_timedsend,
            [queue, at(mark), mark.len() as u64, 0, 0, 0],
        )
        .map(done)
    }),
    canary("key", "leave a key in the user's keyring", |target| {
        const USER_KEYRING: u64 = (-4_i64).cast_unsigned();
        let (kind, label) = (path("user"), path(&target.text()));
        let mark = target.mark();
        call(
            libc::SYS_add_key,
            [name(&kind), name(&label), at(mark), mark.len() as u64, USER_KEYRING, 0],
        )
        .map(done)
    }),
    canary("session-key", "leave a key in the session's keyring", |target| {
        const SESSION_KEYRING: u64 = (-3_i64).cast_unsigned();
        let (kind, label) = (path("user"), path(&target.text()));
        let mark = target.mark();
        call(
            libc::SYS_add_key,
            [
                name(&kind),
                name(&label),
                at(mark),
                mark.len() as u64,
                SESSION_KEYRING,
                0,
            ],
        )
        .map(done)
    }),
    canary("shm-file", "write to a file that is memory", |target| {
        let file = super::raw::open(&target.shm_file, libc::O_WRONLY, 0)?;
        super::raw::write(file, target.mark())
    }),
];
