//! Convolution as an implicit matrix product: M = output pixels, N = output channels, K = taps times input channels.
//!
//! Nothing is copied into columns. A tile of up to 14 pixels by up to 3 registers of channels reads, for each tap, the run of
//! channels under that tap straight from the input; taps outside the image read a shared run of padding.
//! Where pixels have few channels (the first layer), [`few`] instead copies the kernel's input rows, padded, into
//! scratch once for each output row, and a whole kernel row becomes one run.
//!
//! Blocking: weights are packed in panels (see `weights`). Pixels are taken in blocks whose input is about [`BLOCK_BYTES`], so
//! that a block stays in the second-level cache while every panel passes over it. Within a block the panel is the
//! outer loop and the tiles the inner one: a panel stays in cache for all tiles. Compressed panels are expanded once
//! for a whole call, so there the block is the call's range.

mod activation;
mod bf16;
mod f32;
mod few;
mod gather;
mod matrix;
mod matrix_u8;
mod output;
mod places;
mod row_u8;
mod runs;
mod tile_f32;
mod tile_u8;
mod u8;

pub(crate) use self::activation::Activate;
pub use self::activation::Activation;
pub use self::bf16::ConvBf16;
pub use self::f32::ConvF32;
pub(crate) use self::output::check_quantized;
pub use self::output::{Output, Residual};
use self::places::for_each_tiles;
pub(crate) use self::places::{
    MAX_TILE_ROWS, Pixel, Places, Taps, for_each_block, for_each_row_of_tiles, for_each_tile,
};
pub(crate) use self::tile_f32::{Ahead, TileF32, run_tile};
pub(crate) use self::tile_u8::{
    Requantize, Target as TargetU8, TileU8, round_clamped, run_tile as run_tile_u8,
};
pub use self::u8::ConvU8;

use self::few::FewChannels;
use crate::geometry::{ConvGeometry, TapTable};

/// Bytes of input, output and residual that a block of pixels may take: a part of the smallest second-level caches in use (512 KiB).
const BLOCK_BYTES: usize = 256 * 1024;

/// How the input is read.
#[derive(Clone, Debug)]
enum Path {
    /// Pixel by pixel, same index as the output.
    Pointwise,
    /// By tap.
    Taps(TapTable),
    /// By kernel row, from padded copies in scratch.
    Few(FewChannels),
}

impl Path {
    fn new(geometry: &ConvGeometry, element_bytes: usize) -> Self {
        if geometry.is_pointwise() {
            Self::Pointwise
        } else if let Some(few) = FewChannels::new(geometry, element_bytes) {
            Self::Few(few)
        } else {
            Self::Taps(TapTable::new(&geometry.window(), geometry.input_stride))
        }
    }

    /// Returns the number of runs that make up K, and the elements of one run.
    fn runs(&self, geometry: &ConvGeometry) -> (usize, usize) {
        match self {
            Self::Few(_) => (geometry.kernel[0], geometry.depth() / geometry.kernel[0]),
            _ => (
                geometry.kernel[0] * geometry.kernel[1],
                geometry.group_in_channels(),
            ),
        }
    }

    /// Returns the output pixels of a block. Outputs and residuals may be there: a block that counts them is a little small without.
    fn block(geometry: &ConvGeometry, element_bytes: usize) -> usize {
        let step = geometry.stride[0] * geometry.stride[1];
        let elems = geometry.in_channels * step + 2 * geometry.out_channels;
        (BLOCK_BYTES / (elems * element_bytes).max(1)).max(4 * MAX_TILE_ROWS)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Pointwise => "pointwise",
            Self::Taps(_) => "taps",
            Self::Few(_) => "rows",
        }
    }
}
