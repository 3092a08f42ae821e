//! Symmetric 8-bit integers with a scale for each output channel.

use locket_tensor::DType;

use super::{
    Encoded, LARGEST_CODE, Matrix, Rounding, scale_as_stored,
    second_order::{Effort, Grid, round},
};

/// A grid of codes with a scale for each row.
struct Steps(Vec<f32>);

impl Steps {
    /// The largest magnitude of each row falls on the last code. A row's scale is at least that of `least`, for rows so small that
    /// something else would overflow; a row of zeros has scale `least`, or 1.
    fn of(weight: &Matrix, least: Option<&[f32]>, dtype: DType) -> Self {
        let scale = |row: usize| {
            let largest = weight
                .row(row)
                .iter()
                .fold(0f32, |largest, value| largest.max(value.abs()));
            let floor = least.map_or(0.0, |least| least[row]);
            scale_as_stored(dtype, (largest / LARGEST_CODE).max(floor))
        };
        Self((0..weight.rows).map(scale).collect())
    }

    fn code(&self, row: usize, value: f32) -> i8 {
        (value / self.0[row])
            .round_ties_even()
            .clamp(-LARGEST_CODE, LARGEST_CODE) as i8
    }
}

impl Grid for Steps {
    fn nearest(&self, row: usize, _column: usize, value: f64) -> u8 {
        let largest = f64::from(LARGEST_CODE);
        let code = (value / f64::from(self.0[row]))
            .round_ties_even()
            .clamp(-largest, largest);
        code as i8 as u8
    }

    fn value(&self, row: usize, _column: usize, code: u8) -> f64 {
        f64::from(code as i8) * f64::from(self.0[row])
    }
}

/// Rounds each row to 255 steps; with curvature, so that the layer's result changes least. `least` is the least scale of each row.
pub(crate) fn int8(weight: &Matrix, least: Option<&[f32]>, rounding: Rounding<'_>) -> Encoded {
    let steps = Steps::of(weight, least, rounding.dtype);
    let codes = match rounding.curvatures {
        // At 8 bits descent after the pass gains nothing.
        Some(curvatures) => {
            let rounded = round(
                weight,
                curvatures,
                &steps,
                Effort {
                    sweeps: 0,
                    threads: rounding.threads,
                },
            );
            rounded.codes.into_iter().map(|code| code as i8).collect()
        }
        None => plain_codes(weight, &steps),
    };
    Encoded::Int8 {
        codes,
        scale: steps.0,
    }
}

/// Rounds what pruning has left.
pub(crate) fn pruned_int8(pruned: &Matrix, least: Option<&[f32]>, dtype: DType) -> Encoded {
    let steps = Steps::of(pruned, least, dtype);
    Encoded::SparseInt8 {
        codes: plain_codes(pruned, &steps),
        scale: steps.0,
    }
}

fn plain_codes(weight: &Matrix, steps: &Steps) -> Vec<i8> {
    let codes = weight.values.iter().enumerate();
    codes
        .map(|(at, &value)| steps.code(at / weight.columns, value))
        .collect()
}

/// The least scale of each row with which its bias stays far from the ends of a 32-bit accumulator whose unit is the
/// scale times `operand`, the scale of the layer's operand.
pub(crate) fn least_scales(bias: &[f32], operand: f32) -> Vec<f32> {
    // A quarter of the range: the sum of products needs the rest, and 2^14 products of codes fit into that.
    let room = f32::from(2u8).powi(29);
    bias.iter().map(|bias| bias.abs() / (operand * room)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prop_assert, proptest};

    use locket_tensor::DType;

    use super::{int8, least_scales};
    use crate::weights::{Matrix, Rounding};

    const PLAIN: Rounding<'_> = Rounding {
        curvatures: None,
        dtype: DType::Float32,
        threads: 1,
    };

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn no_weight_is_off_by_more_than_half_a_step(
            values in vec(-1e3f32..1e3, 12),
            exponent in -30i32..30,
        ) {
            let weight = Matrix::of(&[3, 4], values.iter().map(|value| value * 2f32.powi(exponent)).collect());
            let encoded = int8(&weight, None, PLAIN);
            let dense = encoded.dense();
            for row in 0..3 {
                let largest = weight.row(row).iter().fold(0f32, |largest, value| largest.max(value.abs()));
                for (value, wanted) in dense[row * 4..][..4].iter().zip(weight.row(row)) {
                    prop_assert!((value - wanted).abs() <= 0.5001 * largest / 127.0);
                }
            }
        }
    }

    #[test]
    fn scales_in_float16_are_known_to_the_codes() {
        let weight = Matrix::of(&[3, 2], vec![1.0, 0.3, 1e-9, 0.0, 100.0, -77.7]);
        let narrow = Rounding {
            dtype: DType::Float16,
            ..PLAIN
        };
        let super::Encoded::Int8 { scale, .. } = int8(&weight, None, narrow) else {
            unreachable!("int8 makes int8");
        };
        for scale in &scale {
            assert_eq!(half::f16::from_f32(*scale).to_f32(), *scale);
            assert!(*scale > 0.0);
        }
        assert!((scale[0] * 127.0 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn rows_of_nothing_keep_room_for_their_bias() {
        let weight = Matrix::of(&[3, 2], vec![0.0, 0.0, 1e-30, 0.0, 0.5, -1.0]);
        let least = least_scales(&[2.0, 2.0, 2.0], 0.1);
        let super::Encoded::Int8 { codes, scale } = int8(&weight, Some(&least), PLAIN) else {
            unreachable!("int8 makes int8");
        };
        assert_eq!(codes, [0, 0, 0, 0, 64, -127]);
        for (row, scale) in scale.iter().enumerate() {
            let stored = 2.0 / (0.1 * f64::from(*scale));
            assert!(stored <= f64::from(i32::MAX) / 3.9, "row {row}: {stored}");
        }
    }
}
