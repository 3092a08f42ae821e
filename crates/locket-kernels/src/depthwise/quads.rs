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
use crate::geometry::{ConvGeometry, pixels_len};
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;

/// Kernel rows in a group, and registers of sums in a block of channels.
const GROUP: usize = 4;
/// Most groups: kernels of up to eight rows.
const MOST_GROUPS: usize = 2;

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
    /// A row of zero points, for kernel rows outside the image.
    outside: Vec<u8>,
}

/// Elements of an input row up to the last channel of its last pixel.
fn row_len(geometry: &ConvGeometry) -> usize {
    pixels_len(geometry.in_width, geometry.input_stride, geometry.in_channels)
}

/// The channel of a block that a lane of a register holds: four bytes wide columns of 16-byte pieces, as byte interleaving within
/// 128-bit pieces leaves them.
fn channel_of(register: usize, lane: usize) -> usize {
    16 * (lane / 4) + 4 * register + lane % 4
}

/// What the shape decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Channels of a block, or of the pixels of a block if flat.
    block: usize,
    groups: usize,
    blocks: usize,
    pub(super) is_flat: bool,
}

impl Plan {
    /// Returns what the shape decides, or `None` if another kernel suits it better.
    pub(super) fn of(isa: Isa, geometry: &ConvGeometry) -> Option<Self> {
        let channels = geometry.in_channels;
        let block = GROUP * isa.lanes();
        let [height, width] = geometry.kernel;
        let is_dense = geometry.input_stride == channels && geometry.output_stride == channels;
        let is_flat =
            is_dense && channels < block && block.is_multiple_of(channels) && geometry.stride[1] == 1;
        let suits = matches!(width, 3 | 5)
            && height <= GROUP * MOST_GROUPS
            && matches!(geometry.stride[1], 1 | 2)
            && geometry.dilation[1] == 1
            && (is_flat || 2 * channels > block);
        suits.then_some(Self {
            block,
            groups: height.div_ceil(GROUP),
            blocks: if is_flat { 1 } else { channels.div_ceil(block) },
            is_flat,
        })
    }
}

impl Keep for Quads {
    fn keep(&self, parts: &mut Parts) {
        let buffers = [self.weights.share(), self.bias.share(), self.multiplier.share()];
        parts.buffers.extend(buffers);
    }
}

impl Quads {
    /// Takes what another plan for the same shape kept.
    pub(super) fn stored(
        plan: Plan,
        geometry: &ConvGeometry,
        input_zero_point: u8,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        let lanes = plan.blocks * plan.block;
        Ok(Self {
            weights: parts.buffer(lanes * plan.groups * geometry.kernel[1])?,
            bias: parts.buffer(lanes)?,
            multiplier: parts.buffer(lanes)?,
            groups: plan.groups,
            is_flat: plan.is_flat,
            outside: vec![input_zero_point; row_len(geometry)],
        })
    }

    /// Returns the plan, or `None` if another one is better or a result could leave the range of the conversion.
    pub(super) fn new(
        isa: Isa,
        geometry: &ConvGeometry,
        weights: &[i8],
        bias: &[i32],
        input_zero_point: u8,
        multiplier: &[f32],
    ) -> Option<Self> {
        let Plan {
            block,
            groups,
            blocks,
            is_flat,
        } = Plan::of(isa, geometry)?;
        let channels = geometry.in_channels;
        let [height, width] = geometry.kernel;
        let taps = height * width;
        let in_range = (0..channels).all(|channel| {
            let weights = &weights[channel * taps..][..taps];
            let size: f64 = weights
                .iter()
                .map(|&weight| 255.0 * f64::from(weight).abs())
                .sum();
            (size + f64::from(bias[channel]).abs()) * f64::from(multiplier[channel]).abs()
                < f64::from(1 << 30)
        });
        if !in_range {
            return None;
        }
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
        let packed = Aligned::<[i8; GROUP]>::build(blocks * groups * width * block, |packed| {
            for (index, quad) in packed.iter_mut().enumerate() {
                let (within, tap) = (index % block, index / block % (groups * width));
                let (group, column) = (tap / width, tap % width);
                let Some(channel) = place(index / (block * groups * width) * block + within) else {
                    continue;
                };
                for (row, weight) in (GROUP * group..height).zip(quad) {
                    *weight = weights[channel * taps + row * width + column];
                }
            }
        });
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
            outside: vec![input_zero_point; row_len(geometry)],
        })
    }

    /// Returns the bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + self.multiplier.bytes() + self.outside.len()
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

