//! Files mapped into memory, read-only.
//!
//! The one place of this crate with `unsafe`: a mapping is sound only while nobody truncates or changes the
//! file, which no process can promise for another. Callers map files that they treat as immutable (a model).
#![expect(unsafe_code, reason = "mapping a file has no safe form")]

use std::{fs::File, io, path::Path};

use memmap2::Mmap;

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    ///
    /// The operating system's error if the file cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is private and read-only. That the file is not truncated meanwhile is the stated
        // contract of this module; a violation ends in SIGBUS, not in memory corruption of ours.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { map })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
}
