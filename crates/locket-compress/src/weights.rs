//! Weights in fewer bits: what a weight becomes, and the `constexpr_*` operation that says so in MIL.

mod encoded;
mod int8;

use half::f16;
use locket_tensor::{DType, Tensor};

pub(crate) use encoded::{Encoded, store};
pub(crate) use int8::{int8, least_scales};

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
        let error: f64 = self
            .values
            .iter()
            .zip(other)
            .map(|(&a, &b)| square(f64::from(a) - f64::from(b)))
            .sum();
        if error == 0.0 { 0.0 } else { error / power }
    }
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
