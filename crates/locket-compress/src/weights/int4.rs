//! Symmetric 4-bit integers with a scale for each block of input channels, or each output channel.

use super::{
    Encoded, Matrix,
    second_order::{Effort, Grid, round},
};
use crate::calibrate::Curvatures;

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
    fn new(weight: &Matrix, blocks: Blocks, end: f64) -> Self {
        let largest = |block: &[f32]| {
            block
                .iter()
                .fold(0.0f64, |max, &value| max.max(f64::from(value.abs())))
        };
        let scale = weight
            .values
            .chunks(blocks.elems.max(1))
            .map(|block| {
                // As it is stored: rounding has to know the scale that it will be multiplied with.
                let scale = f64::from((largest(block) / end) as f32);
                if scale >= f64::from(f32::MIN_POSITIVE) {
                    scale
                } else {
                    1.0
                }
            })
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
pub(crate) fn int4(
    weight: &Matrix,
    shape: &[usize],
    curvatures: Option<&Curvatures>,
    threads: usize,
) -> Encoded {
    let blocks = Blocks::of(shape);
    let signed = |code: u8| code as i8 + LEAST as i8;
    let Some(curvatures) = curvatures else {
        let steps = Steps::new(weight, blocks, LARGEST);
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
        threads,
    };
    let mut best: Option<(Vec<f64>, Vec<u8>, Vec<f64>)> = None;
    for clip in CLIPS {
        // Half a step more room than the largest code: the pass moves weights in both directions.
        let steps = Steps::new(weight, blocks, (LARGEST + 0.5) / clip);
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
