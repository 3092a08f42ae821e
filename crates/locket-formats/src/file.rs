//! The bytes of a whole file, within the limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use locket_tensor::mmap;

use crate::limits::Limits;
use crate::{Format, FormatError};

/// Maps the file at `path`, so that constants need no copy of their own; what is no regular file is read, up to the limit.
pub(crate) fn file_bytes(path: &Path, format: Format, limits: &Limits) -> Result<Bytes, FormatError> {
    let io = |source| FormatError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.len() > limits.max_file_bytes {
        return Err(FormatError::Limit {
            format,
            place: path.display().to_string(),
            limit: limits.max_file_bytes,
            found: metadata.len(),
        });
    }
    let bytes = if metadata.is_file() && metadata.len() > 0 {
        mmap::map_file(&file).map_err(io)?
    } else {
        let mut bytes = Vec::new();
        file.take(limits.max_file_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(io)?;
        bytes.into()
    };
    check_size(bytes.len(), format, limits)?;
    Ok(bytes)
}

/// Refuses a file of `length` bytes that is over the limit.
pub(crate) fn check_size(length: usize, format: Format, limits: &Limits) -> Result<(), FormatError> {
    let found = u64::try_from(length).unwrap_or(u64::MAX);
    if found <= limits.max_file_bytes {
        return Ok(());
    }
    Err(FormatError::Limit {
        format,
        place: "size of the file".to_owned(),
        limit: limits.max_file_bytes,
        found,
    })
}
