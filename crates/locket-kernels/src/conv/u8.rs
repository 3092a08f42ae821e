//! Integer convolution: u8 activations, i8 weights, i32 sums.

use core::ops::Range;

use bytemuck::cast_slice;

use super::f32::check_columns;
use super::matrix::{Matrix, Unit};
use super::output::{Output, Residual, check_quantized};
use super::row_u8::{RowTarget, RowU8};
use super::tile_u8::{Requantize, ResidualTile, Target, TileU8, run_tile};
use super::{FewChannels, MAX_TILE_ROWS, Path, Pixel, Places, Taps, for_each_block, for_each_tiles};
use crate::aligned::Aligned;
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;
use crate::weights::{Panel, Panels, RowOrder};

/// An integer convolution with its bias, requantisation, residual and clamp.
///
/// The exact formula, the same bits on every instruction set:
/// `acc = bias + Σ (x - input_zero_point) · w` in i32, wrapping; taps outside the image count as the zero point;
/// `t = acc as f32 * multiplier[n]`; with a residual `t = t + (r - residual_zero_point) as f32 * residual_multiplier`, product and sum
/// rounded apart; `y = clamp(round_ties_even(t) + zero_point)`, or `clamp(t)` for float output.
#[derive(Clone, Debug)]
pub struct ConvU8 {
    pub(super) isa: Isa,
    pub(super) geometry: ConvGeometry,
    pub(super) panels: Panels,
    /// `[panel][run][k / 4][lane][4]`.
    weights: Aligned<[i8; 4]>,
    /// In panel order; the zero point of the input is folded in.
    pub(super) bias: Aligned<i32>,
    pub(super) multiplier: Aligned<f32>,
    /// See [`Requantize::are_near`].
    is_near: bool,
    output: Output,
    path: Path,
    /// How a matrix unit computes it, if one does.
    matrix: Option<Matrix>,
    pub(super) input_zero_point: u8,
    /// Zero points under a tap outside the image.
    padding: Vec<u8>,
}

impl Keep for ConvU8 {
    fn keep(&self, parts: &mut Parts) {
        let buffers = [self.weights.share(), self.bias.share(), self.multiplier.share()];
        parts.buffers.extend(buffers);
    }
}

/// What lies under a tap outside the image.
fn padding(path: &Path, geometry: &ConvGeometry, input_zero_point: u8) -> Vec<u8> {
    match path {
        Path::Taps(_) => vec![input_zero_point; geometry.group_in_channels()],
        Path::Pointwise | Path::Few(_) => Vec::new(),
    }
}

/// The sum of codes; in pieces of 32 bits, which are added much faster.
fn sum(codes: &[i8]) -> i64 {
    let piece = |codes: &[i8]| codes.iter().map(|&code| i32::from(code)).sum::<i32>();
    codes.chunks(1 << 20).map(|codes| i64::from(piece(codes))).sum()
}

impl ConvU8 {
    /// Packs the weights `[out_channels][kernel_h * kernel_w * in_channels / groups]` for an instruction set.
    ///
    /// `multiplier` has one element for each output channel: `scale_x * scale_w / scale_y`, or `scale_x * scale_w` for float output.
    ///
    /// # Panics
    /// If the shape is inconsistent, a slice does not have its size, or a multiplier is not finite and below 10²⁰.
    pub fn new(
        isa: Isa,
        geometry: ConvGeometry,
        weights: &[i8],
        bias: &[i32],
        input_zero_point: u8,
        multiplier: &[f32],
        output: Output,
    ) -> Self {
        geometry.check();
        let (n, depth) = (geometry.out_channels, geometry.depth());
        check_quantized(n, depth, weights, bias, multiplier, &output);
        let panels = Panels::of(isa, &geometry);
        let path = Path::new(&geometry, 1);
        let (runs, run) = path.runs(&geometry);
        let quads = run.div_ceil(4);
        let packed = if run.is_multiple_of(4) {
            let rows: &[[i8; 4]] = cast_slice(weights);
            panels.pack_matrix(RowOrder::plain(runs * quads), rows, |quad| quad)
        } else {
            panels.pack(runs * quads, |n, k| {
                let (tap, quad) = (k / quads, k % quads);
                let from = &weights[n * depth + tap * run..][4 * quad..run];
                core::array::from_fn(|t| from.get(t).copied().unwrap_or(0))
            })
        };
        let bias = panels.pack(1, |n, _| {
            let sum = sum(&weights[n * depth..][..depth]);
            // Wraps as the sums do.
            (i64::from(bias[n]) - i64::from(input_zero_point) * sum) as i32
        });
        let multiplier = panels.pack(1, |n, _| multiplier[n]);
        let padding = padding(&path, &geometry, input_zero_point);
        let matrix = Matrix::new(isa, &geometry, &path);
        Self {
            isa,
            geometry,
            panels,
            weights: packed,
            bias,
            is_near: is_near(&multiplier, output),
            multiplier,
            output,
            matrix,
            path,
            input_zero_point,
            padding,
        }
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
        input_zero_point: u8,
        output: Output,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        geometry.check();
        let panels = Panels::of(isa, &geometry);
        let path = Path::new(&geometry, 1);
        let (runs, run) = path.runs(&geometry);
        let columns = panels.padded_columns();
        let weights = parts.buffer(columns * runs * run.div_ceil(4))?;
        let bias = parts.buffer(columns)?;
        let multiplier = parts.buffer(columns)?;
        Ok(Self {
            isa,
            panels,
            weights,
            bias,
            is_near: is_near(&multiplier, output),
            multiplier,
            output,
            padding: padding(&path, &geometry, input_zero_point),
            matrix: Matrix::new(isa, &geometry, &path),
            path,
            input_zero_point,
            geometry,
        })
    }

