//! The u8 tile: up to 14 pixels by up to 3 registers of output channels, four products at a time, then requantisation.
#![expect(
    unsafe_code,
    reason = "reads of runs in the innermost loop, within bounds that the loop states"
)]

use super::output::Residual;
use super::places::Taps;
use super::runs::Runs;
use super::tile_f32::select;
use crate::simd::{Codes, MATRIX_COLUMNS, MATRIX_ROWS, Simd};

/// One tile of an integer product.
#[derive(Debug)]
pub(crate) struct TileU8<'a> {
    pub(crate) taps: Taps<'a, u8>,
    /// `[run][k / 4][lane][4]`.
    pub(crate) panel: &'a [i8],
    /// One for each lane, the input's zero point folded in.
    pub(crate) bias: &'a [i32],
    /// One for each pixel, or empty.
    pub(crate) row_bias: &'a [i32],
    /// One for each lane.
    pub(crate) multiplier: &'a [f32],
    pub(crate) target: Target<'a>,
    /// Elements between two pixels of the target.
    pub(crate) output_stride: usize,
    /// Channels to write; lanes beyond are padding.
    pub(crate) columns: usize,
    /// How many such tiles follow each other, of strided pixels.
    pub(crate) times: usize,
}

/// Where results go; slices start at the tile's first pixel and channel.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    U8 {
        output: &'a mut [u8],
        requantize: Requantize,
        residual: Option<ResidualTile<'a>>,
    },
    F32 {
        output: &'a mut [f32],
        clamp: [f32; 2],
    },
}

/// Bounds and zero point of a u8 result: `clamp(round(t), low, high) + zero_point`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requantize {
    low: f32,
    high: f32,
    zero_point: i32,
    /// The bounds as they are stored.
    stored: [u8; 2],
    /// Whether all values are within ±2³⁰, so that they need no bounds before they are rounded.
    is_near: bool,
}

impl Requantize {
    /// Takes the bounds of the result as they are stored.
    pub(crate) fn new(zero_point: u8, clamp: [u8; 2]) -> Self {
        assert!(clamp[0] <= clamp[1], "the clamp {clamp:?} is not empty");
        let [low, high] = clamp.map(|bound| f32::from(bound) - f32::from(zero_point));
        Self {
            low,
            high,
            zero_point: i32::from(zero_point),
            stored: clamp,
            is_near: false,
        }
    }

    /// The same for values that are known to be within ±2³⁰, or not.
    pub(crate) fn near(self, is_near: bool) -> Self {
        Self { is_near, ..self }
    }

    /// Whether integer sums times these multipliers, and a residual of such a scale, are within ±2³⁰.
    pub(crate) fn are_near(multipliers: &[f32], residual: Option<Residual>) -> bool {
        multipliers.iter().all(|multiplier| multiplier.abs() <= 0.25)
            && residual.is_none_or(|residual| residual.multiplier.abs() <= 1e6)
    }

    /// Clamping to integer bounds before rounding gives what clamping after it would, and keeps the value in range.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, value: S::F32) -> S::I32 {
        let bounded = simd.min_f32(
            simd.splat_f32(self.high),
            simd.max_f32(simd.splat_f32(self.low), value),
        );
        simd.add_i32(simd.round(bounded), simd.splat_i32(self.zero_point))
    }
}

impl Requantize {
    /// What narrows values that were rounded.
    #[inline(always)]
    fn codes<S: Simd>(self, simd: S) -> Codes<S> {
        Codes::new(simd, self.zero_point as u8, self.stored)
    }

    /// The same for one value; NaN counts as zero, as it does in a cast.
    #[inline(always)]
    pub(crate) fn apply_lane(self, value: f32) -> u8 {
        (round_clamped(value, self.low, self.high) + self.zero_point) as u8
    }
}

/// Rounds to the nearest integer, ties to even, within integer bounds of magnitude at most 2²²; NaN gives zero, bounded.
#[inline(always)]
pub(crate) fn round_clamped(value: f32, low: f32, high: f32) -> i32 {
    /// Adding this moves the integer part, rounded, into the low mantissa bits; unlike a call of the rounding function it
    /// is also fast where the machine has no instruction for that.
    const MAGIC: f32 = 12_582_912.0;
    let value = if value.is_nan() { 0.0 } else { value };
    let value = if value < low { low } else { value };
    let value = if value > high { high } else { value };
    (value + MAGIC).to_bits().cast_signed() - MAGIC.to_bits().cast_signed()
}

