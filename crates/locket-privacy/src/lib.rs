//! Privacy in figures: what a model's activations still give away of its input, and how that trades against the rest.
//!
//! * [`leakage`]: a ladder of attacks that reconstruct input pictures from what a model computes, with controls that
//!   must come out as they should, else the measurement is refused.
//! * [`matrix`]: the rules that score accuracy, resources and privacy from 1 to 5.
//!
//! Left to others: reading models and pictures' labels (the caller hands both in), setting out results
//! (`locket-report`), and the sandbox. Everything is deterministic: seeds are arguments, nothing depends on the number of
//! threads.
#![forbid(unsafe_code)]

mod error;
pub mod leakage;
pub mod matrix;
mod random;

pub use error::PrivacyError;
