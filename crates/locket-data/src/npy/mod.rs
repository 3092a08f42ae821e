//! NumPy's `.npy` files: one array of numbers, with its type and shape.
//!
//! Read: versions 1, 2 and 3, little-endian, C order. Written: the bytes that `numpy.save` writes. A file is refused
//! unless its size is exactly what its header says, and this is checked before anything of that size is allocated.
//! [`NpyArray`] holds a whole array, [`NpyRows`] reads rows of a file on demand.

mod header;
mod rows;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use thiserror::Error;

pub use header::{MAX_HEADER_BYTES, MAX_RANK, NpyHeader};
pub use rows::NpyRows;

use crate::error::{DataError, regular_file_size};

/// Element type of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NpyType {
    /// `bool`, one byte, 0 or 1.
    Bool,
    /// `uint8`.
    U8,
    /// `int8`.
    I8,
    /// `uint16`.
    U16,
    /// `int16`.
    I16,
    /// `uint32`.
    U32,
    /// `int32`.
    I32,
    /// `uint64`.
    U64,
    /// `int64`.
    I64,
    /// `float16`.
    F16,
    /// `float32`.
    F32,
    /// `float64`.
    F64,
}

impl NpyType {
    /// Every type, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// Size of one element in bytes.
    #[must_use]
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// NumPy's name, such as `float32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// The `descr` string in a header, such as `<f4`.
    #[must_use]
    pub const fn descr(self) -> &'static str {
        match self {
            Self::Bool => "|b1",
            Self::U8 => "|u1",
            Self::I8 => "|i1",
            Self::U16 => "<u2",
            Self::I16 => "<i2",
            Self::U32 => "<u4",
            Self::I32 => "<i4",
            Self::U64 => "<u8",
            Self::I64 => "<i8",
            Self::F16 => "<f2",
            Self::F32 => "<f4",
            Self::F64 => "<f8",
        }
    }
}

impl fmt::Display for NpyType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What can be wrong with a `.npy` file or array.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NpyProblem {
    /// The first bytes are not NumPy's.
    #[error("not a .npy file: it does not start with the bytes \\x93NUMPY")]
    NotNpy,
    /// The file ends inside its header.
    #[error("truncated: the header needs {expected_bytes} bytes, the file has {found_bytes}")]
    TruncatedHeader {
        /// Bytes up to the end of the header.
        expected_bytes: u64,
        /// Bytes there are.
        found_bytes: u64,
    },
    /// A format version that does not exist.
    #[error("unknown .npy version {major}.{minor}, expected 1.0, 2.0 or 3.0")]
    UnknownVersion {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("header of {found_bytes} bytes, at most {MAX_HEADER_BYTES} are read")]
    HeaderTooLong {
        /// The length that the file states.
        found_bytes: u64,
    },
    /// The header is not the dictionary that it must be.
    #[error("header, byte {offset_bytes}: expected {expected}")]
    HeaderSyntax {
        /// Offset in the file.
        offset_bytes: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// An element type that this crate does not read.
    #[error(
        "element type '{found}' is not supported, expected bool, int8 to int64, uint8 to uint64 or float16 to float64"
    )]
    UnsupportedType {
        /// The `descr` string.
        found: String,
    },
    /// Big-endian elements.
    #[error("element type '{found}' is big-endian, expected little-endian; save it with .astype('<…')")]
    BigEndian {
        /// The `descr` string.
        found: String,
    },
    /// Fortran (column-major) order.
    #[error("the array is in Fortran order, expected C order; save it with numpy.ascontiguousarray(x)")]
    FortranOrder,
    /// More dimensions than [`MAX_RANK`].
    #[error("the shape has more than {MAX_RANK} dimensions")]
    RankTooLarge,
    /// The number of bytes does not fit in 63 bits.
    #[error("shape {shape:?} of {dtype} has too many bytes to count")]
    TooManyElements {
        /// The shape.
        shape: Vec<usize>,
        /// The element type.
        dtype: NpyType,
    },
    /// The data does not have the size that shape and type ask for.
    #[error("shape {shape:?} of {dtype} needs {expected_bytes} bytes of data, found {found_bytes}")]
    WrongDataSize {
        /// The shape.
        shape: Vec<usize>,
        /// The element type.
        dtype: NpyType,
        /// Product of the shape and the size of an element.
        expected_bytes: u64,
        /// Bytes there are.
        found_bytes: u64,
    },
    /// A `bool` byte other than 0 and 1.
    #[error("element {index} of a bool array is {found}, expected 0 or 1")]
    InvalidBool {
        /// Index of the element.
        index: usize,
        /// The byte.
        found: u8,
    },
    /// The array has another element type than the caller asked for.
    #[error("elements are {found}, expected {expected}")]
    WrongType {
        /// The type that was asked for.
        expected: NpyType,
        /// The type of the array.
        found: NpyType,
    },
    /// A scalar where rows are needed.
    #[error("the array is a scalar (shape []), expected at least one dimension")]
    NoRows,
    /// A range of rows that is not in the array.
    #[error("rows {start} to {end} of an array with {rows} rows")]
    RowsOutOfRange {
        /// First row asked for.
        start: usize,
        /// End of the range (exclusive).
        end: usize,
        /// Rows there are.
        rows: usize,
    },
    /// A buffer for rows has the wrong size.
    #[error("a buffer of {found_bytes} bytes for rows of {expected_bytes} bytes")]
    WrongBufferSize {
        /// Bytes of the rows asked for.
        expected_bytes: usize,
        /// Bytes of the buffer.
        found_bytes: usize,
    },
}