/// The other summand of a residual connection: adds `(r - zero_point) * multiplier`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResidualTile<'a> {
    pub(crate) values: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) zero_point: i32,
    pub(crate) multiplier: f32,
}

impl TileU8<'_> {
    /// Moves on by as many pixels as the tile has.
    #[inline(always)]
    fn advance(&mut self) {
        let rows = self.taps.rows;
        self.taps.advance();
        self.row_bias = self.row_bias.get(rows..).unwrap_or_default();
        self.skip(rows);
    }

    /// Moves the target on by as many pixels.
    #[inline(always)]
    fn skip(&mut self, rows: usize) {
        match &mut self.target {
            Target::U8 { output, residual, .. } => {
                *output = &mut core::mem::take(output)[rows * self.output_stride..];
                if let Some(residual) = residual {
                    residual.values = &residual.values[rows * residual.stride..];
                }
            }
            Target::F32 { output, .. } => {
                *output = &mut core::mem::take(output)[rows * self.output_stride..];
            }
        }
    }
}

/// Runs a tile that is `vectors` registers wide.
#[inline]
pub(crate) fn run_tile<S: Simd>(simd: S, vectors: usize, tile: &mut TileU8<'_>) {
    select!(S, simd, vectors, tile.taps.rows, tile_entry, tile);
}

fn tile_entry<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, tile: &mut TileU8<'_>) {
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
fn tile_body<S: Simd, const ROWS: usize, const VECTORS: usize>(simd: S, tile: &mut TileU8<'_>) {
    let mut bias = [simd.splat_i32(0); VECTORS];
    for v in 0..VECTORS {
        bias[v] = simd.load_i32(&tile.bias[v * S::LANES..]);
    }
    let mut acc = [bias; ROWS];
    if !tile.row_bias.is_empty() {
        for row in 0..ROWS {
            let row_bias = simd.splat_i32(tile.row_bias[row]);
            for v in 0..VECTORS {
                acc[row][v] = simd.add_i32(acc[row][v], row_bias);
            }
        }
    }
    let [height, width] = tile.taps.kernel();
    assert_eq!(tile.taps.rows, ROWS, "the tile was chosen by its pixels");
    let mut runs = Runs::<_, ROWS>::empty(tile.taps.run);
    let mut panel = tile.panel;
    for y in 0..height {
        for x in 0..width {
            tile.taps.gather(y, x, &mut runs);
            let (tap, rest) = panel.split_at(tile.taps.run.div_ceil(4) * 4 * VECTORS * S::LANES);
            panel = rest;
            if ROWS == 1 {
                accumulate_one::<S, VECTORS>(simd, &mut acc[0], runs.row(0), tap);
            } else {
                accumulate::<S, ROWS, VECTORS>(simd, &mut acc, &runs, tap);
            }
        }
    }
    store::<S, ROWS, VECTORS>(simd, acc, tile);
}

/// The last one to three values of a run, zeros after them (their weights are zero too).
#[inline(always)]
pub(crate) fn tail4(values: &[u8]) -> u32 {
    values
        .iter()
        .rev()
        .fold(0, |four, &value| four << 8 | u32::from(value))
}

/// `acc[row][v] += Σ runs[row][k] * panel[k / 4][v][k % 4]` over all k.
#[inline(always)]
fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    acc: &mut [[S::I32; VECTORS]; ROWS],
    runs: &Runs<'_, u8, ROWS>,
    panel: &[i8],
) {
    let width = 4 * VECTORS * S::LANES;
    let run = runs.len();
    for (k, weights) in panel[..run / 4 * width].chunks_exact(width).enumerate() {
        let weights = load::<S, VECTORS>(simd, weights);
        for row in 0..ROWS {
            // SAFETY: there are as many chunks as whole fours in a run, and `Taps::gather` set every row.
            let values = simd.pixels4(unsafe { runs.read4(row, k) });
            for v in 0..VECTORS {
                acc[row][v] = simd.dot4(acc[row][v], values, weights[v]);
            }
        }
    }
    if !run.is_multiple_of(4) {
        let weights = load::<S, VECTORS>(simd, &panel[run / 4 * width..]);
        // Apart, so that the loop over the accumulators is short enough to be unrolled: they stay in registers only if
        // every access to them has a constant index.
        let mut values = [0; ROWS];
        for row in 0..ROWS {
            values[row] = tail4(&runs.row(row)[run / 4 * 4..]);
        }
        for row in 0..ROWS {
            let values = simd.pixels4(values[row]);
            for v in 0..VECTORS {
                acc[row][v] = simd.dot4(acc[row][v], values, weights[v]);
            }
        }
    }
}

