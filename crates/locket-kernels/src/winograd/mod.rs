//! Float 3×3 convolutions with stride 1 by Winograd's minimal filtering F(4×4, 3×3): 36 products for 16 results instead of 144.
//!
//! A tile of 6×6 input pixels is transformed (`Bᵀ d B`), multiplied with transformed weights (`G g Gᵀ`, made once) as 36
//! independent matrix products over channels, and transformed back (`Aᵀ m A`) to 4×4 output pixels, where bias, residual
//! and activation are applied. Matrices: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016,
//! section 4.2, for the points 0, ±1, ±2 and infinity.
//!
//! Tiles are taken in blocks whose transformed input and products stay in the second-level cache; the products are
//! the tiles of [`conv`](crate::ConvF32). Output rows are divided in strips of four.

mod transform;

use core::ops::Range;

use self::transform::{Filters, Gather, Scatter};
use crate::aligned::Aligned;
use crate::conv::{
    Activation, Ahead, MAX_TILE_ROWS, Pixel, Places, Taps, TileF32, for_each_row_of_tiles, run_tile,
};
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;
use crate::weights::Panels;

/// Output rows and columns of a tile.
pub(crate) const TILE: usize = 4;
/// Input rows and columns of a tile.
pub(crate) const PATCH: usize = TILE + 2;
/// Products of a tile and channel.
pub(crate) const POINTS: usize = PATCH * PATCH;

/// Bytes of transformed input and products of a block of tiles: about half of a second-level cache of 1 MiB.
const BLOCK_BYTES: usize = 512 * 1024;
/// Channels of a register that [`WinogradF32::suits`] reckons with: those of AVX-512.
const REGISTER: usize = 16;
/// What transforming a tile costs for each channel and point, in products: what chooses best over the shapes of
/// `examples/winograd.rs` on Zen 4 with AVX-512. Not measured with AVX2.
const TRANSFORMS: usize = 14;
/// Bytes of transformed weights that second-level caches keep from one prediction to the next; four times those of the plain form.
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Output pixels that are worth reading more than that from memory. In ResNet-50 on a Sapphire Rapids core, 14x14 pixels of 256
/// channels take 2.0 ms this way and 1.5 ms the plain way, 7x7 of 512 take 3.3 and 1.9 ms.
const READ_PIXELS: usize = 28 * 28;
/// Fewest tiles of a block: whole tiles of the product.
const LEAST_BLOCK: usize = 14;

/// A float convolution with its bias, residual and activation: `act(Σ x·w + bias + residual)`, by F(4×4, 3×3).
///
/// The transforms round too. With inputs of magnitude at most `s`, weights of magnitude at most `w` and `C` channels, results differ
/// from exact arithmetic by less than `2304 · C · (C + 13) · 2⁻²⁴ · s · w`, to first order: the matrices' rows scale magnitudes by at
/// most 48² = 2304 on the way through all three (the largest over points of `Σ |a| · Σ |b| · Σ |g|`, squared for two dimensions), and a
/// value passes `C` additions and 13 more roundings. That is the worst case; tests hold errors to `C · 2⁻¹⁵ · s · w`.
#[derive(Clone, Debug)]
pub struct WinogradF32 {
    isa: Isa,
    geometry: ConvGeometry,
    panels: Panels,
    /// `[point][panel][channel][lane]`.
    weights: Aligned<f32>,
    /// One for each output channel, padded to whole registers.
    bias: Aligned<f32>,
    activation: Activation,
}

/// Panics unless the shape can be computed so.
fn check(geometry: &ConvGeometry) {
    geometry.check();
    let ConvGeometry {
        batch,
        groups,
        kernel,
        stride,
        dilation,
        output_offset,
        ..
    } = *geometry;
    assert_eq!(
        (batch, groups, kernel, stride, dilation, output_offset),
        (1, 1, [3, 3], [1, 1], [1, 1], 0),
        "a 3 by 3 convolution of one image with stride 1, whose output is not part of a concatenation"
    );
}

fn panels(isa: Isa, geometry: &ConvGeometry) -> Panels {
    Panels::new(
        isa.lanes(),
        1,
        geometry.out_channels,
        geometry.out_pixels().max(2),
    )
}

