//! Labelled data and what is computed from predictions on it.
//!
//! From bytes on disk to the elements of a model's input: `.npy` files ([`npy`]), label tables ([`csv`]), pictures
//! ([`image`], [`resize`]), the recipe that turns a sample into an input ([`preprocess`]) and the folder that holds a
//! labelled set ([`dataset`]). [`statistics`] holds the pure functions that judge predictions.
//!
//! Left to others: running a model, threads (reading a sample takes `&self`, so callers decode in parallel), and what a
//! report says about the numbers. Bytes from files are taken as hostile: sizes are bounded before anything is allocated.

#![forbid(unsafe_code)]

// Elements in memory are the elements in files; `.npy` data is little-endian.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "locket-data needs a little-endian machine"
);

pub mod csv;
pub mod dataset;
mod error;
pub mod image;
pub mod npy;
pub mod preprocess;
pub mod resize;
pub mod statistics;

pub use dataset::Dataset;
pub use error::DataError;
pub use npy::{NpyArray, NpyRows, NpyType};
pub use preprocess::{InputSpec, Preprocess, Quantization, RawSample, SampleBuffer};