    /// Returns the same convolution for another shape that differs in its rows alone (see [`ConvGeometry::strip`]); weights are shared.
    ///
    /// # Panics
    /// If the shape is inconsistent.
    #[must_use]
    pub fn with_rows(&self, geometry: ConvGeometry) -> Self {
        geometry.check();
        let path = Path::new(&geometry, 1);
        Self {
            padding: padding(&path, &geometry, self.input_zero_point),
            matrix: Matrix::new(self.isa, &geometry, &path),
            path,
            geometry,
            ..self.clone()
        }
    }

    /// Returns the shape.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Returns the scratch that a run needs, in elements (bytes).
    pub fn scratch_elems(&self) -> usize {
        match &self.path {
            Path::Few(few) => few.elems(),
            Path::Taps(_) => self.gathered_pixels() * self.geometry.depth(),
            Path::Pointwise => 0,
        }
    }

    pub(super) fn gathered_pixels(&self) -> usize {
        self.matrix.as_ref().and_then(Matrix::gathered).unwrap_or(0)
    }

    /// Returns the bytes of packed weights, bias and multipliers.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + self.multiplier.bytes()
    }

    /// Returns what runs, such as `u8_conv_taps_avx512`.
    pub fn kernel_name(&self) -> &'static str {
        let isa = match &self.matrix {
            Some(_) => self.isa.name(),
            None => self.isa.vector_name(),
        };
        match (self.path.name(), isa) {
            ("pointwise", "amx") => "u8_conv_pointwise_amx",
            ("taps", "amx") => "u8_conv_taps_amx",
            ("rows", "amx") => "u8_conv_rows_amx",
            ("pointwise", "avx512") => "u8_conv_pointwise_avx512",
            ("taps", "avx512") => "u8_conv_taps_avx512",
            ("rows", "avx512") => "u8_conv_rows_avx512",
            ("pointwise", "avx2") => "u8_conv_pointwise_avx2",
            ("taps", "avx2") => "u8_conv_taps_avx2",
            ("rows", "avx2") => "u8_conv_rows_avx2",
            ("pointwise", _) => "u8_conv_pointwise_scalar",
            ("taps", _) => "u8_conv_taps_scalar",
            (_, _) => "u8_conv_rows_scalar",
        }
    }

    /// Returns the multiple that the inner bounds of the `run_columns` functions must have.
    pub fn column_grain(&self) -> usize {
        self.panels.grain()
    }

    /// Computes the output pixels `rows`, counted over batch, height and width, as u8.
    ///
    /// `output` holds exactly these pixels, `output_stride` apart; so does `residual`, `out_channels` apart.
    ///
    /// # Panics
    /// If the output is float, a residual is given but not configured or the reverse, a slice is too short, or `rows` is
    /// out of range.
    pub fn run(
        &self,
        input: &[u8],
        residual: Option<&[u8]>,
        output: &mut [u8],
        rows: Range<usize>,
        scratch: &mut [u8],
    ) {
        self.geometry
            .check_run(input.len(), residual.map(<[u8]>::len), output.len(), &rows);
        let panels = 0..self.panels.count();
        let sink = self.sink_u8(output, residual);
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            sink,
            rows,
            panels,
            column: 0,
            scratch,
        });
    }

    /// Computes the output pixels `rows` as float; as [`run`](Self::run) otherwise.
    ///
    /// # Panics
    /// If the output is u8, a slice is too short, or `rows` is out of range.
    pub fn run_f32(&self, input: &[u8], output: &mut [f32], rows: Range<usize>, scratch: &mut [u8]) {
        self.geometry.check_run(input.len(), None, output.len(), &rows);
        let panels = 0..self.panels.count();
        let sink = self.sink_f32(output);
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            sink,
            rows,
            panels,
            column: 0,
            scratch,
        });
    }

    /// Computes the output channels `columns` of the only output pixel as u8, so that threads can share a matrix-vector product.
    ///
    /// # Panics
    /// If there is more than one output pixel or a residual, a slice is too short, or a bound of `columns` is neither a
    /// multiple of [`column_grain`](Self::column_grain) nor the end.
    pub fn run_columns(&self, input: &[u8], output: &mut [u8], columns: Range<usize>, scratch: &mut [u8]) {
        assert!(output.len() >= columns.len(), "the output fits");
        let sink = self.sink_u8(output, None);
        self.columns(input, sink, columns, scratch);
    }

    /// Computes the output channels `columns` of the only output pixel as float; as [`run_columns`](Self::run_columns) otherwise.
    ///
    /// # Panics
    /// As there.
    pub fn run_columns_f32(
        &self,
        input: &[u8],
        output: &mut [f32],
        columns: Range<usize>,
        scratch: &mut [u8],
    ) {
        assert!(output.len() >= columns.len(), "the output fits");
        let sink = self.sink_f32(output);
        self.columns(input, sink, columns, scratch);
    }

    fn columns(&self, input: &[u8], sink: Sink<'_>, columns: Range<usize>, scratch: &mut [u8]) {
        let panels = check_columns(&self.geometry, &self.panels, &columns);
        assert!(input.len() >= self.geometry.input_len(), "the input fits");
        let column = columns.start + self.geometry.output_offset;
        if matches!(self.path, Path::Pointwise) && self.geometry.groups == 1 && !panels.is_empty() {
            let target = match sink {
                Sink::U8 {
                    output, requantize, ..
                } => RowTarget::U8 { output, requantize },
                Sink::F32 { output, clamp } => RowTarget::F32 { output, clamp },
            };
            self.isa.dispatch(RowU8 {
                input: &input[..self.geometry.depth()],
                panels: &self.panels,
                range: panels,
                weights: cast_slice(self.weights.as_slice()),
                bias: self.bias.as_slice(),
                multiplier: self.multiplier.as_slice(),
                target,
            });
            return;
        }
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            sink,
            rows: 0..1,
            panels,
            column,
            scratch,
        });
    }

    pub(super) fn panel_weights(&self, panel: &Panel) -> &[[i8; 4]] {
        let (runs, run) = self.path.runs(&self.geometry);
        let depth = runs * run.div_ceil(4);
        &self.weights.as_slice()[panel.start * depth..][..panel.width * depth]
    }

    fn sink_u8<'a>(&self, output: &'a mut [u8], residual: Option<&'a [u8]>) -> Sink<'a> {
        let Output::U8 {
            zero_point,
            clamp,
            residual: scaling,
        } = self.output
        else {
            panic!("this convolution was made for float output");
        };
        assert_eq!(
            residual.is_some(),
            scaling.is_some(),
            "a residual is given exactly if it was configured"
        );
        Sink::U8 {
            output,
            requantize: Requantize::new(zero_point, clamp).near(self.is_near),
            residual: residual.zip(scaling),
        }
    }

    fn sink_f32<'a>(&self, output: &'a mut [f32]) -> Sink<'a> {
        let Output::F32 { clamp } = self.output else {
            panic!("this convolution was made for u8 output");
        };
        Sink::F32 { output, clamp }
    }
}

