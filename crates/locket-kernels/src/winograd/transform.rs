//! The transforms of F(4×4, 3×3), a register of channels at a time.

use core::ops::Range;

use super::{PATCH, POINTS, TILE};
use crate::conv::{Activate, Activation};
use crate::geometry::ConvGeometry;
use crate::isa::Kernel;
use crate::simd::Simd;
use crate::weights::Panels;

/// Most lanes of a panel.
const MAX_WIDTH: usize = 48;

/// Values of a filter.
const TAPS: usize = 9;

/// Values of a panel's lanes.
type Lanes = [f64; MAX_WIDTH];

/// `G g` of three values, for each lane.
#[inline(always)]
fn filter_transform(g: [&Lanes; 3], transformed: &mut [Lanes; PATCH], width: usize) {
    for lane in 0..width {
        let [a, b, c] = g.map(|values| values[lane]);
        let (ends, middle) = ((a + c) * (-1.0 / 6.0), b * (1.0 / 6.0));
        let (outer, inner) = (a * (1.0 / 24.0) + c * (1.0 / 6.0), b * (1.0 / 12.0));
        transformed[0][lane] = a * 0.25;
        transformed[1][lane] = ends - middle;
        transformed[2][lane] = ends + middle;
        transformed[3][lane] = outer + inner;
        transformed[4][lane] = outer - inner;
        transformed[5][lane] = c;
    }
}

/// Transforms filters `[channel out][channel in][3 * 3]` to `G g Gᵀ`, in double precision and rounded once:
/// `[point][panel][channel in][lane]`, zero in the padding.
pub(super) struct Filters<'a> {
    pub(super) panels: &'a Panels,
    pub(super) channels: usize,
    pub(super) weights: &'a [f32],
    pub(super) packed: &'a mut [f32],
}

impl Kernel for Filters<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let zeros = [0.0; MAX_WIDTH];
        let mut filter = [zeros; TAPS];
        let mut columns = [[zeros; PATCH]; 3];
        let mut row = [zeros; PATCH];
        let padded = self.panels.padded_columns();
        for index in 0..self.panels.count() {
            let panel = self.panels.panel(index);
            let width = panel.width;
            for channel in 0..self.channels {
                for lane in 0..panel.columns {
                    let at = ((panel.first + lane) * self.channels + channel) * TAPS;
                    let taps = &self.weights[at..][..TAPS];
                    for (values, &tap) in filter.iter_mut().zip(taps) {
                        values[lane] = f64::from(tap);
                    }
                }
                for (x, column) in columns.iter_mut().enumerate() {
                    filter_transform([&filter[x], &filter[3 + x], &filter[6 + x]], column, width);
                }
                for y in 0..PATCH {
                    filter_transform([&columns[0][y], &columns[1][y], &columns[2][y]], &mut row, width);
                    for (x, values) in row.iter().enumerate() {
                        let place =
                            ((y * PATCH + x) * padded + panel.start) * self.channels + channel * width;
                        let target = &mut self.packed[place..][..width];
                        for (target, &value) in target.iter_mut().zip(values) {
                            *target = value as f32;
                        }
                    }
                }
            }
            // The lanes of padding of the next panel are none of this one's channels.
            filter = [zeros; TAPS];
        }
    }
}

/// `Bᵀ d` of six values.
#[inline(always)]
fn input_transform<S: Simd>(simd: S, d: [S::F32; PATCH]) -> [S::F32; PATCH] {
    let (two, four, five) = (simd.splat_f32(2.0), simd.splat_f32(4.0), simd.splat_f32(-5.0));
    let (minus_one, minus_four) = (simd.splat_f32(-1.0), simd.splat_f32(-4.0));
    let p = simd.mul_add(d[2], minus_four, d[4]);
    let q = simd.mul_add(d[1], minus_four, d[3]);
    let r = simd.mul_add(d[2], minus_one, d[4]);
    let s = simd.mul_f32(two, simd.mul_add(d[1], minus_one, d[3]));
    [
        simd.mul_add(d[0], four, simd.mul_add(d[2], five, d[4])),
        simd.add_f32(p, q),
        simd.mul_add(q, minus_one, p),
        simd.add_f32(r, s),
        simd.mul_add(s, minus_one, r),
        simd.mul_add(d[1], four, simd.mul_add(d[3], five, d[5])),
    ]
}

/// `Aᵀ m` of six values.
#[inline(always)]
fn output_transform<S: Simd>(simd: S, m: [S::F32; PATCH]) -> [S::F32; TILE] {
    let (two, four, eight) = (simd.splat_f32(2.0), simd.splat_f32(4.0), simd.splat_f32(8.0));
    let minus_one = simd.splat_f32(-1.0);
    let a = simd.add_f32(m[1], m[2]);
    let b = simd.mul_add(m[2], minus_one, m[1]);
    let c = simd.add_f32(m[3], m[4]);
    let d = simd.mul_add(m[4], minus_one, m[3]);
    [
        simd.add_f32(m[0], simd.add_f32(a, c)),
        simd.mul_add(d, two, b),
        simd.mul_add(c, four, a),
        simd.mul_add(d, eight, simd.add_f32(b, m[5])),
    ]
}

