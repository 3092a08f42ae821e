//! Float convolution in bf16: activations and weights narrowed to 8 significant bits, sums in f32.
//!
//! The taps of a block of pixels are gathered into scratch and narrowed on the way, so that K is one run for whatever kernel; then
//! each tile of up to 32 pixels by up to 2 registers of channels is one product, of the matrix unit, of `vdpbf16ps`, or of plain multiply-adds.

use core::ops::Range;

use bytemuck::{cast_slice, pod_read_unaligned};

use super::f32::check_columns;
use super::gather::{Gather, bf16_bits};
use super::matrix::Part;
use super::tile_f32::{SumsF32, store_sums};
use super::{Activation, Ahead, BLOCK_BYTES, for_each_block, for_each_tile};
use crate::aligned::Aligned;
use crate::geometry::{ConvGeometry, TapTable};
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
#[cfg(target_arch = "x86_64")]
use crate::simd::Avx512Bf16;
use crate::simd::{
    Elements, MATRIX_COLUMNS, MATRIX_ROWS, MOST_CHUNK_BYTES, PREFETCHES, Product, Simd, Sums, Tiles,
};
use crate::weights::{Panel, Panels, WeightsF32};

/// Bytes between gathered pixels that would make all rows of a tile fall into one set of a first-level cache.
const ALIASING_BYTES: usize = 4096;

/// A float convolution in bf16 with its bias, residual and activation: `act(Σ bf16(x)·bf16(w) + bias + residual)`.
///
/// Narrowing is to nearest, ties to even, which moves each factor by at most 2⁻⁹ of itself (2⁻⁸ of the product, to first order);
/// sums are in f32, in an order that depends on the instruction set. Machines with bf16 products take denormal factors as zero.
#[derive(Clone, Debug)]
pub struct ConvBf16 {
    isa: Isa,
    geometry: ConvGeometry,
    panels: Panels,
    /// `[panel][k / 2][lane][2]`.
    weights: Aligned<[u16; 2]>,
    /// In panel order.
    bias: Aligned<f32>,
    activation: Activation,
    table: TapTable,
    cut: Cut,
    engine: Engine,
}

/// How K is cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Bytes of one step.
    chunk: usize,
    steps: usize,
    /// Elements from one gathered pixel to the next.
    stride: usize,
}

impl Cut {
    /// Equal steps, as few as there can be; K is padded to them.
    fn of(depth: usize) -> Self {
        let fours = depth.div_ceil(2).max(1);
        let steps = (4 * fours).div_ceil(MOST_CHUNK_BYTES);
        let chunk = 4 * fours.div_ceil(steps);
        let bytes = chunk * steps;
        let gap = if bytes.is_multiple_of(ALIASING_BYTES) {
            MOST_CHUNK_BYTES
        } else {
            0
        };
        Self {
            chunk,
            steps,
            stride: (bytes + gap) / 2,
        }
    }

    /// Pairs of K, padding included.
    fn pairs(&self) -> usize {
        self.chunk * self.steps / 4
    }
}

/// What multiplies.
#[derive(Clone, Copy, Debug)]
enum Engine {
    /// The matrix unit of the instruction set.
    Unit,
    #[cfg(target_arch = "x86_64")]
    Pairs(Avx512Bf16),
    Widened,
}

impl Engine {
    fn of(isa: Isa) -> Self {
        if isa.unit().is_some() {
            return Self::Unit;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(pairs) = Avx512Bf16::detect().filter(|_| isa.lanes() == 16) {
            return Self::Pairs(pairs);
        }
        Self::Widened
    }
}

impl Keep for ConvBf16 {
    fn keep(&self, parts: &mut Parts) {
        parts.buffers.extend([self.weights.share(), self.bias.share()]);
    }
}

impl ConvBf16 {
    /// Whether a convolution can be computed so: it has no groups.
    pub fn suits(geometry: &ConvGeometry) -> bool {
        geometry.groups == 1
    }

