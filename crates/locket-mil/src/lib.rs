//! The program representation: Core ML's Model Intermediate Language (MIL) in memory.
//!
//! A [`Program`] has functions; a [`Function`] has values and a list of [`Operation`]s in the order they run. Each
//! value is defined once: as an input, as a constant, or as the result of one operation. Operators and parameters
//! have MIL's names. Three dialects share the list:
//!
//! * MIL's own operators (`conv`, `relu`, ...), the only ones that a written file holds;
//! * `locket.*`, made by passes for the executor (a convolution with its activation and its requantisation);
//! * foreign operators (`onnx.*`, `tflite.*`) that a reader could not lower; they have no type and never run.
//!
//! Types are concrete: readers bind flexible dimensions. What is absent on purpose: what operators mean (crate
//! `locket-ops`), layouts (a physical choice of the planner), nested blocks (control flow is refused by readers).
#![forbid(unsafe_code)]

mod diagnostic;
mod function;
mod name;
mod operation;
mod patch;
mod program;
mod target;
pub mod text;
mod types;
mod verify;

pub use diagnostic::{Diagnostic, Severity};
pub use function::{Definition, Function, Output, Value, ValueId};
pub use name::Name;
pub use operation::{Arg, Dialect, Operation};
pub use patch::Patch;
pub use program::{Program, SourceFormat};
pub use target::Target;
pub use types::{Literal, Type};
pub use verify::{VerifyError, verify};
