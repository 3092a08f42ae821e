//! The weight file of a package that is being written; equal constants share a record.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::FormatError;
use crate::coreml::blob::{BlobType, BlobWriter};

/// Constants with fewer elements stand in the model file itself.
const LEAST_ELEMS: usize = 10;

/// Whether a tensor belongs into the weight file of a package for `target`; coremltools has the same rule.
pub(super) fn belongs(tensor: &Tensor, target: Target) -> bool {
    let always = matches!(
        tensor.dtype(),
        DType::Float16 | DType::Float32 | DType::Int8 | DType::UInt8
    );
    let later = matches!(
        tensor.dtype(),
        DType::Int16 | DType::UInt16 | DType::Int32 | DType::UInt32
    ) || tensor.dtype().is_packed();
    tensor.elems() >= LEAST_ELEMS && (always || (later && target >= Target::Ios18))
}

/// The weight file, made when the first record is added.
#[derive(Debug)]
pub(super) struct Weights {
    path: PathBuf,
    writer: Option<BlobWriter<BufWriter<File>>>,
    offsets: BTreeMap<[u8; 32], u64>,
}

impl Weights {
    /// A weight file to be written to `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            writer: None,
            offsets: BTreeMap::new(),
        }
    }

    fn io(&self) -> impl Fn(std::io::Error) -> FormatError + use<> {
        let path = self.path.clone();
        move |source| FormatError::Io {
            path: path.clone(),
            source,
        }
    }

    /// Adds a tensor and gives the offset of its record; `None` if weight files do not hold its type.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add(&mut self, tensor: &Tensor) -> Result<Option<u64>, FormatError> {
        let Some(blob_type) = BlobType::of(tensor.dtype()) else {
            return Ok(None);
        };
        let elems = u64::try_from(tensor.elems()).unwrap_or(u64::MAX);
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(tensor.dtype().name().as_bytes())
            .update(&elems.to_le_bytes())
            .update(tensor.bytes());
        let key = *hasher.finalize().as_bytes();
        if let Some(offset) = self.offsets.get(&key) {
            return Ok(Some(*offset));
        }
        let io = self.io();
        if self.writer.is_none() {
            let file = File::create(&self.path).map_err(&io)?;
            self.writer = Some(BlobWriter::new(BufWriter::new(file)).map_err(&io)?);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(None);
        };
        let offset = writer.add(blob_type, elems, tensor.bytes()).map_err(&io)?;
        self.offsets.insert(key, offset);
        Ok(Some(offset))
    }

    /// Completes the file; gives its size in bytes and the number of records.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn finish(mut self) -> Result<(u64, u32), FormatError> {
        let io = self.io();
        let Some(writer) = self.writer.take() else {
            return Ok((0, 0));
        };
        let count = writer.count();
        let buffer = writer.finish().map_err(&io)?;
        let length = buffer.get_ref().metadata().map_err(&io)?.len();
        Ok((length, count))
    }
}