fn is_near(multiplier: &Aligned<f32>, output: Output) -> bool {
    let residual = match output {
        Output::U8 { residual, .. } => residual,
        Output::F32 { .. } => None,
    };
    Requantize::are_near(multiplier.as_slice(), residual)
}

/// Where a run writes.
pub(super) enum Sink<'a> {
    U8 {
        output: &'a mut [u8],
        requantize: Requantize,
        residual: Option<(&'a [u8], Residual)>,
    },
    F32 {
        output: &'a mut [f32],
        clamp: [f32; 2],
    },
}

impl Sink<'_> {
    /// Returns the part that starts at an output element, and at a residual element.
    #[inline]
    pub(super) fn at(&mut self, output_at: usize, residual_at: usize, residual_stride: usize) -> Target<'_> {
        match self {
            Sink::U8 {
                output,
                requantize,
                residual,
            } => Target::U8 {
                output: &mut output[output_at..],
                requantize: *requantize,
                residual: residual.map(|(values, scaling)| ResidualTile {
                    values: &values[residual_at..],
                    stride: residual_stride,
                    zero_point: i32::from(scaling.zero_point),
                    multiplier: scaling.multiplier,
                }),
            },
            Sink::F32 { output, clamp } => Target::F32 {
                output: &mut output[output_at..],
                clamp: *clamp,
            },
        }
    }
}