    /// Whether an instruction set has products of bf16, so that this is faster than in f32.
    pub fn is_native(isa: Isa) -> bool {
        !matches!(Engine::of(isa), Engine::Widened)
    }

    /// Packs the weights `[out_channels][kernel_h * kernel_w * in_channels]` for an instruction set; `None` for compressed ones.
    ///
    /// # Panics
    /// If the shape is inconsistent or has groups, or the weights or the bias do not have its size.
    pub fn new(
        isa: Isa,
        geometry: ConvGeometry,
        weights: &WeightsF32<'_>,
        bias: Option<&[f32]>,
        activation: impl Into<Activation>,
    ) -> Option<Self> {
        geometry.check();
        let (n, depth) = (geometry.out_channels, geometry.depth());
        assert_eq!((weights.n, weights.k), (n, depth), "weights are [N][K]");
        assert!(
            bias.is_none_or(|bias| bias.len() == n),
            "one bias for each output channel"
        );
        let value = weights.values()?;
        let order = weights.order();
        let at = |k: usize| k % order.channels * order.taps + k / order.channels;
        let narrowed = |n: usize, k: usize| {
            if k < depth {
                bf16_bits(value.get(n * depth + at(k)))
            } else {
                0
            }
        };
        let panels = Panels::of(isa, &geometry);
        let packed = panels.pack(Cut::of(depth).pairs(), |n, pair| {
            [narrowed(n, 2 * pair), narrowed(n, 2 * pair + 1)]
        });
        let bias = panels.pack(1, |n, _| bias.map_or(0.0, |bias| bias[n]));
        Some(Self::with(isa, geometry, packed, bias, activation))
    }

    /// Makes the convolution of what another one of the same shape kept.
    ///
    /// # Errors
    /// If the parts are not those of this shape.
    ///
    /// # Panics
    /// If the shape is inconsistent or has groups.
    pub fn stored(
        isa: Isa,
        geometry: ConvGeometry,
        activation: impl Into<Activation>,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        geometry.check();
        let columns = Panels::of(isa, &geometry).padded_columns();
        let weights = parts.buffer(columns * Cut::of(geometry.depth()).pairs())?;
        let bias = parts.buffer(columns)?;
        Ok(Self::with(isa, geometry, weights, bias, activation))
    }

    fn with(
        isa: Isa,
        geometry: ConvGeometry,
        weights: Aligned<[u16; 2]>,
        bias: Aligned<f32>,
        activation: impl Into<Activation>,
    ) -> Self {
        assert!(Self::suits(&geometry), "a bf16 convolution has no groups");
        Self {
            isa,
            panels: Panels::of(isa, &geometry),
            weights,
            bias,
            activation: activation.into(),
            table: TapTable::new(&geometry.window(), geometry.input_stride),
            cut: Cut::of(geometry.depth()),
            engine: Engine::of(isa),
            geometry,
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

    /// Returns the shape.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Returns the scratch that a run needs, in elements of 16 bits.
    pub fn scratch_elems(&self) -> usize {
        self.block() * self.cut.stride
    }

    /// Returns the bytes of packed weights and bias.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes()
    }

    /// Returns what runs, such as `bf16_conv_amx`; a name of f32 instructions says that there are none for bf16.
    pub fn kernel_name(&self) -> &'static str {
        match (self.engine, self.isa.vector_name()) {
            (Engine::Unit, _) => "bf16_conv_amx",
            #[cfg(target_arch = "x86_64")]
            (Engine::Pairs(_), _) => "bf16_conv_avx512bf16",
            (Engine::Widened, "avx512") => "bf16_conv_avx512",
            (Engine::Widened, "avx2") => "bf16_conv_avx2",
            (Engine::Widened, _) => "bf16_conv_scalar",
        }
    }

