//! Attempts through what a careless program would have left open. The harness leaks all of it on purpose.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{HERE, NOTHING, at, call, call3, into, name, path, pread, read, words, write},
};
use crate::broker::FIRST_LEAK;

/// The leaked descriptors, in the harness's order.
pub(super) const LEAKED_PIPE: u64 = FIRST_LEAK as u64;
pub(super) const LEAKED_SOCKET: u64 = LEAKED_PIPE + 1;
pub(super) const LEAKED_FOLDER: u64 = LEAKED_PIPE + 2;
pub(super) const LEAKED_FILE: u64 = LEAKED_PIPE + 3;
pub(super) const LEAKED_UDP: u64 = LEAKED_PIPE + 4;

const fn canary(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Inherited,
        what,
        proof: Proof::Canary,
        run,
    }
}

const fn secret(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Secret,
        ..canary(name, what, run)
    }
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    canary("standard-output", "print", |target| write(1, target.mark())),
    canary("standard-error", "print an error", |target| write(2, target.mark())),
    canary("pipe", "write to a pipe", |target| write(LEAKED_PIPE, target.mark())),
    canary("pipe-writev", "write to a pipe in parts", |target| {
        let part = [at(target.mark()), target.mark().len() as u64];
        call3(libc::SYS_writev, LEAKED_PIPE, at(&part), 1).map(|_| Vec::new())
    }),
    canary("pipe-splice", "lend memory to a pipe", |target| {
        // The pipe refers to the memory until it is read, so it stays as it is.
        let mark: &'static [u8] = target.mark().to_vec().leak();
        let part = [at(mark), mark.len() as u64];
        call(libc::SYS_vmsplice, [LEAKED_PIPE, at(&part), 1, 0, 0, 0]).map(|_| Vec::new())
    }),
    canary("socket", "write to a socket", |target| write(LEAKED_SOCKET, target.mark())),
    canary("socket-send", "send on a socket", |target| {
        let mark = target.mark();
        call(
            libc::SYS_sendto,
            [LEAKED_SOCKET, at(mark), mark.len() as u64, 0, 0, 0],
        )
        .map(|_| Vec::new())
    }),
    canary("hand-over", "hand a descriptor to the other end of a socket", |target| {
        let part = words(&[at(target.mark()), target.mark().len() as u64]);
        // One descriptor: length 20, SOL_SOCKET, SCM_RIGHTS, padded to 24 bytes.
        let control = words(&[20, 1 | 1 << 32, LEAKED_FILE]);
        let header = words(&[0, 0, at(part.as_slice()), 1, at(control.as_slice()), 24, 0]);
        call3(libc::SYS_sendmsg, LEAKED_SOCKET, at(header.as_slice()), 0).map(|_| Vec::new())
    }),
    secret("folder", "open a file below a folder", |_| {
        let file = path("secret");
        read(call(libc::SYS_openat, [LEAKED_FOLDER, name(&file), 0, 0, 0, 0])?)
    }),
    canary("folder-create", "make a folder below a folder", |target| {
        let label = path(&target.text());
        call3(libc::SYS_mkdirat, LEAKED_FOLDER, name(&label), 0o755).map(|_| Vec::new())
    }),
    secret("file", "read a file", |_| pread(LEAKED_FILE, 0, 4096)),
    canary("file-write", "write to a file", |target| {
        let mark = target.mark();
        call(
            libc::SYS_pwrite64,
            [LEAKED_FILE, at(mark), mark.len() as u64, 64, 0, 0],
        )
        .map(|_| Vec::new())
    }),
    canary("file-send", "copy a file into a pipe", |_| {
        let mut from = 0_u64;
        call(
            libc::SYS_sendfile,
            [LEAKED_PIPE, LEAKED_FILE, into(&mut from), 4096, 0, 0],
        )
        .map(|_| Vec::new())
    }),
    canary("datagram", "send on a datagram socket of the network outside", |target| {
        write(LEAKED_UDP, target.mark())
    }),
    canary("duplicate", "copy a descriptor and write to the copy", |target| {
        write(call3(libc::SYS_dup, LEAKED_PIPE, 0, 0)?, target.mark())
    }),
    secret("environment", "find the secret in the environment", |_| {
        let found = super::raw::environment_block();
        if found.is_empty() { Err(NOTHING) } else { Ok(found) }
    }),
    secret("environment-file", "read the environment that the program began with", |_| {
        let file = path("/proc/self/environ");
        let file = call(libc::SYS_openat, [HERE, name(&file), 0, 0, 0, 0])?;
        pread(file, 0, 1 << 16)
    }),
];
