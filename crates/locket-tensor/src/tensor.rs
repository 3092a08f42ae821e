//! The owned tensor.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use bytemuck::Pod;
use bytes::Bytes;
use half::{bf16, f16};
use smallvec::SmallVec;

use crate::{AlignedBytes, DType, Storage, TensorRef, packed};

/// Dimensions, outermost first.
pub type Shape = SmallVec<[usize; 6]>;

/// Why a tensor could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The product of the dimensions does not fit in memory.
    #[error("shape {shape:?} of {dtype} has too many elements")]
    TooLarge {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Vec<usize>,
    },
    /// The data has another length than the shape needs.
    #[error("shape {shape:?} of {dtype} needs {expected} bytes, found {found}")]
    Length {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Vec<usize>,
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// Mapped data does not start on a border that its element type needs.
    #[error("{dtype} data at byte {offset} is not aligned to its element size")]
    Misaligned {
        /// Element type.
        dtype: DType,
        /// Byte offset in the storage.
        offset: usize,
    },
}

/// A Rust type that is the element type of a tensor.
pub trait Element: Pod + PartialEq + fmt::Debug {
    /// The element type it stands for.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {
        $(impl Element for $rust { const DTYPE: DType = DType::$dtype; })*
    };
}
elements! {
    f16 => Float16, f32 => Float32, f64 => Float64, bf16 => BFloat16,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => UInt8, u16 => UInt16, u32 => UInt32, u64 => UInt64,
}

/// The product of the dimensions, `None` on overflow.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(dim))
}

/// An immutable, dense, row-major tensor; clones share storage.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    storage: Storage,
    range: Range<usize>,
}

impl Tensor {
    /// A tensor of packed elements, copied from `bytes`.
    ///
    /// # Errors
    ///
    /// If the shape overflows or `bytes` has another length than it needs.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, TensorError> {
        Self::from_storage(
            dtype,
            shape,
            Storage::Owned(Arc::new(AlignedBytes::copy_of(bytes))),
            0,
        )
        .and_then(|tensor| tensor.check_length(bytes.len()))
    }

    fn check_length(self, found: usize) -> Result<Self, TensorError> {
        let expected = self.range.len();
        if expected == found {
            return Ok(self);
        }
        Err(TensorError::Length {
            dtype: self.dtype,
            shape: self.shape.to_vec(),
            expected,
            found,
        })
    }

    /// A tensor over bytes that are already in memory, from byte `offset` on.
    ///
    /// # Errors
    ///
    /// If the shape overflows, the storage is too short, or the data is misaligned.
    pub fn from_storage(
        dtype: DType,
        shape: &[usize],
        storage: Storage,
        offset: usize,
    ) -> Result<Self, TensorError> {
        let too_large = || TensorError::TooLarge {
            dtype,
            shape: shape.to_vec(),
        };
        let expected = element_count(shape)
            .and_then(|n| dtype.packed_bytes(n))
            .ok_or_else(too_large)?;
        let end = offset.checked_add(expected).ok_or_else(too_large)?;
        let found = storage.bytes().len();
        if end > found {
            let found = found.saturating_sub(offset);
            return Err(TensorError::Length {
                dtype,
                shape: shape.to_vec(),
                expected,
                found,
            });
        }
        // An aligned copy begins where the storage does.
        let address = match storage {
            Storage::Unaligned(_) => offset,
            _ => storage.bytes()[offset..].as_ptr().addr(),
        };
        if !dtype.is_packed() && dtype.bits() > 8 && !address.is_multiple_of(dtype.bits() / 8) {
            return Err(TensorError::Misaligned { dtype, offset });
        }
        Ok(Self {
            dtype,
            shape: shape.into(),
            storage,
            range: offset..end,
        })
    }

    /// A tensor of bytes of a file, where they are.
    ///
    /// # Errors
    ///
    /// If the shape overflows or `bytes` has another length than it needs.
    pub fn of_file(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Self, TensorError> {
        let found = bytes.len();
        let in_place = Self::from_storage(dtype, shape, Storage::File(bytes.clone()), 0);
        let tensor = match in_place {
            Err(TensorError::Misaligned { .. }) => {
                Self::from_storage(dtype, shape, Storage::unaligned(bytes), 0)
            }
            tensor => tensor,
        };
        tensor.and_then(|tensor| tensor.check_length(found))
    }

    /// A tensor of `values`.
    ///
    /// # Errors
    ///
    /// If `shape` needs another number of elements.
    pub fn from_slice<T: Element>(shape: &[usize], values: &[T]) -> Result<Self, TensorError> {
        Self::from_bytes(T::DTYPE, shape, bytemuck::cast_slice(values))
    }

    /// A rank-0 tensor of one value.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self::from_slice(&[], &[value]).expect("a scalar has one element")
    }

    /// A rank-1 tensor of `values`.
    pub fn vector<T: Element>(values: &[T]) -> Self {
        Self::from_slice(&[values.len()], values).expect("a vector has as many elements as it has")
    }

    /// A rank-0 truth value.
    pub fn bool_scalar(value: bool) -> Self {
        Self::from_bytes(DType::Bool, &[], &[u8::from(value)]).expect("a truth value is one byte")
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    ///
    /// If the shape overflows.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, TensorError> {
        let bytes = element_count(shape)
            .and_then(|n| dtype.packed_bytes(n))
            .ok_or_else(|| TensorError::TooLarge {
                dtype,
                shape: shape.to_vec(),
            })?;
        Self::from_storage(
            dtype,
            shape,
            Storage::Owned(Arc::new(AlignedBytes::zeroed(bytes))),
            0,
        )
    }

    /// A packed tensor of codes, one byte each in `codes` (see [`packed`]).
    ///
    /// # Errors
    ///
    /// If `shape` needs another number of elements.
    pub fn from_codes(dtype: DType, shape: &[usize], codes: &[u8]) -> Result<Self, TensorError> {
        if element_count(shape) != Some(codes.len()) {
            let expected = element_count(shape).unwrap_or(usize::MAX);
            return Err(TensorError::Length {
                dtype,
                shape: shape.to_vec(),
                expected,
                found: codes.len(),
            });
        }
        Self::from_bytes(dtype, shape, &packed::pack(codes, dtype.bits()))
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements there are.
    pub fn elems(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements, packed, wherever they lie: a typed view is that of [`Tensor::as_slice`] or [`Tensor::view`].
    pub fn bytes(&self) -> &[u8] {
        &self.storage.bytes()[self.range.clone()]
    }

    /// The elements.
    ///
    /// # Panics
    ///
    /// If `T` is not the element type.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        self.view().as_slice()
    }

    /// The elements for somebody who needs them once: a copy goes with its reader, where [`Tensor::as_slice`] would keep it.
    ///
    /// # Panics
    ///
    /// If `T` is not the element type.
    pub fn values<T: Element>(&self) -> Cow<'_, [T]> {
        match &self.storage {
            Storage::Unaligned(_) => {
                assert_eq!(T::DTYPE, self.dtype, "typed view of a tensor of another type");
                Cow::Owned(bytemuck::pod_collect_to_vec(self.bytes()))
            }
            _ => Cow::Borrowed(self.as_slice()),
        }
    }

    /// A borrowed view.
    pub fn view(&self) -> TensorRef<'_> {
        TensorRef {
            dtype: self.dtype,
            shape: &self.shape,
            bytes: &self.storage.aligned()[self.range.clone()],
        }
    }

    /// The raw codes of an integer type of at most 8 bits (or of [`DType::Bool`]), one byte each.
    pub fn codes(&self) -> Vec<u8> {
        packed::unpack(self.bytes(), self.dtype.bits().clamp(1, 8), self.elems())
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    ///
    /// If the shape needs another number of elements.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self, TensorError> {
        Self::from_storage(self.dtype, shape, self.storage.clone(), self.range.start)
            .and_then(|tensor| tensor.check_length(self.range.len()))
    }

    /// All elements as `f32`, rounded where the type is wider; `None` for text.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        Some(match self.dtype {
            DType::Float32 => self.as_slice::<f32>().to_vec(),
            DType::Float16 => self.as_slice::<f16>().iter().map(|x| x.to_f32()).collect(),
            DType::BFloat16 => self.as_slice::<bf16>().iter().map(|x| x.to_f32()).collect(),
            DType::Float64 => self.as_slice::<f64>().iter().map(|&x| x as f32).collect(),
            DType::String => return None,
            _ => self.to_i64()?.into_iter().map(|x| x as f32).collect(),
        })
    }

    /// All elements as `i64`; `None` for floating-point types and text. Truth values are 0 and 1.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        Some(match self.dtype {
            DType::Int16 => self.as_slice::<i16>().iter().map(|&x| i64::from(x)).collect(),
            DType::Int32 => self.as_slice::<i32>().iter().map(|&x| i64::from(x)).collect(),
            DType::Int64 => self.as_slice::<i64>().to_vec(),
            DType::UInt16 => self.as_slice::<u16>().iter().map(|&x| i64::from(x)).collect(),
            DType::UInt32 => self.as_slice::<u32>().iter().map(|&x| i64::from(x)).collect(),
            DType::UInt64 => self
                .as_slice::<u64>()
                .iter()
                .map(|&x| i64::try_from(x).unwrap_or(i64::MAX))
                .collect(),
            dtype if dtype.is_int() || dtype == DType::Bool => self
                .codes()
                .into_iter()
                .map(|code| i64::from(packed::code_value(dtype, code)))
                .collect(),
            _ => return None,
        })
    }
}

