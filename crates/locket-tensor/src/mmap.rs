//! Files mapped into memory, read-only.
//!
//! The one place of this crate with `unsafe`: a mapping is sound only while nobody truncates or changes the
//! file, which no process can promise for another. Callers map files that they treat as immutable (a model).
#![expect(unsafe_code, reason = "mapping a file has no safe form")]

use std::{fs::File, io, path::Path};

use bytes::Bytes;
use memmap2::Mmap;

/// Maps the whole file at `path`, which stays mapped as long as a part of the bytes is held.
///
/// # Errors
///
/// The operating system's error if the file cannot be opened or mapped.
pub fn map(path: &Path) -> io::Result<Bytes> {
    map_file(&File::open(path)?)
}

/// Maps the whole of an open file.
///
/// # Errors
///
/// The operating system's error if the file cannot be mapped.
pub fn map_file(file: &File) -> io::Result<Bytes> {
    // SAFETY: the mapping is private and read-only. That the file is not truncated meanwhile is the stated
    // contract of this module; a violation ends in SIGBUS, not in memory corruption of ours.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
