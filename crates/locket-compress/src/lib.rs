//! Quantise, palettise, prune; measure; search; certify.
//!
//! * [`measure`]: accuracy on labelled data, latency, size: numbers with what they were taken on.
//! * [`recipe`]: one named compression step, from a program to a program.
//! * [`calibrate`]: what calibration data say about activations.
//! * [`search`]: the loop that compresses, measures and decides until budgets are met.
//!
//! Everything here is from MIL to MIL: a compressed program is an ordinary one whose weights are `constexpr_*` operations
//! and whose activations pass through `quantize` and `dequantize`, so that it is written, read and run like any other.
#![forbid(unsafe_code)]

mod activations;
pub mod calibrate;
mod error;
pub mod evidence;
mod linalg;
pub mod measure;
pub mod recipe;
pub mod search;
mod weights;

pub use error::CompressError;
