//! Float convolution.

use core::ops::Range;

use super::{
    Activation, Ahead, FewChannels, MAX_TILE_ROWS, Path, Pixel, Places, Taps, TileF32, for_each_block,
    for_each_tiles, run_tile,
};
use crate::aligned::Aligned;
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;
use crate::weights::{PackedF32, Panels, WeightsF32};

/// Pixels this many bytes apart, or a multiple, fall into one set of a first-level cache (64 lines by 8 ways), where a tile of 14 of
/// them does not stay from one element to the next: of a 1×1 convolution with 1024 channels, copying takes 23 % off the
/// time, with 512 channels (two sets) it adds 4 %, and bytes do not gain (`examples/roofline.rs`, Zen 4 with AVX-512).
const ALIASING_BYTES: usize = 4096;
/// Elements between copied pixels beyond their channels: a cache line, so that neighbours fall into neighbouring sets.
const COPY_GAP: usize = 16;

/// A float convolution with its bias, residual and activation: `act(Σ x·w + bias + residual)`.
///
/// Sums run in a different order on each instruction set; with all partial sums of magnitude at most `s`, results differ from exact
/// arithmetic by less than `K · 2⁻²³ · s`.
#[derive(Clone, Debug)]
pub struct ConvF32 {
    isa: Isa,
    geometry: ConvGeometry,
    weights: PackedF32,
    /// In panel order.
    bias: Aligned<f32>,
    activation: Activation,
    path: Path,
    /// Zeros under a tap outside the image.
    padding: Vec<f32>,
    name: &'static str,
}

impl Keep for ConvF32 {
    fn keep(&self, parts: &mut Parts) {
        self.weights.keep(parts);
        parts.buffers.push(self.bias.share());
    }
}

impl ConvF32 {
    /// Packs the weights `[out_channels][kernel_h * kernel_w * in_channels / groups]` for an instruction set.
    ///
    /// # Panics
    /// If the shape is inconsistent or the weights or the bias do not have its size.
    pub fn new(
        isa: Isa,
        geometry: ConvGeometry,
        weights: &WeightsF32<'_>,
        bias: Option<&[f32]>,
        activation: impl Into<Activation>,
    ) -> Self {
        geometry.check();
        assert_eq!(
            (weights.n, weights.k),
            (geometry.out_channels, geometry.depth()),
            "weights are [N][K]"
        );
        if let Some(bias) = bias {
            assert_eq!(
                bias.len(),
                geometry.out_channels,
                "one bias for each output channel"
            );
        }
        let panels = Panels::of(isa, &geometry);
        let bias = panels.pack(1, |n, _| bias.map_or(0.0, |bias| bias[n]));
        Self::with(isa, geometry, PackedF32::new(panels, weights), bias, activation)
    }

    /// Makes the convolution of what another one of the same shape kept.
    ///
    /// # Errors
    /// If the parts are not those of this shape.
    ///
    /// # Panics
    /// If the shape is inconsistent.
    pub fn stored(
        isa: Isa,
        geometry: ConvGeometry,
        activation: impl Into<Activation>,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        geometry.check();
        let panels = Panels::of(isa, &geometry);
        let weights = PackedF32::stored(panels, geometry.depth(), geometry.out_channels, parts)?;
        let bias = parts.buffer(panels.padded_columns())?;
        Ok(Self::with(isa, geometry, weights, bias, activation))
    }

    fn with(
        isa: Isa,
        geometry: ConvGeometry,
        weights: PackedF32,
        bias: Aligned<f32>,
        activation: impl Into<Activation>,
    ) -> Self {
        let path = Path::new(&geometry, size_of::<f32>());
        let padding = match &path {
            Path::Taps(_) => vec![0.0; geometry.group_in_channels()],
            Path::Pointwise | Path::Few(_) => Vec::new(),
        };
        let name = kernel_name(isa, weights.name(), path.name());
        Self {
            isa,
            geometry,
            weights,
            bias,
            activation: activation.into(),
            path,
            padding,
            name,
        }
    }