/// Loads consecutive registers. Here and in the tiles loops stand instead of closures: a closure that the compiler does not inline
/// would be compiled without the instruction set.
#[inline(always)]
fn load<S: Simd, const VECTORS: usize>(simd: S, from: &[i8]) -> [S::Weights4; VECTORS] {
    let mut registers = [simd.weights4(from); VECTORS];
    for v in 1..VECTORS {
        registers[v] = simd.weights4(&from[4 * v * S::LANES..]);
    }
    registers
}

/// `acc[v] += Σ values · weights[v]`.
#[inline(always)]
fn step<S: Simd, const VECTORS: usize>(simd: S, acc: &mut [S::I32; VECTORS], values: u32, weights: &[i8]) {
    let values = simd.pixels4(values);
    for v in 0..VECTORS {
        acc[v] = simd.dot4(acc[v], values, simd.weights4(&weights[4 * v * S::LANES..]));
    }
}

/// The same for a single pixel, with four sums in turn so that one addition does not wait for the last.
#[inline(always)]
fn accumulate_one<S: Simd, const VECTORS: usize>(
    simd: S,
    acc: &mut [S::I32; VECTORS],
    row: &[u8],
    panel: &[i8],
) {
    let width = 4 * VECTORS * S::LANES;
    let mut sums = [[simd.splat_i32(0); VECTORS]; 4];
    let (values, rest) = row.as_chunks::<16>();
    // The last, shorter sixteen is padded in the panel to whole fours, perhaps to all of sixteen.
    let (sixteens, last_weights) = panel.split_at(values.len() * 4 * width);
    for (values, weights) in values.iter().zip(sixteens.chunks_exact(4 * width)) {
        let (fours, _) = values.as_chunks::<4>();
        for (sum, sums) in sums.iter_mut().enumerate() {
            step::<S, VECTORS>(
                simd,
                sums,
                u32::from_le_bytes(fours[sum]),
                &weights[sum * width..],
            );
        }
    }
    for (values, weights) in rest.chunks(4).zip(last_weights.chunks_exact(width)) {
        step::<S, VECTORS>(simd, &mut sums[0], tail4(values), weights);
    }
    for v in 0..VECTORS {
        let halves = [
            simd.add_i32(sums[0][v], sums[1][v]),
            simd.add_i32(sums[2][v], sums[3][v]),
        ];
        acc[v] = simd.add_i32(acc[v], simd.add_i32(halves[0], halves[1]));
    }
}

/// Narrows four registers of rounded values and writes them at their places, of tiles `VECTORS` registers wide.
#[inline(always)]
fn store_four<S: Simd, const VECTORS: usize>(
    simd: S,
    output: &mut [u8],
    codes: Codes<S>,
    values: [S::I32; 4],
    places: [usize; 4],
) {
    let codes = simd.narrow4(values, codes);
    if VECTORS == 2 {
        simd.store_quarters::<true>(output, places, codes);
    } else {
        simd.store_quarters::<false>(output, places, codes);
    }
}

/// Requantises and writes: four registers at once if that is all there is to do and every lane counts, else through [`finish`].
#[inline(always)]
fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    acc: [[S::I32; VECTORS]; ROWS],
    tile: &mut TileU8<'_>,
) {
    let stride = tile.output_stride;
    if let Target::U8 {
        output,
        requantize,
        residual: None,
    } = &mut tile.target
        && requantize.is_near
        && tile.columns == VECTORS * S::LANES
    {
        let codes = requantize.codes(simd);
        let mut multiplier = [simd.splat_f32(0.0); VECTORS];
        for v in 0..VECTORS {
            multiplier[v] = simd.load_f32(&tile.multiplier[v * S::LANES..]);
        }
        let count = ROWS * VECTORS;
        for group in 0..count / 4 {
            let mut values = [simd.splat_i32(0); 4];
            let mut places = [0; 4];
            for part in 0..4 {
                let (row, v) = ((4 * group + part) / VECTORS, (4 * group + part) % VECTORS);
                let value = simd.mul_f32(simd.to_f32(acc[row][v]), multiplier[v]);
                values[part] = simd.round(value);
                places[part] = row * stride + v * S::LANES;
            }
            store_four::<S, VECTORS>(simd, output, codes, values, places);
        }
        for index in count / 4 * 4..count {
            let (row, v) = (index / VECTORS, index % VECTORS);
            let value = simd.mul_f32(simd.to_f32(acc[row][v]), multiplier[v]);
            let output = &mut output[row * stride + v * S::LANES..];
            simd.store_u8(output, requantize.apply(simd, value));
        }
        return;
    }
    // A copy by element: taking the address of the accumulators would keep them out of registers.
    let mut sums = [[simd.splat_i32(0); VECTORS]; ROWS];
    for row in 0..ROWS {
        for v in 0..VECTORS {
            sums[row][v] = acc[row][v];
        }
    }
    finish(simd, sums.as_flattened(), VECTORS, tile);
}

