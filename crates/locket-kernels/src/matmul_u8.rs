//! Products of two integer matrices that are both known only at run time.

use core::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};

use crate::conv::{
    MAX_TILE_ROWS, Output, Pixel, Places, Requantize, Taps, TargetU8, TileU8, for_each_block,
    for_each_row_of_tiles, run_tile_u8,
};
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;
use crate::weights::Panels;

/// Rows that pass under every panel together.
const BLOCK_ROWS: usize = 8 * MAX_TILE_ROWS;

/// A product `[m, k] · [k, n]` of u8 matrices with a zero point each, requantised.
///
/// The exact formula, the same bits on every instruction set:
/// `acc = Σ (a - zero_point_a) · (b - zero_point_b)` in i32, wrapping; `t = acc as f32 * multiplier`; then as [`crate::ConvU8`].
#[derive(Clone, Debug)]
pub struct MatmulU8 {
    isa: Isa,
    shape: [usize; 3],
    panels: Panels,
    b_transposed: bool,
    zero_points: [u8; 2],
    /// One for each lane of the widest panel.
    multiplier: Vec<f32>,
    output: Output,
}

impl MatmulU8 {
    /// Plans a product of `[m, k]` and `[k, n]` (`[n, k]` if `b_transposed`), with the zero points of both.
    ///
    /// # Panics
    /// If `n` is zero, a residual is configured, or the multiplier is not finite.
    pub fn new(
        isa: Isa,
        [m, k, n]: [usize; 3],
        b_transposed: bool,
        zero_points: [u8; 2],
        multiplier: f32,
        output: Output,
    ) -> Self {
        assert!(multiplier.abs() < 1e20, "the multiplier is finite and below 1e20");
        let has_residual = matches!(
            output,
            Output::U8 {
                residual: Some(_),
                ..
            }
        );
        assert!(!has_residual, "a product has no residual");
        let panels = Panels::new(isa.lanes(), 1, n, m);
        Self {
            isa,
            shape: [m, k, n],
            panels,
            b_transposed,
            zero_points,
            multiplier: vec![multiplier; panels.max_width()],
            output,
        }
    }

    fn quads(&self) -> usize {
        self.shape[1].div_ceil(4)
    }

    /// Returns the bytes that the packed right operand takes, with what is summed beforehand.
    pub fn packed_bytes(&self) -> usize {
        self.panels.padded_columns() * (self.quads() + 1) * 4
    }

    /// Packs the right operand, whose rows are `b_stride` elements apart. `packed` starts on a multiple of four.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn pack(&self, b: &[u8], b_stride: usize, packed: &mut [u8]) {
        self.isa.dispatch(Pack {
            matmul: self,
            b,
            b_stride,
            packed: cast_slice_mut(&mut packed[..self.packed_bytes()]),
        });
    }

    /// Computes the output rows `rows` as u8 from rows of `a` that are `a_stride` elements apart; `output` holds exactly these rows,
    /// without gaps.
    ///
    /// # Panics
    /// If the output is float, a slice is too short or `rows` is out of range.
    pub fn run(&self, a: &[u8], a_stride: usize, packed: &[u8], output: &mut [u8], rows: Range<usize>) {
        let Output::U8 {
            zero_point, clamp, ..
        } = self.output
        else {
            panic!("this product was made for float output");
        };
        let is_near = Requantize::are_near(&self.multiplier[..1], None);
        let requantize = Requantize::new(zero_point, clamp).near(is_near);
        self.dispatch(a, a_stride, packed, Sink::U8 { output, requantize }, rows);
    }

    /// Computes the output rows `rows` as float; as [`run`](Self::run) otherwise.
    ///
    /// # Panics
    /// If the output is u8, a slice is too short or `rows` is out of range.
    pub fn run_f32(&self, a: &[u8], a_stride: usize, packed: &[u8], output: &mut [f32], rows: Range<usize>) {
        let Output::F32 { clamp } = self.output else {
            panic!("this product was made for u8 output");
        };
        self.dispatch(a, a_stride, packed, Sink::F32 { output, clamp }, rows);
    }

    fn dispatch(&self, a: &[u8], a_stride: usize, packed: &[u8], sink: Sink<'_>, rows: Range<usize>) {
        assert!(
            rows.start <= rows.end && rows.end <= self.shape[0],
            "rows {rows:?} exist"
        );
        let (bias, weights) = packed[..self.packed_bytes()].split_at(self.panels.padded_columns() * 4);
        self.isa.dispatch_driver(Run {
            matmul: self,
            a,
            a_stride,
            bias: cast_slice(bias),
            weights: cast_slice(weights),
            sink,
            rows,
        });
    }
}