/// One call.
pub(super) struct Run<'a> {
    pub(super) conv: &'a ConvU8,
    pub(super) input: &'a [u8],
    pub(super) sink: Sink<'a>,
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    /// The channel that the output starts with, the offset into a concatenation included.
    pub(super) column: usize,
    pub(super) scratch: &'a mut [u8],
}

impl Kernel for Run<'_> {
    type Output = ();

    fn run<S: Simd>(mut self, simd: S) {
        let mut unit = self.conv.matrix.as_ref().map(Matrix::unit);
        match &self.conv.path {
            Path::Pointwise => {
                let places = Places::Strided {
                    stride: self.conv.geometry.input_stride,
                    vertical: &[0],
                };
                self.blocks(simd, &mut unit, places);
            }
            Path::Taps(table) if unit.is_some() => self.gathered_blocks(simd, &mut unit, table),
            Path::Taps(table) => {
                self.blocks(simd, &mut unit, Places::table(&self.conv.geometry, table));
            }
            Path::Few(few) => self.output_rows(simd, &mut unit, few),
        }
    }
}

/// What tiles read: where pixels lie, in what, and the elements under one tap.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    pub(super) places: Places<'a>,
    pub(super) input: &'a [u8],
    pub(super) run: usize,
}

impl Run<'_> {
    /// Blocks of pixels, each under every panel.
    fn blocks<S: Simd>(&mut self, simd: S, unit: &mut Option<Unit>, places: Places<'_>) {
        let conv = self.conv;
        let (_, run) = conv.path.runs(&conv.geometry);
        let from = From {
            places,
            input: self.input,
            run,
        };
        for_each_block(self.rows.clone(), Path::block(&conv.geometry, 1), |block| {
            for index in self.panels.clone() {
                let panel = conv.panels.panel(index);
                let output_row = block.start - self.rows.start;
                self.tiles(simd, unit, from, block.clone(), output_row, &panel);
            }
        });
    }

    /// One output row after the other, each from copied input rows.
    fn output_rows<S: Simd>(&mut self, simd: S, unit: &mut Option<Unit>, few: &FewChannels) {
        let conv = self.conv;
        let geometry = &conv.geometry;
        let (_, run) = conv.path.runs(geometry);
        let copies = core::mem::take(&mut self.scratch);
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
            few.copy(
                geometry,
                place,
                follows,
                self.input,
                conv.input_zero_point,
                copies,
            );
            let from = From {
                places,
                input: copies,
                // What a whole group of four reads beyond the run meets weights that are zero.
                run: run.next_multiple_of(4),
            };
            for index in self.panels.clone() {
                let panel = conv.panels.panel(index);
                let output_row = first - self.rows.start;
                self.tiles(simd, unit, from, x..x + end - first, output_row, &panel);
            }
            first = end;
        }
    }

    /// All tiles of a range of pixels under one panel; the first is pixel `output_row` of the output slice.
    #[inline]
    pub(super) fn tiles<S: Simd>(
        &mut self,
        simd: S,
        unit: &mut Option<Unit>,
        from: From<'_>,
        range: Range<usize>,
        output_row: usize,
        panel: &Panel,
    ) {
        let conv = self.conv;
        let geometry = &conv.geometry;
        if let (Some(matrix), Some(unit)) = (&conv.matrix, unit) {
            self.matrix_tiles(simd, (matrix, unit), from, range, output_row, panel);
            return;
        }
        let From { places, input, run } = from;
        let weights = conv.panel_weights(panel);
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
            let mut tile = TileU8 {
                taps: Taps {
                    input,
                    padding: &conv.padding,
                    run,
                    rows: count,
                    place,
                },
                panel: cast_slice(weights),
                bias: &conv.bias.as_slice()[panel.start..][..panel.width],
                row_bias: &[],
                multiplier: &conv.multiplier.as_slice()[panel.start..][..panel.width],
                target: self.sink.at(
                    output,
                    row * geometry.out_channels + panel.first,
                    geometry.out_channels,
                ),
                output_stride: geometry.output_stride,
                columns: panel.columns,
                times,
            };
            run_tile(simd, panel.vectors, &mut tile);
        });
    }
}
