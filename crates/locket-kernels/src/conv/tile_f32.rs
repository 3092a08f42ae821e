//! The f32 tile: up to 14 pixels by up to 3 registers of output channels, accumulated in registers.

use core::array::from_fn;

use super::places::Taps;
use crate::simd::Simd;

/// One tile of a float product.
#[derive(Debug)]
pub(crate) struct TileF32<'a> {
    pub(crate) taps: Taps<'a, f32>,
    /// `[k][lane]`.
    pub(crate) panel: &'a [f32],
    /// One for each lane.
    pub(crate) bias: &'a [f32],
    /// Added before the clamp; starts at the tile's first pixel and channel.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) residual_stride: usize,
    /// Starts at the tile's first pixel and channel.
    pub(crate) output: &'a mut [f32],
    pub(crate) output_stride: usize,
    /// Channels to write; lanes beyond are padding.
    pub(crate) columns: usize,
    pub(crate) clamp: [f32; 2],
}

/// Runs a tile that is `vectors` registers wide.
pub(crate) fn run_tile<S: Simd>(simd: S, vectors: usize, tile: TileF32<'_>) {
    crate::conv::tile_f32::select!(S, simd, vectors, tile.taps.pixels.len(), tile_entry, tile);
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

fn tile_entry<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, tile: TileF32<'_>) {
    simd.vectorize(
        #[inline(always)]
        || tile_body::<S, ROWS, VECTORS>(simd, tile),
    );
}

#[inline(always)]
fn tile_body<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, tile: TileF32<'_>) {
    let bias: [S::F32; VECTORS] = from_fn(|v| simd.load_f32(&tile.bias[v * S::LANES..]));
    let mut acc = [bias; ROWS];
    let [height, width] = tile.taps.kernel();
    let mut panel = tile.panel;
    for y in 0..height {
        for x in 0..width {
            let rows = tile.taps.rows::<ROWS>(y, x);
            let (tap, rest) = panel.split_at(tile.taps.run * VECTORS * S::LANES);
            panel = rest;
            if ROWS == 1 {
                accumulate_one::<S, VECTORS>(simd, &mut acc[0], rows[0], tap);
            } else {
                accumulate::<S, ROWS, VECTORS>(simd, &mut acc, rows, tap);
            }
        }
    }
    store::<S, ROWS, VECTORS>(simd, acc, tile);
}

/// `acc[row][v] += rows[row][k] * panel[k][v]` over all k.
#[inline(always)]
fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    acc: &mut [[S::F32; VECTORS]; ROWS],
    rows: [&[f32]; ROWS],
    panel: &[f32],
) {
    let width = VECTORS * S::LANES;
    let run = rows[0].len();
    let rows = rows.map(|row| &row[..run]);
    for (k, weights) in panel.chunks_exact(width).take(run).enumerate() {
        let weights: [S::F32; VECTORS] = from_fn(|v| simd.load_f32(&weights[v * S::LANES..]));
        for row in 0..ROWS {
            let value = simd.splat_f32(rows[row][k]);
            for v in 0..VECTORS {
                acc[row][v] = simd.mul_add(value, weights[v], acc[row][v]);
            }
        }
    }
}

/// The same for a single pixel, with four sums in turn so that one addition does not wait for the last.
#[inline(always)]
fn accumulate_one<S: Simd, const VECTORS: usize>(
    simd: S,
    acc: &mut [S::F32; VECTORS],
    row: &[f32],
    panel: &[f32],
) {
    let width = VECTORS * S::LANES;
    let mut sums = [[simd.splat_f32(0.0); VECTORS]; 4];
    let mut step = |sum: usize, value: f32, weights: &[f32]| {
        let value = simd.splat_f32(value);
        for v in 0..VECTORS {
            sums[sum][v] = simd.mul_add(value, simd.load_f32(&weights[v * S::LANES..]), sums[sum][v]);
        }
    };
    let (values, last_values) = row.as_chunks::<4>();
    let quads = panel.chunks_exact(4 * width);
    let last_weights = quads.remainder();
    for (values, weights) in values.iter().zip(quads) {
        for sum in 0..4 {
            step(sum, values[sum], &weights[sum * width..][..width]);
        }
    }
    for (value, weights) in last_values.iter().zip(last_weights.chunks_exact(width)) {
        step(0, *value, weights);
    }
    for v in 0..VECTORS {
        let halves = [
            simd.add_f32(sums[0][v], sums[1][v]),
            simd.add_f32(sums[2][v], sums[3][v]),
        ];
        acc[v] = simd.add_f32(acc[v], simd.add_f32(halves[0], halves[1]));
    }
}

/// Adds the residual, clamps and writes.
#[inline(always)]
fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    acc: [[S::F32; VECTORS]; ROWS],
    tile: TileF32<'_>,
) {
    let [low, high] = tile.clamp.map(|bound| simd.splat_f32(bound));
    let bound = |value| simd.min_f32(high, simd.max_f32(low, value));
    for row in 0..ROWS {
        let output = &mut tile.output[row * tile.output_stride..][..tile.columns];
        let residual = tile
            .residual
            .map(|residual| &residual[row * tile.residual_stride..][..tile.columns]);
        for v in 0..VECTORS {
            let start = v * S::LANES;
            let mut value = acc[row][v];
            if start + S::LANES <= tile.columns {
                if let Some(residual) = residual {
                    value = simd.add_f32(value, simd.load_f32(&residual[start..]));
                }
                simd.store_f32(&mut output[start..], bound(value));
            } else if start < tile.columns {
                if let Some(residual) = residual {
                    value = simd.add_f32(value, simd.load_f32_partial(&residual[start..]));
                }
                simd.store_f32_partial(&mut output[start..], bound(value));
            }
        }
    }
}