    /// Returns the same convolution for another shape that differs in its rows alone (see [`ConvGeometry::strip`]); weights are shared.
    ///
    /// # Panics
    /// If the shape is inconsistent.
    #[must_use]
    pub fn with_rows(&self, geometry: ConvGeometry) -> Self {
        geometry.check();
        let (weights, bias) = (self.weights.clone(), self.bias.clone());
        Self::with(self.isa, geometry, weights, bias, self.activation)
    }

    /// Whether a convolution of this shape can read an input `[batch, 3, height, width]`.
    pub fn reads_planes(geometry: &ConvGeometry) -> bool {
        (geometry.in_channels, geometry.input_stride) == (3, 3)
            && matches!(Path::new(geometry, size_of::<f32>()), Path::Few(_))
    }

    /// Returns the same convolution for an input `[batch, 3, height, width]`, as images are given.
    ///
    /// # Panics
    /// If the shape is not one that [`reads_planes`](Self::reads_planes).
    #[must_use]
    pub fn of_planes(mut self) -> Self {
        assert!(Self::reads_planes(&self.geometry), "the convolution reads planes");
        if let Path::Few(few) = self.path {
            self.path = Path::Few(few.of_planes());
        }
        self
    }

    /// Returns the shape.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Returns the scratch that a run needs, in elements.
    pub fn scratch_elems(&self) -> usize {
        match &self.path {
            Path::Few(few) => {
                few.elems()
                    + if self.weights.is_compressed() {
                        self.all_panels()
                    } else {
                        0
                    }
            }
            Path::Pointwise | Path::Taps(_) => self.weights.panel_elems() + self.copied_elems(),
        }
    }

    /// Returns the bytes of packed weights and bias.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes()
    }

    /// Returns what runs, such as `avx512 conv f32 taps`.
    pub fn kernel_name(&self) -> &'static str {
        self.name
    }

    /// Returns the multiple that the inner bounds of [`run_columns`](Self::run_columns) must have.
    pub fn column_grain(&self) -> usize {
        self.weights.panels().grain()
    }

    /// Computes the output pixels `rows`, counted over batch, height and width.
    ///
    /// `output` holds exactly these pixels, `output_stride` apart; so does `residual`, `out_channels` apart.
    ///
    /// # Panics
    /// If a slice is too short or `rows` is out of range.
    pub fn run(
        &self,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        rows: Range<usize>,
        scratch: &mut [f32],
    ) {
        self.geometry
            .check_run(input.len(), residual.map(<[f32]>::len), output.len(), &rows);
        let panels = 0..self.weights.panels().count();
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            residual,
            output,
            rows,
            panels,
            column: 0,
            scratch,
        });
    }

    /// Computes the output channels `columns` of the only output pixel, so that threads can share a matrix-vector product.
    ///
    /// # Panics
    /// If there is more than one output pixel, a slice is too short, or a bound of `columns` is neither a multiple of
    /// [`column_grain`](Self::column_grain) nor the end.
    pub fn run_columns(&self, input: &[f32], output: &mut [f32], columns: Range<usize>, scratch: &mut [f32]) {
        let panels = check_columns(&self.geometry, self.weights.panels(), &columns);
        assert!(
            input.len() >= self.geometry.input_len() && output.len() >= columns.len(),
            "the slices fit"
        );
        let column = columns.start + self.geometry.output_offset;
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            residual: None,
            output,
            rows: 0..1,
            panels,
            column,
            scratch,
        });
    }

    /// Elements of the copy of a block's input: none if it is read where it is. Compressed weights are expanded once for all pixels,
    /// which are then one block, too large to copy.
    fn copied_elems(&self) -> usize {
        let geometry = &self.geometry;
        let plain = geometry.kernel == [1, 1] && geometry.pad == [0; 4] && geometry.groups == 1;
        let apart = geometry.input_stride * geometry.stride[1] * size_of::<f32>();
        if !plain
            || geometry.out_pixels() == 1
            || !apart.is_multiple_of(ALIASING_BYTES)
            || self.weights.is_compressed()
        {
            return 0;
        }
        Path::block(geometry, size_of::<f32>()).min(geometry.out_pixels()) * self.copy_stride()
    }

    /// Elements between two copied pixels.
    fn copy_stride(&self) -> usize {
        self.geometry.in_channels + COPY_GAP
    }

    /// Copies the pixels that a block of output pixels reads.
    fn copy_pixels(&self, input: &[f32], block: Range<usize>, copies: &mut [f32]) {
        let geometry = &self.geometry;
        let channels = geometry.in_channels;
        for (pixel, copy) in block.zip(copies.chunks_exact_mut(self.copy_stride())) {
            let (line, x) = (pixel / geometry.out_width, pixel % geometry.out_width);
            let (image, y) = (line / geometry.out_height, line % geometry.out_height);
            let line = image * geometry.in_height + y * geometry.stride[0];
            let from = (line * geometry.in_width + x * geometry.stride[1]) * geometry.input_stride;
            copy[..channels].copy_from_slice(&input[from..][..channels]);
        }
    }

    fn all_panels(&self) -> usize {
        self.weights.panels().padded_columns() * self.geometry.depth()
    }
}

