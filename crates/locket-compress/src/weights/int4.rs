//! Symmetric 4-bit integers with a scale for each block of input channels, or each output channel.

use locket_tensor::DType;

use super::{
    Encoded, Matrix, Rounding, scale_as_stored,
    second_order::{Effort, Grid, round},
};

/// Input channels that share a scale, where that divides them: the block that Core ML's own tools default to.
const BLOCK_CHANNELS: usize = 32;
/// Largest code, and how far below zero codes go.
const LARGEST: f64 = 7.0;
const LEAST: f64 = -8.0;
/// Shares of the largest magnitude that scales are tried for: clipping the few largest weights of a row can cost less
/// than the coarser steps that they would need.
const CLIPS: [f64; 4] = [1.0, 0.9, 0.8, 0.7];
/// Rounds of descent.
const SWEEPS: usize = 3;

/// Which scale a weight has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Blocks of each row.
    pub(crate) count: usize,
    /// Neighbouring elements of a block.
    pub(crate) elems: usize,
}

impl Blocks {
    /// The blocks of a weight `[O, I, taps..]`.
    pub(crate) fn of(shape: &[usize]) -> Self {
        let inputs = shape.get(1).copied().unwrap_or(1);
        let taps: usize = shape.get(2..).unwrap_or_default().iter().product();
        let divides = inputs > 0 && inputs % BLOCK_CHANNELS == 0;
        let channels = if divides { BLOCK_CHANNELS } else { inputs };
        Self {
            count: inputs / channels.max(1),
            elems: channels * taps,
        }
    }
}

/// A grid of codes with a scale for each block.
struct Steps {
    scale: Vec<f64>,
    blocks: Blocks,
}

impl Steps {
    /// Scales with which the largest magnitude of each block falls at `end` steps.
    fn new(weight: &Matrix, blocks: Blocks, end: f64, dtype: DType) -> Self {
        let largest = |block: &[f32]| {
            block
                .iter()
                .fold(0.0f64, |max, &value| max.max(f64::from(value.abs())))
        };
        let scale = weight
            .values
            .chunks(blocks.elems.max(1))
            .map(|block| f64::from(scale_as_stored(dtype, (largest(block) / end) as f32)))
            .collect();
        Self { scale, blocks }
    }

    fn scale_at(&self, row: usize, column: usize) -> f64 {
        self.scale[row * self.blocks.count + column / self.blocks.elems.max(1)]
    }
}

impl Grid for Steps {
    fn nearest(&self, row: usize, column: usize, value: f64) -> u8 {
        let steps = (value / self.scale_at(row, column)).round_ties_even();
        (steps.clamp(LEAST, LARGEST) - LEAST) as u8
    }

    fn value(&self, row: usize, column: usize, code: u8) -> f64 {
        (f64::from(code) + LEAST) * self.scale_at(row, column)
    }
}

/// Rounds a weight of this shape to 16 steps; with curvature, so that the layer's result changes least.
pub(crate) fn int4(weight: &Matrix, shape: &[usize], rounding: Rounding<'_>) -> Encoded {
    let blocks = Blocks::of(shape);
    let signed = |code: u8| code as i8 + LEAST as i8;
    let Some(curvatures) = rounding.curvatures else {
        let steps = Steps::new(weight, blocks, LARGEST, rounding.dtype);
        let codes = weight.values.iter().enumerate().map(|(at, &value)| {
            signed(steps.nearest(at / weight.columns, at % weight.columns, f64::from(value)))
        });
        return Encoded::Int4 {
            codes: codes.collect(),
            scale: steps.scale.iter().map(|&scale| scale as f32).collect(),
            blocks: blocks.count,
        };
    };
    let effort = Effort {
        sweeps: SWEEPS,
        threads: rounding.threads,
    };
    let mut best: Option<(Vec<f64>, Vec<u8>, Vec<f64>)> = None;
    for clip in CLIPS {
        // Half a step more room than the largest code: the pass moves weights in both directions.
        let steps = Steps::new(weight, blocks, (LARGEST + 0.5) / clip, rounding.dtype);
        let rounded = round(weight, curvatures, &steps, effort);
        let Some((errors, codes, scale)) = &mut best else {
            best = Some((rounded.errors, rounded.codes, steps.scale));
            continue;
        };
        for row in 0..weight.rows {
            if rounded.errors[row] < errors[row] {
                errors[row] = rounded.errors[row];
                let elems = row * weight.columns..(row + 1) * weight.columns;
                let scales = row * blocks.count..(row + 1) * blocks.count;
                codes[elems.clone()].copy_from_slice(&rounded.codes[elems]);
                scale[scales.clone()].copy_from_slice(&steps.scale[scales]);
            }
        }
    }
    let (_, codes, scale) = best.expect("some clips are tried");
    Encoded::Int4 {
        codes: codes.into_iter().map(signed).collect(),
        scale: scale.iter().map(|&scale| scale as f32).collect(),
        blocks: blocks.count,
    }
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;
    use locket_tensor::DType;
    use proptest::{collection::vec, prop_assert, proptest};

    use super::{Blocks, int4};
    use crate::{
        calibrate::Curvatures,
        weights::{Encoded, Matrix, Rounding},
    };

    const PLAIN: Rounding<'_> = Rounding {
        curvatures: None,
        dtype: DType::Float32,
        threads: 1,
    };

    #[test]
    fn blocks_are_of_channels() {
        let blocks = |shape: &[usize]| {
            let Blocks { count, elems } = Blocks::of(shape);
            (count, elems)
        };
        assert_eq!(blocks(&[8, 64, 3, 3]), (2, 288));
        assert_eq!(blocks(&[8, 48, 3, 3]), (1, 432));
        assert_eq!(blocks(&[10, 96]), (3, 32));
        assert_eq!(blocks(&[8, 1, 5]), (1, 5));
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        #[test]
        fn no_weight_is_off_by_more_than_half_a_step(values in vec(-10.0f32..10.0, 192)) {
            let weight = Matrix::of(&[3, 64], values);
            let dense = int4(&weight, &[3, 64], PLAIN).dense();
            for (block, dense) in weight.values.chunks(32).zip(dense.chunks(32)) {
                let largest = block.iter().fold(0f32, |largest, value| largest.max(value.abs()));
                for (value, wanted) in dense.iter().zip(block) {
                    prop_assert!((value - wanted).abs() <= 0.5001 * largest / 7.0);
                }
            }
        }
    }

    #[test]
    fn each_row_takes_the_clip_that_suits_it() {
        // One weight of the first row is far larger than the rest, but meets an input that hardly varies.
        let mut values: Vec<f32> = (0..64).map(|n| ((n * 7 % 13) as f32 - 6.0) / 10.0).collect();
        values[5] = 3.0;
        let weight = Matrix::of(&[2, 32], values);
        let mut inputs: Vec<f32> = (0..200 * 32)
            .map(|n| ((n * n % 101) as f32 / 50.0 - 1.0) * if n % 32 == 5 { 0.001 } else { 1.0 })
            .collect();
        let curvatures = Curvatures::of(&mut inputs, 1, 32, 2, Isa::best()).unwrap();
        let rounding = Rounding {
            curvatures: Some(&curvatures),
            ..PLAIN
        };
        let Encoded::Int4 { scale, codes, .. } = int4(&weight, &[2, 32], rounding) else {
            unreachable!("int4 makes int4");
        };
        assert!(scale[0] < 3.0 / 7.5 * 0.75, "the outlier is clipped: {scale:?}");
        assert_eq!(codes[5], 7);
        assert!(codes.iter().all(|code| (-8..=7).contains(code)));
    }
}
