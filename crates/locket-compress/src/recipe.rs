//! Recipes: from a program to a program whose weights, and if wanted activations, take fewer bits.
//!
//! A recipe works on the simplified program (batch norms folded, products with constants as layers). What it gives is
//! an ordinary program: weights are `constexpr_*` operations, 8-bit activations are `quantize` and `dequantize`. It is written,
//! read, compiled and run like any other. Small weights stay as they are, biases stay float, and a form that would not make a layer
//! smaller is not taken: the report says so with the numbers.

mod apply;
mod bias;
mod form;
mod layers;
mod outcome;
mod probe;
mod work;

pub use apply::{apply, apply_mixed};
pub use form::{LayerChoice, Recipe, UnknownRecipe, WeightForm};
pub(crate) use layers::stored_bytes;
pub use layers::{Layer, layers, weight_bytes};
pub use outcome::{ApplyOptions, Compressed, LayerReport, Progress};
pub use probe::{Probe, probe};
