//! A worker process that can reach nothing, and the proof of it.
//!
//! A [`Broker`] starts a worker, which is the same or another program, sees it put up the walls of a [`Policy`], and exchanges messages
//! with it over shared memory. It knows nothing of models: what a request means is the owner's business. In the other process
//! [`worker::enter`] locks it down and [`worker::Worker::serve`] answers. [`Wipe`] overwrites memory that is given back.
//!
//! Linux on x86-64. On other systems the crate compiles, and starting a worker is an error.

mod error;
mod imports;
mod options;
mod policy;
mod report;
mod wipe;

pub use error::{Death, SandboxError};
pub use imports::imports;
pub use options::{Options, Program};
pub use policy::{Layer, Layers, OnViolation, Policy, STRICT_HASH};
pub use report::{LayerReport, Readiness, Status};
pub use wipe::{Wipe, scrub_stack, wipe_slice};

macro_rules! on_linux {
    ($($item:item)*) => {
        $(#[cfg(all(target_os = "linux", target_arch = "x86_64"))] $item)*
    };
}

on_linux! {
    pub mod accidents;
    pub mod attempts;
    mod broker;
    pub mod covert;
    mod launch;
    mod lockdown;
    pub mod residue;
    mod ring;
    mod setup;
    pub mod trials;
    pub mod worker;

    pub use broker::{Broker, Reply, WorkerCommand};
    pub use policy::{ALLOWED, Call, Check, FORBIDDEN_ERRNO};
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod elsewhere;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use elsewhere::{Broker, Reply, WorkerCommand, worker};