impl Keep for WinogradF32 {
    fn keep(&self, parts: &mut Parts) {
        parts.buffers.extend([self.weights.share(), self.bias.share()]);
    }
}

impl WinogradF32 {
    /// Whether a shape can be computed so, and is expected to be faster so.
    pub fn suits(geometry: &ConvGeometry) -> bool {
        let possible = geometry.batch == 1
            && geometry.groups == 1
            && geometry.kernel == [3, 3]
            && geometry.stride == [1, 1]
            && geometry.dilation == [1, 1]
            && geometry.output_offset == 0;
        if !possible {
            return false;
        }
        let (inner, outer) = (geometry.in_channels, geometry.out_channels);
        let tiles = geometry.out_height.div_ceil(TILE) * geometry.out_width.div_ceil(TILE);
        // Whole registers are computed in either form.
        let (wide_inner, wide_outer) = (inner.next_multiple_of(REGISTER), outer.next_multiple_of(REGISTER));
        let products = inner * wide_outer + TRANSFORMS * (wide_inner + wide_outer);
        let plain = 9 * geometry.out_pixels() * inner * wide_outer;
        let bytes = POINTS * inner * wide_outer * size_of::<f32>();
        let is_read_soon = bytes <= KEPT_BYTES || geometry.out_pixels() >= READ_PIXELS;
        inner >= 8 && outer >= 8 && tiles * POINTS * products < plain && is_read_soon
    }

    /// Transforms and packs dense weights `[out_channels][in_channels][3 * 3]` for an instruction set.
    ///
    /// # Panics
    /// If the shape is not one that can be computed so, or the weights or the bias do not have its size.
    pub fn new(
        isa: Isa,
        geometry: ConvGeometry,
        weights: &[f32],
        bias: Option<&[f32]>,
        activation: impl Into<Activation>,
    ) -> Self {
        check(&geometry);
        let (inner, outer) = (geometry.in_channels, geometry.out_channels);
        assert_eq!(weights.len(), outer * inner * 9, "weights are [N][C][3][3]");
        let panels = panels(isa, &geometry);
        let padded = panels.padded_columns();
        let packed = Aligned::build(POINTS * padded * inner, |packed| {
            isa.dispatch(Filters {
                panels: &panels,
                channels: inner,
                weights,
                packed,
            });
        });
        let padded_bias = Aligned::build(outer.next_multiple_of(isa.lanes()), |padded| {
            if let Some(bias) = bias {
                padded[..outer].copy_from_slice(bias);
            }
        });
        Self {
            isa,
            geometry,
            panels,
            weights: packed,
            bias: padded_bias,
            activation: activation.into(),
        }
    }

    /// Makes the convolution of what another one of the same shape kept.
    ///
    /// # Errors
    /// If the parts are not those of this shape.
    ///
    /// # Panics
    /// If the shape is not one that can be computed so.
    pub fn stored(
        isa: Isa,
        geometry: ConvGeometry,
        activation: impl Into<Activation>,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        check(&geometry);
        let panels = panels(isa, &geometry);
        Ok(Self {
            isa,
            panels,
            weights: parts.buffer(POINTS * panels.padded_columns() * geometry.in_channels)?,
            bias: parts.buffer(geometry.out_channels.next_multiple_of(isa.lanes()))?,
            geometry,
            activation: activation.into(),
        })
    }

    /// Returns the shape.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Returns the strips of [`STRIP_ROWS`](Self::STRIP_ROWS) output rows; the last may have fewer rows.
    pub fn strips(&self) -> usize {
        self.geometry.out_height.div_ceil(TILE)
    }

    /// Output rows of a strip.
    pub const STRIP_ROWS: usize = TILE;

    /// Returns the scratch that a run needs, in elements.
    pub fn scratch_elems(&self) -> usize {
        POINTS * self.block() * (self.inner_stride() + self.outer_stride())
    }

