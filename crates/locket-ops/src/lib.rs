//! The operator set: MIL's operators and the internal `locket.*` dialect.
//!
//! One file per operator or per family that shares one formula, under [`ops`], listed in [`registry`]. A file holds,
//! in this order: the formula and its sources, the signature, [`Operator::infer`], [`Operator::cost`],
//! [`Operator::reference`] (the plainest loop: it is the specification), and [`Operator::prepare`], which packs weights
//! and picks a kernel once, giving a [`Step`] that writes planned memory and never allocates.
//!
//! Every operator with a reference runs: what has no `prepare` runs through its reference (a [`ReferenceStep`]),
//! which allocates and is marked slow in the plan.
//!
//! What is absent on purpose: graphs (operators see one [`Node`]), memory planning, threads.
#![forbid(unsafe_code)]

mod build;
mod bytes;
mod constant;
mod cost;
mod error;
mod layout;
mod node;
mod operator;
pub mod ops;
mod packing;
mod packs;
pub mod registry;
mod rows;
mod step;
mod weight;
mod window;

pub use build::Builder;
pub use bytes::transpose_bytes;
pub use constant::{evaluate, fold};
pub use cost::Cost;
pub use error::OpError;
pub use layout::{Layout, LayoutRule};
pub use node::{Call, Node};
pub use operator::{Availability, Operator, Param, Signature};
pub use packs::{Packs, Record};
pub use rows::{RowWindow, Strip};
pub use step::{Precision, Prepare, Prepared, ReferenceStep, Step};
pub use weight::Weight;
