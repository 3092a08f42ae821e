//! Integer depthwise convolution by groups of four kernel rows.
//!
//! The bytes of four input rows at one column are interleaved, so that one instruction multiplies and sums four vertical taps of
//! a channel; an interleaved column serves every output pixel that reads it. Rows and columns outside the image read the zero point,
//! so all outputs have the same correction for it, folded into the bias.
//!
//! Where all of a row's bytes are contiguous and a register holds several whole pixels (few channels, stride 1), a "block" of
//! channels is that many pixels side by side, and a tap to the right is a shift by the channels of one pixel.

use core::ops::Range;

use super::{Line, lines};
use crate::aligned::Aligned;
use crate::conv::Requantize;
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Kernel rows in a group, channels of each lane in a block.
const GROUP: usize = 4;

/// Packed weights of the plan.
#[derive(Clone, Debug)]
pub(super) struct Quads {
    /// `[block][group of rows][kernel column][register][lane][4]`.
    weights: Aligned<[i8; GROUP]>,
    /// `[block][register][lane]`, the zero point of the input folded in.
    bias: Aligned<i32>,
    multiplier: Aligned<f32>,
    /// Groups of kernel rows.
    groups: usize,
    /// Whether a block is several pixels.
    is_flat: bool,
}

/// The channel of a block that a lane of a register holds: four bytes wide columns of 16-byte pieces, as byte interleaving within
/// 128-bit pieces leaves them.
fn channel_of(register: usize, lane: usize) -> usize {
    16 * (lane / 4) + 4 * register + lane % 4
}

impl Quads {
    /// Returns the plan, or `None` if another one is better or a result could leave the range of the conversion.
    pub(super) fn new(
        isa: Isa,
        geometry: &ConvGeometry,
        weights: &[i8],
        bias: &[i32],
        input_zero_point: u8,
        multiplier: &[f32],
    ) -> Option<Self> {
        let channels = geometry.in_channels;
        let block = GROUP * isa.lanes();
        let [height, width] = geometry.kernel;
        let taps = height * width;
        let is_dense = geometry.input_stride == channels && geometry.output_stride == channels;
        let is_flat =
            is_dense && channels < block && block.is_multiple_of(channels) && geometry.stride[1] == 1;
        let suits = matches!(width, 3 | 5)
            && matches!(geometry.stride[1], 1 | 2)
            && geometry.dilation[1] == 1
            && (is_flat || 2 * channels > block);
        let in_range = (0..channels).all(|channel| {
            let weights = &weights[channel * taps..][..taps];
            let size: f64 = weights
                .iter()
                .map(|&weight| 255.0 * f64::from(weight).abs())
                .sum();
            (size + f64::from(bias[channel]).abs()) * f64::from(multiplier[channel]).abs()
                < f64::from(1 << 30)
        });
        if !suits || !in_range {
            return None;
        }
        let groups = height.div_ceil(GROUP);
        let blocks = if is_flat { 1 } else { channels.div_ceil(block) };
        // `None` in the padding after the last channel.
        let place = |index: usize| {
            let (lane, register) = (index % isa.lanes(), index / isa.lanes() % GROUP);
            let channel = index / block * block + channel_of(register, lane);
            if is_flat {
                Some(channel % channels)
            } else {
                Some(channel).filter(|&channel| channel < channels)
            }
        };
        let mut packed = Aligned::<[i8; GROUP]>::zeroed(blocks * groups * width * block);
        for (index, quad) in packed.as_mut_slice().iter_mut().enumerate() {
            let (within, tap) = (index % block, index / block % (groups * width));
            let (group, column) = (tap / width, tap % width);
            let Some(channel) = place(index / (block * groups * width) * block + within) else {
                continue;
            };
            for (row, weight) in (GROUP * group..height).zip(quad) {
                *weight = weights[channel * taps + row * width + column];
            }
        }
        let fold = |channel: usize| {
            let sum: i64 = weights[channel * taps..][..taps]
                .iter()
                .map(|&weight| i64::from(weight))
                .sum();
            // Wraps as the sums do.
            (i64::from(bias[channel]) - i64::from(input_zero_point) * sum) as i32
        };
        let lanes = 0..blocks * block;
        let bias: Vec<i32> = lanes.clone().map(|index| place(index).map_or(0, fold)).collect();
        let multiplier: Vec<f32> = lanes
            .map(|index| place(index).map_or(0.0, |channel| multiplier[channel]))
            .collect();
        Some(Self {
            weights: packed,
            bias: Aligned::from_slice(&bias),
            multiplier: Aligned::from_slice(&multiplier),
            groups,
            is_flat,
        })
    }

