//! Files that are written whole or not at all, and their names.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Writes a text under a temporary name, then gives it its own.
///
/// # Errors
///
/// Names the file that could not be written.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    std::fs::write(&partial, text).with_context(|| format!("writing {}", partial.display()))?;
    std::fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
}

/// A file's name without folder and extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
