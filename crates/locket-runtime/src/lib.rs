//! From a program to a plan with exact memory, and from a plan to predictions.
//!
//! * [`plan`] is pure: a typed function becomes steps, an arena with a byte offset for every tensor, and the exact
//!   peak in bytes. It decides layouts, aliases, and how many threads each step is worth.
//! * [`exec`] runs a plan: a [`Session`] owns the arena and the threads; a prediction allocates nothing, takes no lock
//!   and looks nothing up by name.
//!
//! [`compile`] is the whole way from a program as it was read: simplify, lower, plan.
//!
//! What is absent on purpose: reading files (`locket-formats`).
#![forbid(unsafe_code)]

mod compile;
pub mod compiled;
pub mod exec;
pub mod plan;

pub use compile::{Compiled, compile};
pub use compiled::{CompiledError, CompiledFile};
pub use exec::{Observer, OutputBuffers, RunError, Session, StepEvent, check_tensors};
pub use locket_ops::Precision;
pub use plan::{MemoryReport, Plan, PlanError, PlanOptions, Source, plan};
