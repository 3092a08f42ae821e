//! Pooling over channels-last images: greatest value, mean, and the mean of whole images.
//!
//! A pixel's channels are taken in chunks whose accumulators stay in registers while all taps pass.

use core::ops::Range;

use crate::conv::Requantize;
use crate::geometry::PoolGeometry;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Channels that are accumulated together.
const CHUNK: usize = 64;

/// Takes the greatest value of each window; padding takes no part. A NaN in the window is the result; a window without any
/// pixel gives negative infinity.
///
/// `rows` are output pixels, counted over batch, height and width; `output` holds exactly these.
///
/// # Panics
/// If a slice is too short or `rows` is out of range.
pub fn max_f32(isa: Isa, geometry: &PoolGeometry, input: &[f32], output: &mut [f32], rows: Range<usize>) {
    geometry.check_run(input.len(), output.len(), &rows);
    isa.dispatch(Pool {
        geometry,
        input,
        output,
        rows,
        fold: MaxF32,
    });
}

/// Takes the greatest value of each window; padding takes no part, a window without any pixel gives 0.
///
/// # Panics
/// As for [`max_f32`].
pub fn max_u8(isa: Isa, geometry: &PoolGeometry, input: &[u8], output: &mut [u8], rows: Range<usize>) {
    geometry.check_run(input.len(), output.len(), &rows);
    isa.dispatch(Pool {
        geometry,
        input,
        output,
        rows,
        fold: MaxU8,
    });
}

/// Takes the mean of each window: the sum, kernel row by kernel row, divided by the number of taps, or of those inside the image
/// unless `count_include_pad`.
///
/// # Panics
/// As for [`max_f32`].
pub fn avg_f32(
    isa: Isa,
    geometry: &PoolGeometry,
    count_include_pad: bool,
    input: &[f32],
    output: &mut [f32],
    rows: Range<usize>,
) {
    geometry.check_run(input.len(), output.len(), &rows);
    let area = count_include_pad.then_some(geometry.kernel[0] * geometry.kernel[1]);
    isa.dispatch(Pool {
        geometry,
        input,
        output,
        rows,
        fold: MeanF32 { area },
    });
}

/// How a quantised mean is scaled: `scale_x / scale_y`, zero points, and bounds of the stored result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanU8 {
    /// Scale of the input over scale of the output.
    pub multiplier: f32,
    /// Stored input value that stands for zero.
    pub input_zero_point: u8,
    /// Stored output value that stands for zero.
    pub zero_point: u8,
    /// Least and greatest stored output value.
    pub clamp: [u8; 2],
}

/// Takes the mean of each window; padding counts as zero if `count_include_pad`, else not at all.
///
/// Exactly: `sum = Σ (x - input_zero_point)` in i32; `t = sum as f32 * (multiplier / count as f32)`;
/// `y = clamp(round_ties_even(t) + zero_point)`, with products and quotients rounded to f32.
///
/// # Panics
/// As for [`max_f32`]; if the window has over 2²² taps; if the multiplier is not finite.
pub fn avg_u8(
    isa: Isa,
    geometry: &PoolGeometry,
    mean: &MeanU8,
    count_include_pad: bool,
    input: &[u8],
    output: &mut [u8],
    rows: Range<usize>,
) {
    geometry.check_run(input.len(), output.len(), &rows);
    let taps = geometry.kernel[0] * geometry.kernel[1];
    let area = count_include_pad.then_some(taps);
    isa.dispatch(Pool {
        geometry,
        input,
        output,
        rows,
        fold: FoldMeanU8::new(mean, area, taps),
    });
}

/// Takes the mean over the pixels of each image: `[batch, pixels, channels]` to `[batch, channels]`.
///
/// # Panics
/// If a slice does not have its size.
pub fn global_mean_f32(isa: Isa, [batch, pixels, channels]: [usize; 3], input: &[f32], output: &mut [f32]) {
    let geometry = whole_image(batch, pixels, channels);
    avg_f32(isa, &geometry, true, input, output, 0..batch);
}

/// Takes the mean over the pixels of each image: `[batch, pixels, channels]` to `[batch, channels]`, by the formula of [`avg_u8`].
///
/// # Panics
/// As for [`avg_u8`].
pub fn global_mean_u8(
    isa: Isa,
    [batch, pixels, channels]: [usize; 3],
    mean: &MeanU8,
    input: &[u8],
    output: &mut [u8],
) {
    let geometry = whole_image(batch, pixels, channels);
    avg_u8(isa, &geometry, mean, true, input, output, 0..batch);
}

fn whole_image(batch: usize, pixels: usize, channels: usize) -> PoolGeometry {
    PoolGeometry {
        batch,
        in_height: 1,
        in_width: pixels,
        channels,
        out_height: 1,
        out_width: 1,
        kernel: [1, pixels],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0; 4],
        input_stride: channels,
        output_stride: channels,
        output_offset: 0,
    }
}

/// What a pooling does with the values under its window.
trait Fold {
    type Value: Copy;
    type Sum: Copy;

    fn start(&self) -> Self::Sum;
    fn add(&self, sum: Self::Sum, value: Self::Value) -> Self::Sum;
    /// Turns sums over `count` taps into results.
    fn finish(&self, sums: &[Self::Sum], count: usize, output: &mut [Self::Value]);
}

