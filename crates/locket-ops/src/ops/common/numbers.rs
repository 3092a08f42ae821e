//! Reading and writing elements of any type as `f64` or `i64`: the arithmetic of references, and of steps without a kernel
//! of their own.
//!
//! Floats are computed in `f64` and rounded once to the result's type (to fp16 by way of fp32). Integers wrap.

use bytemuck::cast_slice;
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
    if tensor.dtype.is_packed() {
        return packed_ints(tensor).map(|x| x as f64).collect();
    }
    let mut values = vec![0.0; tensor.elems()];
    load_floats(tensor.dtype, tensor.bytes, 0, 1, &mut values);
    values
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
    if tensor.dtype.is_packed() {
        return packed_ints(tensor).collect();
    }
    let mut values = vec![0; tensor.elems()];
    load_ints(tensor.dtype, tensor.bytes, 0, 1, &mut values);
    values
}

fn packed_ints(tensor: TensorRef<'_>) -> impl Iterator<Item = i64> {
    codes(tensor)
        .into_iter()
        .map(move |code| i64::from(packed::code_value(tensor.dtype, code)))
}

/// The raw codes of a type of at most 8 bits, one byte each.
pub(crate) fn codes(tensor: TensorRef<'_>) -> Vec<u8> {
    packed::unpack(tensor.bytes, tensor.dtype.bits().clamp(1, 8), tensor.elems())
}

/// Writes all elements of a tensor, rounding each once.
pub(crate) fn put_floats(output: &mut TensorMut<'_>, values: impl IntoIterator<Item = f64>) {
    let values: Vec<f64> = values.into_iter().take(output.elems()).collect();
    store_floats(output.dtype, &values, output.bytes);
}

/// Writes all elements of a tensor of an integer type, wrapping, or of truth values, where all but 0 is true.
pub(crate) fn put_ints(output: &mut TensorMut<'_>, values: impl IntoIterator<Item = i64>) {
    let values = values.into_iter().take(output.elems());
    if output.dtype.is_packed() {
        let codes: Vec<u8> = values.map(|x| x as u8).collect();
        let packed = packed::pack(&codes, output.dtype.bits());
        output.bytes.copy_from_slice(&packed);
    } else {
        store_ints(output.dtype, &values.collect::<Vec<i64>>(), output.bytes);
    }
}

/// Writes numbers of either kind.
pub(crate) fn put(output: &mut TensorMut<'_>, values: Numbers) {
    match values {
        Numbers::Floats(values) => put_floats(output, values),
        Numbers::Ints(values) => put_ints(output, values),
    }
}

/// Reads `values.len()` elements of a type of whole bytes: that at `start`, and every `stride`-th after it.
pub(crate) fn load_floats(dtype: DType, bytes: &[u8], start: usize, stride: usize, values: &mut [f64]) {
    match dtype {
        DType::Float16 => load(cast_slice(bytes), start, stride, values, |x: f16| {
            f64::from(x.to_f32())
        }),
        DType::BFloat16 => load(cast_slice(bytes), start, stride, values, |x: bf16| x.to_f64()),
        DType::Float32 => load(cast_slice(bytes), start, stride, values, |x: f32| f64::from(x)),
        DType::Float64 => load(cast_slice(bytes), start, stride, values, |x: f64| x),
        DType::Int8 => load(cast_slice(bytes), start, stride, values, |x: i8| f64::from(x)),
        DType::Int16 => load(cast_slice(bytes), start, stride, values, |x: i16| f64::from(x)),
        DType::UInt16 => load(cast_slice(bytes), start, stride, values, |x: u16| f64::from(x)),
        DType::Int32 => load(cast_slice(bytes), start, stride, values, |x: i32| f64::from(x)),
        DType::UInt32 => load(cast_slice(bytes), start, stride, values, |x: u32| f64::from(x)),
        DType::Int64 => load(cast_slice(bytes), start, stride, values, |x: i64| x as f64),
        DType::UInt64 => load(cast_slice(bytes), start, stride, values, |x: u64| x as f64),
        _ => load(bytes, start, stride, values, f64::from),
    }
}

