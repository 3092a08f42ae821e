//! Float depthwise convolution.
#![expect(unsafe_code, reason = "passes on an unchecked load")]

use core::ops::Range;

use super::{Element, check_depthwise, pack, packed_len, run_rows};
use crate::aligned::Aligned;
use crate::conv::{Activate, Activation};
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;

/// A float depthwise convolution with bias and activation: `act(Σ x·w + bias)`.
///
/// The order of the sums is the same on every instruction set (kernel row, then column); only the fusing of product and
/// sum differs.
#[derive(Clone, Debug)]
pub struct DepthwiseF32 {
    isa: Isa,
    geometry: ConvGeometry,
    /// `[tap][channel]`.
    weights: Aligned<f32>,
    bias: Aligned<f32>,
    activation: Activation,
}

impl Keep for DepthwiseF32 {
    fn keep(&self, parts: &mut Parts) {
        parts.buffers.extend([self.weights.share(), self.bias.share()]);
    }
}

impl DepthwiseF32 {
    /// Packs the weights `[channels][kernel_h * kernel_w]`.
    ///
    /// # Panics
    /// If the shape is inconsistent or not depthwise, or a slice does not have its size.
    pub fn new(
        isa: Isa,
        geometry: ConvGeometry,
        weights: &[f32],
        bias: Option<&[f32]>,
        activation: impl Into<Activation>,
    ) -> Self {
        check_depthwise(&geometry);
        let (channels, taps) = (geometry.in_channels, geometry.depth());
        assert_eq!(weights.len(), channels * taps, "weights are [C][taps]");
        if let Some(bias) = bias {
            assert_eq!(bias.len(), channels, "one bias for each channel");
        }
        let weights = pack(isa.lanes(), channels, taps, |channel, tap| {
            weights[channel * taps + tap]
        });
        let bias = pack(isa.lanes(), channels, 1, |channel, _| {
            bias.map_or(0.0, |bias| bias[channel])
        });
        Self {
            isa,
            geometry,
            weights,
            bias,
            activation: activation.into(),
        }
    }

    /// Makes the convolution of what another one of the same shape kept.
    ///
    /// # Errors
    /// If the parts are not those of this shape.
    ///
    /// # Panics
    /// If the shape is inconsistent or not depthwise.
    pub fn stored(
        isa: Isa,
        geometry: ConvGeometry,
        activation: impl Into<Activation>,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        check_depthwise(&geometry);
        let (channels, lanes) = (geometry.in_channels, isa.lanes());
        Ok(Self {
            isa,
            weights: parts.buffer(packed_len(lanes, channels, geometry.depth()))?,
            bias: parts.buffer(packed_len(lanes, channels, 1))?,
            geometry,
            activation: activation.into(),
        })
    }

    /// Returns the same convolution for another shape that differs in its rows alone (see [`ConvGeometry::strip`]); weights are shared.
    ///
    /// # Panics
    /// If the shape is inconsistent.
    #[must_use]
    pub fn with_rows(&self, geometry: ConvGeometry) -> Self {
        check_depthwise(&geometry);
        Self {
            geometry,
            ..self.clone()
        }
    }

    /// Returns the shape.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// Returns the bytes of packed weights and bias.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes()
    }

    /// Returns what runs, such as `f32_depthwise_avx512`.
    pub fn kernel_name(&self) -> &'static str {
        match self.isa.vector_name() {
            "avx512" => "f32_depthwise_avx512",
            "avx2" => "f32_depthwise_avx2",
            _ => "f32_depthwise_scalar",
        }
    }

    /// Computes the output pixels `rows`, counted over batch, height and width; `output` holds exactly these.
    ///
    /// # Panics
    /// If a slice is too short or `rows` is out of range.
    pub fn run(&self, input: &[f32], output: &mut [f32], rows: Range<usize>) {
        self.geometry.check_run(input.len(), None, output.len(), &rows);
        self.isa.dispatch(Run {
            depthwise: self,
            input,
            output,
            rows,
        });
    }
}

struct Run<'a> {
    depthwise: &'a DepthwiseF32,
    input: &'a [f32],
    output: &'a mut [f32],
    rows: Range<usize>,
}

struct Floats<'a> {
    input: &'a [f32],
    weights: &'a [f32],
    padded: usize,
    bias: &'a [f32],
    output: &'a mut [f32],
    activation: Activation,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let depthwise = self.depthwise;
        let bias = depthwise.bias.as_slice();
        let mut element = Floats {
            input: self.input,
            weights: depthwise.weights.as_slice(),
            padded: bias.len(),
            bias,
            output: self.output,
            activation: depthwise.activation,
        };
        run_rows(simd, &depthwise.geometry, self.rows, false, &mut element);
    }
}

impl<S: Simd> Element<S> for Floats<'_> {
    type Register = S::F32;

    #[inline(always)]
    fn input_len(&self) -> usize {
        self.input.len()
    }

    #[inline(always)]
    unsafe fn input_unchecked(&self, simd: S, at: usize) -> S::F32 {
        // SAFETY: the caller keeps the range within the input.
        unsafe { simd.load_f32_unchecked(self.input, at) }
    }

    #[inline(always)]
    fn input(&self, simd: S, at: usize, count: usize) -> S::F32 {
        if count == S::LANES {
            simd.load_f32(&self.input[at..])
        } else {
            simd.load_f32_partial(&self.input[at..][..count])
        }
    }

    #[inline(always)]
    fn weight(&self, simd: S, tap: usize, channel: usize) -> S::F32 {
        simd.load_f32(&self.weights[tap * self.padded + channel..])
    }

    #[inline(always)]
    fn start(&self, simd: S, channel: usize) -> S::F32 {
        simd.load_f32(&self.bias[channel..])
    }

    #[inline(always)]
    fn multiply_add(&self, simd: S, acc: S::F32, input: S::F32, weight: S::F32) -> S::F32 {
        simd.mul_add(input, weight, acc)
    }

    #[inline(always)]
    fn finish(&mut self, simd: S, acc: S::F32, _channel: usize, at: usize, count: usize) {
        let value = Activate::new(simd, self.activation).apply(simd, acc);
        if count == S::LANES {
            simd.store_f32(&mut self.output[at..], value);
        } else {
            simd.store_f32_partial(&mut self.output[at..][..count], value);
        }
    }
}
