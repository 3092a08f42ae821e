//! Reading and writing elements of any type as `f64` or `i64`: the arithmetic of references.
//!
//! Floats are computed in `f64` and rounded once to the result's type (to fp16 by way of fp32). Integers wrap.

use half::{bf16, f16};
use locket_tensor::{DType, TensorMut, TensorRef, packed};

/// Elements, widened.
pub(crate) enum Numbers {
    /// Of a floating-point type.
    Floats(Vec<f64>),
    /// Of an integer type; truth values are 0 and 1.
    Ints(Vec<i64>),
}

impl Numbers {
    /// Reads all elements.
    pub(crate) fn of(tensor: TensorRef<'_>) -> Self {
        if tensor.dtype.is_float() {
            Self::Floats(floats(tensor))
        } else {
            Self::Ints(ints(tensor))
        }
    }
}

/// All elements as `f64`.
pub(crate) fn floats(tensor: TensorRef<'_>) -> Vec<f64> {
    match tensor.dtype {
        DType::Float16 => tensor
            .as_slice::<f16>()
            .iter()
            .map(|x| f64::from(x.to_f32()))
            .collect(),
        DType::BFloat16 => tensor.as_slice::<bf16>().iter().map(|x| x.to_f64()).collect(),
        DType::Float32 => tensor.as_slice::<f32>().iter().map(|&x| f64::from(x)).collect(),
        DType::Float64 => tensor.as_slice::<f64>().to_vec(),
        _ => ints(tensor).into_iter().map(|x| x as f64).collect(),
    }
}

/// All elements as `f32`, rounded where the type is wider.
pub(crate) fn floats32(tensor: TensorRef<'_>) -> Vec<f32> {
    match tensor.dtype {
        DType::Float32 => tensor.as_slice::<f32>().to_vec(),
        _ => floats(tensor).into_iter().map(|x| x as f32).collect(),
    }
}

/// All elements as `i64`; floats are cut towards zero, NaN gives 0, and what is out of range saturates.
pub(crate) fn ints(tensor: TensorRef<'_>) -> Vec<i64> {
    match tensor.dtype {
        DType::Int16 => tensor.as_slice::<i16>().iter().map(|&x| i64::from(x)).collect(),
        DType::Int32 => tensor.as_slice::<i32>().iter().map(|&x| i64::from(x)).collect(),
        DType::Int64 => tensor.as_slice::<i64>().to_vec(),
        DType::UInt16 => tensor.as_slice::<u16>().iter().map(|&x| i64::from(x)).collect(),
        DType::UInt32 => tensor.as_slice::<u32>().iter().map(|&x| i64::from(x)).collect(),
        DType::UInt64 => tensor
            .as_slice::<u64>()
            .iter()
            .map(|&x| i64::try_from(x).unwrap_or(i64::MAX))
            .collect(),
        dtype if dtype.is_float() => floats(tensor).into_iter().map(|x| x as i64).collect(),
        dtype => codes(tensor)
            .into_iter()
            .map(|code| i64::from(packed::code_value(dtype, code)))
            .collect(),
    }
}

/// The raw codes of a type of at most 8 bits, one byte each.
pub(crate) fn codes(tensor: TensorRef<'_>) -> Vec<u8> {
    packed::unpack(tensor.bytes, tensor.dtype.bits().clamp(1, 8), tensor.elems())
}

/// Writes all elements of a tensor of a floating-point type, rounding each once.
pub(crate) fn put_floats(output: &mut TensorMut<'_>, values: impl IntoIterator<Item = f64>) {
    // A trait object, since each of the two writers falls back on the other.
    put_each_float(output, &mut values.into_iter());
}

fn put_each_float(output: &mut TensorMut<'_>, values: &mut dyn Iterator<Item = f64>) {
    match output.dtype {
        DType::Float16 => fill(
            output.as_mut_slice::<f16>(),
            values.map(|x| f16::from_f32(x as f32)),
        ),
        DType::Float64 => fill(output.as_mut_slice::<f64>(), values),
        DType::BFloat16 => fill(
            output.as_mut_slice::<bf16>(),
            values.map(|x| bf16::from_f32(x as f32)),
        ),
        DType::Float32 => fill(output.as_mut_slice::<f32>(), values.map(|x| x as f32)),
        _ => put_each_int(output, &mut values.map(|x| x as i64)),
    }
}

/// Writes all elements of a tensor of an integer type, wrapping, or of truth values, where all but 0 is true.
pub(crate) fn put_ints(output: &mut TensorMut<'_>, values: impl IntoIterator<Item = i64>) {
    put_each_int(output, &mut values.into_iter());
}

fn put_each_int(output: &mut TensorMut<'_>, values: &mut dyn Iterator<Item = i64>) {
    match output.dtype {
        DType::Int16 => fill(output.as_mut_slice::<i16>(), values.map(|x| x as i16)),
        DType::UInt16 => fill(output.as_mut_slice::<u16>(), values.map(|x| x as u16)),
        DType::Int32 => fill(output.as_mut_slice::<i32>(), values.map(|x| x as i32)),
        DType::UInt32 => fill(output.as_mut_slice::<u32>(), values.map(|x| x as u32)),
        DType::Int64 => fill(output.as_mut_slice::<i64>(), values),
        DType::UInt64 => fill(output.as_mut_slice::<u64>(), values.map(|x| x as u64)),
        DType::Bool => fill(output.bytes, values.map(|x| u8::from(x != 0))),
        DType::Int8 | DType::UInt8 => fill(output.bytes, values.map(|x| x as u8)),
        dtype if dtype.is_float() => put_each_float(output, &mut values.map(|x| x as f64)),
        dtype => {
            let codes: Vec<u8> = values.take(output.elems()).map(|x| x as u8).collect();
            fill(output.bytes, packed::pack(&codes, dtype.bits().clamp(1, 8)));
        }
    }
}

/// Writes numbers of either kind.
pub(crate) fn put(output: &mut TensorMut<'_>, values: Numbers) {
    match values {
        Numbers::Floats(values) => put_floats(output, values),
        Numbers::Ints(values) => put_ints(output, values),
    }
}

fn fill<T>(output: &mut [T], values: impl IntoIterator<Item = T>) {
    for (slot, value) in output.iter_mut().zip(values) {
        *slot = value;
    }
}