/// As [`load_floats`]; floats are cut towards zero.
pub(crate) fn load_ints(dtype: DType, bytes: &[u8], start: usize, stride: usize, values: &mut [i64]) {
    match dtype {
        DType::Float16 => load(cast_slice(bytes), start, stride, values, |x: f16| {
            x.to_f32() as i64
        }),
        DType::BFloat16 => load(cast_slice(bytes), start, stride, values, |x: bf16| {
            x.to_f32() as i64
        }),
        DType::Float32 => load(cast_slice(bytes), start, stride, values, |x: f32| x as i64),
        DType::Float64 => load(cast_slice(bytes), start, stride, values, |x: f64| x as i64),
        DType::Int8 => load(cast_slice(bytes), start, stride, values, |x: i8| i64::from(x)),
        DType::Int16 => load(cast_slice(bytes), start, stride, values, |x: i16| i64::from(x)),
        DType::UInt16 => load(cast_slice(bytes), start, stride, values, |x: u16| i64::from(x)),
        DType::Int32 => load(cast_slice(bytes), start, stride, values, |x: i32| i64::from(x)),
        DType::UInt32 => load(cast_slice(bytes), start, stride, values, |x: u32| i64::from(x)),
        DType::Int64 => load(cast_slice(bytes), start, stride, values, |x: i64| x),
        DType::UInt64 => load(cast_slice(bytes), start, stride, values, |x: u64| {
            i64::try_from(x).unwrap_or(i64::MAX)
        }),
        _ => load(bytes, start, stride, values, i64::from),
    }
}

fn load<T: Copy, V>(input: &[T], start: usize, stride: usize, values: &mut [V], widen: impl Fn(T) -> V) {
    if stride == 1 {
        let count = values.len();
        for (value, &x) in values.iter_mut().zip(&input[start..][..count]) {
            *value = widen(x);
        }
    } else {
        for (at, value) in values.iter_mut().enumerate() {
            *value = widen(input[start + at * stride]);
        }
    }
}

/// Writes elements of a type of whole bytes, rounding each once; to an integer type they are cut and saturate.
pub(crate) fn store_floats(dtype: DType, values: &[f64], bytes: &mut [u8]) {
    match dtype {
        DType::Float16 => store(values, bytes, |x| f16::from_f32(x as f32)),
        DType::BFloat16 => store(values, bytes, |x| bf16::from_f32(x as f32)),
        DType::Float32 => store(values, bytes, |x| x as f32),
        DType::Float64 => store(values, bytes, |x| x),
        DType::Int8 => store(values, bytes, |x| x as i8),
        DType::Int16 => store(values, bytes, |x| x as i16),
        DType::UInt16 => store(values, bytes, |x| x as u16),
        DType::Int32 => store(values, bytes, |x| x as i32),
        DType::UInt32 => store(values, bytes, |x| x as u32),
        DType::Int64 => store(values, bytes, |x| x as i64),
        DType::UInt64 => store(values, bytes, |x| x as u64),
        DType::Bool => store(values, bytes, |x| u8::from(x != 0.0)),
        _ => store(values, bytes, |x| x as u8),
    }
}

/// Writes elements of a type of whole bytes, wrapping; truth values are whether the number is not 0.
pub(crate) fn store_ints(dtype: DType, values: &[i64], bytes: &mut [u8]) {
    match dtype {
        DType::Float16 => store(values, bytes, |x| f16::from_f32(x as f32)),
        DType::BFloat16 => store(values, bytes, |x| bf16::from_f32(x as f32)),
        DType::Float32 => store(values, bytes, |x| x as f32),
        DType::Float64 => store(values, bytes, |x| x as f64),
        DType::Int16 => store(values, bytes, |x| x as i16),
        DType::UInt16 => store(values, bytes, |x| x as u16),
        DType::Int32 => store(values, bytes, |x| x as i32),
        DType::UInt32 => store(values, bytes, |x| x as u32),
        DType::Int64 => store(values, bytes, |x| x),
        DType::UInt64 => store(values, bytes, |x| x as u64),
        DType::Bool => store(values, bytes, |x| u8::from(x != 0)),
        _ => store(values, bytes, |x| x as u8),
    }
}

fn store<V: Copy, T: bytemuck::Pod>(values: &[V], bytes: &mut [u8], narrow: impl Fn(V) -> T) {
    let output: &mut [T] = bytemuck::cast_slice_mut(bytes);
    for (slot, &value) in output.iter_mut().zip(values) {
        *slot = narrow(value);
    }
}