    /// Returns the multiple that the inner bounds of [`run_columns`](Self::run_columns) must have.
    pub fn column_grain(&self) -> usize {
        self.panels.grain()
    }

    /// Pixels that are gathered together.
    fn block(&self) -> usize {
        let tiles = BLOCK_BYTES / (2 * self.cut.stride) / MATRIX_ROWS;
        (tiles.max(1) * MATRIX_ROWS).min(self.geometry.out_pixels())
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
        scratch: &mut [u16],
    ) {
        self.geometry
            .check_run(input.len(), residual.map(<[f32]>::len), output.len(), &rows);
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            residual,
            output,
            rows,
            panels: 0..self.panels.count(),
            column: 0,
            scratch,
        });
    }

    /// Computes the output channels `columns` of the only output pixel, so that threads can share a matrix-vector product.
    ///
    /// # Panics
    /// If there is more than one output pixel, a slice is too short, or a bound of `columns` is neither a multiple of
    /// [`column_grain`](Self::column_grain) nor the end.
    pub fn run_columns(&self, input: &[f32], output: &mut [f32], columns: Range<usize>, scratch: &mut [u16]) {
        let panels = check_columns(&self.geometry, &self.panels, &columns);
        assert!(input.len() >= self.geometry.input_len(), "the input fits");
        assert!(output.len() >= columns.len(), "the output fits");
        self.isa.dispatch_driver(Run {
            conv: self,
            input,
            residual: None,
            output,
            rows: 0..1,
            panels,
            column: columns.start + self.geometry.output_offset,
            scratch,
        });
    }
}

/// One call.
struct Run<'a> {
    conv: &'a ConvBf16,
    input: &'a [f32],
    residual: Option<&'a [f32]>,
    output: &'a mut [f32],
    rows: Range<usize>,
    panels: Range<usize>,
    /// The channel that the output starts with, the offset into a concatenation included.
    column: usize,
    scratch: &'a mut [u16],
}

impl Kernel for Run<'_> {
    type Output = ();

    fn run<S: Simd>(mut self, simd: S) {
        let conv = self.conv;
        let mut unit = conv.isa.unit().map(Tiles::new);
        let mut sums = Sums::zeroed();
        let scratch = core::mem::take(&mut self.scratch);
        for_each_block(self.rows.clone(), conv.block(), |block| {
            let pixels = &mut scratch[..block.len() * conv.cut.stride];
            conv.isa.dispatch(Gather::<f32> {
                geometry: &conv.geometry,
                table: &conv.table,
                input: self.input,
                padding: 0,
                pixels: block.clone(),
                stride: conv.cut.stride,
                output: pixels,
            });
            for index in self.panels.clone() {
                let panel = conv.panels.panel(index);
                for_each_tile(0..block.len(), MATRIX_ROWS, |first, count| {
                    let row = block.start - self.rows.start + first;
                    let from = &pixels[first * conv.cut.stride..];
                    let share = [first, count, block.len()];
                    self.tile(simd, &mut unit, &mut sums, from, (row, count), &panel, share);
                });
            }
        });
    }
}

