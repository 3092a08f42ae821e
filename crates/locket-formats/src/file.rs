//! Reading a whole file within the limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::limits::Limits;
use crate::{Format, FormatError};

/// Reads the file at `path`, whatever it grows to meanwhile, up to the limit.
pub(crate) fn read_file(path: &Path, format: Format, limits: &Limits) -> Result<Vec<u8>, FormatError> {
    let io = |source| FormatError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let over = |found| FormatError::Limit {
        format,
        place: path.display().to_string(),
        limit: limits.max_file_bytes,
        found,
    };
    if length > limits.max_file_bytes {
        return Err(over(length));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(limits.max_file_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
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
