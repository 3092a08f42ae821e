//! The crate's error type.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::npy::NpyProblem;

/// What can go wrong between a file and the elements of a model's input.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused an operation on a file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `write`, `open` …
        action: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A path names something that is not a regular file.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A text or picture file is larger than this crate reads.
    #[error("{} has {found_bytes} bytes, at most {limit_bytes} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found_bytes: u64,
        /// The limit for files of its kind.
        limit_bytes: u64,
    },
    /// A `.npy` file or array is not what was expected.
    #[error("{}: {problem}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: NpyProblem,
    },
    /// A line of a table is wrong.
    #[error("{}, line {line}: {problem}", path.display())]
    Csv {
        /// The table's file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A picture cannot be decoded.
    #[error("{}: {problem}", path.display())]
    Image {
        /// The picture's file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A preprocessing recipe is wrong.
    #[error("{}: {problem}", path.display())]
    Recipe {
        /// The recipe's file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A folder does not hold a labelled set.
    #[error("{}: {problem}", path.display())]
    Dataset {
        /// The folder or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A label is not one of the model's classes.
    #[error("{}, {place}: label {found}, expected 0 to {} ({classes} classes)", path.display(), classes.saturating_sub(1))]
    LabelOutOfRange {
        /// The file with the labels.
        path: PathBuf,
        /// The line or row of the label.
        place: String,
        /// The label.
        found: i64,
        /// The number of classes.
        classes: usize,
    },
    /// A sample cannot become the input that a model wants.
    #[error("sample {sample}: {problem}")]
    Sample {
        /// The sample's name.
        sample: String,
        /// What does not fit.
        problem: Problem,
    },
}

/// What is wrong with something whose place only the caller knows: a picture's bytes, a recipe's text, one sample. One line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Problem(String);

impl From<String> for Problem {
    fn from(line: String) -> Self {
        Self(line)
    }
}

impl DataError {
    /// Wraps an [`io::Error`] with the path and the action for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    /// Wraps a problem with the `.npy` file it was found in.
    pub(crate) fn npy(path: &Path) -> impl FnOnce(NpyProblem) -> Self {
        move |problem| Self::Npy {
            path: path.to_owned(),
            problem,
        }
    }
}

/// Reads a whole regular file of at most `limit_bytes`.
///
/// # Errors
///
/// [`DataError::Io`], [`DataError::NotAFile`] or [`DataError::TooLarge`].
pub(crate) fn read_limited(path: &Path, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<(), DataError> {
    use std::io::Read;

    let size_bytes = regular_file_size(path)?;
    if size_bytes > limit_bytes {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            found_bytes: size_bytes,
            limit_bytes,
        });
    }
    buffer.clear();
    let file = std::fs::File::open(path).map_err(DataError::io("open", path))?;
    // `take`: a file that grows while it is read stays within the limit.
    file.take(limit_bytes)
        .read_to_end(buffer)
        .map_err(DataError::io("read", path))?;
    Ok(())
}

/// Size in bytes of a regular file; asked before opening, because opening a named pipe would block.
pub(crate) fn regular_file_size(path: &Path) -> Result<u64, DataError> {
    let metadata = std::fs::metadata(path).map_err(DataError::io("open", path))?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile {
            path: path.to_owned(),
        });
    }
    Ok(metadata.len())
}
