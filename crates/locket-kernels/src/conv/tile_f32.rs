//! The f32 tile: up to 14 pixels by up to 3 registers of output channels, accumulated in registers.
#![expect(
    unsafe_code,
    reason = "reads of runs in the innermost loop, within bounds that the loop states"
)]

use super::places::Taps;
use super::runs::Runs;
use super::{Activate, Activation};
use crate::simd::{MATRIX_COLUMNS, Simd};

/// One tile of a float product.
#[derive(Debug)]
pub(crate) struct TileF32<'a> {
    pub(crate) taps: Taps<'a, f32>,
    /// `[k][lane]`.
    pub(crate) panel: &'a [f32],
    /// One for each lane.
    pub(crate) bias: &'a [f32],
    /// Added before the activation; starts at the tile's first pixel and channel.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) residual_stride: usize,
    /// Starts at the tile's first pixel and channel.
    pub(crate) output: &'a mut [f32],
    pub(crate) output_stride: usize,
    /// Channels to write; lanes beyond are padding.
    pub(crate) columns: usize,
    pub(crate) activation: Activation,
    pub(crate) ahead: Ahead,
    /// Whether the whole product has one row, however it is divided. Only then may that row be added up in its own way: else
    /// results would depend on where threads cut.
    pub(crate) alone: bool,
    /// How many such tiles follow each other, of strided pixels.
    pub(crate) times: usize,
}

impl TileF32<'_> {
    /// Moves on by as many pixels as the tile has.
    #[inline(always)]
    fn advance(&mut self) {
        let rows = self.taps.rows;
        let [height, width] = self.taps.kernel();
        self.ahead.first += self.ahead.step * height * width * self.taps.run;
        self.taps.advance();
        self.output = &mut core::mem::take(&mut self.output)[rows * self.output_stride..];
        if let Some(residual) = &mut self.residual {
            *residual = &residual[rows * self.residual_stride..];
        }
    }
}

/// Which part of the panel after this one a tile asks for while it computes. The hardware reads ahead too late where a panel is used
/// for a few tiles only, as in the last layers of a network; the weights of all layers do not stay in the caches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    /// Bytes from the panel's start.
    first: usize,
    /// Bytes for each element of K.
    step: usize,
}

impl Ahead {
    /// The share of rows `first..first + count` of `rows` in a panel as large as this one, of `bytes` for `depth` elements of K.
    pub(crate) fn of(bytes: usize, depth: usize, [first, count, rows]: [usize; 3]) -> Self {
        Self {
            first: bytes + bytes * first / rows.max(1),
            step: (bytes * count).div_ceil((rows * depth).max(1)),
        }
    }

    /// The same as an offset and a step.
    pub(crate) fn offsets(self) -> [usize; 2] {
        [self.first, self.step]
    }
}

/// Runs a tile that is `vectors` registers wide.
#[inline]
pub(crate) fn run_tile<S: Simd>(simd: S, vectors: usize, tile: &mut TileF32<'_>) {
    crate::conv::tile_f32::select!(S, simd, vectors, tile.taps.rows, tile_entry, tile);
}

/// Calls `$entry::<S, ROWS, VECTORS>` for run-time rows and vectors that [`Simd::MAX_ROWS`] allows.
macro_rules! select {
    ($simd_type:ident, $simd:expr, $vectors:expr, $rows:expr, $entry:ident, $tile:expr) => {
        crate::conv::tile_f32::select!(@match $simd_type, $simd, $vectors, $rows, $entry, $tile,
            [1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14] [2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14] [3: 1 2 3 4 5 6 7 8])
    };
    (@match $simd_type:ident, $simd:expr, $vectors:expr, $rows:expr, $entry:ident, $tile:expr,
        $([$v:literal: $($r:literal)*])*) => {
        match ($vectors, $rows) {
            $($(
                ($v, $r) if const { $r <= $simd_type::MAX_ROWS[$v - 1] } => {
                    if const { $r <= $simd_type::MAX_ROWS[$v - 1] } {
                        $entry::<$simd_type, $r, $v>($simd, $tile);
                    }
                }
            )*)*
            (vectors, rows) => unreachable!("no tile has {rows} rows by {vectors} registers"),
        }
    };
}
pub(crate) use select;

fn tile_entry<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, tile: &mut TileF32<'_>) {
    simd.vectorize(
        #[inline(always)]
        || {
            for left in (0..tile.times).rev() {
                tile_body::<S, ROWS, VECTORS>(simd, tile);
                if left > 0 {
                    tile.advance();
                }
            }
        },
    );
}

