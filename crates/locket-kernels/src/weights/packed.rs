//! Weights in panels, plain or compressed, and their expansion.

use super::{Blocks, Form, Panel, Panels, WeightsF32};
use crate::aligned::Aligned;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Packed weights of a float kernel.
#[derive(Clone, Debug)]
pub(crate) struct PackedF32 {
    panels: Panels,
    depth: usize,
    codes: Codes,
}

/// The values of `[panel][k][lane]`, in one of the forms.
#[derive(Clone, Debug)]
enum Codes {
    Dense(Aligned<f32>),
    F16(Aligned<u16>),
    Int8 {
        codes: Aligned<i8>,
        scales: PackedScales,
    },
    Int4 {
        codes: Aligned<u8>,
        signed: bool,
        scales: PackedScales,
    },
    Lut {
        bits: usize,
        codes: Aligned<u8>,
        tables: Vec<f32>,
        table_of_lane: Vec<u32>,
    },
    Sparse {
        mask: Aligned<u8>,
        values: Aligned<f32>,
        starts: Vec<usize>,
    },
}

/// `[panel][block][lane]`; zero points are empty when all are zero.
#[derive(Clone, Debug)]
struct PackedScales {
    blocks: Blocks,
    scale: Aligned<f32>,
    zero_point: Aligned<i8>,
}

impl PackedScales {
    fn new(panels: &Panels, scales: &super::Scales<'_>) -> Self {
        let count = scales.blocks.count();
        let zero_point = match scales.zero_point {
            Some(_) => panels.pack(count, |n, block| scales.of(n, block).1),
            None => Aligned::zeroed(0),
        };
        Self {
            blocks: scales.blocks,
            scale: panels.pack(count, |n, block| scales.of(n, block).0),
            zero_point,
        }
    }

    fn bytes(&self) -> usize {
        self.scale.bytes() + self.zero_point.bytes()
    }

    /// Calls `value(lane, scale, zero_point)` to fill one row of a panel.
    #[inline(always)]
    fn expand_row(&self, panel: &Panel, k: usize, row: &mut [f32], code: impl Fn(usize) -> i32) {
        let at = panel.start * self.blocks.count() + self.blocks.of(k) * panel.width;
        let scale = &self.scale.as_slice()[at..][..row.len()];
        if self.zero_point.as_slice().is_empty() {
            for lane in 0..row.len() {
                row[lane] = scale[lane] * code(lane) as f32;
            }
        } else {
            let zero_point = &self.zero_point.as_slice()[at..][..row.len()];
            for lane in 0..row.len() {
                row[lane] = scale[lane] * (code(lane) - i32::from(zero_point[lane])) as f32;
            }
        }
    }
}

impl PackedF32 {
    /// Packs weights for these panels.
    pub(crate) fn new(panels: Panels, weights: &WeightsF32<'_>) -> Self {
        let depth = weights.k;
        let codes = match &weights.form {
            Form::Dense(values) => Codes::Dense(panels.pack(depth, |n, k| values[n * depth + k])),
            Form::F16(values) => Codes::F16(panels.pack(depth, |n, k| values[n * depth + k].to_bits())),
            Form::Int8 { codes, scales } => Codes::Int8 {
                codes: panels.pack(depth, |n, k| codes[n * depth + k]),
                scales: PackedScales::new(&panels, scales),
            },
            Form::Int4 {
                packed,
                signed,
                scales,
            } => Codes::Int4 {
                codes: pack_bits(&panels, depth, 4, |n, k| {
                    let at = n * depth + k;
                    packed[at / 2] >> (4 * (at % 2)) & 15
                }),
                signed: *signed,
                scales: PackedScales::new(&panels, scales),
            },
            Form::Lut {
                bits,
                indices,
                tables,
                groups,
            } => Codes::Lut {
                bits: *bits,
                codes: pack_bits(&panels, depth, *bits, |n, k| indices[n * depth + k]),
                tables: tables.to_vec(),
                table_of_lane: panels
                    .pack(1, |n, _| {
                        u32::try_from((n * groups / weights.n) << bits).expect("tables fit memory")
                    })
                    .as_slice()
                    .to_vec(),
            },
            Form::Sparse(values) => pack_sparse(&panels, depth, values),
        };
        Self { panels, depth, codes }
    }

    /// Returns the bytes held.
    pub(crate) fn bytes(&self) -> usize {
        match &self.codes {
            Codes::Dense(values) => values.bytes(),
            Codes::F16(values) => values.bytes(),
            Codes::Int8 { codes, scales } => codes.bytes() + scales.bytes(),
            Codes::Int4 { codes, scales, .. } => codes.bytes() + scales.bytes(),
            Codes::Lut {
                codes,
                tables,
                table_of_lane,
                ..
            } => codes.bytes() + size_of_val(tables.as_slice()) + size_of_val(table_of_lane.as_slice()),
            Codes::Sparse { mask, values, starts } => {
                mask.bytes() + values.bytes() + size_of_val(starts.as_slice())
            }
        }
    }

    /// Returns the panels.
    pub(crate) fn panels(&self) -> &Panels {
        &self.panels
    }