/// Returns the panels of `columns`, or panics unless these are whole panels of a single output pixel.
pub(super) fn check_columns(
    geometry: &ConvGeometry,
    panels: &Panels,
    columns: &Range<usize>,
) -> Range<usize> {
    assert_eq!(
        (geometry.out_pixels(), geometry.groups),
        (1, 1),
        "columns are for a single output pixel"
    );
    let grain = panels.grain();
    assert!(
        columns.start <= columns.end && columns.end <= geometry.out_channels,
        "columns {columns:?} exist"
    );
    let is_edge = |column: usize| column.is_multiple_of(grain) || column == geometry.out_channels;
    assert!(
        is_edge(columns.start) && is_edge(columns.end),
        "columns {columns:?} are whole panels of {grain}"
    );
    columns.start.div_ceil(grain)..columns.end.div_ceil(grain)
}

/// One call.
struct Run<'a> {
    conv: &'a ConvF32,
    input: &'a [f32],
    residual: Option<&'a [f32]>,
    output: &'a mut [f32],
    rows: Range<usize>,
    panels: Range<usize>,
    /// The channel that `output` starts with, the offset into a concatenation included.
    column: usize,
    scratch: &'a mut [f32],
}

impl Kernel for Run<'_> {
    type Output = ();

    fn run<S: Simd>(mut self, simd: S) {
        match &self.conv.path {
            Path::Pointwise => {
                let places = Places::Strided {
                    stride: self.conv.geometry.input_stride,
                    vertical: &[0],
                };
                self.blocks(simd, places);
            }
            Path::Taps(table) => self.blocks(simd, Places::table(&self.conv.geometry, table)),
            Path::Few(few) => self.output_rows(simd, few),
        }
    }
}