    /// Returns the bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + self.multiplier.bytes()
    }

    /// Whether the plan leaves the pixels at the left and right edge to another one.
    pub(super) fn is_flat(&self) -> bool {
        self.is_flat
    }
}

/// One call.
pub(super) struct Run<'a> {
    pub(super) quads: &'a Quads,
    pub(super) geometry: &'a ConvGeometry,
    pub(super) input: &'a [u8],
    pub(super) input_zero_point: u8,
    pub(super) output: &'a mut [u8],
    pub(super) requantize: Requantize,
    pub(super) clamp: [u8; 2],
    pub(super) rows: Range<usize>,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let geometry = self.geometry;
        for (line, range) in lines(geometry, self.rows.clone()) {
            if self.quads.is_flat {
                match geometry.kernel[1] {
                    3 => self.run_flat::<S, 3>(simd, &line, range),
                    _ => self.run_flat::<S, 5>(simd, &line, range),
                }
            } else {
                match (geometry.kernel[1], geometry.stride[1]) {
                    (3, 1) => self.run_line::<S, 3, 1>(simd, &line, range),
                    (3, _) => self.run_line::<S, 3, 2>(simd, &line, range),
                    (_, 1) => self.run_line::<S, 5, 1>(simd, &line, range),
                    (_, _) => self.run_line::<S, 5, 2>(simd, &line, range),
                }
            }
        }
    }
}

/// Four input rows under a group of kernel rows: start and elements between pixels; rows outside have none between.
type Rows<'a> = [(&'a [u8], usize); GROUP];

