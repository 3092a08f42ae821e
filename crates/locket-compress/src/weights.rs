//! Weights in fewer bits: what a weight becomes, and the `constexpr_*` operation that says so in MIL.

mod clusters;
mod encoded;
mod int4;
mod int8;
mod palette;
mod prune;
mod second_order;
mod store;

use std::convert::Infallible;

use half::f16;
use locket_tensor::{DType, Tensor};

use crate::calibrate::Curvatures;
pub(crate) use encoded::Encoded;
pub(crate) use int4::int4;
pub(crate) use int8::{int8, least_scales, pruned_int8};
pub(crate) use palette::{palette, palette_int8};
pub(crate) use prune::prune;
pub(crate) use store::Stored;

/// A weight as a matrix: a row for each output channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Elements, row by row.
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    /// A weight `[O, ..]` as `O` rows.
    pub(crate) fn of(shape: &[usize], values: Vec<f32>) -> Self {
        let rows = shape.first().copied().unwrap_or(1).max(1);
        Self {
            rows,
            columns: values.len() / rows,
            values,
        }
    }

    /// The elements of a row.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// The mean square of the difference to another matrix, over the mean square of this one.
    pub(crate) fn relative_error(&self, other: &[f32]) -> f64 {
        let square = |value: f64| value * value;
        let power: f64 = self.values.iter().map(|&value| square(f64::from(value))).sum();
        let pairs = self.values.iter().zip(other);
        let error: f64 = pairs.map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
        if error == 0.0 { 0.0 } else { error / power }
    }
}

/// 8-bit codes go from -127 to 127, so that every weight has its negative.
pub(crate) const LARGEST_CODE: f32 = 127.0;

/// How weights are rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding<'a> {
    /// What errors cost; without it, all cost the same.
    pub(crate) curvatures: Option<&'a Curvatures>,
    /// The type that scales and tables are stored in: that of the weight.
    pub(crate) dtype: DType,
    /// Rows at once.
    pub(crate) threads: usize,
}

/// A number as a constant of `dtype` holds it: rounded to float16 or to an 8-bit code if that is the type. Scales and tables
/// are rounded before weights are rounded to them.
pub(crate) fn as_stored(dtype: DType, value: f32) -> f32 {
    match dtype {
        DType::Float16 => f16::from_f32(value).to_f32(),
        DType::Int8 => value.round_ties_even().clamp(-LARGEST_CODE, LARGEST_CODE),
        _ => value,
    }
}

/// A scale as a constant of `dtype` holds it; 1 if it is too small for a float32 to be a scale.
pub(crate) fn scale_as_stored(dtype: DType, scale: f32) -> f32 {
    if !(scale >= f32::MIN_POSITIVE && scale.is_finite()) {
        return 1.0;
    }
    // What would round to nothing in float16 is the least number that does not.
    as_stored(dtype, scale).max(if dtype == DType::Float16 {
        f16::MIN_POSITIVE_SUBNORMAL.to_f32()
    } else {
        f32::MIN_POSITIVE
    })
}

/// A tensor of floats, rounded to `dtype` if that is float16, else as float32.
pub(crate) fn float_tensor(dtype: DType, shape: &[usize], values: &[f32]) -> Tensor {
    let tensor = if dtype == DType::Float16 {
        let narrow: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        Tensor::from_slice(shape, &narrow)
    } else {
        Tensor::from_slice(shape, values)
    };
    tensor.expect("the shape has as many elements as there are values")
}

/// What `work` makes of 0 to `count`, in that order, on several threads.
pub(crate) fn parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.clamp(1, count.max(1));
    let made = locket_pool::in_order(count, vec![(); threads], |(), index| {
        Ok::<_, Infallible>(work(index))
    });
    let Ok(made) = made;
    made
}