impl Run<'_> {
    /// Blocks of pixels, each under every panel.
    fn blocks<S: Simd>(&mut self, simd: S, places: Places<'_>) {
        let conv = self.conv;
        let rows = self.rows.clone();
        let scratch = core::mem::take(&mut self.scratch);
        let compressed = conv.weights.is_compressed();
        let (copies, scratch) = scratch.split_at_mut(conv.copied_elems());
        let block = if compressed {
            rows.len().max(1)
        } else {
            Path::block(&conv.geometry, size_of::<f32>())
        };
        for_each_block(rows, block, |block| {
            let (input, places, range) = match copies.is_empty() {
                true => (self.input, places, block.clone()),
                false => {
                    conv.copy_pixels(self.input, block.clone(), copies);
                    let places = Places::Strided {
                        stride: conv.copy_stride(),
                        vertical: &[0],
                    };
                    (&*copies, places, 0..block.len())
                }
            };
            for index in self.panels.clone() {
                let panel = conv.weights.panels().panel(index);
                let weights = conv.weights.panel(conv.isa, &panel, scratch);
                let output_row = block.start - self.rows.start;
                self.tiles(simd, places, range.clone(), output_row, input, &panel, weights);
            }
        });
    }

    /// One output row after the other, each from copied input rows.
    fn output_rows<S: Simd>(&mut self, simd: S, few: &FewChannels) {
        let conv = self.conv;
        let geometry = &conv.geometry;
        let scratch = core::mem::take(&mut self.scratch);
        let (copies, expanded) = scratch.split_at_mut(few.elems());
        let depth = geometry.depth();
        if conv.weights.is_compressed() {
            for index in 0..conv.weights.panels().count() {
                let panel = conv.weights.panels().panel(index);
                conv.weights
                    .panel(conv.isa, &panel, &mut expanded[panel.start * depth..]);
            }
        }
        let places = Places::Strided {
            stride: few.step,
            vertical: &few.vertical,
        };
        let mut first = self.rows.start;
        while first < self.rows.end {
            let (line, x) = (first / geometry.out_width, first % geometry.out_width);
            let end = self.rows.end.min((line + 1) * geometry.out_width);
            let place = (line / geometry.out_height, line % geometry.out_height);
            let follows = first > self.rows.start && place.1 > 0;
            few.copy(geometry, place, follows, self.input, 0.0, copies);
            few.ahead(geometry, place, self.input, |line| simd.prefetch_far(line, 0));
            for index in self.panels.clone() {
                let panel = conv.weights.panels().panel(index);
                let weights = if conv.weights.is_compressed() {
                    &expanded[panel.start * depth..][..panel.width * depth]
                } else {
                    conv.weights.panel(conv.isa, &panel, &mut [])
                };
                let output_row = first - self.rows.start;
                self.tiles(
                    simd,
                    places,
                    x..x + end - first,
                    output_row,
                    copies,
                    &panel,
                    weights,
                );
            }
            first = end;
        }
    }

    /// All tiles of a range of pixels under one panel; the first is pixel `output_row` of the output slice.
    #[inline]
    fn tiles<S: Simd>(
        &mut self,
        simd: S,
        places: Places<'_>,
        range: Range<usize>,
        output_row: usize,
        input: &[f32],
        panel: &crate::weights::Panel,
        weights: &[f32],
    ) {
        let conv = self.conv;
        let geometry = &conv.geometry;
        let (_, run) = conv.path.runs(geometry);
        let mut pixels = [Pixel::default(); MAX_TILE_ROWS];
        let most = S::MAX_ROWS[panel.vectors - 1];
        for_each_tiles(places, range.clone(), most, |first, count, times| {
            let place = places.tile(
                first,
                count,
                panel.group * geometry.group_in_channels(),
                &mut pixels,
            );
            let row = output_row + first - range.start;
            let output = row * geometry.output_stride + geometry.output_offset + panel.first - self.column;
            let mut tile = TileF32 {
                taps: Taps {
                    input,
                    padding: &conv.padding,
                    run,
                    rows: count,
                    place,
                },
                panel: weights,
                bias: &conv.bias.as_slice()[panel.start..][..panel.width],
                residual: self
                    .residual
                    .map(|residual| &residual[row * geometry.out_channels + panel.first..]),
                residual_stride: geometry.out_channels,
                output: &mut self.output[output..],
                output_stride: geometry.output_stride,
                columns: panel.columns,
                activation: conv.activation,
                ahead: Ahead::of(
                    size_of_val(weights),
                    geometry.depth(),
                    [first - range.start, count, range.len()],
                ),
                alone: geometry.out_pixels() == 1,
                times,
            };
            run_tile(simd, panel.vectors, &mut tile);
        });
    }
}

/// Returns the name of a combination; all are known beforehand, so that printing a plan allocates nothing.
fn kernel_name(isa: Isa, weights: &'static str, path: &'static str) -> &'static str {
    macro_rules! names {
        ($($isa:literal: $($weights:literal)*;)*) => {
            match (isa.vector_name(), weights, path) {
                $($(
                    ($isa, $weights, "pointwise") => concat!("f32_conv_pointwise_", $weights, "_", $isa),
                    ($isa, $weights, "taps") => concat!("f32_conv_taps_", $weights, "_", $isa),
                    ($isa, $weights, "rows") => concat!("f32_conv_rows_", $weights, "_", $isa),
                )*)*
                _ => "f32_conv",
            }
        };
    }
    names! {
        "scalar": "f32" "f16" "int8" "int4" "lut" "sparse";
        "avx2": "f32" "f16" "int8" "int4" "lut" "sparse";
        "avx512": "f32" "f16" "int8" "int4" "lut" "sparse";
    }
}
