//! Size of a package on disk.

use std::path::Path;

/// The sum of the sizes of all files below a folder, or of one file.
///
/// # Errors
///
/// The operating system's error if something cannot be read.
pub fn package_bytes(path: &Path) -> std::io::Result<u64> {
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut total = 0;
    for entry in std::fs::read_dir(path)? {
        total += package_bytes(&entry?.path())?;
    }
    Ok(total)
}