    /// Returns the short name of the form.
    pub(crate) fn name(&self) -> &'static str {
        match &self.codes {
            Codes::Dense(_) => "f32",
            Codes::F16(_) => "f16",
            Codes::Int8 { .. } => "int8",
            Codes::Int4 { .. } => "int4",
            Codes::Lut { .. } => "lut",
            Codes::Sparse { .. } => "sparse",
        }
    }

    /// Whether a panel must be expanded before use.
    pub(crate) fn is_compressed(&self) -> bool {
        !matches!(self.codes, Codes::Dense(_))
    }

    /// Returns the scratch elements that expanding any one panel takes.
    pub(crate) fn panel_elems(&self) -> usize {
        if self.is_compressed() {
            self.panels.max_width() * self.depth
        } else {
            0
        }
    }

    /// Returns the values of a panel, `[k][lane]`: in place if they are plain, else expanded into `scratch`.
    pub(crate) fn panel<'s>(&'s self, isa: Isa, panel: &Panel, scratch: &'s mut [f32]) -> &'s [f32] {
        if let Codes::Dense(values) = &self.codes {
            return &values.as_slice()[panel.start * self.depth..][..panel.width * self.depth];
        }
        let target = &mut scratch[..panel.width * self.depth];
        isa.dispatch(Expand {
            packed: self,
            panel,
            target,
        });
        target
    }
}

/// Expands one compressed panel.
struct Expand<'a> {
    packed: &'a PackedF32,
    panel: &'a Panel,
    target: &'a mut [f32],
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
        let (width, depth) = (panel.width, packed.depth);
        let at = panel.start * depth;
        match &packed.codes {
            Codes::Dense(values) => target.copy_from_slice(&values.as_slice()[at..][..width * depth]),
            Codes::F16(values) => {
                let values = &values.as_slice()[at..][..width * depth];
                for (from, to) in values
                    .chunks_exact(S::LANES)
                    .zip(target.chunks_exact_mut(S::LANES))
                {
                    simd.store_f32(to, simd.load_f16(from));
                }
            }
            Codes::Int8 { codes, scales } => {
                let codes = &codes.as_slice()[at..][..width * depth];
                for (k, (row, codes)) in target
                    .chunks_exact_mut(width)
                    .zip(codes.chunks_exact(width))
                    .enumerate()
                {
                    scales.expand_row(panel, k, row, |lane| i32::from(codes[lane]));
                }
            }
            Codes::Int4 {
                codes,
                signed,
                scales,
            } => {
                let codes = &codes.as_slice()[at / 2..][..width * depth / 2];
                let bias = if *signed { 8 } else { 0 };
                for (k, (row, codes)) in target
                    .chunks_exact_mut(width)
                    .zip(codes.chunks_exact(width / 2))
                    .enumerate()
                {
                    // Flipping the sign bit and subtracting 8 sign-extends a nibble.
                    scales.expand_row(panel, k, row, |lane| {
                        i32::from(codes[lane / 2] >> (4 * (lane % 2)) & 15 ^ bias) - i32::from(bias)
                    });
                }
            }
            Codes::Lut {
                bits,
                codes,
                tables,
                table_of_lane,
            } => {
                let stream = &codes.as_slice()[at * bits / 8..];
                let table_of_lane = &table_of_lane[panel.start..][..width];
                expand_lut(*bits, stream, tables, table_of_lane, target);
            }
            Codes::Sparse { mask, values, starts } => {
                let mask = &mask.as_slice()[at / 8..];
                expand_sparse(mask, &values.as_slice()[starts[panel.index]..], target);
            }
        }
    }
}

#[inline(always)]
fn expand_lut(bits: usize, stream: &[u8], tables: &[f32], table_of_lane: &[u32], target: &mut [f32]) {
    let mask = (1u32 << bits) - 1;
    let mut bit = 0;
    for row in target.chunks_exact_mut(table_of_lane.len()) {
        for (value, &table) in row.iter_mut().zip(table_of_lane) {
            let pair = u32::from(stream[bit / 8]) | u32::from(stream[bit / 8 + 1]) << 8;
            *value = tables[(table + (pair >> (bit % 8) & mask)) as usize];
            bit += bits;
        }
    }
}

#[inline(always)]
fn expand_sparse(mask: &[u8], values: &[f32], target: &mut [f32]) {
    let mut next = 0;
    for (index, value) in target.iter_mut().enumerate() {
        let present = mask[index / 8] >> (index % 8) & 1 == 1;
        *value = if present { values[next] } else { 0.0 };
        next += usize::from(present);
    }
}

/// Packs codes of `bits` bits as one little-endian stream. Panels are whole multiples of eight lanes, so each starts on
/// a byte. One more byte lets a reader always take two.
fn pack_bits(panels: &Panels, depth: usize, bits: usize, code: impl Fn(usize, usize) -> u8) -> Aligned<u8> {
    let codes = panels.pack(depth, code);
    let mut packed = Aligned::zeroed((codes.as_slice().len() * bits).div_ceil(8) + 1);
    let bytes = packed.as_mut_slice();
    for (index, &code) in codes.as_slice().iter().enumerate() {
        let bit = index * bits;
        let pair = u16::from(code) << (bit % 8);
        bytes[bit / 8] |= pair as u8;
        bytes[bit / 8 + 1] |= (pair >> 8) as u8;
    }
    packed
}

/// Packs zero as an unset bit and anything else, negative zero included, as a set bit and its value.
fn pack_sparse(panels: &Panels, depth: usize, values: &[f32]) -> Codes {
    let value = |n: usize, k: usize| values[n * depth + k];
    let mask = pack_bits(panels, depth, 1, |n, k| u8::from(value(n, k).to_bits() != 0));
    let plain = panels.pack(depth, value);
    let mut nonzeros = Vec::new();
    let mut starts = Vec::new();
    for index in 0..panels.count() {
        let panel = panels.panel(index);
        starts.push(nonzeros.len());
        let values = &plain.as_slice()[panel.start * depth..][..panel.width * depth];
        nonzeros.extend(values.iter().filter(|value| value.to_bits() != 0));
    }
    Codes::Sparse {
        mask,
        values: Aligned::from_slice(&nonzeros),
        starts,
    }
}