    /// Returns the bytes of transformed weights and bias.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes()
    }

    /// Returns what runs, such as `f32_conv_winograd_avx512`.
    pub fn kernel_name(&self) -> &'static str {
        match self.isa.vector_name() {
            "avx512" => "f32_conv_winograd_avx512",
            "avx2" => "f32_conv_winograd_avx2",
            _ => "f32_conv_winograd_scalar",
        }
    }

    /// Computes the strips in the range.
    ///
    /// `output` and `residual` hold exactly the rows of these strips.
    ///
    /// # Panics
    /// If a slice is too short or the range is out of bounds.
    pub fn run(
        &self,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        strips: Range<usize>,
        scratch: &mut [f32],
    ) {
        assert!(strips.end <= self.strips(), "strips {strips:?} exist");
        let columns = self.geometry.out_width.div_ceil(TILE);
        let (transformed, products) =
            scratch[..self.scratch_elems()].split_at_mut(POINTS * self.block() * self.inner_stride());
        let mut start = strips.start * columns;
        while start < strips.end * columns {
            let end = (start + self.block()).min(strips.end * columns);
            self.isa.dispatch(Gather {
                geometry: &self.geometry,
                tiles: start..end,
                input,
                stride: self.inner_stride(),
                block: self.block(),
                transformed: &mut *transformed,
            });
            self.isa.dispatch_driver(Products {
                conv: self,
                tiles: end - start,
                transformed: &*transformed,
                products: &mut *products,
            });
            self.isa.dispatch(Scatter {
                geometry: &self.geometry,
                tiles: start..end,
                first_row: strips.start * TILE,
                products: &*products,
                stride: self.outer_stride(),
                block: self.block(),
                bias: self.bias.as_slice(),
                activation: self.activation,
                residual,
                output: &mut *output,
            });
            start = end;
        }
    }

    /// Elements from one tile's transformed channels to the next: whole registers.
    fn inner_stride(&self) -> usize {
        self.geometry.in_channels.next_multiple_of(self.isa.lanes())
    }

    fn outer_stride(&self) -> usize {
        self.geometry.out_channels.next_multiple_of(self.isa.lanes())
    }

    /// Tiles of a block.
    fn block(&self) -> usize {
        let of_tile = POINTS * (self.inner_stride() + self.outer_stride()) * size_of::<f32>();
        let all = self.strips() * self.geometry.out_width.div_ceil(TILE);
        (BLOCK_BYTES / of_tile / LEAST_BLOCK * LEAST_BLOCK).clamp(LEAST_BLOCK, all.max(LEAST_BLOCK))
    }
}

/// The matrix products of a block of tiles, one for each point.
struct Products<'a> {
    conv: &'a WinogradF32,
    tiles: usize,
    transformed: &'a [f32],
    products: &'a mut [f32],
}

impl Kernel for Products<'_> {
    type Output = ();

    fn run<S: Simd>(self, simd: S) {
        let conv = self.conv;
        let (inner, block) = (conv.geometry.in_channels, conv.block());
        let (inner_stride, outer_stride) = (conv.inner_stride(), conv.outer_stride());
        let padded = conv.panels.padded_columns();
        let zeros = [0.0; 48];
        let mut pixels = [Pixel::default(); MAX_TILE_ROWS];
        for point in 0..POINTS {
            let input = &self.transformed[point * block * inner_stride..][..block * inner_stride];
            let output = &mut self.products[point * block * outer_stride..][..block * outer_stride];
            for index in 0..conv.panels.count() {
                let panel = conv.panels.panel(index);
                let weights =
                    &conv.weights.as_slice()[(point * padded + panel.start) * inner..][..panel.width * inner];
                let places = Places::Strided {
                    stride: inner_stride,
                    vertical: &[0],
                };
                for_each_row_of_tiles(
                    0..self.tiles,
                    S::MAX_ROWS[panel.vectors - 1],
                    |first, count, times| {
                        let mut tile = TileF32 {
                            taps: Taps {
                                input,
                                padding: &[],
                                run: inner,
                                rows: count,
                                place: places.tile(first, count, 0, &mut pixels),
                            },
                            panel: weights,
                            bias: &zeros[..panel.width],
                            residual: None,
                            residual_stride: 0,
                            output: &mut output[first * outer_stride + panel.first..],
                            output_stride: outer_stride,
                            columns: panel.width.min(outer_stride - panel.first),
                            activation: Activation::NONE,
                            ahead: Ahead::of(size_of_val(weights), inner, [first, count, self.tiles]),
                            alone: false,
                            times,
                        };
                        run_tile(simd, panel.vectors, &mut tile);
                    },
                );
            }
        }
    }
}
