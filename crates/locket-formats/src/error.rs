//! The one error type of the readers and writers.

use std::path::PathBuf;

use crate::Format;

/// Says why a file could not be read or written: what, where, expected, found.
///
/// A reader fails only when the file is broken or over a limit. A sound model that Locket cannot express is
/// not an error: it is read, with foreign operations and diagnostics in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is of no format that is read here.
    #[error("{}: {why}; {help}", path.display())]
    UnknownFormat {
        /// The file or folder.
        path: PathBuf,
        /// What it is instead.
        why: String,
        /// What the user can do.
        help: String,
    },
    /// The bytes are not what the format demands at a known offset.
    #[error("{format} file is broken at byte {offset}: expected {expected}, found {found}")]
    Bytes {
        /// The format that was being read.
        format: Format,
        /// Offset from the start of the file (or of the named part of it), in bytes.
        offset: u64,
        /// What the format demands.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The bytes decode, but what they say contradicts itself.
    #[error("{format} file is broken at {place}: expected {expected}, found {found}")]
    Invalid {
        /// The format that was being read or written.
        format: Format,
        /// The node, tensor or field, by the name that the file gives it.
        place: String,
        /// What the format demands.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The file is larger than the caller's limits admit.
    #[error("{format} file is over a limit at {place}: at most {limit}, found {found}")]
    Limit {
        /// The format that was being read.
        format: Format,
        /// What is too large.
        place: String,
        /// The limit, from [`Limits`](crate::limits::Limits).
        limit: u64,
        /// The size found.
        found: u64,
    },
    /// The file is sound, but asks for something that this reader or writer does not offer.
    #[error("{format}: {place}: {why}; {help}")]
    Unsupported {
        /// The format that was being read or written.
        format: Format,
        /// The node, tensor or field.
        place: String,
        /// What is asked for and not offered.
        why: String,
        /// What the user can do.
        help: String,
    },
}