impl Run<'_> {
    /// A line of pixels with many channels: four pixels at a time, then one.
    #[inline(always)]
    fn run_line<S: Simd, const WIDTH: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        line: &Line,
        range: Range<usize>,
    ) {
        let mut x = range.start;
        while x + 4 <= range.end {
            self.run_tile::<S, WIDTH, STRIDE, 4>(simd, line, x);
            x += 4;
        }
        while x < range.end {
            self.run_tile::<S, WIDTH, STRIDE, 1>(simd, line, x);
            x += 1;
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd, const WIDTH: usize, const STRIDE: usize, const PIXELS: usize>(
        &mut self,
        simd: S,
        line: &Line,
        x: usize,
    ) {
        let block = GROUP * S::LANES;
        let outside = [self.input_zero_point; 64];
        let outside_quad = simd.pixels4(u32::from_ne_bytes([self.input_zero_point; 4]));
        let pad = line.window.pad[1];
        let first = x * STRIDE;
        for (index, channel) in (0..line.channels).step_by(block).enumerate() {
            let count = block.min(line.channels - channel);
            let mut acc = [[simd.splat_i32(0); GROUP]; PIXELS];
            for register in 0..GROUP {
                let bias = simd.load_i32(&self.quads.bias.as_slice()[index * block + register * S::LANES..]);
                for pixel in 0..PIXELS {
                    acc[pixel][register] = bias;
                }
            }
            for group in 0..self.quads.groups {
                let rows = self.rows(line, group, channel, &outside);
                let at = (index * self.quads.groups + group) * WIDTH * block;
                let weights =
                    bytemuck::cast_slice::<_, i8>(&self.quads.weights.as_slice()[at..][..WIDTH * block]);
                for column in 0..(PIXELS - 1) * STRIDE + WIDTH {
                    let is_inside = first + column >= pad && first + column - pad < line.window.input[1];
                    let quads = if is_inside {
                        simd.interleave4(load_rows(simd, &rows, first + column - pad, count))
                    } else {
                        [outside_quad; GROUP]
                    };
                    for pixel in 0..PIXELS {
                        if column >= pixel * STRIDE && column - pixel * STRIDE < WIDTH {
                            let weights =
                                &weights[(column - pixel * STRIDE) * GROUP * block..][..GROUP * block];
                            multiply(simd, &mut acc[pixel], quads, weights);
                        }
                    }
                }
            }
            for pixel in 0..PIXELS {
                let at = line.output_at(x + pixel) + channel;
                self.finish(simd, acc[pixel], index * block, at, count);
            }
        }
    }

    /// A line of contiguous pixels, as many bytes at a time as a register holds.
    #[inline(always)]
    fn run_flat<S: Simd, const WIDTH: usize>(&mut self, simd: S, line: &Line, range: Range<usize>) {
        let block = GROUP * S::LANES;
        let outside = [self.input_zero_point; 64];
        let interior = line.window.interior(1);
        let start = interior.start.clamp(range.start, range.end);
        let end = interior.end.clamp(start, range.end);
        let bytes = (end - start) * line.channels;
        let (first, output) = (
            (start - line.window.pad[1].min(start)) * line.channels,
            line.output_at(start),
        );
        let mut at = 0;
        while at < bytes {
            // The last register overlaps the one before it, if there is one, and writes some pixels again, the same.
            at = at.min(bytes.saturating_sub(block));
            let count = block.min(bytes - at);
            let mut acc = [simd.splat_i32(0); GROUP];
            for register in 0..GROUP {
                acc[register] = simd.load_i32(&self.quads.bias.as_slice()[register * S::LANES..]);
            }
            for group in 0..self.quads.groups {
                let rows = self.rows(line, group, 0, &outside);
                let weights = &self.quads.weights.as_slice()[group * WIDTH * block..][..WIDTH * block];
                let weights = bytemuck::cast_slice::<_, i8>(weights);
                for column in 0..WIDTH {
                    let offset = first + at + column * line.channels;
                    let rows = rows.map(|(row, step)| (row, step.min(1)));
                    let quads = simd.interleave4(load_rows(simd, &rows, offset, count));
                    multiply(
                        simd,
                        &mut acc,
                        quads,
                        &weights[column * GROUP * block..][..GROUP * block],
                    );
                }
            }
            self.finish(simd, acc, 0, output + at, count);
            at += block;
        }
    }

    /// Returns the input rows under a group of kernel rows, from a channel on.
    #[inline(always)]
    fn rows<'b>(&'b self, line: &Line, group: usize, channel: usize, outside: &'b [u8; 64]) -> Rows<'b> {
        let mut rows: Rows<'b> = [(outside, 0); GROUP];
        for row in 0..GROUP {
            let tap = GROUP * group + row;
            if line.taps.contains(&tap) {
                let at = line.input + (tap - line.taps.start) * line.row_step + channel;
                rows[row] = (&self.input[at..], line.input_stride);
            }
        }
        rows
    }

    /// Requantises a block of sums and writes `count` channels.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, acc: [S::I32; GROUP], lane: usize, at: usize, count: usize) {
        let mut results = acc;
        for register in 0..GROUP {
            let multiplier = simd.load_f32(&self.quads.multiplier.as_slice()[lane + register * S::LANES..]);
            let value = simd.mul_f32(simd.to_f32(acc[register]), multiplier);
            results[register] = self.requantize.apply_in_range(simd, value);
        }
        simd.store_bytes(&mut self.output[at..][..count], simd.pack4(results), self.clamp);
    }
}

/// Loads the four rows at pixel `x`.
#[inline(always)]
fn load_rows<S: Simd>(simd: S, rows: &Rows<'_>, x: usize, count: usize) -> [S::Bytes; GROUP] {
    let mut bytes = [simd.splat_bytes(0); GROUP];
    for row in 0..GROUP {
        let (from, step) = rows[row];
        bytes[row] = simd.load_bytes(&from[x * step..][..count]);
    }
    bytes
}

/// `acc[register] += Σ quads[register] · weights[register]`.
#[inline(always)]
fn multiply<S: Simd>(simd: S, acc: &mut [S::I32; GROUP], quads: [S::Pixels4; GROUP], weights: &[i8]) {
    for register in 0..GROUP {
        let weights = simd.weights4(&weights[GROUP * register * S::LANES..]);
        acc[register] = simd.dot4(acc[register], quads[register], weights);
    }
}