#[inline(always)]
fn tile_body<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, tile: &mut TileF32<'_>) {
    let bias = load::<S, VECTORS>(simd, tile.bias);
    let mut acc = [bias; ROWS];
    let [height, width] = tile.taps.kernel();
    assert_eq!(tile.taps.rows, ROWS, "the tile was chosen by its pixels");
    let mut runs = Runs::<_, ROWS>::empty(tile.taps.run);
    let mut panel = tile.panel;
    let mut ahead = tile.ahead;
    for y in 0..height {
        for x in 0..width {
            tile.taps.gather(y, x, &mut runs);
            let (tap, rest) = panel.split_at(tile.taps.run * VECTORS * S::LANES);
            panel = rest;
            if ROWS == 1 && tile.alone {
                accumulate_one::<S, VECTORS>(simd, &mut acc[0], runs.row(0), tap);
            } else {
                accumulate::<S, ROWS, VECTORS>(simd, &mut acc, &runs, tap, tile.panel, ahead);
                ahead.first += ahead.step * tile.taps.run;
            }
        }
    }
    store::<S, ROWS, VECTORS>(simd, acc, tile);
}

/// `acc[row][v] += runs[row][k] * panel[k][v]` over all k; asks for what comes `ahead` of `start`.
#[inline(always)]
fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    acc: &mut [[S::F32; VECTORS]; ROWS],
    runs: &Runs<'_, f32, ROWS>,
    panel: &[f32],
    start: &[f32],
    ahead: Ahead,
) {
    let width = VECTORS * S::LANES;
    for (k, weights) in panel[..runs.len() * width].chunks_exact(width).enumerate() {
        let weights = load::<S, VECTORS>(simd, weights);
        simd.prefetch_far(start, ahead.first + k * ahead.step);
        for row in 0..ROWS {
            // SAFETY: there are as many chunks as elements in a run, and `Taps::gather` set every row.
            let value = simd.splat_f32(unsafe { runs.read(row, k) });
            for v in 0..VECTORS {
                acc[row][v] = simd.mul_add(value, weights[v], acc[row][v]);
            }
        }
    }
}

/// Loads consecutive registers. Here and in the tiles loops stand instead of closures: a closure that the compiler does not inline
/// would be compiled without the instruction set.
#[inline(always)]
fn load<S: Simd, const VECTORS: usize>(simd: S, from: &[f32]) -> [S::F32; VECTORS] {
    let mut registers = [simd.splat_f32(0.0); VECTORS];
    for v in 0..VECTORS {
        registers[v] = simd.load_f32(&from[v * S::LANES..]);
    }
    registers
}

/// Elements of K that a single pixel adds up before their sum joins the rest: of a long run of roundings this leaves two short ones.
const SUM_BLOCK: usize = 64;

/// Bytes ahead of the weights in use that a single pixel asks for: the hardware reads ahead only within a page of memory.
const AHEAD: usize = 2048;

/// The same for a single pixel, with four sums in turn so that one addition does not wait for the last.
#[inline(always)]
fn accumulate_one<S: Simd, const VECTORS: usize>(
    simd: S,
    acc: &mut [S::F32; VECTORS],
    row: &[f32],
    panel: &[f32],
) {
    let width = VECTORS * S::LANES;
    for (row, panel) in row.chunks(SUM_BLOCK).zip(panel.chunks(SUM_BLOCK * width)) {
        let mut sums = [[simd.splat_f32(0.0); VECTORS]; 4];
        let (values, last_values) = row.as_chunks::<4>();
        let (quads, last_weights) = panel.split_at(values.len() * 4 * width);
        for (values, weights) in values.iter().zip(quads.chunks_exact(4 * width)) {
            for (sum, sums) in sums.iter_mut().enumerate() {
                step::<S, VECTORS>(simd, sums, values[sum], &weights[sum * width..]);
            }
        }
        for (value, weights) in last_values.iter().zip(last_weights.chunks_exact(width)) {
            step::<S, VECTORS>(simd, &mut sums[0], *value, weights);
        }
        for v in 0..VECTORS {
            let halves = [
                simd.add_f32(sums[0][v], sums[1][v]),
                simd.add_f32(sums[2][v], sums[3][v]),
            ];
            acc[v] = simd.add_f32(acc[v], simd.add_f32(halves[0], halves[1]));
        }
    }
}

/// `acc[v] += value * weights[v]`.
#[inline(always)]
fn step<S: Simd, const VECTORS: usize>(simd: S, acc: &mut [S::F32; VECTORS], value: f32, weights: &[f32]) {
    let value = simd.splat_f32(value);
    for v in 0..VECTORS {
        let weights = &weights[v * S::LANES..];
        simd.prefetch(weights, AHEAD);
        acc[v] = simd.mul_add(value, simd.load_f32(weights), acc[v]);
    }
}

