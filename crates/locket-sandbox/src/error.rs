//! What goes wrong between a broker and its worker.

use std::{fmt, io, time::Duration};

/// How a worker ended that was not told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// It called exit with this code; the codes of a worker itself are `worker::EXIT_…`.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => write!(f, "signal {number}"),
        }
    }
}

/// An error of the boundary. After each but [`SandboxError::TooLong`] the worker is gone, and the next request starts a fresh one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The system has no sandbox of ours.
    #[error("a sandboxed worker needs Linux on x86-64, found {found}")]
    Unsupported {
        /// System and architecture.
        found: &'static str,
    },
    /// A call of the operating system failed in the broker.
    #[error("sandbox: {what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The new process could not become the worker's program.
    #[error("worker: cannot start: {step}: {source}")]
    Start {
        /// The step that failed.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The worker could not prepare itself.
    #[error("worker: not ready: {reason}")]
    NotReady {
        /// In the worker's words, one line.
        reason: String,
    },
    /// The worker lacks a layer that the policy demands.
    #[error("worker: refused: {missing}")]
    Refused {
        /// Each layer that is missing, and why.
        missing: String,
    },
    /// The worker did not answer in time.
    #[error("worker: no answer within {within:?} to {what}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        within: Duration,
    },
    /// The worker ended while it was waited for.
    #[error("worker: ended by {0}")]
    Died(Death),
    /// The worker made a system call that its policy forbids. A C library whose `abort` blocks signals ends here too.
    #[error("worker: killed for a system call that the policy forbids")]
    Violation,
    /// The worker answered what no worker of ours answers.
    #[error("worker: malformed answer: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The caller's request does not fit.
    #[error("request: {bytes} bytes, at most {limit}")]
    TooLong {
        /// Length of the request.
        bytes: usize,
        /// Room for one.
        limit: usize,
    },
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl SandboxError {
    /// Makes the error of a call in the broker.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::System {
            what,
            source: source.into(),
        }
    }
}
