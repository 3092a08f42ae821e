//! Labelled data and what is computed from predictions on it.
//!
//! From bytes on disk to the elements of a model's input: `.npy` files ([`npy`]), label tables ([`csv`]), pictures
//! ([`image`], [`resize`]), the recipe that turns a sample into an input ([`preprocess`]) and the folder that holds a
//! labelled set ([`dataset`]). [`statistics`] holds the pure functions that judge predictions.
//!
//! Left to others: running a model, threads (reading a sample takes `&self`, so callers decode in parallel), and what a
//! report says about the numbers. Bytes from files are taken as hostile: sizes are bounded before anything is allocated.
//!
//! ```no_run
//! use locket_data::statistics::PairedCounts;
//! use locket_data::{Dataset, InputSpec, Preprocess, SampleBuffer};
//! # fn run(_: &[f32]) -> [usize; 2] { [0, 0] }
//!
//! let dataset = Dataset::open("photos/dev".as_ref())?;
//! let recipe = Preprocess::read("model.toml".as_ref())?;
//! let input = InputSpec::float32(&[1, 3, 224, 224]);
//! let mut buffer = SampleBuffer::new();
//! let mut right = Vec::new();
//! for index in 0..dataset.len() {
//!     dataset.read(index, &recipe, &input, &mut buffer)?;
//!     let classes = run(buffer.elements()?); // of the model before and after
//!     right.push((classes[0] == dataset.label(index), classes[1] == dataset.label(index)));
//! }
//! println!("drop at most {:.2} %", 100.0 * PairedCounts::from_right(right).drop_upper_bound(0.95));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod jpeg;
pub mod npy;
pub mod preprocess;
pub mod resize;
pub mod statistics;

pub use dataset::{Dataset, Stored};
pub use error::{DataError, Problem};
pub use npy::{NpyArray, NpyRows, NpyType};
pub use preprocess::{InputSpec, Preprocess, Quantization, RawSample, SampleBuffer};
