//! Integer depthwise convolution by groups of four kernel rows.
//!
//! The bytes of four input rows at one column are interleaved, so that one instruction multiplies and sums four vertical taps of
//! a channel; an interleaved column serves every output pixel that reads it. Rows and columns outside the image read the zero point,
//! so all outputs have the same correction for it, folded into the bias.
//!
//! Where all of a row's bytes are contiguous and a register holds several whole pixels (few channels, stride 1), a "block" of
//! channels is that many pixels side by side, and a tap to the right is a shift by the channels of one pixel.
#![expect(unsafe_code, reason = "loads of a tile, whose range is checked beforehand")]

use core::ops::Range;

use super::{Line, lines};
use crate::aligned::Aligned;
use crate::geometry::{ConvGeometry, pixels_len};
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::{Codes, Simd};

/// Kernel rows in a group, and registers of sums in a block of channels.
const GROUP: usize = 4;

/// Packed weights of the plan.
#[derive(Clone, Debug)]
pub(super) struct Quads {
    /// `[block][group of rows][kernel column][register][lane][4]`.
    weights: Aligned<[i8; GROUP]>,
    /// `[block][register][lane]`, the zero point of the input folded in.
    bias: Aligned<i32>,
    multiplier: Aligned<f32>,
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
        let suits = matches!([height, width], [3, 3] | [5, 5])
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
            is_flat,
            outside: vec![input_zero_point; row_len(geometry)],
        })
    }

    /// Returns the bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + self.multiplier.bytes() + self.outside.len()
    }

    /// What a call reads, looked up once.
    pub(super) fn tables(&self) -> Tables<'_> {
        Tables {
            weights: bytemuck::cast_slice(self.weights.as_slice()),
            bias: self.bias.as_slice(),
            multiplier: self.multiplier.as_slice(),
        }
    }

    /// Whether the plan leaves the pixels at the left and right edge to another one.
    pub(super) fn is_flat(&self) -> bool {
        self.is_flat
    }
}

/// The packed values of [`Quads`].
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    weights: &'a [i8],
    bias: &'a [i32],
    multiplier: &'a [f32],
}

/// One call.
pub(super) struct Run<'a> {
    pub(super) quads: &'a Quads,
    pub(super) tables: Tables<'a>,
    pub(super) geometry: &'a ConvGeometry,
    pub(super) input: &'a [u8],
    pub(super) input_zero_point: u8,
    pub(super) output: &'a mut [u8],
    pub(super) zero_point: u8,
    pub(super) clamp: [u8; 2],
    pub(super) rows: Range<usize>,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let geometry = self.geometry;
        for (line, range) in lines(geometry, self.rows.clone()) {
            match (geometry.kernel[0], geometry.stride[1], self.quads.is_flat) {
                (3, _, true) => self.run_flat::<S, 3, 1>(simd, &line, range),
                (_, _, true) => self.run_flat::<S, 5, 2>(simd, &line, range),
                (3, 1, _) => self.run_line::<S, 3, 1, 1, 3>(simd, &line, range),
                (3, _, _) => self.run_line::<S, 3, 1, 2, 2>(simd, &line, range),
                (_, 1, _) => self.run_line::<S, 5, 2, 1, 5>(simd, &line, range),
                (_, _, _) => self.run_line::<S, 5, 2, 2, 3>(simd, &line, range),
            }
        }
    }
}

/// The input rows under each group of kernel rows, all of the same length.
type Rows<'a, const GROUPS: usize> = [[&'a [u8]; GROUP]; GROUPS];

