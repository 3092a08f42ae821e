//! Weights in panels, plain or compressed, and their expansion.

use bytemuck::cast;
use half::f16;

use super::expand::{Expand, SLACK_BYTES, SLACK_VALUES};
use super::{Blocks, Form, Panel, Panels, RowOrder, WeightsF32};
use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::parts::{Keep, Parts, PartsError, TakeParts};

/// Packed weights of a float kernel.
#[derive(Clone, Debug)]
pub(crate) struct PackedF32 {
    panels: Panels,
    pub(super) depth: usize,
    pub(super) codes: Codes,
}

/// The values of `[panel][k][lane]`, in one of the forms.
#[derive(Clone, Debug)]
pub(super) enum Codes {
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
pub(super) struct PackedScales {
    pub(super) blocks: Blocks,
    pub(super) scale: Aligned<f32>,
    pub(super) zero_point: Aligned<i8>,
}

impl PackedScales {
    fn new(panels: &Panels, scales: &super::Scales<'_>) -> Self {
        let count = scales.blocks.count();
        let zero_point = match scales.zero_point {
            Some(_) => panels.pack(count, |n, block| scales.of(n, block).1),
            None => Aligned::from_slice(&[]),
        };
        Self {
            blocks: scales.blocks,
            scale: panels.pack(count, |n, block| scales.of(n, block).0),
            zero_point,
        }
    }

    /// Takes scales for weights of `depth`; zero points are there or empty.
    fn stored(panels: &Panels, depth: usize, parts: &mut TakeParts<'_>) -> Result<Self, PartsError> {
        let limit = depth.max(1) + 1;
        let blocks = Blocks {
            channels: parts.word(limit)?.max(1),
            size: parts.word(limit)?.max(1),
        };
        let len = blocks.count() * panels.padded_columns();
        Ok(Self {
            blocks,
            scale: parts.buffer(len)?,
            zero_point: parts.any_buffer(|found| found == len || found == 0, len)?,
        })
    }

    fn keep(&self, parts: &mut Parts) {
        let Blocks { channels, size } = self.blocks;
        parts.words.extend([channels as u64, size as u64]);
        parts
            .buffers
            .extend([self.scale.share(), self.zero_point.share()]);
    }

