//! Rows of a `.npy` file, read on demand: a data set larger than memory is read one sample at a time.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{MAX_HEADER_BYTES, NpyHeader, NpyProblem, NpyType};
use crate::error::{DataError, regular_file_size};

/// An open `.npy` file of which rows (along the first dimension) can be read.
///
/// Reading takes `&self` and no lock: threads may read different rows at once.
#[derive(Debug)]
pub struct NpyRows {
    file: File,
    path: PathBuf,
    header: NpyHeader,
    row_bytes: usize,
}

impl NpyRows {
    /// Opens a file and checks its header and size.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] or [`DataError::Npy`]; a scalar has no rows and is refused.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let header = read_header(path)?;
        let file_bytes = regular_file_size(path)?;
        header.check_file_size(file_bytes).map_err(DataError::npy(path))?;
        let (_, row_shape) = header
            .shape
            .split_first()
            .ok_or(NpyProblem::NoRows)
            .map_err(DataError::npy(path))?;
        // The whole array is in a file, so a row of it fits in an address; with 0 rows it may not, hence the check.
        let row_bytes = super::header::data_size(header.dtype, row_shape)
            .ok()
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| NpyProblem::TooManyElements {
                shape: header.shape.clone(),
                dtype: header.dtype,
            })
            .map_err(DataError::npy(path))?;
        let file = File::open(path).map_err(DataError::io("open", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            header,
            row_bytes,
        })
    }

    /// Element type.
    #[must_use]
    pub const fn dtype(&self) -> NpyType {
        self.header.dtype
    }

    /// Shape of the whole array, rows first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Shape of one row.
    #[must_use]
    pub fn row_shape(&self) -> &[usize] {
        self.header.shape.get(1..).unwrap_or_default()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.header.shape.first().copied().unwrap_or(0)
    }

    /// Size of one row in bytes.
    #[must_use]
    pub const fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a range of rows into `buffer`, elements little-endian and in C order.
    ///
    /// # Errors
    ///
    /// [`DataError::Npy`] if the range is not in the array or `buffer` is not exactly as large as the rows;
    /// [`DataError::Io`] if the file cannot be read (it may have been shortened since it was opened).
    pub fn read(&self, rows: Range<usize>, buffer: &mut [u8]) -> Result<(), DataError> {
        let Range { start, end } = rows;
        if start > end || end > self.rows() {
            let problem = NpyProblem::RowsOutOfRange {
                start,
                end,
                rows: self.rows(),
            };
            return Err(DataError::npy(&self.path)(problem));
        }
        // The range is within the array, whose size was checked against the file: no product here overflows.
        let expected_bytes = (end - start) * self.row_bytes;
        if buffer.len() != expected_bytes {
            let problem = NpyProblem::WrongBufferSize {
                expected_bytes,
                found_bytes: buffer.len(),
            };
            return Err(DataError::npy(&self.path)(problem));
        }
        let offset = self.header.data_offset_bytes as u64 + start as u64 * self.row_bytes as u64;
        self.file
            .read_exact_at(buffer, offset)
            .map_err(DataError::io("read", &self.path))
    }
}

/// Reads the header of a file, and no more of it than the longest header.
pub(super) fn read_header(path: &Path) -> Result<NpyHeader, DataError> {
    regular_file_size(path)?;
    let file = File::open(path).map_err(DataError::io("open", path))?;
    let mut start = Vec::new();
    file.take(MAX_HEADER_BYTES as u64 + 12)
        .read_to_end(&mut start)
        .map_err(DataError::io("read", path))?;
    NpyHeader::parse(&start).map_err(DataError::npy(path))
}
