//! What a worker is given and held to, as plain data.

use std::{path::PathBuf, time::Duration};

use crate::Policy;

/// The worker's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The running one, again.
    Own,
    /// Another.
    Path(PathBuf),
}

/// What a worker is given and held to.
#[derive(Debug, Clone)]
pub struct Options {
    /// Room for one request, in bytes; rounded up to pages.
    pub request_bytes: usize,
    /// Room for one reply, in bytes; rounded up to pages.
    pub reply_bytes: usize,
    /// Memory that the worker may add to its program and the mapped files, in bytes of address space.
    pub memory_bytes: u64,
    /// What it may do.
    pub policy: Policy,
    /// True to go on with a worker that lacks a layer; [`crate::Broker::degraded`] names them.
    pub allow_degraded: bool,
    /// How long it may take until it is ready, its warm-up included.
    pub ready_within: Duration,
    /// True to keep shared memory out of swap.
    pub lock_ring: bool,
    /// True to let the worker's memory be read from outside, for a scan for residue where it could not otherwise be. The layer
    /// `process` is then missing.
    pub scannable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_bytes: 1 << 20,
            reply_bytes: 64 << 10,
            memory_bytes: 1 << 30,
            policy: Policy::strict(),
            allow_degraded: false,
            ready_within: Duration::from_secs(10),
            lock_ring: false,
            scannable: false,
        }
    }
}