struct Pack<'a> {
    matmul: &'a MatmulU8,
    b: &'a [u8],
    b_stride: usize,
    packed: &'a mut [i32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self {
            matmul,
            b,
            b_stride,
            packed,
        } = self;
        let [_, depth, _] = matmul.shape;
        let quads = matmul.quads();
        let [zero_a, zero_b] = matmul.zero_points.map(i32::from);
        let (bias, weights) = packed.split_at_mut(matmul.panels.padded_columns());
        weights.fill(0);
        for index in 0..matmul.panels.count() {
            let panel = matmul.panels.panel(index);
            let target = &mut weights[panel.start * quads..][..panel.width * quads];
            let target: &mut [[i8; 4]] = cast_slice_mut(target);
            let sums = &mut bias[panel.start..][..panel.width];
            sums.fill(0);
            for k in 0..depth {
                let row = &mut target[k / 4 * panel.width..][..panel.columns];
                if matmul.b_transposed {
                    // Four at a time where there are four.
                    if !k.is_multiple_of(4) {
                        continue;
                    }
                    let count = (depth - k).min(4);
                    for (lane, (quad, sum)) in row.iter_mut().zip(&mut *sums).enumerate() {
                        let from = &b[(panel.first + lane) * b_stride + k..][..count];
                        for (value, &code) in quad.iter_mut().zip(from) {
                            *value = (code ^ 0x80).cast_signed();
                            *sum += i32::from(*value);
                        }
                    }
                } else {
                    let from = &b[k * b_stride + panel.first..][..panel.columns];
                    for ((quad, sum), &code) in row.iter_mut().zip(&mut *sums).zip(from) {
                        quad[k % 4] = (code ^ 0x80).cast_signed();
                        *sum += i32::from(quad[k % 4]);
                    }
                }
            }
            // The codes of b stand 128 lower now, and so does their zero point.
            let fixed = (depth as i32).wrapping_mul(zero_a * (zero_b - 128));
            for sum in sums {
                *sum = fixed.wrapping_sub(zero_a.wrapping_mul(*sum));
            }
        }
    }
}

/// Where a run writes.
enum Sink<'a> {
    U8 {
        output: &'a mut [u8],
        requantize: Requantize,
    },
    F32 {
        output: &'a mut [f32],
        clamp: [f32; 2],
    },
}

impl Sink<'_> {
    #[inline]
    fn at(&mut self, at: usize) -> TargetU8<'_> {
        match self {
            Sink::U8 { output, requantize } => TargetU8::U8 {
                output: &mut output[at..],
                requantize: *requantize,
                residual: None,
            },
            Sink::F32 { output, clamp } => TargetU8::F32 {
                output: &mut output[at..],
                clamp: *clamp,
            },
        }
    }
}

struct Run<'a> {
    matmul: &'a MatmulU8,
    a: &'a [u8],
    a_stride: usize,
    /// `[panel][lane]`.
    bias: &'a [i32],
    /// `[panel][k / 4][lane][4]`.
    weights: &'a [[i8; 4]],
    sink: Sink<'a>,
    rows: Range<usize>,
}

impl Kernel for Run<'_> {
    type Output = ();

    fn run<S: Simd>(self, simd: S) {
        let Self {
            matmul,
            a,
            a_stride,
            bias,
            weights,
            mut sink,
            rows,
        } = self;
        let [_, depth, columns] = matmul.shape;
        let quads = matmul.quads();
        let places = Places::Strided {
            stride: a_stride,
            vertical: &[0],
        };
        let mut pixels = [Pixel::default(); MAX_TILE_ROWS];
        let mut sums = [0; BLOCK_ROWS];
        for_each_block(rows.clone(), BLOCK_ROWS, |block| {
            let sums = &mut sums[..block.len()];
            matmul.isa.dispatch(RowSums {
                a: &a[block.start * a_stride..],
                a_stride,
                depth,
                factor: 128 - i32::from(matmul.zero_points[1]),
                sums,
            });
            for index in 0..matmul.panels.count() {
                let panel = matmul.panels.panel(index);
                for_each_row_of_tiles(
                    block.clone(),
                    S::MAX_ROWS[panel.vectors - 1],
                    |first, count, times| {
                        let place = places.tile(first, count, 0, &mut pixels);
                        let weights = &weights[panel.start * quads..][..panel.width * quads];
                        let mut tile = TileU8 {
                            taps: Taps {
                                input: a,
                                padding: &[],
                                run: depth,
                                rows: count,
                                place,
                            },
                            panel: cast_slice(weights),
                            bias: &bias[panel.start..][..panel.width],
                            row_bias: &sums[first - block.start..][..count * times],
                            multiplier: &matmul.multiplier[..panel.width],
                            target: sink.at((first - rows.start) * columns + panel.first),
                            output_stride: columns,
                            columns: panel.columns,
                            times,
                        };
                        run_tile_u8(simd, panel.vectors, &mut tile);
                    },
                );
            }
        });
    }
}

/// `factor * Σ a` of consecutive rows.
struct RowSums<'a> {
    a: &'a [u8],
    a_stride: usize,
    depth: usize,
    factor: i32,
    sums: &'a mut [i32],
}

impl Kernel for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (row, sum) in self.sums.iter_mut().enumerate() {
            let values = &self.a[row * self.a_stride..][..self.depth];
            let mut total = 0;
            for &value in values {
                total += i32::from(value);
            }
            *sum = self.factor.wrapping_mul(total);
        }
    }
}
