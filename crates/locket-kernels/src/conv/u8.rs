//! Integer convolution: u8 activations, i8 weights, i32 sums.

use core::ops::Range;

use bytemuck::cast_slice;

use super::f32::check_columns;
use super::row_u8::{RowTarget, RowU8};
use super::tile_u8::{Requantize, ResidualTile, Target, TileU8, run_tile};
use super::{FewChannels, MAX_TILE_ROWS, Path, Pixel, Places, Taps, for_each_block, for_each_tile};
use crate::aligned::Aligned;
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;
use crate::weights::{Panel, Panels};

/// What an integer kernel does with its sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Requantises to u8.
    U8 {
        /// Stored value that stands for zero.
        zero_point: u8,
        /// Least and greatest stored value; a fused ReLU has `zero_point` as the least.
        clamp: [u8; 2],
        /// The summand that each run is given, if any.
        residual: Option<Residual>,
    },
    /// Scales to float.
    F32 {
        /// Least and greatest value.
        clamp: [f32; 2],
    },
}

/// How a residual summand (u8) is scaled to the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residual {
    /// Stored value that stands for zero.
    pub zero_point: u8,
    /// Scale of the residual over scale of the output.
    pub multiplier: f32,
}

/// An integer convolution with its bias, requantisation, residual and clamp.
///
/// The exact formula, the same bits on every instruction set:
/// `acc = bias + Σ (x - input_zero_point) · w` in i32, wrapping; taps outside the image count as the zero point;
/// `t = acc as f32 * multiplier[n]`; with a residual `t = t + (r - residual_zero_point) as f32 * residual_multiplier`, product and sum
/// rounded apart; `y = clamp(round_ties_even(t) + zero_point)`, or `clamp(t)` for float output.
#[derive(Clone, Debug)]
pub struct ConvU8 {
    isa: Isa,
    geometry: ConvGeometry,
    panels: Panels,
    /// `[panel][run][k / 4][lane][4]`.
    weights: Aligned<[i8; 4]>,
    /// In panel order; the zero point of the input is folded in.
    bias: Aligned<i32>,
    multiplier: Aligned<f32>,
    output: Output,
    path: Path,
    input_zero_point: u8,
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
        let packed = panels.pack(runs * quads, |n, k| {
            let (tap, quad) = (k / quads, k % quads);
            core::array::from_fn(|t| {
                let within = 4 * quad + t;
                if within < run {
                    weights[n * depth + tap * run + within]
                } else {
                    0
                }
            })
        });
        let bias = panels.pack(1, |n, _| {
            let sum: i64 = weights[n * depth..][..depth].iter().map(|&w| i64::from(w)).sum();
            // Wraps as the sums do.
            (i64::from(bias[n]) - i64::from(input_zero_point) * sum) as i32
        });
        let multiplier = panels.pack(1, |n, _| multiplier[n]);
        let padding = padding(&path, &geometry, input_zero_point);
        Self {
            isa,
            geometry,
            panels,
            weights: packed,
            bias,
            multiplier,
            output,
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
        Ok(Self {
            isa,
            panels,
            weights: parts.buffer(columns * runs * run.div_ceil(4))?,
            bias: parts.buffer(columns)?,
            multiplier: parts.buffer(columns)?,
            output,
            padding: padding(&path, &geometry, input_zero_point),
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
            Path::Pointwise | Path::Taps(_) => 0,
        }
    }

    /// Returns the bytes of packed weights, bias and multipliers.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + self.multiplier.bytes()
    }

    /// Returns what runs, such as `u8_conv_taps_avx512`.
    pub fn kernel_name(&self) -> &'static str {
        match (self.path.name(), self.isa.name()) {
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
            requantize: Requantize::new(zero_point, clamp),
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

/// Panics unless the parts of a quantised kernel agree.
pub(crate) fn check_quantized(
    n: usize,
    depth: usize,
    weights: &[i8],
    bias: &[i32],
    multiplier: &[f32],
    output: &Output,
) {
    assert_eq!(weights.len(), n * depth, "weights are [N][K]");
    assert_eq!(
        (bias.len(), multiplier.len()),
        (n, n),
        "one bias and multiplier for each output channel"
    );
    let usable = |multiplier: f32| multiplier.abs() < 1e20;
    assert!(
        multiplier.iter().all(|&m| usable(m)),
        "multipliers are finite and below 1e20"
    );
    if let Output::U8 { clamp, residual, .. } = output {
        assert!(clamp[0] <= clamp[1], "the clamp {clamp:?} is not empty");
        assert!(
            residual.is_none_or(|residual| usable(residual.multiplier)),
            "multipliers are finite and below 1e20"
        );
    }
}

/// Where a run writes.
enum Sink<'a> {
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
    fn at(&mut self, output_at: usize, residual_at: usize, residual_stride: usize) -> Target<'_> {
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
struct Run<'a> {
    conv: &'a ConvU8,
    input: &'a [u8],
    sink: Sink<'a>,
    rows: Range<usize>,
    panels: Range<usize>,
    /// The channel that the output starts with, the offset into a concatenation included.
    column: usize,
    scratch: &'a mut [u8],
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
        let (_, run) = conv.path.runs(&conv.geometry);
        let input = self.input;
        for_each_block(self.rows.clone(), Path::block(&conv.geometry, 1), |block| {
            for index in self.panels.clone() {
                let panel = conv.panels.panel(index);
                let output_row = block.start - self.rows.start;
                self.tiles(simd, places, block.clone(), output_row, input, run, &panel);
            }
        });
    }

    /// One output row after the other, each from copied input rows.
    fn output_rows<S: Simd>(&mut self, simd: S, few: &FewChannels) {
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
            few.copy(geometry, place, self.input, conv.input_zero_point, copies);
            for index in self.panels.clone() {
                let panel = conv.panels.panel(index);
                let output_row = first - self.rows.start;
                // What a whole group of four reads beyond the run meets weights that are zero.
                let run = run.next_multiple_of(4);
                self.tiles(simd, places, x..x + end - first, output_row, copies, run, &panel);
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
        input: &[u8],
        run: usize,
        panel: &Panel,
    ) {
        let conv = self.conv;
        let geometry = &conv.geometry;
        let (runs, real_run) = conv.path.runs(geometry);
        let depth = runs * real_run.div_ceil(4);
        let weights = &conv.weights.as_slice()[panel.start * depth..][..panel.width * depth];
        let mut pixels = [Pixel::default(); MAX_TILE_ROWS];
        for_each_tile(range.clone(), S::MAX_ROWS[panel.vectors - 1], |first, count| {
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
            };
            run_tile(simd, panel.vectors, &mut tile);
        });
    }
}
