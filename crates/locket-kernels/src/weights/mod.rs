//! Weights of float convolutions as a caller has them (row-major, perhaps compressed) and as kernels keep them (in panels).

mod expand;
mod packed;
mod panels;

use bytemuck::{cast, cast_slice};
use half::f16;

pub(crate) use packed::PackedF32;
pub(crate) use panels::{Panel, Panels, RowOrder};

/// Weights `[N][K]` of a float convolution or matrix product, borrowed until a kernel packs them.
///
/// N counts output channels over all groups; K runs over kernel row, kernel column and input channel of the group, the
/// channel fastest, or slowest after [`channels_first`](Self::channels_first). Compressed forms stay compressed in memory and are expanded panel by panel during a run;
/// expansion gives exactly the bits of the formula stated at each constructor.
#[derive(Clone, Debug)]
pub struct WeightsF32<'a> {
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Kernel positions, if they run fastest.
    pub(crate) taps: usize,
    pub(crate) form: Form<'a>,
}

/// Plain values of one of the float types.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    F32(&'a [FloatBytes]),
    F16(&'a [f16]),
}

impl Values<'_> {
    /// Returns one, widened exactly.
    pub(crate) fn get(self, at: usize) -> f32 {
        match self {
            Self::F32(values) => cast(values[at]),
            Self::F16(values) => values[at].to_f32(),
        }
    }
}

/// A float32 of a file, which promises no alignment.
pub(crate) type FloatBytes = [u8; 4];

#[derive(Clone, Debug)]
pub(crate) enum Form<'a> {
    Dense(&'a [FloatBytes]),
    F16(&'a [f16]),
    Int8 {
        codes: &'a [i8],
        scales: Scales<'a>,
    },
    Int4 {
        packed: &'a [u8],
        signed: bool,
        scales: Scales<'a>,
    },
    Lut {
        bits: usize,
        indices: &'a [u8],
        tables: &'a [f32],
        groups: usize,
    },
    Sparse(&'a [f32]),
}

/// Scales and zero points by output channel and block of input channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scales<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) zero_point: Option<&'a [i8]>,
    pub(crate) blocks: Blocks,
}

/// How K is cut into blocks that share a scale: block of `k` is `k % channels / size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The period: input channels of a group, so that all taps of a channel share its block; or K for blocks over all of K.
    pub channels: usize,
    /// Channels in a block.
    pub size: usize,
}

impl Blocks {
    /// Returns the number of blocks.
    pub fn count(&self) -> usize {
        self.channels.div_ceil(self.size)
    }

    pub(crate) fn of(&self, k: usize) -> usize {
        k % self.channels / self.size
    }
}

impl<'a> WeightsF32<'a> {
    /// Plain float32 values.
    ///
    /// # Panics
    /// All constructors panic when a slice does not have the length that `n` and `k` ask for.
    pub fn dense(n: usize, k: usize, values: &'a [f32]) -> Self {
        Self::dense_bytes(n, k, cast_slice(values))
    }

    /// Plain float32 values as bytes of this machine's order, which may start anywhere.
    pub fn dense_bytes(n: usize, k: usize, bytes: &'a [u8]) -> Self {
        assert_eq!(bytes.len(), 4 * n * k, "weights are [N][K], of four bytes");
        Self {
            n,
            k,
            taps: 1,
            form: Form::Dense(cast_slice(bytes)),
        }
    }

    /// Float16 values, widened exactly.
    pub fn f16(n: usize, k: usize, values: &'a [f16]) -> Self {
        assert_eq!(values.len(), n * k, "weights are [N][K]");
        Self {
            n,
            k,
            taps: 1,
            form: Form::F16(values),
        }
    }

    /// `scale[n] * (code - zero_point[n])`: 8-bit codes with one scale for each output channel (or one for all).
    pub fn int8(n: usize, k: usize, codes: &'a [i8], scale: &'a [f32], zero_point: Option<&'a [i8]>) -> Self {
        assert_eq!(codes.len(), n * k, "weights are [N][K]");
        let scales = Scales::new(
            n,
            scale,
            zero_point,
            Blocks {
                channels: k.max(1),
                size: k.max(1),
            },
        );
        Self {
            n,
            k,
            taps: 1,
            form: Form::Int8 { codes, scales },
        }
    }