/// A Rust type that an array's elements can be viewed as.
pub trait NpyElement: bytemuck::Pod {
    /// The array type of which this is the element.
    const TYPE: NpyType;
}

macro_rules! npy_elements {
    ($($rust:ty => $variant:ident),* $(,)?) => {
        $(impl NpyElement for $rust { const TYPE: NpyType = NpyType::$variant; })*
    };
}
npy_elements! {
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64,
    half::f16 => F16, f32 => F32, f64 => F64,
}

/// An array with its type and shape, elements in C order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyArray {
    dtype: NpyType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl NpyArray {
    /// Makes an array of little-endian elements in C order.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::WrongDataSize`] unless `bytes` has the size that type and shape ask for, and
    /// [`NpyProblem::InvalidBool`] for bytes of a `bool` array other than 0 and 1.
    pub fn new(dtype: NpyType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, NpyProblem> {
        let expected_bytes = header::data_size(dtype, &shape)?;
        if expected_bytes != bytes.len() as u64 {
            return Err(NpyProblem::WrongDataSize {
                shape,
                dtype,
                expected_bytes,
                found_bytes: bytes.len() as u64,
            });
        }
        if dtype == NpyType::Bool
            && let Some((index, &found)) = bytes.iter().enumerate().find(|&(_, &byte)| byte > 1)
        {
            return Err(NpyProblem::InvalidBool { index, found });
        }
        Ok(Self { dtype, shape, bytes })
    }

    /// Makes an array by copying `elements`, in C order.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::WrongDataSize`] unless the product of `shape` is the number of elements.
    pub fn from_elements<T: NpyElement>(shape: &[usize], elements: &[T]) -> Result<Self, NpyProblem> {
        Self::new(T::TYPE, shape.to_vec(), bytemuck::cast_slice(elements).to_vec())
    }

    /// Parses the content of a `.npy` file.
    ///
    /// # Errors
    ///
    /// Any [`NpyProblem`] of a file.
    pub fn from_file_bytes(file: &[u8]) -> Result<Self, NpyProblem> {
        let header = NpyHeader::parse(file)?;
        header.check_file_size(file.len() as u64)?;
        // The header was parsed out of `file`, so its end is within.
        let data = file.get(header.data_offset_bytes..).unwrap_or_default();
        Self::new(header.dtype, header.shape, data.to_vec())
    }

    /// Reads a `.npy` file whole.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] or [`DataError::Npy`].
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let header = rows::read_header(path)?;
        // Before anything is allocated: what the header promises must be there.
        header
            .check_file_size(regular_file_size(path)?)
            .map_err(DataError::npy(path))?;
        let data_bytes = header.data_size_bytes().map_err(DataError::npy(path))?;
        let mut bytes = vec![0; usize::try_from(data_bytes).unwrap_or(usize::MAX)];
        let file = std::fs::File::open(path).map_err(DataError::io("open", path))?;
        file.read_exact_at(&mut bytes, header.data_offset_bytes as u64)
            .map_err(DataError::io("read", path))?;
        Self::new(header.dtype, header.shape, bytes).map_err(DataError::npy(path))
    }

    /// The content of a `.npy` file with this array, as `numpy.save` writes it.
    #[must_use]
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let mut file = header::render(self.dtype, &self.shape);
        file.extend_from_slice(&self.bytes);
        file
    }

    /// Writes a `.npy` file: first under a temporary name in the same folder, then renamed, so that a reader never sees
    /// half of it.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let header = header::render(self.dtype, &self.shape);
        let write = || {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(&header)?;
            file.write_all(&self.bytes)?;
            drop(file);
            std::fs::rename(&temporary, path)
        };
        write().map_err(|source| {
            // Best effort: the error that matters is the one above.
            let _ = std::fs::remove_file(&temporary);
            DataError::Io {
                path: path.to_owned(),
                action: "write",
                source,
            }
        })
    }

    /// Element type.
    #[must_use]
    pub const fn dtype(&self) -> NpyType {
        self.dtype
    }

    /// Shape, outermost dimension first; `[]` is a scalar.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size_bytes()
    }

    /// Whether there is no element, that is, whether a dimension is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The elements' bytes, little-endian, in C order.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the array apart: type, shape, bytes.
    #[must_use]
    pub fn into_parts(self) -> (NpyType, Vec<usize>, Vec<u8>) {
        (self.dtype, self.shape, self.bytes)
    }

    /// The elements as `T`; copied only if the bytes happen not to be aligned for it.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::WrongType`] if the elements are not `T`.
    pub fn elements<T: NpyElement>(&self) -> Result<Cow<'_, [T]>, NpyProblem> {
        if self.dtype != T::TYPE {
            return Err(NpyProblem::WrongType {
                expected: T::TYPE,
                found: self.dtype,
            });
        }
        Ok(match bytemuck::try_cast_slice(&self.bytes) {
            Ok(elements) => Cow::Borrowed(elements),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(&self.bytes)),
        })
    }

    /// The elements converted to `f32` (rounded to nearest where they do not fit exactly; `bool` gives 0 and 1).
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let mut elements = vec![0.0; self.len()];
        convert_to_f32(self.dtype, &self.bytes, &mut elements);
        elements
    }

    /// The elements converted to `i64`.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::WrongType`] for floating-point elements, and for `uint64`, which does not fit.
    pub fn to_i64(&self) -> Result<Vec<i64>, NpyProblem> {
        Ok(match self.dtype {
            NpyType::Bool | NpyType::U8 => self.bytes.iter().map(|&byte| i64::from(byte)).collect(),
            NpyType::I8 => collect(&self.bytes, |x: i8| i64::from(x)),
            NpyType::U16 => collect(&self.bytes, |x: u16| i64::from(x)),
            NpyType::I16 => collect(&self.bytes, |x: i16| i64::from(x)),
            NpyType::U32 => collect(&self.bytes, |x: u32| i64::from(x)),
            NpyType::I32 => collect(&self.bytes, |x: i32| i64::from(x)),
            NpyType::I64 => collect(&self.bytes, |x: i64| x),
            NpyType::U64 | NpyType::F16 | NpyType::F32 | NpyType::F64 => {
                return Err(NpyProblem::WrongType {
                    expected: NpyType::I64,
                    found: self.dtype,
                });
            }
        })
    }
}

