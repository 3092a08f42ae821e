//! Core ML `.mlpackage` reader and writer.
//!
//! From the outside in: [`package`] is the folder, [`wire`] the encoding of the model file in it, [`schema`] the
//! messages of the model file, [`blob`] the weight file. [`read()`] makes a program of them, [`write()`] makes them of
//! a program.

pub mod blob;
pub mod metadata;
mod operators;
pub mod package;
mod read;
pub mod schema;
pub mod wire;
mod write;

pub use read::{import, import_files, read};
pub use write::{Precision, SOURCE_NAME_PREFIX, WRITER_VERSION_KEY, WriteOptions, WriteSummary, write};