struct Pool<'a, F: Fold> {
    geometry: &'a PoolGeometry,
    input: &'a [F::Value],
    output: &'a mut [F::Value],
    rows: Range<usize>,
    fold: F,
}

impl<F: Fold> Kernel for Pool<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let geometry = self.geometry;
        let window = geometry.window();
        for row in self.rows.clone() {
            let (x, line) = (row % geometry.out_width, row / geometry.out_width);
            let (y, n) = (line % geometry.out_height, line / geometry.out_height);
            let taps = [window.taps(0, y), window.taps(1, x)];
            let count = taps[0].len() * taps[1].len();
            let start = |axis: usize, at: usize| match taps[axis].is_empty() {
                true => 0,
                false => window.coordinate(axis, at, taps[axis].start),
            };
            let pixel = (n * geometry.in_height + start(0, y)) * geometry.in_width + start(1, x);
            let steps = [window.dilation[0] * geometry.in_width, window.dilation[1]]
                .map(|s| s * geometry.input_stride);
            let output = (row - self.rows.start) * geometry.output_stride + geometry.output_offset;
            for channel in (0..geometry.channels).step_by(CHUNK) {
                let width = CHUNK.min(geometry.channels - channel);
                let mut sums = [self.fold.start(); CHUNK];
                for ty in 0..taps[0].len() {
                    let from = pixel * geometry.input_stride + ty * steps[0] + channel;
                    for tx in 0..taps[1].len() {
                        let values = &self.input[from + tx * steps[1]..][..width];
                        if let Ok(values) = <&[F::Value; CHUNK]>::try_from(values) {
                            for lane in 0..CHUNK {
                                sums[lane] = self.fold.add(sums[lane], values[lane]);
                            }
                        } else {
                            for (sum, &value) in sums.iter_mut().zip(values) {
                                *sum = self.fold.add(*sum, value);
                            }
                        }
                    }
                }
                let output = &mut self.output[output + channel..][..width];
                self.fold.finish(&sums[..width], count, output);
            }
        }
    }
}

struct MaxF32;

impl Fold for MaxF32 {
    type Value = f32;
    type Sum = f32;

    #[inline(always)]
    fn start(&self) -> f32 {
        f32::NEG_INFINITY
    }

    #[inline(always)]
    fn add(&self, sum: f32, value: f32) -> f32 {
        if value > sum || value.is_nan() { value } else { sum }
    }

    #[inline(always)]
    fn finish(&self, sums: &[f32], _count: usize, output: &mut [f32]) {
        output.copy_from_slice(sums);
    }
}

struct MaxU8;

impl Fold for MaxU8 {
    type Value = u8;
    type Sum = u8;

    #[inline(always)]
    fn start(&self) -> u8 {
        0
    }

    #[inline(always)]
    fn add(&self, sum: u8, value: u8) -> u8 {
        sum.max(value)
    }

    #[inline(always)]
    fn finish(&self, sums: &[u8], _count: usize, output: &mut [u8]) {
        output.copy_from_slice(sums);
    }
}

struct MeanF32 {
    /// Divisor, unless it is the taps inside the image.
    area: Option<usize>,
}

impl Fold for MeanF32 {
    type Value = f32;
    type Sum = f32;

    #[inline(always)]
    fn start(&self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn add(&self, sum: f32, value: f32) -> f32 {
        sum + value
    }

    #[inline(always)]
    fn finish(&self, sums: &[f32], count: usize, output: &mut [f32]) {
        let divisor = self.area.unwrap_or(count) as f32;
        for (result, sum) in output.iter_mut().zip(sums) {
            *result = sum / divisor;
        }
    }
}

struct FoldMeanU8 {
    multiplier: f32,
    input_zero_point: i32,
    requantize: Requantize,
    area: Option<usize>,
}

impl FoldMeanU8 {
    fn new(mean: &MeanU8, area: Option<usize>, taps: usize) -> Self {
        assert!(taps <= 1 << 22, "a window has at most 2^22 taps, found {taps}");
        assert!(mean.multiplier.is_finite(), "the multiplier is finite");
        Self {
            multiplier: mean.multiplier,
            input_zero_point: i32::from(mean.input_zero_point),
            requantize: Requantize::new(mean.zero_point, mean.clamp),
            area,
        }
    }
}

impl Fold for FoldMeanU8 {
    type Value = u8;
    type Sum = i32;

    #[inline(always)]
    fn start(&self) -> i32 {
        0
    }

    #[inline(always)]
    fn add(&self, sum: i32, value: u8) -> i32 {
        sum + i32::from(value)
    }

    #[inline(always)]
    fn finish(&self, sums: &[i32], count: usize, output: &mut [u8]) {
        // An empty window has sum zero and, whatever it is divided by, mean zero.
        let multiplier = self.multiplier / self.area.unwrap_or(count).max(1) as f32;
        let zeros = count as i32 * self.input_zero_point;
        for (result, &sum) in output.iter_mut().zip(sums) {
            *result = self.requantize.apply_lane((sum - zeros) as f32 * multiplier);
        }
    }
}