/// Transforms the input of a block of tiles into `[point][tile][channel]`.
pub(super) struct Gather<'a> {
    pub(super) geometry: &'a ConvGeometry,
    /// Numbered over the whole output, row by row.
    pub(super) tiles: Range<usize>,
    pub(super) input: &'a [f32],
    /// Elements between tiles.
    pub(super) stride: usize,
    /// Tiles for which each point has room.
    pub(super) block: usize,
    pub(super) transformed: &'a mut [f32],
}

/// The offset of a pixel outside the image.
const OUTSIDE: usize = usize::MAX;

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let columns = geometry.out_width.div_ceil(TILE);
        let channels = geometry.in_channels;
        let whole = channels - channels % S::LANES;
        let mut offsets = [OUTSIDE; POINTS];
        for (slot, tile) in self.tiles.enumerate() {
            let (top, left) = (tile / columns * TILE, tile % columns * TILE);
            for point in 0..POINTS {
                // Wrapping below zero is outside as well.
                let y = (top + point / PATCH).wrapping_sub(geometry.pad[0]);
                let x = (left + point % PATCH).wrapping_sub(geometry.pad[2]);
                offsets[point] = if y < geometry.in_height && x < geometry.in_width {
                    (y * geometry.in_width + x) * geometry.input_stride
                } else {
                    OUTSIDE
                };
            }
            let mut channel = 0;
            while channel < channels {
                let partial = channel >= whole;
                let mut patch = [[simd.splat_f32(0.0); PATCH]; PATCH];
                for y in 0..PATCH {
                    for x in 0..PATCH {
                        let offset = offsets[y * PATCH + x];
                        if offset == OUTSIDE {
                            continue;
                        }
                        patch[y][x] = if partial {
                            simd.load_f32_partial(&self.input[offset + channel..offset + channels])
                        } else {
                            simd.load_f32(&self.input[offset + channel..])
                        };
                    }
                }
                for row in &mut patch {
                    *row = input_transform(simd, *row);
                }
                let place = slot * self.stride + channel;
                for x in 0..PATCH {
                    let mut column = [simd.splat_f32(0.0); PATCH];
                    for y in 0..PATCH {
                        column[y] = patch[y][x];
                    }
                    let column = input_transform(simd, column);
                    for y in 0..PATCH {
                        let at = (y * PATCH + x) * self.block * self.stride + place;
                        simd.store_f32(&mut self.transformed[at..], column[y]);
                    }
                }
                channel += S::LANES;
            }
        }
    }
}

/// Transforms the products of a block of tiles back and writes pixels.
pub(super) struct Scatter<'a> {
    pub(super) geometry: &'a ConvGeometry,
    pub(super) tiles: Range<usize>,
    /// The output row that `output` and `residual` start with.
    pub(super) first_row: usize,
    pub(super) products: &'a [f32],
    pub(super) stride: usize,
    pub(super) block: usize,
    pub(super) bias: &'a [f32],
    pub(super) activation: Activation,
    pub(super) residual: Option<&'a [f32]>,
    pub(super) output: &'a mut [f32],
}

impl Kernel for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let columns = geometry.out_width.div_ceil(TILE);
        let channels = geometry.out_channels;
        let whole = channels - channels % S::LANES;
        let activate = Activate::new(simd, self.activation);
        for (slot, tile) in self.tiles.enumerate() {
            let (top, left) = (tile / columns * TILE, tile % columns * TILE);
            let rows = TILE.min(geometry.out_height - top);
            let width = TILE.min(geometry.out_width - left);
            let mut channel = 0;
            while channel < channels {
                let place = slot * self.stride + channel;
                let mut half = [[simd.splat_f32(0.0); TILE]; PATCH];
                for y in 0..PATCH {
                    let mut row = [simd.splat_f32(0.0); PATCH];
                    for x in 0..PATCH {
                        row[x] = simd
                            .load_f32(&self.products[(y * PATCH + x) * self.block * self.stride + place..]);
                    }
                    half[y] = output_transform(simd, row);
                }
                let bias = simd.load_f32(&self.bias[channel..]);
                for x in 0..width {
                    let mut column = [simd.splat_f32(0.0); PATCH];
                    for y in 0..PATCH {
                        column[y] = half[y][x];
                    }
                    let column = output_transform(simd, column);
                    for y in 0..rows {
                        let pixel = (top + y - self.first_row) * geometry.out_width + left + x;
                        let mut value = simd.add_f32(column[y], bias);
                        let end = if channel >= whole {
                            channels
                        } else {
                            channel + S::LANES
                        };
                        if let Some(residual) = self.residual {
                            let from = &residual[pixel * channels + channel..pixel * channels + end];
                            let other = if channel >= whole {
                                simd.load_f32_partial(from)
                            } else {
                                simd.load_f32(from)
                            };
                            value = simd.add_f32(value, other);
                        }
                        value = activate.apply(simd, value);
                        let start = pixel * geometry.output_stride;
                        let to = &mut self.output[start + channel..start + end];
                        if channel >= whole {
                            simd.store_f32_partial(to, value);
                        } else {
                            simd.store_f32(to, value);
                        }
                    }
                }
                channel += S::LANES;
            }
        }
    }
}
