//! Attempts to get something out of a worker, or into it, each with a canary that tells whether it arrived.
//!
//! An attempt is a function that runs inside a worker and makes system calls directly, never through a library's network code, so that a
//! program with this suite still imports no `socket` and no `connect`. The harness outside runs each one in a fresh worker without
//! any layer first: where the canary stays silent even then, the attempt is *not testable here* and counts for nothing.

mod canaries;
mod control;
mod files;
mod inherited;
mod ipc;
mod kernel;
mod matrix;
mod memory;
mod mistakes;
mod network;
mod processes;
mod raw;
mod sinks;

use std::fmt;

pub use matrix::{Configuration, Matrix, MatrixOptions, Outcome, Row, matrix};
pub use mistakes::Mistake;

pub(crate) use canaries::{Canaries, Sight, Target};
pub(crate) use mistakes::MISTAKES;
pub(crate) use matrix::seen_without_layers;
use raw::Errno;

use crate::worker;

/// What an attempt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Sockets of every kind.
    Network,
    /// Reading, writing, naming and looking at files.
    Files,
    /// Other processes, and new ones.
    Processes,
    /// Executable and shared memory.
    Memory,
    /// System V and POSIX queues, shared memory, keys, named pipes.
    Ipc,
    /// Parts of the kernel that a worker has no use for.
    Kernel,
    /// What a careless program would have left open.
    Inherited,
    /// The worker's own properties that others can see, or that would loosen a layer.
    Control,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network",
            Self::Files => "files",
            Self::Processes => "processes",
            Self::Memory => "memory",
            Self::Ipc => "ipc",
            Self::Kernel => "kernel",
            Self::Inherited => "inherited",
            Self::Control => "control",
        })
    }
}

/// What counts as success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// A canary outside saw the mark or a change.
    Canary,
    /// The attempt brought back the secret word.
    Secret,
    /// The call did what it is for: the attempt itself checks that.
    Call,
}

/// Bytes that an attempt brought back, or why it failed.
type Tried = Result<Vec<u8>, Errno>;

/// One attempt.
#[derive(Clone, Copy)]
pub struct Attempt {
    /// Short and unique.
    pub name: &'static str,
    /// What it is about.
    pub family: Family,
    /// One sentence for a reader.
    pub what: &'static str,
    proof: Proof,
    run: fn(&Target) -> Tried,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.name)
    }
}

/// All attempts, family by family.
pub fn all() -> Vec<Attempt> {
    [
        network::ATTEMPTS,
        files::ATTEMPTS,
        processes::ATTEMPTS,
        memory::ATTEMPTS,
        ipc::ATTEMPTS,
        kernel::ATTEMPTS,
        inherited::ATTEMPTS,
        control::ATTEMPTS,
    ]
    .concat()
}

/// The role of a worker that makes attempts: a program whose `main` finds [`worker::requested`] and this role calls [`serve`].
pub const ROLE: &str = "attempts";

/// Kind of a reply of an attempt that returned without an error.
const RETURNED: u32 = 1;
/// Kind of a reply that holds an error number.
const FAILED: u32 = 2;

/// The worker's side: makes the attempt whose number is the kind of the request, which holds the canaries' addresses.
pub fn serve() -> ! {
    let attempts = all();
    let (worker, ()) = worker::enter(|_| Ok(()));
    worker.serve(move |request, reply| {
        let (Some(attempt), Some(target)) = (attempts.get(request.kind as usize), Target::decode(request.bytes)) else {
            return 0;
        };
        match attempt.attempt(&target) {
            Ok(found) => {
                reply.push(&found[..found.len().min(reply.room())]);
                RETURNED
            }
            Err(Errno(number)) => {
                reply.push(&number.to_le_bytes());
                FAILED
            }
        }
    })
}

impl Attempt {
    /// Makes the attempt, here and now.
    pub(crate) fn attempt(&self, target: &Target) -> Tried {
        (self.run)(target)
    }
}
