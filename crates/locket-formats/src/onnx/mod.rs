//! ONNX reader: protobuf to a MIL program.
//!
//! [`read`] takes the file through three steps: [`scan`] bounds it, [`proto`] decodes it, [`lower`] walks the graph
//! and gives each node to its lowering in [`ops`], or folds it when all it reads is constant. A node that has no
//! lowering stays as a foreign operation `onnx.NAME`, with a diagnostic.
//!
//! 64-bit integers become 32-bit ones and doubles floats, because MIL has no arithmetic on the wide types; shape
//! arithmetic is done in 64 bits before that, while folding.

mod bind;
mod fold;
mod lower;
mod node;
mod ops;
mod proto;
mod scan;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use locket_tensor::Tensor;
use prost::Message;

use crate::files::Files;
pub use crate::import::{Import, ReadOptions};
use crate::limits::Limits;
use crate::{Format, FormatError};

/// Reads the model in the file at `path`; external data is read from the same folder.
///
/// # Errors
///
/// If the file cannot be read, is broken, or is over a limit. An operator that cannot be lowered is no error.
pub fn read(path: &Path, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    let bytes = crate::file::file_bytes(path, Format::Onnx, limits)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    read_message(bytes, Some(&Files::folder(folder)), options, limits)
}

/// Reads the model in `bytes`; external data is refused.
///
/// # Errors
///
/// As [`read`].
pub fn read_bytes(bytes: &[u8], options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    read_given(Bytes::copy_from_slice(bytes), None, options, limits)
}

/// As [`read_bytes`], of bytes that constants may stay slices of, with external data in the files beside them if there are any.
pub(crate) fn read_given(
    bytes: Bytes,
    beside: Option<&Files>,
    options: &ReadOptions,
    limits: &Limits,
) -> Result<Import, FormatError> {
    crate::file::check_size(bytes.len(), Format::Onnx, limits)?;
    read_message(bytes, beside, options, limits)
}

/// The files in which the model keeps external data, by their names, each once.
///
/// # Errors
///
/// If the bytes are no ONNX model, or over a limit.
pub fn external_files(bytes: &Bytes, limits: &Limits) -> Result<BTreeSet<String>, FormatError> {
    crate::file::check_size(bytes.len(), Format::Onnx, limits)?;
    let model = decode(bytes.clone(), limits)?;
    let initializers = model.graph.iter().flat_map(|graph| &graph.initializer);
    Ok(initializers
        .filter_map(tensor::external_file)
        .map(str::to_owned)
        .collect())
}

/// Reads a single tensor, such as the `.pb` files beside ONNX's own tests; gives its name with it.
///
/// # Errors
///
/// If the bytes are no tensor, or one of a type that Locket does not have.
pub fn read_tensor(bytes: &[u8], limits: &Limits) -> Result<(String, Tensor), FormatError> {
    crate::file::check_size(bytes.len(), Format::Onnx, limits)?;
    let proto = proto::TensorProto::decode(bytes).map_err(|error| undecodable("a tensor", &error))?;
    let name = proto.name.clone().unwrap_or_default();
    let source = tensor::Source { beside: None, limits };
    match tensor::read(&proto, "the tensor", &source)? {
        tensor::Constant::Tensor(tensor) => Ok((name, tensor)),
        tensor::Constant::Foreign(kind) => Err(FormatError::Unsupported {
            format: Format::Onnx,
            place: "the tensor".to_owned(),
            why: format!("its element type is {kind}"),
            help: "convert it to numbers".to_owned(),
        }),
    }
}

fn undecodable(what: &str, error: &prost::DecodeError) -> FormatError {
    FormatError::Invalid {
        format: Format::Onnx,
        place: "the protobuf message".to_owned(),
        expected: what.to_owned(),
        found: error.to_string(),
    }
}

fn read_message(
    bytes: Bytes,
    beside: Option<&Files>,
    options: &ReadOptions,
    limits: &Limits,
) -> Result<Import, FormatError> {
    let model = decode(bytes, limits)?;
    lower::lower(&model, beside, options, limits)
}

fn decode(bytes: Bytes, limits: &Limits) -> Result<proto::ModelProto, FormatError> {
    scan::scan(&bytes, limits)?;
    proto::ModelProto::decode(bytes).map_err(|error| undecodable("an ONNX model", &error))
}