/// The input rows under each group of kernel rows, all of the same length.
type Rows<'a> = [[&'a [u8]; GROUP]; MOST_GROUPS];

impl<'a> Run<'a> {
    /// Returns the input rows of a line; those outside are zero points.
    #[inline(always)]
    fn rows(&self, line: &Line) -> Rows<'a> {
        let outside = self.quads.outside.as_slice();
        let mut rows = [[outside; GROUP]; MOST_GROUPS];
        for tap in line.taps.clone() {
            let at = line.input + (tap - line.taps.start) * line.row_step;
            rows[tap / GROUP][tap % GROUP] = &self.input[at..][..outside.len()];
        }
        rows
    }

    /// A line of pixels with many channels: four pixels at a time, then one.
    #[inline(always)]
    fn run_line<S: Simd, const WIDTH: usize, const STRIDE: usize>(
        &mut self,
        simd: S,
        line: &Line,
        range: Range<usize>,
    ) {
        let block = GROUP * S::LANES;
        let rows = self.rows(line);
        let whole = line.channels / block * block;
        let mut x = range.start;
        while x + 4 <= range.end {
            for channel in (0..whole).step_by(block) {
                self.run_tile::<S, WIDTH, STRIDE, 4, true>(simd, line, &rows, x, channel);
            }
            if whole < line.channels {
                self.run_tile::<S, WIDTH, STRIDE, 4, false>(simd, line, &rows, x, whole);
            }
            x += 4;
        }
        while x < range.end {
            for channel in (0..line.channels).step_by(block) {
                self.run_tile::<S, WIDTH, STRIDE, 1, false>(simd, line, &rows, x, channel);
            }
            x += 1;
        }
    }

    /// A block of channels, all of which count if it is `WHOLE`, of `PIXELS` adjacent pixels.
    #[inline(always)]
    fn run_tile<S: Simd, const WIDTH: usize, const STRIDE: usize, const PIXELS: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        line: &Line,
        rows: &Rows<'_>,
        x: usize,
        channel: usize,
    ) {
        let block = GROUP * S::LANES;
        let count = if WHOLE {
            block
        } else {
            block.min(line.channels - channel)
        };
        let outside = simd.pixels4(u32::from_ne_bytes([self.input_zero_point; 4]));
        let bias = load_sums(simd, &self.quads.bias.as_slice()[channel..]);
        let mut acc = [bias; PIXELS];
        for group in 0..self.quads.groups {
            let at = (channel * self.quads.groups + group * block) * WIDTH;
            let weights =
                bytemuck::cast_slice::<_, i8>(&self.quads.weights.as_slice()[at..][..WIDTH * block]);
            for column in 0..(PIXELS - 1) * STRIDE + WIDTH {
                // Wraps to a huge number left of the image.
                let pixel = (x * STRIDE + column).wrapping_sub(line.window.pad[1]);
                let mut quads = [outside; GROUP];
                if pixel < line.window.input[1] {
                    quads = load_quads(simd, &rows[group], pixel * line.input_stride + channel, count);
                }
                for pixel in 0..PIXELS {
                    if column >= pixel * STRIDE && column - pixel * STRIDE < WIDTH {
                        let weights = &weights[(column - pixel * STRIDE) * GROUP * block..][..GROUP * block];
                        multiply(simd, &mut acc[pixel], quads, weights);
                    }
                }
            }
        }
        for pixel in 0..PIXELS {
            self.finish(
                simd,
                acc[pixel],
                channel,
                line.output_at(x + pixel) + channel,
                count,
            );
        }
    }

    /// A line of contiguous pixels, as many bytes at a time as a register holds.
    #[inline(always)]
    fn run_flat<S: Simd, const WIDTH: usize>(&mut self, simd: S, line: &Line, range: Range<usize>) {
        let block = GROUP * S::LANES;
        let rows = self.rows(line);
        let interior = line.window.interior(1);
        let start = interior.start.clamp(range.start, range.end);
        let end = interior.end.clamp(start, range.end);
        let bytes = (end - start) * line.channels;
        if bytes < block {
            if bytes > 0 {
                self.run_flat_block::<S, WIDTH>(simd, line, &rows, start * line.channels, bytes);
            }
            return;
        }
        let first = start * line.channels;
        let mut at = first;
        while at + block <= first + bytes {
            self.run_flat_block::<S, WIDTH>(simd, line, &rows, at, block);
            at += block;
        }
        if at < first + bytes {
            // The last block overlaps the one before it and writes some pixels again, the same.
            self.run_flat_block::<S, WIDTH>(simd, line, &rows, first + bytes - block, block);
        }
    }

    /// `count` bytes of a line from byte `at` on, at a pixel's first channel.
    #[inline(always)]
    fn run_flat_block<S: Simd, const WIDTH: usize>(
        &mut self,
        simd: S,
        line: &Line,
        rows: &Rows<'_>,
        at: usize,
        count: usize,
    ) {
        let block = GROUP * S::LANES;
        let mut acc = load_sums(simd, self.quads.bias.as_slice());
        for group in 0..self.quads.groups {
            let weights = &self.quads.weights.as_slice()[group * WIDTH * block..][..WIDTH * block];
            let weights = bytemuck::cast_slice::<_, i8>(weights);
            for column in 0..WIDTH {
                let offset = at + column * line.channels - line.window.pad[1] * line.channels;
                let quads = load_quads(simd, &rows[group], offset, count);
                multiply(
                    simd,
                    &mut acc,
                    quads,
                    &weights[column * GROUP * block..][..GROUP * block],
                );
            }
        }
        self.finish(simd, acc, 0, line.output_at(0).wrapping_add(at), count);
    }

    /// Requantises a block of sums, whose first lane is `lane`, and writes `count` channels.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, acc: [S::I32; GROUP], lane: usize, at: usize, count: usize) {
        let multipliers = &self.quads.multiplier.as_slice()[lane..][..GROUP * S::LANES];
        let mut results = acc;
        for register in 0..GROUP {
            let multiplier = simd.load_f32(&multipliers[register * S::LANES..]);
            let value = simd.mul_f32(simd.to_f32(acc[register]), multiplier);
            results[register] = self.requantize.apply_in_range(simd, value);
        }
        simd.store_bytes(&mut self.output[at..][..count], simd.pack4(results), self.clamp);
    }
}