    fn bytes(&self) -> usize {
        self.scale.bytes() + self.zero_point.bytes()
    }
}

impl Keep for PackedF32 {
    fn keep(&self, parts: &mut Parts) {
        let (words, buffers) = (&mut parts.words, &mut parts.buffers);
        match &self.codes {
            Codes::Dense(values) => {
                words.push(0);
                buffers.push(values.share());
            }
            Codes::F16(values) => {
                words.push(1);
                buffers.push(values.share());
            }
            Codes::Int8 { codes, scales } => {
                words.push(2);
                buffers.push(codes.share());
                scales.keep(parts);
            }
            Codes::Int4 {
                codes,
                signed,
                scales,
            } => {
                words.extend([3, u64::from(*signed)]);
                buffers.push(codes.share());
                scales.keep(parts);
            }
            Codes::Lut {
                bits, codes, tables, ..
            } => {
                words.extend([4, *bits as u64, (tables.len() >> bits) as u64]);
                buffers.extend([codes.share(), Aligned::from_slice(tables).share()]);
            }
            Codes::Sparse { mask, values, .. } => {
                words.push(5);
                buffers.extend([mask.share(), values.share()]);
            }
        }
    }
}

impl PackedF32 {
    /// Packs weights for these panels.
    pub(crate) fn new(panels: Panels, weights: &WeightsF32<'_>) -> Self {
        let (depth, order) = (weights.k, weights.order());
        let codes = match &weights.form {
            Form::Dense(values) => Codes::Dense(panels.pack_matrix(order, values, cast)),
            Form::F16(values) => Codes::F16(panels.pack_matrix(order, values, f16::to_bits)),
            Form::Int8 { codes, scales } => Codes::Int8 {
                codes: panels.pack_matrix(order, codes, |code| code),
                scales: PackedScales::new(&panels, scales),
            },
            Form::Int4 {
                packed,
                signed,
                scales,
            } => Codes::Int4 {
                codes: pack_bits(&panels, order, 4, |n, at| {
                    let at = n * depth + at;
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
                codes: pack_bits(&panels, order, *bits, |n, at| indices[n * depth + at]),
                tables: tables.to_vec(),
                table_of_lane: tables_of_lanes(&panels, weights.n, *bits, *groups),
            },
            Form::Sparse(values) => pack_sparse(&panels, order, values),
        };
        Self { panels, depth, codes }
    }

    /// Takes weights for these panels, of `n` channels.
    pub(crate) fn stored(
        panels: Panels,
        depth: usize,
        n: usize,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        let len = panels.padded_columns() * depth;
        let codes = match parts.word(6)? {
            0 => Codes::Dense(parts.buffer(len)?),
            1 => Codes::F16(parts.buffer(len)?),
            2 => Codes::Int8 {
                codes: parts.buffer(len)?,
                scales: PackedScales::stored(&panels, depth, parts)?,
            },
            3 => Codes::Int4 {
                signed: parts.word(2)? == 1,
                codes: parts.buffer(bits_len(len, 4))?,
                scales: PackedScales::stored(&panels, depth, parts)?,
            },
            4 => stored_lut(&panels, len, n, parts)?,
            _ => stored_sparse(&panels, depth, parts)?,
        };
        Ok(Self { panels, depth, codes })
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

/// Returns where the table of each lane starts. Lanes of padding have that of the channel before them, so that a register of
/// channels with one table has only that.
fn tables_of_lanes(panels: &Panels, n: usize, bits: usize, groups: usize) -> Vec<u32> {
    let mut starts = vec![0; panels.padded_columns()];
    for index in 0..panels.count() {
        let panel = panels.panel(index);
        for lane in 0..panel.width {
            let channel = panel.first + lane.min(panel.columns - 1);
            let start = (channel * groups / n) << bits;
            starts[panel.start + lane] = u32::try_from(start).expect("tables fit memory");
        }
    }
    starts
}

/// Bytes of packed codes, and what readers take beyond them.
fn bits_len(codes: usize, bits: usize) -> usize {
    (codes * bits).div_ceil(8) + SLACK_BYTES
}

/// Packs codes of `bits` bits as one little-endian stream. Panels are whole multiples of eight lanes, so each starts on
/// a byte. Some more bytes let a reader always take sixteen.
fn pack_bits(
    panels: &Panels,
    order: RowOrder,
    bits: usize,
    code: impl Fn(usize, usize) -> u8,
) -> Aligned<u8> {
    let codes = panels.pack_rows(order, code);
    Aligned::build(bits_len(codes.as_slice().len(), bits), |bytes| {
        for (index, &code) in codes.as_slice().iter().enumerate() {
            let bit = index * bits;
            let [low, high] = (u16::from(code) << (bit % 8)).to_le_bytes();
            bytes[bit / 8] |= low;
            bytes[bit / 8 + 1] |= high;
        }
    })
}

/// Packs zero as an unset bit and anything else, negative zero included, as a set bit and its value.
fn pack_sparse(panels: &Panels, order: RowOrder, values: &[f32]) -> Codes {
    let depth = order.channels * order.taps;
    let value = |n: usize, at: usize| values[n * depth + at];
    let mask = pack_bits(panels, order, 1, |n, at| u8::from(value(n, at).to_bits() != 0));
    let plain = panels.pack_rows(order, value);
    let mut nonzeros = Vec::new();
    let mut starts = Vec::new();
    for index in 0..panels.count() {
        let panel = panels.panel(index);
        starts.push(nonzeros.len());
        let values = &plain.as_slice()[panel.start * depth..][..panel.width * depth];
        nonzeros.extend(values.iter().filter(|value| value.to_bits() != 0));
    }
    nonzeros.resize(nonzeros.len() + SLACK_VALUES, 0.0);
    Codes::Sparse {
        mask,
        values: Aligned::from_slice(&nonzeros),
        starts,
    }
}

fn stored_lut(panels: &Panels, len: usize, n: usize, parts: &mut TakeParts<'_>) -> Result<Codes, PartsError> {
    let (bits, groups) = (parts.word(9)?, parts.word(n + 1)?);
    if !matches!(bits, 1 | 2 | 3 | 4 | 6 | 8) || groups == 0 || !n.is_multiple_of(groups) {
        return Err(PartsError {
            what: "groups of channels with a palette of 1, 2, 3, 4, 6 or 8 bits",
            expected: n,
            found: groups,
        });
    }
    let codes = parts.buffer(bits_len(len, bits))?;
    let tables: Aligned<f32> = parts.buffer(groups << bits)?;
    Ok(Codes::Lut {
        bits,
        codes,
        tables: tables.as_slice().to_vec(),
        table_of_lane: tables_of_lanes(panels, n, bits, groups),
    })
}

/// Counts the bits of the mask again: they decide where values are read.
fn stored_sparse(panels: &Panels, depth: usize, parts: &mut TakeParts<'_>) -> Result<Codes, PartsError> {
    let mask: Aligned<u8> = parts.buffer(bits_len(panels.padded_columns() * depth, 1))?;
    let mut starts = Vec::with_capacity(panels.count());
    let mut nonzeros = 0;
    for index in 0..panels.count() {
        let panel = panels.panel(index);
        starts.push(nonzeros);
        let bytes = &mask.as_slice()[panel.start * depth / 8..][..panel.width * depth / 8];
        nonzeros += bytes.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
    }
    Ok(Codes::Sparse {
        values: parts.buffer(nonzeros + SLACK_VALUES)?,
        mask,
        starts,
    })
}
