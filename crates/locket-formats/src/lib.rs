//! Readers and writers: Core ML, ONNX, TFLite.
//!
//! Bytes from a file are hostile until checked: no reader panics, indexes without a check, or spends more than
//! its [`limits::Limits`] on them. All readers give a MIL program; what cannot be expressed in MIL stays in it
//! as a foreign operation with a diagnostic, so that everything wrong with a model can be said at once.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub mod coreml;
mod detect;
mod error;
mod file;
pub mod files;
mod import;
pub mod limits;
#[cfg(test)]
mod mutation;
pub mod onnx;
pub mod tflite;

pub use detect::{detect, read, read_bytes, read_given};
pub use error::FormatError;
pub use import::{Import, ReadOptions};

/// A model file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A Core ML `.mlpackage` folder with an ML Program.
    CoreMl,
    /// An ONNX protobuf file.
    Onnx,
    /// A TensorFlow Lite flatbuffer.
    Tflite,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CoreMl => "Core ML",
            Self::Onnx => "ONNX",
            Self::Tflite => "TFLite",
        })
    }
}
