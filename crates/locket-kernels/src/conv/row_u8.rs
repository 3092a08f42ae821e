//! The integer product of one row with all panels: a fully connected layer of one sample.
//!
//! Each weight is read once, so that the time is that of reading them from the second-level cache; what a tile decides for each
//! panel is decided here once for all. The hardware reads ahead within a page of memory, and a panel often is just a page: the next
//! one is asked for in time.

use core::ops::Range;

use super::tile_u8::{Requantize, tail4};
use crate::isa::Kernel;
use crate::simd::Simd;
use crate::weights::Panels;

/// Bytes ahead of the weights in use that are asked for.
const AHEAD: usize = 1024;

/// One row under a range of panels.
pub(super) struct RowU8<'a> {
    pub(super) input: &'a [u8],
    pub(super) panels: &'a Panels,
    pub(super) range: Range<usize>,
    /// `[panel][k / 4][lane][4]`.
    pub(super) weights: &'a [i8],
    pub(super) bias: &'a [i32],
    pub(super) multiplier: &'a [f32],
    /// Starts with the first channel of the first panel.
    pub(super) target: RowTarget<'a>,
}

/// Where results go.
pub(super) enum RowTarget<'a> {
    U8 {
        output: &'a mut [u8],
        requantize: Requantize,
    },
    F32 {
        output: &'a mut [f32],
        clamp: [f32; 2],
    },
}

impl Kernel for RowU8<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let first = self.panels.panel(self.range.start).first;
        for index in self.range.clone() {
            let panel = self.panels.panel(index);
            let at = (panel.start, panel.first - first, panel.columns);
            match panel.vectors {
                1 => self.panel::<S, 1>(simd, at),
                2 => self.panel::<S, 2>(simd, at),
                _ => self.panel::<S, 3>(simd, at),
            }
        }
    }
}

impl RowU8<'_> {
    /// One panel: `start` lanes before it, its results from `first` on, `columns` of them.
    #[inline(always)]
    fn panel<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        (start, first, columns): (usize, usize, usize),
    ) {
        let width = 4 * VECTORS * S::LANES;
        let fours = self.input.len().div_ceil(4);
        let weights = &self.weights[4 * start * fours..][..width * fours];
        let mut sums = [[simd.splat_i32(0); VECTORS]; 4];
        let (sixteens, rest) = self.input.as_chunks::<16>();
        let (whole, last) = weights.split_at(sixteens.len() * 4 * width);
        for (values, weights) in sixteens.iter().zip(whole.chunks_exact(4 * width)) {
            let (fours, _) = values.as_chunks::<4>();
            for sum in 0..4 {
                let values = simd.pixels4(u32::from_le_bytes(fours[sum]));
                for v in 0..VECTORS {
                    let weights = &weights[sum * width + 4 * v * S::LANES..];
                    simd.prefetch(weights, AHEAD);
                    sums[sum][v] = simd.dot4(sums[sum][v], values, simd.weights4(weights));
                }
            }
        }
        for (values, weights) in rest.chunks(4).zip(last.chunks_exact(width)) {
            let values = simd.pixels4(tail4(values));
            for v in 0..VECTORS {
                let weights = simd.weights4(&weights[4 * v * S::LANES..]);
                sums[0][v] = simd.dot4(sums[0][v], values, weights);
            }
        }
        for v in 0..VECTORS {
            let lane = v * S::LANES;
            if lane >= columns {
                break;
            }
            let halves = [
                simd.add_i32(sums[0][v], sums[1][v]),
                simd.add_i32(sums[2][v], sums[3][v]),
            ];
            let sum = simd.add_i32(halves[0], halves[1]);
            let sum = simd.add_i32(sum, simd.load_i32(&self.bias[start + lane..]));
            let multiplier = simd.load_f32(&self.multiplier[start + lane..]);
            let value = simd.mul_f32(simd.to_f32(sum), multiplier);
            self.write(simd, value, first + lane, S::LANES.min(columns - lane));
        }
    }

    #[inline(always)]
    fn write<S: Simd>(&mut self, simd: S, value: S::F32, at: usize, count: usize) {
        match &mut self.target {
            RowTarget::U8 { output, requantize } => {
                let codes = requantize.apply(simd, value);
                let output = &mut output[at..][..count];
                if count == S::LANES {
                    simd.store_u8(output, codes);
                } else {
                    simd.store_u8_partial(output, codes);
                }
            }
            RowTarget::F32 { output, clamp } => {
                let (low, high) = (simd.splat_f32(clamp[0]), simd.splat_f32(clamp[1]));
                let value = simd.min_f32(high, simd.max_f32(low, value));
                let output = &mut output[at..][..count];
                if count == S::LANES {
                    simd.store_f32(output, value);
                } else {
                    simd.store_f32_partial(output, value);
                }
            }
        }
    }
}
