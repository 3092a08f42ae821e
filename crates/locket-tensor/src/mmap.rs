//! Files mapped into memory, read-only, and pages of mapped files that are given back.
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

/// Gives back the resident pages of this program's own code. What is needed of it comes back by itself, a page fault for each stretch;
/// what only loading needed stays away. Where a system cannot do that, nothing happens.
pub fn release_code() {
    #[cfg(target_os = "linux")]
    for [start, end] in code() {
        // SAFETY: these pages are private mappings of files that nobody can have written to, since they are not writable and hold
        // code: dropping them leaves the same bytes to be read from the same files.
        let _ = unsafe {
            rustix::mm::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                end - start,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
    }
}

/// Where files are mapped to be executed and not to be written.
#[cfg(target_os = "linux")]
fn code() -> Vec<[usize; 2]> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let stretch = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        if words.next()? != "r-xp" || !words.nth(3)?.starts_with('/') {
            return None;
        }
        let at = |text| usize::from_str_radix(text, 16).ok();
        Some([at(start)?, at(end)?])
    };
    maps.lines().filter_map(stretch).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{code, release_code};

    #[test]
    fn code_that_was_given_back_runs() {
        let own = (code as fn() -> Vec<[usize; 2]> as *const ()).addr();
        assert!(code().iter().any(|&[start, end]| (start..end).contains(&own)));
        release_code();
        assert!(!code().is_empty());
    }
}