impl<'a> Run<'a> {
    /// Returns the input rows of a line; those outside are zero points.
    #[inline(always)]
    fn rows<const GROUPS: usize>(&self, line: &Line) -> Rows<'a, GROUPS> {
        let outside = self.quads.outside.as_slice();
        let mut rows = [[outside; GROUP]; GROUPS];
        for tap in line.taps.clone() {
            let at = line.input + (tap - line.taps.start) * line.row_step;
            rows[tap / GROUP][tap % GROUP] = &self.input[at..][..outside.len()];
        }
        rows
    }

    /// A line of pixels with many channels. Each input column is interleaved once, for all pixels that read it, whose sums wait in
    /// registers, in turn: those of the pixel `j` after the one that the columns at hand complete are `acc[(turn + j) % PIXELS]`.
    #[inline(always)]
    fn run_line<S: Simd, const SIDE: usize, const GROUPS: usize, const STRIDE: usize, const PIXELS: usize>(
        &mut self,
        simd: S,
        line: &Line,
        range: Range<usize>,
    ) {
        let block = GROUP * S::LANES;
        let outside = simd.pixels4(u32::from_ne_bytes([self.input_zero_point; 4]));
        let rows = self.rows::<GROUPS>(line);
        let [_, in_width] = line.window.input;
        // The first columns complete pixels before the range, which are not written.
        let steps = range.len() + PIXELS - 1;
        // Wraps to a huge number left of the image.
        let first = (range.start * STRIDE + SIDE).wrapping_sub(PIXELS * STRIDE + line.window.pad[1]);
        for channel in (0..line.channels).step_by(block) {
            let count = block.min(line.channels - channel);
            let weights = &self.tables.weights[GROUP * channel * GROUPS * SIDE..];
            let weights = &weights[..GROUP * GROUPS * SIDE * block];
            let bias = load_sums(simd, &self.tables.bias[channel..]);
            assert!((in_width - 1) * line.input_stride + channel + count <= self.quads.outside.len());
            let mut acc = [bias; PIXELS];
            for start in (0..steps).step_by(PIXELS) {
                // Unrolled here, because sums are in registers only if each has a constant index.
                macro_rules! turns {
                    ($($turn:literal)*) => {$(
                        if $turn < PIXELS && start + $turn < steps {
                            for part in 0..STRIDE {
                                let pixel = first.wrapping_add((start + $turn) * STRIDE + part);
                                let mut quads = [[outside; GROUP]; GROUPS];
                                if pixel < in_width {
                                    let at = pixel * line.input_stride + channel;
                                    // SAFETY: the assertion above bounds the last pixel of the rows, which are all of that length.
                                    quads = unsafe { load_column::<S, SIDE, GROUPS>(simd, &rows, at, count) };
                                }
                                for j in 0..PIXELS {
                                    if let Some(tap) = (SIDE + part).checked_sub((j + 1) * STRIDE) {
                                        for group in 0..GROUPS {
                                            let weights = &weights[(group * SIDE + tap) * GROUP * block..];
                                            let acc = &mut acc[($turn + j) % PIXELS];
                                            multiply(simd, acc, quads[group], &weights[..GROUP * block]);
                                        }
                                    }
                                }
                            }
                            if let Some(done) = (start + $turn).checked_sub(PIXELS - 1) {
                                let at = line.output_at(range.start + done) + channel;
                                self.finish(simd, acc[$turn % PIXELS], channel, at, count);
                            }
                            acc[$turn % PIXELS] = bias;
                        }
                    )*};
                }
                turns!(0 1 2 3 4);
            }
        }
    }

    /// A line of contiguous pixels, as many bytes at a time as a register holds.
    #[inline(always)]
    fn run_flat<S: Simd, const SIDE: usize, const GROUPS: usize>(
        &mut self,
        simd: S,
        line: &Line,
        range: Range<usize>,
    ) {
        let block = GROUP * S::LANES;
        let rows = self.rows::<GROUPS>(line);
        let interior = line.window.interior(1);
        let start = interior.start.clamp(range.start, range.end);
        let end = interior.end.clamp(start, range.end);
        let bytes = (end - start) * line.channels;
        let first = start * line.channels;
        if bytes < block {
            if bytes > 0 {
                self.run_flat_block::<S, SIDE, GROUPS>(simd, line, &rows, first, bytes);
            }
            return;
        }
        let mut at = first;
        while at + block <= first + bytes {
            self.run_flat_block::<S, SIDE, GROUPS>(simd, line, &rows, at, block);
            at += block;
        }
        if at < first + bytes {
            // The last block overlaps the one before it and writes some pixels again, the same.
            self.run_flat_block::<S, SIDE, GROUPS>(simd, line, &rows, first + bytes - block, block);
        }
    }

    /// `count` bytes of a line from byte `at` on, at a pixel's first channel.
    #[inline(always)]
    fn run_flat_block<S: Simd, const SIDE: usize, const GROUPS: usize>(
        &mut self,
        simd: S,
        line: &Line,
        rows: &Rows<'_, GROUPS>,
        at: usize,
        count: usize,
    ) {
        let block = GROUP * S::LANES;
        let mut acc = load_sums(simd, self.tables.bias);
        let weights = &self.tables.weights[..GROUP * GROUPS * SIDE * block];
        for column in 0..SIDE {
            let offset = at + column * line.channels - line.window.pad[1] * line.channels;
            assert!(offset + count <= self.quads.outside.len());
            // SAFETY: the rows are all of the length of the assertion.
            let quads = unsafe { load_column::<S, SIDE, GROUPS>(simd, rows, offset, count) };
            for group in 0..GROUPS {
                let weights = &weights[(group * SIDE + column) * GROUP * block..];
                multiply(simd, &mut acc, quads[group], &weights[..GROUP * block]);
            }
        }
        self.finish(simd, acc, 0, line.output_at(0).wrapping_add(at), count);
    }

    /// Requantises a block of sums, whose first lane is `lane`, and writes `count` channels.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, acc: [S::I32; GROUP], lane: usize, at: usize, count: usize) {
        let multipliers = &self.tables.multiplier[lane..][..GROUP * S::LANES];
        let mut results = acc;
        for register in 0..GROUP {
            let multiplier = simd.load_f32(&multipliers[register * S::LANES..]);
            results[register] = simd.round(simd.mul_f32(simd.to_f32(acc[register]), multiplier));
        }
        let codes = Codes::new(simd, self.zero_point, self.clamp);
        simd.store_bytes(&mut self.output[at..][..count], simd.pack4(results, codes));
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

/// Loads `count` bytes of each of `SIDE` rows and interleaves them by groups.
///
/// # Safety
/// `at + count` is at most the length of each row.
#[inline(always)]
unsafe fn load_column<S: Simd, const SIDE: usize, const GROUPS: usize>(
    simd: S,
    rows: &Rows<'_, GROUPS>,
    at: usize,
    count: usize,
) -> [[S::Pixels4; GROUP]; GROUPS] {
    let mut quads = [[simd.pixels4(0); GROUP]; GROUPS];
    for group in 0..GROUPS {
        let mut bytes = [simd.splat_bytes(0); GROUP];
        for row in 0..GROUP {
            if GROUP * group + row < SIDE {
                // SAFETY: the caller vouches for the range.
                bytes[row] = unsafe { simd.load_bytes_unchecked(rows[group][row], at, count) };
            }
        }
        quads[group] = simd.interleave4(bytes);
    }
    quads
}

/// `acc[register] += Σ quads[register] · weights[register]`.
#[inline(always)]
fn multiply<S: Simd>(simd: S, acc: &mut [S::I32; GROUP], quads: [S::Pixels4; GROUP], weights: &[i8]) {
    for register in 0..GROUP {
        let weights = simd.weights4(&weights[GROUP * register * S::LANES..]);
        acc[register] = simd.dot4(acc[register], quads[register], weights);
    }
}