/// Adds the residual, activates and writes: in registers if every lane counts (or the tile is narrow and has no residual), else through
/// [`finish`].
#[inline(always)]
fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    mut acc: [[S::F32; VECTORS]; ROWS],
    tile: &mut TileF32<'_>,
) {
    let width = VECTORS * S::LANES;
    let is_whole = tile.columns == width;
    if !is_whole && (VECTORS > 1 || tile.residual.is_some()) {
        // A copy by element: taking the address of the accumulators would keep them out of registers.
        let mut sums = [[simd.splat_f32(0.0); VECTORS]; ROWS];
        for row in 0..ROWS {
            for v in 0..VECTORS {
                sums[row][v] = acc[row][v];
            }
        }
        return finish(simd, sums.as_flattened(), VECTORS, tile);
    }
    if let Some(residual) = tile.residual {
        for row in 0..ROWS {
            let residual = &residual[row * tile.residual_stride..][..width];
            for v in 0..VECTORS {
                acc[row][v] = simd.add_f32(acc[row][v], simd.load_f32(&residual[v * S::LANES..]));
            }
        }
    }
    // Decided once for the tile, not for each register.
    let mut activate = Activate::new(simd, tile.activation);
    if tile.activation.is_gate() {
        for row in 0..ROWS {
            for v in 0..VECTORS {
                acc[row][v] = activate.apply(simd, acc[row][v]);
            }
        }
        activate = Activate::new(simd, Activation::NONE);
    }
    if is_whole {
        for row in 0..ROWS {
            let output = &mut tile.output[row * tile.output_stride..][..width];
            for v in 0..VECTORS {
                simd.store_f32(&mut output[v * S::LANES..], activate.clamp(simd, acc[row][v]));
            }
        }
    } else {
        for row in 0..ROWS {
            let output = &mut tile.output[row * tile.output_stride..][..tile.columns];
            simd.store_f32_partial(output, activate.clamp(simd, acc[row][0]));
        }
    }
}

/// Adds the residual, activates and writes; one function for tiles of all sizes.
#[inline(never)]
fn finish<S: Simd>(simd: S, sums: &[S::F32], vectors: usize, tile: &mut TileF32<'_>) {
    simd.vectorize(
        #[inline(always)]
        || finish_body(simd, sums, vectors, tile),
    );
}

#[inline(always)]
fn finish_body<S: Simd>(simd: S, sums: &[S::F32], vectors: usize, tile: &mut TileF32<'_>) {
    let activate = Activate::new(simd, tile.activation);
    for (row, sums) in sums.chunks_exact(vectors).enumerate() {
        let output = &mut tile.output[row * tile.output_stride..][..tile.columns];
        for (v, &sum) in sums.iter().enumerate() {
            let (start, end) = (v * S::LANES, ((v + 1) * S::LANES).min(tile.columns));
            if start >= end {
                break;
            }
            let mut value = sum;
            let whole = end - start == S::LANES;
            if let Some(residual) = tile.residual {
                let residual = &residual[row * tile.residual_stride..][start..end];
                let other = if whole {
                    simd.load_f32(residual)
                } else {
                    simd.load_f32_partial(residual)
                };
                value = simd.add_f32(value, other);
            }
            value = activate.apply(simd, value);
            if whole {
                simd.store_f32(&mut output[start..end], value);
            } else {
                simd.store_f32_partial(&mut output[start..end], value);
            }
        }
    }
}

/// Sums `[row][MATRIX_COLUMNS]` of a product that were left in memory, and where they go.
#[derive(Debug)]
pub(super) struct SumsF32<'a> {
    pub(super) sums: &'a [f32],
    pub(super) rows: usize,
    /// One for each lane.
    pub(super) bias: &'a [f32],
    /// Added before the activation; starts at the first pixel and channel.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) residual_stride: usize,
    /// Starts at the first pixel and channel.
    pub(super) output: &'a mut [f32],
    pub(super) output_stride: usize,
    /// Channels to write; lanes beyond are padding.
    pub(super) columns: usize,
    pub(super) activation: Activation,
}

/// Adds bias and residual, activates and writes.
pub(super) fn store_sums<S: Simd>(simd: S, to: &mut SumsF32<'_>) {
    simd.vectorize(
        #[inline(always)]
        || {
            let activate = Activate::new(simd, to.activation);
            for start in (0..to.columns).step_by(S::LANES) {
                let end = (start + S::LANES).min(to.columns);
                let whole = end - start == S::LANES;
                let bias = simd.load_f32(&to.bias[start..]);
                for row in 0..to.rows {
                    let sum = simd.load_f32(&to.sums[row * MATRIX_COLUMNS + start..]);
                    let mut value = simd.add_f32(sum, bias);
                    if let Some(residual) = to.residual {
                        let residual = &residual[row * to.residual_stride..][start..end];
                        let other = if whole {
                            simd.load_f32(residual)
                        } else {
                            simd.load_f32_partial(residual)
                        };
                        value = simd.add_f32(value, other);
                    }
                    value = activate.apply(simd, value);
                    let output = &mut to.output[row * to.output_stride..][start..end];
                    if whole {
                        simd.store_f32(output, value);
                    } else {
                        simd.store_f32_partial(output, value);
                    }
                }
            }
        },
    );
}
