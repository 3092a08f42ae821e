//! The element types of MIL.

use std::fmt;

/// An element type. Names and bit widths are those of Core ML's MIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// Truth value, one byte, 0 or 1.
    Bool,
    /// Text; only constants have it, tensors never.
    String,
    /// IEEE binary16.
    Float16,
    /// IEEE binary32.
    Float32,
    /// IEEE binary64.
    Float64,
    /// The upper half of a binary32.
    BFloat16,
    /// Signed 4-bit, packed.
    Int4,
    /// Signed 8-bit.
    Int8,
    /// Signed 16-bit.
    Int16,
    /// Signed 32-bit.
    Int32,
    /// Signed 64-bit.
    Int64,
    /// Unsigned 1-bit, packed.
    UInt1,
    /// Unsigned 2-bit, packed.
    UInt2,
    /// Unsigned 3-bit, packed.
    UInt3,
    /// Unsigned 4-bit, packed.
    UInt4,
    /// Unsigned 6-bit, packed.
    UInt6,
    /// Unsigned 8-bit.
    UInt8,
    /// Unsigned 16-bit.
    UInt16,
    /// Unsigned 32-bit.
    UInt32,
    /// Unsigned 64-bit.
    UInt64,
}

impl DType {
    /// Every type, in declaration order.
    pub const ALL: [Self; 20] = [
        Self::Bool,
        Self::String,
        Self::Float16,
        Self::Float32,
        Self::Float64,
        Self::BFloat16,
        Self::Int4,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::UInt1,
        Self::UInt2,
        Self::UInt3,
        Self::UInt4,
        Self::UInt6,
        Self::UInt8,
        Self::UInt16,
        Self::UInt32,
        Self::UInt64,
    ];

    /// Bits an element takes in memory; 0 for [`DType::String`].
    pub const fn bits(self) -> usize {
        match self {
            Self::String => 0,
            Self::UInt1 => 1,
            Self::UInt2 => 2,
            Self::UInt3 => 3,
            Self::Int4 | Self::UInt4 => 4,
            Self::UInt6 => 6,
            Self::Bool | Self::Int8 | Self::UInt8 => 8,
            Self::Float16 | Self::BFloat16 | Self::Int16 | Self::UInt16 => 16,
            Self::Float32 | Self::Int32 | Self::UInt32 => 32,
            Self::Float64 | Self::Int64 | Self::UInt64 => 64,
        }
    }

    /// Bytes that `elems` elements take, packed; `None` on overflow.
    pub fn packed_bytes(self, elems: usize) -> Option<usize> {
        elems.checked_mul(self.bits()).map(|bits| bits.div_ceil(8))
    }

    /// True for the floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(
            self,
            Self::Float16 | Self::Float32 | Self::Float64 | Self::BFloat16
        )
    }

    /// True for integers of any width and sign, not for [`DType::Bool`].
    pub const fn is_int(self) -> bool {
        !self.is_float() && !matches!(self, Self::Bool | Self::String)
    }

    /// True for elements narrower than a byte.
    pub const fn is_packed(self) -> bool {
        !matches!(self, Self::String) && self.bits() < 8
    }

    /// Smallest and largest value of an integer type (64-bit unsigned is cut at `i64::MAX`), else `None`.
    pub const fn int_range(self) -> Option<(i64, i64)> {
        Some(match self {
            Self::UInt1 => (0, 1),
            Self::UInt2 => (0, 3),
            Self::UInt3 => (0, 7),
            Self::UInt4 => (0, 15),
            Self::UInt6 => (0, 63),
            Self::UInt8 => (0, 255),
            Self::UInt16 => (0, 65_535),
            Self::UInt32 => (0, 4_294_967_295),
            Self::UInt64 => (0, i64::MAX),
            Self::Int4 => (-8, 7),
            Self::Int8 => (-128, 127),
            Self::Int16 => (-32_768, 32_767),
            Self::Int32 => (-2_147_483_648, 2_147_483_647),
            Self::Int64 => (i64::MIN, i64::MAX),
            _ => return None,
        })
    }

    /// The name that MIL's text form and coremltools use, such as `fp16` or `int8`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::String => "string",
            Self::Float16 => "fp16",
            Self::Float32 => "fp32",
            Self::Float64 => "fp64",
            Self::BFloat16 => "bf16",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt1 => "uint1",
            Self::UInt2 => "uint2",
            Self::UInt3 => "uint3",
            Self::UInt4 => "uint4",
            Self::UInt6 => "uint6",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
        }
    }

    /// The type that [`DType::name`] names.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::DType;

    #[test]
    fn names_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(DType::parse(dtype.name()), Some(dtype));
        }
    }

    #[test]
    fn packed_sizes_round_up() {
        assert_eq!(DType::UInt3.packed_bytes(5), Some(2));
        assert_eq!(DType::UInt1.packed_bytes(9), Some(2));
        assert_eq!(DType::Float32.packed_bytes(3), Some(12));
        assert_eq!(DType::Float64.packed_bytes(usize::MAX), None);
    }
}