/// Converts elements of any type to `f32`, one for each element of `output`.
///
/// # Panics
///
/// If `bytes` does not hold as many elements as `output`.
pub(crate) fn convert_to_f32(dtype: NpyType, bytes: &[u8], output: &mut [f32]) {
    assert_eq!(
        bytes.len(),
        output.len() * dtype.size_bytes(),
        "one element in for one out"
    );
    match dtype {
        NpyType::Bool | NpyType::U8 => fill(bytes, output, |x: u8| f32::from(x)),
        NpyType::I8 => fill(bytes, output, |x: i8| f32::from(x)),
        NpyType::U16 => fill(bytes, output, |x: u16| f32::from(x)),
        NpyType::I16 => fill(bytes, output, |x: i16| f32::from(x)),
        NpyType::U32 => fill(bytes, output, |x: u32| x as f32),
        NpyType::I32 => fill(bytes, output, |x: i32| x as f32),
        NpyType::U64 => fill(bytes, output, |x: u64| x as f32),
        NpyType::I64 => fill(bytes, output, |x: i64| x as f32),
        NpyType::F16 => fill(bytes, output, |x: half::f16| x.to_f32()),
        NpyType::F32 => fill(bytes, output, |x: f32| x),
        NpyType::F64 => fill(bytes, output, |x: f64| x as f32),
    }
}

fn fill<T: NpyElement>(bytes: &[u8], output: &mut [f32], convert: impl Fn(T) -> f32) {
    for (element, chunk) in output.iter_mut().zip(bytes.chunks_exact(size_of::<T>())) {
        *element = convert(bytemuck::pod_read_unaligned(chunk));
    }
}

fn collect<T: NpyElement, U>(bytes: &[u8], convert: impl Fn(T) -> U) -> Vec<U> {
    bytes
        .chunks_exact(size_of::<T>())
        .map(|chunk| convert(bytemuck::pod_read_unaligned(chunk)))
        .collect()
}