/// Loads a block of sums.
#[inline(always)]
fn load_sums<S: Simd>(simd: S, from: &[i32]) -> [S::I32; GROUP] {
    let from = &from[..GROUP * S::LANES];
    let mut sums = [simd.load_i32(from); GROUP];
    for register in 1..GROUP {
        sums[register] = simd.load_i32(&from[register * S::LANES..]);
    }
    sums
}

/// Loads and interleaves `count` bytes of four rows of the same length.
#[inline(always)]
fn load_quads<S: Simd>(simd: S, rows: &[&[u8]; GROUP], at: usize, count: usize) -> [S::Pixels4; GROUP] {
    let mut bytes = [simd.splat_bytes(0); GROUP];
    for row in 0..GROUP {
        bytes[row] = simd.load_bytes(&rows[row][at..][..count]);
    }
    simd.interleave4(bytes)
}

/// `acc[register] += Σ quads[register] · weights[register]`.
#[inline(always)]
fn multiply<S: Simd>(simd: S, acc: &mut [S::I32; GROUP], quads: [S::Pixels4; GROUP], weights: &[i8]) {
    for register in 0..GROUP {
        let weights = simd.weights4(&weights[GROUP * register * S::LANES..]);
        acc[register] = simd.dot4(acc[register], quads[register], weights);
    }
}