impl Run<'_> {
    /// Multiplies the tile of `count` gathered pixels by one panel; the first is pixel `row` of the output slice.
    fn tile<S: Simd>(
        &mut self,
        simd: S,
        unit: &mut Option<Tiles>,
        sums: &mut Sums,
        pixels: &[u16],
        (row, count): (usize, usize),
        panel: &Panel,
        share: [usize; 3],
    ) {
        let conv = self.conv;
        let depth = conv.cut.pairs();
        let weights = &conv.weights.as_slice()[panel.start * depth..][..panel.width * depth];
        let parts = panel.vectors.div_ceil(2);
        let requests = parts * conv.cut.steps * PREFETCHES;
        let [mut ahead, step] = Ahead::of(size_of_val(weights), requests, share).offsets();
        for first in (0..panel.width).step_by(2 * S::LANES) {
            let lanes = (panel.width - first).min(2 * S::LANES);
            let product = Product {
                a: cast_slice(pixels),
                runs: &[0],
                a_stride: 2 * conv.cut.stride,
                rows: count,
                chunks: conv.cut.steps,
                chunk: conv.cut.chunk,
                b: &cast_slice(weights)[4 * first..],
                b_stride: 4 * panel.width,
                b_width: 4 * lanes,
                ahead: [ahead - 4 * first, step],
            };
            ahead += requests / parts * step;
            match (conv.engine, &mut *unit) {
                (Engine::Unit, Some(unit)) => unit.multiply(Elements::Bf16, &product, sums),
                #[cfg(target_arch = "x86_64")]
                (Engine::Pairs(pairs), _) => pairs.multiply(&product, sums),
                _ => multiply(simd, &product, sums),
            }
            let part = Part {
                panel: *panel,
                lanes: (first, lanes),
                rows: (row, count),
            };
            self.write(simd, part, sums);
        }
    }

    /// Writes out what a product has left in memory.
    fn write<S: Simd>(&mut self, simd: S, part: Part, sums: &Sums) {
        let (conv, geometry) = (self.conv, &self.conv.geometry);
        let (panel, (lane, lanes), (row, rows)) = (part.panel, part.lanes, part.rows);
        let channel = panel.first + lane;
        let output = row * geometry.output_stride + geometry.output_offset + channel - self.column;
        let mut sums = SumsF32 {
            sums: cast_slice(&sums.0),
            rows,
            bias: &conv.bias.as_slice()[panel.start + lane..][..lanes],
            residual: self
                .residual
                .map(|residual| &residual[row * geometry.out_channels + channel..]),
            residual_stride: geometry.out_channels,
            output: &mut self.output[output..],
            output_stride: geometry.output_stride,
            columns: lanes.min(panel.columns - lane),
            activation: conv.activation,
        };
        store_sums(simd, &mut sums);
    }
}

/// The product on f32 instructions: the lower factor of each pair first.
fn multiply<S: Simd>(simd: S, product: &Product<'_>, sums: &mut Sums) {
    product.check();
    simd.vectorize(
        #[inline(always)]
        || {
            let mut row = 0;
            while row < product.rows {
                if product.rows - row >= 4 {
                    multiply_rows::<S, 4>(simd, product, row, sums);
                    row += 4;
                } else {
                    multiply_rows::<S, 1>(simd, product, row, sums);
                    row += 1;
                }
            }
        },
    );
}

#[inline(always)]
fn multiply_rows<S: Simd, const ROWS: usize>(simd: S, product: &Product<'_>, first: usize, sums: &mut Sums) {
    let vectors = product.b_width / (4 * S::LANES);
    let pairs = product.chunks * product.chunk / 4;
    for v in 0..vectors {
        let mut acc = [simd.splat_f32(0.0); ROWS];
        for pair in 0..pairs {
            let weights = &product.b[pair * product.b_stride + 4 * v * S::LANES..][..4 * S::LANES];
            let weights = simd.load_i32(cast_slice(weights));
            let (low, high) = (simd.low_bf16(weights), simd.high_bf16(weights));
            for row in 0..ROWS {
                let at = product.runs[0] + (first + row) * product.a_stride + 4 * pair;
                let x: u32 = pod_read_unaligned(&product.a[at..at + 4]);
                let factors = [x << 16, x & 0xffff_0000].map(f32::from_bits);
                acc[row] = simd.mul_add(simd.splat_f32(factors[0]), low, acc[row]);
                acc[row] = simd.mul_add(simd.splat_f32(factors[1]), high, acc[row]);
            }
        }
        for row in 0..ROWS {
            let at = (first + row) * MATRIX_COLUMNS + v * S::LANES;
            simd.store_f32(bytemuck::cast_slice_mut(&mut sums.0[at..at + S::LANES]), acc[row]);
        }
    }
}
