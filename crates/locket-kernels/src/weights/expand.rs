//! Expansion of compressed panels to plain float32, a register at a time.

use super::Panel;
use super::packed::{Codes, PackedF32, PackedScales};
use crate::isa::Kernel;
use crate::simd::Simd;

/// Bytes after the last code, because readers take sixteen at once.
pub(super) const SLACK_BYTES: usize = 16;
/// Values after the last one that is not zero, because readers take a register at once.
pub(super) const SLACK_VALUES: usize = 16;

/// Expands one compressed panel to `[k][lane]`.
pub(super) struct Expand<'a> {
    pub(super) packed: &'a PackedF32,
    pub(super) panel: &'a Panel,
    pub(super) target: &'a mut [f32],
}

impl Kernel for Expand<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            packed,
            panel,
            target,
        } = self;
        let first = panel.start * packed.depth;
        let elems = panel.width * packed.depth;
        match &packed.codes {
            Codes::Dense(values) => target.copy_from_slice(&values.as_slice()[first..][..elems]),
            Codes::F16(values) => {
                let values = values.as_slice()[first..][..elems].chunks_exact(S::LANES);
                for (to, from) in target.chunks_exact_mut(S::LANES).zip(values) {
                    simd.store_f32(to, simd.load_f16(from));
                }
            }
            Codes::Int8 { codes, scales } => {
                for (k, (row, codes)) in rows(panel, target)
                    .zip(codes.as_slice()[first..].chunks(panel.width))
                    .enumerate()
                {
                    let scales = ScaleRow::new(scales, panel, k);
                    for at in (0..row.len()).step_by(S::LANES) {
                        scales.store(simd, row, at, simd.load_i8(&codes[at..]));
                    }
                }
            }
            Codes::Int4 {
                codes,
                signed,
                scales,
            } => {
                // Flipping the sign bit and subtracting 8 sign-extends four bits.
                let sign = simd.splat_i32(if *signed { 8 } else { 0 });
                let mut codes = &codes.as_slice()[first / 2..];
                for (k, row) in rows(panel, target).enumerate() {
                    let scales = ScaleRow::new(scales, panel, k);
                    for at in (0..row.len()).step_by(S::LANES) {
                        let code = simd.xor_i32(simd.codes::<4>(codes), sign);
                        scales.store(simd, row, at, simd.sub_i32(code, sign));
                        codes = &codes[S::LANES / 2..];
                    }
                }
            }
            Codes::Lut {
                bits,
                codes,
                tables,
                table_of_lane,
            } => {
                let codes = &codes.as_slice()[first * bits / 8..];
                let table_of_lane = &table_of_lane[panel.start..][..panel.width];
                match bits {
                    1 => expand_palette::<S, 1, 16>(simd, codes, tables, table_of_lane, target),
                    2 => expand_palette::<S, 2, 16>(simd, codes, tables, table_of_lane, target),
                    3 => expand_palette::<S, 3, 16>(simd, codes, tables, table_of_lane, target),
                    4 => expand_palette::<S, 4, 16>(simd, codes, tables, table_of_lane, target),
                    6 => expand_palette::<S, 6, 64>(simd, codes, tables, table_of_lane, target),
                    _ => expand_palette::<S, 8, 256>(simd, codes, tables, table_of_lane, target),
                }
            }
            Codes::Sparse { mask, values, starts } => {
                let masks = mask.as_slice()[first / 8..].chunks_exact(S::LANES / 8);
                let mut values = &values.as_slice()[starts[panel.index]..];
                for (to, mask) in target.chunks_exact_mut(S::LANES).zip(masks) {
                    simd.store_f32(to, simd.expand(mask, values));
                    for byte in mask {
                        values = &values[byte.count_ones() as usize..];
                    }
                }
            }
        }
    }
}

/// The rows of a panel, one for each k.
#[inline(always)]
fn rows<'t>(panel: &Panel, target: &'t mut [f32]) -> core::slice::ChunksExactMut<'t, f32> {
    target.chunks_exact_mut(panel.width)
}

/// Scales and zero points of one row of a panel.
struct ScaleRow<'a> {
    scale: &'a [f32],
    zero_point: Option<&'a [i8]>,
}

impl<'a> ScaleRow<'a> {
    #[inline(always)]
    fn new(scales: &'a PackedScales, panel: &Panel, k: usize) -> Self {
        let at = panel.start * scales.blocks.count() + scales.blocks.of(k) * panel.width;
        let zero_point = scales.zero_point.as_slice();
        Self {
            scale: &scales.scale.as_slice()[at..][..panel.width],
            zero_point: (!zero_point.is_empty()).then(|| &zero_point[at..][..panel.width]),
        }
    }

    /// Writes `scale * (code - zero_point)` for the lanes from `at` on.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, row: &mut [f32], at: usize, code: S::I32) {
        let mut code = code;
        if let Some(zero_point) = self.zero_point {
            code = simd.sub_i32(code, simd.load_i8(&zero_point[at..]));
        }
        let value = simd.mul_f32(simd.load_f32(&self.scale[at..]), simd.to_f32(code));
        simd.store_f32(&mut row[at..], value);
    }
}

/// Looks up codes of `BITS` bits: in registers (`SIZE` entries) where all lanes of a register share a table, else in memory.
#[inline(always)]
fn expand_palette<S: Simd, const BITS: usize, const SIZE: usize>(
    simd: S,
    codes: &[u8],
    tables: &[f32],
    table_of_lane: &[u32],
    target: &mut [f32],
) {
    let width = table_of_lane.len();
    for at in (0..width).step_by(S::LANES) {
        let starts = &table_of_lane[at..][..S::LANES];
        let is_shared = starts.iter().all(|&start| start == starts[0]);
        let mut table = [0.0; SIZE];
        table[..1 << BITS].copy_from_slice(&tables[starts[0] as usize..][..1 << BITS]);
        let starts = simd.load_i32(bytemuck::cast_slice(starts));
        let mut stream = &codes[at * BITS / 8..];
        for row in target.chunks_exact_mut(width) {
            let code = simd.codes::<BITS>(stream);
            let value = if is_shared {
                simd.lookup(&table, code)
            } else {
                simd.gather(tables, simd.add_i32(starts, code))
            };
            simd.store_f32(&mut row[at..], value);
            stream = &stream[(width * BITS / 8).min(stream.len())..];
        }
    }
}