impl PartialEq for Tensor {
    /// Same type, shape and bits; padding bits of packed types count, and are zero by construction.
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::{Tensor, TensorError};
    use crate::DType;

    #[test]
    fn wrong_length_is_refused() {
        let error = Tensor::from_slice(&[2, 2], &[1.0f32, 2.0, 3.0]).unwrap_err();
        assert_eq!(error.to_string(), "shape [2, 2] of fp32 needs 16 bytes, found 12");
        let error = Tensor::from_slice(&[2], &[1.0f32, 2.0, 3.0]).unwrap_err();
        assert!(matches!(
            error,
            TensorError::Length {
                expected: 8,
                found: 12,
                ..
            }
        ));
    }

    #[test]
    fn overflowing_shape_is_refused() {
        assert!(matches!(
            Tensor::from_bytes(DType::Float32, &[usize::MAX, 3], &[]),
            Err(TensorError::TooLarge { .. })
        ));
    }

    #[test]
    fn packed_values_widen() {
        let tensor = Tensor::from_codes(DType::Int4, &[3], &[1, 0xe, 3]).unwrap();
        assert_eq!(tensor.to_i64(), Some(vec![1, -2, 3]));
        assert_eq!(tensor.to_f32(), Some(vec![1.0, -2.0, 3.0]));
    }

    #[test]
    fn clones_and_reshapes_share_storage() {
        let tensor = Tensor::from_slice(&[2, 3], &[0i32, 1, 2, 3, 4, 5]).unwrap();
        let flat = tensor.reshaped(&[6]).unwrap();
        assert_eq!(flat.bytes().as_ptr(), tensor.bytes().as_ptr());
        assert!(tensor.reshaped(&[5]).is_err());
    }
}