/// Rescales, adds the residual, clamps and writes; one function for tiles of all sizes.
#[inline(never)]
fn finish<S: Simd>(simd: S, sums: &[S::I32], vectors: usize, tile: &mut TileU8<'_>) {
    simd.vectorize(
        #[inline(always)]
        || finish_body(simd, sums, vectors, tile),
    );
}

#[inline(always)]
fn finish_body<S: Simd>(simd: S, sums: &[S::I32], vectors: usize, tile: &mut TileU8<'_>) {
    for (v, multiplier) in tile.multiplier.chunks_exact(S::LANES).enumerate() {
        let start = v * S::LANES;
        if start >= tile.columns {
            break;
        }
        let count = S::LANES.min(tile.columns - start);
        let multiplier = simd.load_f32(multiplier);
        let sums = sums[v..].iter().step_by(vectors);
        let mut at = start;
        match &mut tile.target {
            Target::U8 {
                output,
                requantize,
                residual: None,
            } => {
                for &sum in sums {
                    let value = simd.mul_f32(simd.to_f32(sum), multiplier);
                    store_u8(simd, &mut output[at..][..count], requantize.apply(simd, value));
                    at += tile.output_stride;
                }
            }
            Target::U8 {
                output,
                requantize,
                residual: Some(residual),
            } => {
                let zero_point = simd.splat_i32(residual.zero_point);
                let scale = simd.splat_f32(residual.multiplier);
                let mut other_at = start;
                for &sum in sums {
                    let value = simd.mul_f32(simd.to_f32(sum), multiplier);
                    let other = load_u8(simd, &residual.values[other_at..][..count]);
                    // Two roundings, never fused: every instruction set gives the same bits.
                    let other = simd.mul_f32(simd.to_f32(simd.sub_i32(other, zero_point)), scale);
                    let value = simd.add_f32(value, other);
                    store_u8(simd, &mut output[at..][..count], requantize.apply(simd, value));
                    at += tile.output_stride;
                    other_at += residual.stride;
                }
            }
            Target::F32 { output, clamp } => {
                let (low, high) = (simd.splat_f32(clamp[0]), simd.splat_f32(clamp[1]));
                for &sum in sums {
                    let value = simd.mul_f32(simd.to_f32(sum), multiplier);
                    let value = simd.min_f32(high, simd.max_f32(low, value));
                    let output = &mut output[at..][..count];
                    if count == S::LANES {
                        simd.store_f32(output, value);
                    } else {
                        simd.store_f32_partial(output, value);
                    }
                    at += tile.output_stride;
                }
            }
        }
    }
}

/// Adds the bias to sums `[row][MATRIX_COLUMNS]` that a matrix unit left in memory, requantises and writes. Of the tile's input only
/// the number of pixels counts.
pub(super) fn store_sums<S: Simd>(simd: S, sums: &[i32], tile: &mut TileU8<'_>) {
    simd.vectorize(
        #[inline(always)]
        || match tile.bias.len() / S::LANES {
            1 => store_sums_body::<S, 1>(simd, sums, tile),
            2 => store_sums_body::<S, 2>(simd, sums, tile),
            vectors => unreachable!("a product is one or two registers wide, not {vectors}"),
        },
    );
}

/// Sums in memory, and what is added to them and multiplied with.
struct Stored<'a, S: Simd, const VECTORS: usize> {
    simd: S,
    /// `[row][MATRIX_COLUMNS]`.
    sums: &'a [i32],
    bias: [S::I32; VECTORS],
    multiplier: [S::F32; VECTORS],
}

