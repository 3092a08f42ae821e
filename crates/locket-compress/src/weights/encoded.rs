//! Weights in compressed form.

use half::f16;
use locket_mil::Target;

/// A weight in compressed form. Elements are in the order of the weight.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Encoded {
    /// Narrow floats.
    Float16(Vec<f16>),
    /// Codes times the scale of their row.
    Int8 { codes: Vec<i8>, scale: Vec<f32> },
    /// Codes from -8 to 7 times the scale of their block; each row has so many equal blocks.
    Int4 {
        codes: Vec<i8>,
        scale: Vec<f32>,
        blocks: usize,
    },
    /// Indices into the table of their group of rows; all tables one after the other.
    Palette {
        bits: u8,
        indices: Vec<u8>,
        tables: Vec<f32>,
    },
    /// Indices into the table of their group of rows, whose entries are codes that take the group's scale.
    PaletteInt8 {
        bits: u8,
        indices: Vec<u8>,
        tables: Vec<i8>,
        scale: Vec<f32>,
    },
    /// Values, of which many are zero.
    Sparse(Vec<f32>),
    /// Codes times the scale of their row, of which many are zero.
    SparseInt8 { codes: Vec<i8>, scale: Vec<f32> },
}

impl Encoded {
    /// The values that the weight has from now on, in float32.
    pub(crate) fn dense(&self) -> Vec<f32> {
        match self {
            Self::Float16(values) => values.iter().map(|value| value.to_f32()).collect(),
            Self::Int8 { codes, scale }
            | Self::SparseInt8 { codes, scale }
            | Self::Int4 { codes, scale, .. } => {
                let elems = (codes.len() / scale.len().max(1)).max(1);
                let blocks = codes.chunks_exact(elems).zip(scale);
                blocks
                    .flat_map(|(block, scale)| block.iter().map(move |&code| f32::from(code) * scale))
                    .collect()
            }
            Self::Palette {
                bits,
                indices,
                tables,
            } => looked_up(indices, tables, *bits),
            Self::PaletteInt8 {
                bits,
                indices,
                tables,
                scale,
            } => {
                let of_group = tables.chunks_exact(1 << bits).zip(scale);
                let tables: Vec<f32> = of_group
                    .flat_map(|(table, scale)| table.iter().map(move |&entry| f32::from(entry) * scale))
                    .collect();
                looked_up(indices, &tables, *bits)
            }
            Self::Sparse(values) => values.clone(),
        }
    }

    /// Tables of a palette; 1 for other forms.
    pub(crate) fn groups(&self) -> usize {
        match self {
            Self::Palette { bits, tables, .. } => tables.len() >> bits,
            Self::PaletteInt8 { scale, .. } => scale.len(),
            _ => 1,
        }
    }

    /// True for a palette that iOS 16 has: one table, and not 3 bits.
    pub(crate) fn plain_palette(&self) -> bool {
        matches!(self, Self::Palette { bits, .. } if *bits != 3) && self.groups() == 1
    }

    /// The oldest target that has the form.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Float16(_) | Self::Int8 { .. } | Self::Sparse(_) => Target::Ios16,
            Self::Palette { .. } if self.plain_palette() => Target::Ios16,
            Self::Palette { .. } | Self::PaletteInt8 { .. } | Self::Int4 { .. } | Self::SparseInt8 { .. } => {
                Target::Ios18
            }
        }
    }
}

/// Each index replaced by the entry of its group's table.
fn looked_up(indices: &[u8], tables: &[f32], bits: u8) -> Vec<f32> {
    let groups = tables.len() >> bits;
    let elems = (indices.len() / groups.max(1)).max(1);
    let groups = indices.chunks_exact(elems).zip(tables.chunks_exact(1 << bits));
    groups
        .flat_map(|(group, table)| group.iter().map(|&index| table[usize::from(index)]))
        .collect()
}
