//! Matrix products of which both operands are known only at run time, and dot products.

use core::ops::Range;

use crate::conv::{
    Activation, Ahead, MAX_TILE_ROWS, Pixel, Places, Taps, TileF32, for_each_block, for_each_row_of_tiles,
    run_tile,
};
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;
use crate::weights::Panels;

/// Rows that pass under every panel together.
const BLOCK_ROWS: usize = 8 * MAX_TILE_ROWS;

/// A product `[m, k] · [k, n]` of float matrices: `output = a · (scale * b)`.
///
/// The right operand is packed by [`pack`](Self::pack) first, so that threads can share it.
#[derive(Clone, Debug)]
pub struct MatmulF32 {
    isa: Isa,
    shape: [usize; 3],
    panels: Panels,
    b_transposed: bool,
    scale: f32,
    /// No bias.
    zeros: Vec<f32>,
}

impl MatmulF32 {
    /// Plans a product of `[m, k]` and `[k, n]` (`[n, k]` if `b_transposed`); `scale` multiplies the right operand.
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn new(isa: Isa, [m, k, n]: [usize; 3], b_transposed: bool, scale: f32) -> Self {
        let panels = Panels::new(isa.lanes(), 1, n, m);
        let zeros = vec![0.0; panels.max_width()];
        Self {
            isa,
            shape: [m, k, n],
            panels,
            b_transposed,
            scale,
            zeros,
        }
    }

    /// Returns the elements that the packed right operand takes.
    pub fn packed_elems(&self) -> usize {
        self.panels.padded_columns() * self.shape[1]
    }

    /// Packs the right operand, whose rows are `b_stride` elements apart.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn pack(&self, b: &[f32], b_stride: usize, packed: &mut [f32]) {
        self.isa.dispatch(Pack {
            matmul: self,
            b,
            b_stride,
            packed: &mut packed[..self.packed_elems()],
        });
    }

    /// Computes the output rows `rows` from rows of `a` that are `a_stride` elements apart; `output` holds exactly these rows,
    /// `output_stride` apart.
    ///
    /// # Panics
    /// If a slice is too short or `rows` is out of range.
    pub fn run(
        &self,
        a: &[f32],
        a_stride: usize,
        packed: &[f32],
        output: &mut [f32],
        output_stride: usize,
        rows: Range<usize>,
    ) {
        assert!(
            rows.start <= rows.end && rows.end <= self.shape[0],
            "rows {rows:?} exist"
        );
        assert!(output_stride >= self.shape[2], "output rows do not overlap");
        let packed = &packed[..self.packed_elems()];
        self.isa.dispatch_driver(Run {
            matmul: self,
            a,
            a_stride,
            packed,
            output,
            output_stride,
            rows,
        });
    }
}

struct Pack<'a> {
    matmul: &'a MatmulF32,
    b: &'a [f32],
    b_stride: usize,
    packed: &'a mut [f32],
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
        for index in 0..matmul.panels.count() {
            let panel = matmul.panels.panel(index);
            let target = &mut packed[panel.start * depth..][..panel.width * depth];
            for (k, row) in target.chunks_exact_mut(panel.width).enumerate() {
                let (values, rest) = row.split_at_mut(panel.columns);
                if matmul.b_transposed {
                    for (lane, value) in values.iter_mut().enumerate() {
                        *value = b[(panel.first + lane) * b_stride + k] * matmul.scale;
                    }
                } else {
                    let from = &b[k * b_stride + panel.first..][..panel.columns];
                    for (value, from) in values.iter_mut().zip(from) {
                        *value = from * matmul.scale;
                    }
                }
                rest.fill(0.0);
            }
        }
    }
}

struct Run<'a> {
    matmul: &'a MatmulF32,
    a: &'a [f32],
    a_stride: usize,
    packed: &'a [f32],
    output: &'a mut [f32],
    output_stride: usize,
    rows: Range<usize>,
}

impl Kernel for Run<'_> {
    type Output = ();

    fn run<S: Simd>(self, simd: S) {
        let Self {
            matmul,
            a,
            a_stride,
            packed,
            output,
            output_stride,
            rows,
        } = self;
        let [_, depth, _] = matmul.shape;
        let places = Places::Strided {
            stride: a_stride,
            vertical: &[0],
        };
        let mut pixels = [Pixel::default(); MAX_TILE_ROWS];
        for_each_block(rows.clone(), BLOCK_ROWS, |block| {
            for index in 0..matmul.panels.count() {
                let panel = matmul.panels.panel(index);
                for_each_row_of_tiles(
                    block.clone(),
                    S::MAX_ROWS[panel.vectors - 1],
                    |first, count, times| {
                        let place = places.tile(first, count, 0, &mut pixels);
                        let mut tile = TileF32 {
                            taps: Taps {
                                input: a,
                                padding: &[],
                                run: depth,
                                rows: count,
                                place,
                            },
                            panel: &packed[panel.start * depth..][..panel.width * depth],
                            bias: &matmul.zeros[..panel.width],
                            residual: None,
                            residual_stride: 0,
                            output: &mut output[(first - rows.start) * output_stride + panel.first..],
                            output_stride,
                            columns: panel.columns,
                            activation: Activation::NONE,
                            ahead: Ahead::default(),
                            alone: matmul.shape[0] == 1,
                            times,
                        };
                        run_tile(simd, panel.vectors, &mut tile);
                    },
                );
            }
        });
    }
}

/// Returns `Σ a·b`, summed in 32 interleaved partial sums.
///
/// # Panics
/// If the slices differ in length.
pub fn dot_f32(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "both have the same length");
    isa.dispatch(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> f32 {
        let mut sums = [0.0; 32];
        let (a, last_a) = self.a.as_chunks::<32>();
        let (b, last_b) = self.b.as_chunks::<32>();
        for (a, b) in a.iter().zip(b) {
            for lane in 0..32 {
                sums[lane] = S::fused(a[lane], b[lane], sums[lane]);
            }
        }
        for (sum, (a, b)) in sums.iter_mut().zip(last_a.iter().zip(last_b)) {
            *sum = S::fused(*a, *b, *sum);
        }
        crate::rows::fold_sum(sums)
    }
}