    /// `scale[n][b] * (code - zero_point[n][b])` with `b` the block of the weight; 4-bit codes, two to a byte, the first in
    /// the low half, without padding between rows; two's complement if `signed`.
    ///
    /// `scale` is `[N][blocks]`, or has one element for all.
    pub fn int4(
        n: usize,
        k: usize,
        packed: &'a [u8],
        signed: bool,
        blocks: Blocks,
        scale: &'a [f32],
        zero_point: Option<&'a [i8]>,
    ) -> Self {
        assert_eq!(
            packed.len(),
            (n * k).div_ceil(2),
            "weights are [N][K], two to a byte"
        );
        assert!(blocks.channels > 0 && blocks.size > 0, "{blocks:?} are not empty");
        Self {
            n,
            k,
            taps: 1,
            form: Form::Int4 {
                packed,
                signed,
                scales: Scales::new(n, scale, zero_point, blocks),
            },
        }
    }

    /// `tables[g][index]` with `g = n * groups / N`: a palette of `2^bits` values for each group of output channels.
    ///
    /// `bits` is 1, 2, 3, 4, 6 or 8; `indices` has one byte for each weight, each below `2^bits`; `tables` is `[groups][2^bits]`.
    pub fn lut(n: usize, k: usize, bits: usize, indices: &'a [u8], tables: &'a [f32], groups: usize) -> Self {
        assert!(
            matches!(bits, 1 | 2 | 3 | 4 | 6 | 8),
            "palettes have 1, 2, 3, 4, 6 or 8 bits, found {bits}"
        );
        assert_eq!(indices.len(), n * k, "weights are [N][K]");
        assert!(
            groups > 0 && n.is_multiple_of(groups),
            "{groups} groups divide {n} channels"
        );
        assert_eq!(
            tables.len(),
            groups << bits,
            "one table of 2^bits values for each group"
        );
        assert!(
            indices.iter().all(|&index| usize::from(index) >> bits == 0),
            "indices are below 2^bits"
        );
        Self {
            n,
            k,
            taps: 1,
            form: Form::Lut {
                bits,
                indices,
                tables,
                groups,
            },
        }
    }

    /// The same weights, stored `[N][channel][kernel position]`, with `taps` kernel positions.
    ///
    /// # Panics
    /// If the kernel positions do not divide K.
    #[must_use]
    pub fn channels_first(self, taps: usize) -> Self {
        assert!(
            taps > 0 && self.k.is_multiple_of(taps),
            "{taps} kernel positions divide {} weights of a channel",
            self.k
        );
        Self { taps, ..self }
    }

    /// The plain values, as they are stored; `None` for compressed forms.
    pub(crate) fn values(&self) -> Option<Values<'a>> {
        match self.form {
            Form::Dense(values) => Some(Values::F32(values)),
            Form::F16(values) => Some(Values::F16(values)),
            _ => None,
        }
    }

    /// How a row is stored.
    pub(crate) fn order(&self) -> RowOrder {
        RowOrder {
            channels: self.k / self.taps,
            taps: self.taps,
        }
    }

    /// Mostly zeros: kept as a bit mask and the other values.
    pub fn sparse(n: usize, k: usize, values: &'a [f32]) -> Self {
        assert_eq!(values.len(), n * k, "weights are [N][K]");
        Self {
            n,
            k,
            taps: 1,
            form: Form::Sparse(values),
        }
    }
}

impl<'a> Scales<'a> {
    fn new(n: usize, scale: &'a [f32], zero_point: Option<&'a [i8]>, blocks: Blocks) -> Self {
        let expected = n * blocks.count();
        assert!(
            scale.len() == 1 || scale.len() == expected,
            "expected {expected} scales, found {}",
            scale.len()
        );
        if let Some(zero_point) = zero_point {
            assert_eq!(zero_point.len(), scale.len(), "as many zero points as scales");
        }
        Self {
            scale,
            zero_point,
            blocks,
        }
    }

    /// Returns scale and zero point of a channel and block.
    pub(crate) fn of(&self, n: usize, block: usize) -> (f32, i8) {
        let at = if self.scale.len() == 1 {
            0
        } else {
            n * self.blocks.count() + block
        };
        (
            self.scale[at],
            self.zero_point.map_or(0, |zero_point| zero_point[at]),
        )
    }
}
