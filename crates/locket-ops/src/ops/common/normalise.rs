//! The step of normalisations: `(x - mean) / sqrt(variance + epsilon) * gamma + beta` over a block of each row, fp32.

use std::ops::Range;

use locket_kernels::{Isa, layer_norm_f32};

use crate::{Prepared, Step};

/// Which gamma and beta belong to an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its position along the block.
    Along,
    /// Its channel, one of so many: that of its row if blocks are contiguous, else its place within the inner elements.
    Channel(usize),
}

/// What is normalised and how.
#[derive(Debug)]
pub(crate) struct Normalise {
    pub(crate) isa: Isa,
    /// `[outer, length, inner]`, see [`super::block::block`].
    pub(crate) block: [usize; 3],
    pub(crate) epsilon: f32,
    /// Empty for 1.
    pub(crate) gamma: Vec<f32>,
    /// Empty for 0.
    pub(crate) beta: Vec<f32>,
    pub(crate) place: Place,
}

impl Normalise {
    /// The step; one unit is one row of the block.
    pub(crate) fn prepare(self) -> Prepared {
        let [outer, length, inner] = self.block;
        let held = 4 * (self.gamma.len() + self.beta.len());
        // Sums and squares for each inner element.
        let scratch = if inner > 1 { 16 * inner } else { 0 };
        Prepared::new(self, outer, 4 * length * inner)
            .weights(held)
            .scratch(scratch)
    }

    fn gain(&self, place: usize) -> [f32; 2] {
        [
            self.gamma.get(place).copied().unwrap_or(1.0),
            self.beta.get(place).copied().unwrap_or(0.0),
        ]
    }

    /// Rows whose elements lie together.
    fn rows(&self, first: usize, input: &[f32], output: &mut [f32]) {
        let [_, length, _] = self.block;
        match self.place {
            Place::Along => {
                let gamma = (!self.gamma.is_empty()).then_some(&self.gamma[..]);
                let beta = (!self.beta.is_empty()).then_some(&self.beta[..]);
                layer_norm_f32(self.isa, length, gamma, beta, self.epsilon, input, output);
            }
            Place::Channel(channels) => {
                layer_norm_f32(self.isa, length, None, None, self.epsilon, input, output);
                for (row, values) in output.chunks_exact_mut(length).enumerate() {
                    let [gamma, beta] = self.gain((first + row) % channels);
                    values.iter_mut().for_each(|y| *y = *y * gamma + beta);
                }
            }
        }
    }

    /// One row of `length` lines of `inner` elements; each inner element is normalised on its own.
    fn columns(&self, input: &[f32], output: &mut [f32], scratch: &mut [f64]) {
        let [_, length, inner] = self.block;
        let (means, scales) = scratch.split_at_mut(inner);
        let scales = &mut scales[..inner];
        means.fill(0.0);
        scales.fill(0.0);
        for line in input.chunks_exact(inner) {
            for (sum, &x) in means.iter_mut().zip(line) {
                *sum += f64::from(x);
            }
        }
        means.iter_mut().for_each(|sum| *sum /= length as f64);
        for line in input.chunks_exact(inner) {
            for ((squares, mean), &x) in scales.iter_mut().zip(&*means).zip(line) {
                let difference = f64::from(x) - mean;
                *squares += difference * difference;
            }
        }
        for squares in scales.iter_mut() {
            *squares = 1.0 / (*squares / length as f64 + f64::from(self.epsilon)).sqrt();
        }
        let lines = input.chunks_exact(inner).zip(output.chunks_exact_mut(inner));
        for (position, (from, to)) in lines.enumerate() {
            for (at, (y, &x)) in to.iter_mut().zip(from).enumerate() {
                let [gamma, beta] = self.gain(match self.place {
                    Place::Along => position,
                    Place::Channel(channels) => at % channels,
                });
                *y = ((f64::from(x) - means[at]) * scales[at]) as f32 * gamma + beta;
            }
        }
    }
}

impl Step for Normalise {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let [_, length, inner] = self.block;
        let row = length * inner;
        if row == 0 {
            return;
        }
        let input: &[f32] = bytemuck::cast_slice(inputs[0]);
        let input = &input[units.start * row..units.end * row];
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        if inner == 1 {
            return self.rows(units.start, input, output);
        }
        let scratch: &mut [f64] = bytemuck::cast_slice_mut(&mut scratch[..16 * inner]);
        for (input, output) in input.chunks_exact(row).zip(output.chunks_exact_mut(row)) {
            self.columns(input, output, scratch);
        }
    }

    fn kernel(&self) -> &str {
        "f32_normalise"
    }
}
