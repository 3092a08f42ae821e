//! Locket's interface: load a model, hold it to its budgets, predict.
//!
//! Names are Core ML's where it has one. A model is read from ONNX, TFLite or a Core ML `.mlpackage`, compiled into a
//! plan whose memory is exact, and refused at load if it does not keep to the budgets of its [`ModelConfiguration`].
//!
//! On Linux a model computes in a worker unless told otherwise ([`Isolation`]): a process that can reach nothing, and that is this
//! program once more. So `main` begins with [`worker::run_if_requested`].
//!
//! ```standalone_crate
//! use locket::{DictionaryFeatureProvider, Model, ModelConfiguration, Tensor};
//! use std::time::Duration;
//!
//! fn main() -> Result<(), locket::Error> {
//!     locket::worker::run_if_requested();
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/scenes_mobilenet.onnx");
//!     let configuration = ModelConfiguration {
//!         memory_budget: Some(8_000_000),                    // bytes: weights, tensors and scratch
//!         latency_budget: Some(Duration::from_millis(500)),  // of a single prediction, the worst case
//!         ..ModelConfiguration::default()
//!     };
//!     let mut model = Model::load(path, &configuration)?;
//!     let image = Tensor::zeros(locket::DType::Float32, &[1, 3, 64, 64])?;
//!     let outputs = model.predict(&DictionaryFeatureProvider::from([("image", image)]))?;
//!     println!("{:?}", outputs.multi_array("prob"));
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod admission;
mod configuration;
mod error;
mod features;
mod isolation;
mod model;
mod pictures;

/// What a program calls to be able to become the worker of its own models.
pub mod worker {
    pub use locket_sandbox::Wipe;

    pub use crate::isolation::run_if_requested;
}

/// What a proof needs of the inside of a worker; no part of the interface.
#[doc(hidden)]
pub mod proof {
    pub use crate::{isolation::Watched, pictures::Made};
}

pub use admission::Admission;
pub use configuration::{ComputeUnits, ModelConfiguration};
pub use error::Error;
pub use features::{DictionaryFeatureProvider, FeatureDescription, FeatureProvider};
pub use isolation::Isolation;
pub use locket_data::{NpyType, Preprocess, RawSample};
pub use locket_kernels::Isa;
pub use locket_runtime::{Plan, Precision, Session};
pub use locket_tensor::{DType, Tensor, TensorMut, TensorRef};
pub use model::{CompiledModel, Model};
