//! TFLite reader: flatbuffer to a MIL program.
//!
//! TFLite keeps channels last, MIL channels first: each operator that looks at space is lowered with a transpose
//! before and after it, and a pass removes those that cancel. The interface keeps the file's own shapes.
//!
//! Integer models are lowered to dequantise, float operator, quantise, with their constants kept as codes. That is what
//! the numbers mean; it is not bit for bit what LiteRT's integer kernels compute, and a diagnostic says so.

mod context;
mod flatbuffer;
mod lower;
mod ops;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::import::{Import, ReadOptions};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// Where the identifier is, and what it says.
const IDENTIFIER: (usize, &[u8; 4]) = (4, b"TFL3");

/// True if `bytes`, the beginning of a file, are those of a TFLite model.
pub(crate) fn is_tflite(bytes: &[u8]) -> bool {
    let (at, identifier) = IDENTIFIER;
    bytes.get(at..).is_some_and(|rest| rest.starts_with(identifier))
}

/// Reads the model in the file at `path`.
///
/// # Errors
///
/// If the file cannot be read, is broken, or is over a limit. An operator that cannot be lowered is no error.
pub fn read(path: &Path, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    let bytes = crate::file::file_bytes(path, Format::Tflite, limits)?;
    read_bytes(&bytes, options, limits)
}

/// Reads the model in `bytes`.
///
/// # Errors
///
/// As [`read`].
pub fn read_bytes(bytes: &[u8], options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    crate::file::check_size(bytes.len(), Format::Tflite, limits)?;
    if !is_tflite(bytes) {
        let found = bytes.get(IDENTIFIER.0..).unwrap_or_default();
        let found = found.get(..IDENTIFIER.1.len()).unwrap_or(found);
        return Err(FormatError::Bytes {
            format: Format::Tflite,
            offset: 4,
            expected: "the identifier TFL3".to_owned(),
            found: format!("{:?}", String::from_utf8_lossy(found)),
        });
    }
    let buffer = flatbuffer::Buffer::new(bytes);
    let model = schema::Model::read(&buffer, limits)?;
    lower::lower(&model, options, limits)
}
