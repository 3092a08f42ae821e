//! Core ML `.mlpackage` reader and writer.
//!
//! From the outside in: [`package`] is the folder, [`wire`] the encoding of the model file in it, [`schema`] the
//! messages of the model file, [`blob`] the weight file.

pub mod blob;
pub mod package;
pub mod schema;
pub mod wire;