impl<S: Simd, const VECTORS: usize> Stored<'_, S, VECTORS> {
    /// The sum of a row, given by its elements.
    #[inline(always)]
    fn sum(&self, sums: &[i32], v: usize) -> S::I32 {
        let simd = self.simd;
        simd.add_i32(simd.load_i32(&sums[v * S::LANES..]), self.bias[v])
    }

    #[inline(always)]
    fn value(&self, sums: &[i32], v: usize) -> S::F32 {
        let simd = self.simd;
        simd.mul_f32(simd.to_f32(self.sum(sums, v)), self.multiplier[v])
    }

    /// Writes rows whose values are near, four registers at a time, and returns how many rows are done.
    #[inline(always)]
    fn write(
        &self,
        rows: usize,
        output: &mut [u8],
        stride: usize,
        requantize: Requantize,
        residual: Option<ResidualTile<'_>>,
    ) -> usize {
        let simd = self.simd;
        let codes = requantize.codes(simd);
        let together = 4 / VECTORS;
        let groups = self.sums[..rows * MATRIX_COLUMNS].chunks_exact(together * MATRIX_COLUMNS);
        for (group, sums) in groups.enumerate() {
            let mut values = [simd.splat_i32(0); 4];
            let mut places = [0; 4];
            for part in 0..4 {
                let (row, v) = (part / VECTORS, part % VECTORS);
                let mut value = self.value(&sums[row * MATRIX_COLUMNS..], v);
                let row = group * together + row;
                if let Some(residual) = residual {
                    let other = simd.load_u8(&residual.values[row * residual.stride + v * S::LANES..]);
                    let other = simd.to_f32(simd.sub_i32(other, simd.splat_i32(residual.zero_point)));
                    // Two roundings, never fused.
                    value = simd.add_f32(value, simd.mul_f32(other, simd.splat_f32(residual.multiplier)));
                }
                values[part] = simd.round(value);
                places[part] = row * stride + v * S::LANES;
            }
            store_four::<S, VECTORS>(simd, output, codes, values, places);
        }
        rows / together * together
    }
}

#[inline(always)]
fn store_sums_body<S: Simd, const VECTORS: usize>(simd: S, sums: &[i32], tile: &mut TileU8<'_>) {
    let rows = tile.taps.rows;
    let mut stored = Stored::<S, VECTORS> {
        simd,
        sums,
        bias: [simd.splat_i32(0); VECTORS],
        multiplier: [simd.splat_f32(0.0); VECTORS],
    };
    for v in 0..VECTORS {
        stored.bias[v] = simd.load_i32(&tile.bias[v * S::LANES..]);
        stored.multiplier[v] = simd.load_f32(&tile.multiplier[v * S::LANES..]);
    }
    let mut done = 0;
    if let Target::U8 {
        output,
        requantize,
        residual,
    } = &mut tile.target
        && requantize.is_near
        && tile.columns == VECTORS * S::LANES
    {
        // Apart, so that the loop without a residual has no branch.
        done = match residual {
            None => stored.write(rows, output, tile.output_stride, *requantize, None),
            Some(_) => stored.write(rows, output, tile.output_stride, *requantize, *residual),
        };
    }
    if done == rows {
        return;
    }
    let mut registers = [[simd.splat_i32(0); VECTORS]; MATRIX_ROWS];
    let left = sums[done * MATRIX_COLUMNS..rows * MATRIX_COLUMNS].chunks_exact(MATRIX_COLUMNS);
    for (registers, sums) in registers.iter_mut().zip(left) {
        for v in 0..VECTORS {
            registers[v] = stored.sum(sums, v);
        }
    }
    tile.skip(done);
    finish(simd, registers[..rows - done].as_flattened(), VECTORS, tile);
}

/// Loads up to a register of bytes.
#[inline(always)]
fn load_u8<S: Simd>(simd: S, from: &[u8]) -> S::I32 {
    if from.len() == S::LANES {
        simd.load_u8(from)
    } else {
        simd.load_u8_partial(from)
    }
}

/// Stores up to a register of bytes.
#[inline(always)]
fn store_u8<S: Simd>(simd: S, to: &mut [u8], value: S::I32) {
    if to.len() == S::LANES {
        simd.store_u8(to, value);
    } else {
        simd.store_u8_partial(to, value);
    }
}
