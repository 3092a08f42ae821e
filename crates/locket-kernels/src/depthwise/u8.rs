//! Integer depthwise convolution: u8 activations, i8 weights, i32 sums.
#![expect(unsafe_code, reason = "passes on an unchecked load")]

use core::ops::Range;

use super::quads::{self, Plan, Quads};
use super::{Element, check_depthwise, pack, packed_len, run_rows};
use crate::aligned::Aligned;
use crate::conv::{Output, Requantize, check_quantized};
use crate::geometry::ConvGeometry;
use crate::isa::{Isa, Kernel};
use crate::parts::{Keep, Parts, PartsError, TakeParts};
use crate::simd::Simd;

/// An integer depthwise convolution with bias, requantisation and clamp; the formula is that of [`crate::ConvU8`], without a residual.
#[derive(Clone, Debug)]
pub struct DepthwiseU8 {
    isa: Isa,
    geometry: ConvGeometry,
    /// `[tap][channel]`, each in the low 16 bits of its lane.
    weights: Aligned<i32>,
    bias: Aligned<i32>,
    multiplier: Aligned<f32>,
    input_zero_point: u8,
    output: Output,
    /// The faster plan for u8 output, where there is one.
    quads: Option<Quads>,
}

impl Keep for DepthwiseU8 {
    fn keep(&self, parts: &mut Parts) {
        parts.words.push(u64::from(self.quads.is_some()));
        let buffers = [self.weights.share(), self.bias.share(), self.multiplier.share()];
        parts.buffers.extend(buffers);
        if let Some(quads) = &self.quads {
            quads.keep(parts);
        }
    }
}

impl DepthwiseU8 {
    /// Packs the weights `[channels][kernel_h * kernel_w]`; arguments as for [`crate::ConvU8::new`].
    ///
    /// # Panics
    /// If the shape is inconsistent or not depthwise, a slice does not have its size, a multiplier is not finite and below
    /// 10²⁰, or a residual is configured.
    pub fn new(
        isa: Isa,
        geometry: ConvGeometry,
        weights: &[i8],
        bias: &[i32],
        input_zero_point: u8,
        multiplier: &[f32],
        output: Output,
    ) -> Self {
        check_depthwise(&geometry);
        let (channels, taps, lanes) = (geometry.in_channels, geometry.depth(), isa.lanes());
        check_quantized(channels, taps, weights, bias, multiplier, &output);
        assert!(
            !matches!(
                output,
                Output::U8 {
                    residual: Some(_),
                    ..
                }
            ),
            "a depthwise convolution has no residual"
        );
        let low_half = |weight: i8| i32::from(i16::from(weight).cast_unsigned());
        let quads = matches!(output, Output::U8 { .. })
            .then(|| Quads::new(isa, &geometry, weights, bias, input_zero_point, multiplier))
            .flatten();
        // Only what the other plan leaves to this one.
        let is_needed = quads.as_ref().is_none_or(Quads::is_flat);
        let channels = if is_needed { channels } else { 0 };
        Self {
            isa,
            weights: pack(lanes, channels, taps, |channel, tap| {
                low_half(weights[channel * taps + tap])
            }),
            bias: pack(lanes, channels, 1, |channel, _| bias[channel]),
            multiplier: pack(lanes, channels, 1, |channel, _| multiplier[channel]),
            geometry,
            input_zero_point,
            output,
            quads,
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
        input_zero_point: u8,
        output: Output,
        parts: &mut TakeParts<'_>,
    ) -> Result<Self, PartsError> {
        check_depthwise(&geometry);
        let plan = (parts.word(2)? == 1).then(|| Plan::of(isa, &geometry)).flatten();
        let is_needed = plan.is_none_or(|plan| plan.is_flat);
        let (channels, lanes) = (if is_needed { geometry.in_channels } else { 0 }, isa.lanes());
        Ok(Self {
            isa,
            weights: parts.buffer(packed_len(lanes, channels, geometry.depth()))?,
            bias: parts.buffer(packed_len(lanes, channels, 1))?,
            multiplier: parts.buffer(packed_len(lanes, channels, 1))?,
            input_zero_point,
            output,
            quads: plan
                .map(|plan| Quads::stored(plan, &geometry, input_zero_point, parts))
                .transpose()?,
            geometry,
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

    /// Returns the bytes of packed weights, bias and multipliers.
    pub fn weight_bytes(&self) -> usize {
        let quads = self.quads.as_ref().map_or(0, Quads::bytes);
        quads + self.weights.bytes() + self.bias.bytes() + self.multiplier.bytes()
    }

    /// Returns what runs, such as `u8_depthwise_avx512`.
    pub fn kernel_name(&self) -> &'static str {
        match self.isa.vector_name() {
            "avx512" => "u8_depthwise_avx512",
            "avx2" => "u8_depthwise_avx2",
            _ => "u8_depthwise_scalar",
        }
    }

    /// Computes the output pixels `rows`, counted over batch, height and width, as u8; `output` holds exactly these.
    ///
    /// # Panics
    /// If the output is float, a slice is too short, or `rows` is out of range.
    pub fn run(&self, input: &[u8], output: &mut [u8], rows: Range<usize>) {
        self.geometry.check_run(input.len(), None, output.len(), &rows);
        let Output::U8 {
            zero_point, clamp, ..
        } = self.output
        else {
            panic!("this convolution was made for float output");
        };
        let requantize = Requantize::new(zero_point, clamp);
        if let Some(quads) = &self.quads {
            let (geometry, input_zero_point) = (&self.geometry, self.input_zero_point);
            let (output, rows) = (&mut *output, rows.clone());
            self.isa.dispatch(quads::Run {
                quads,
                tables: quads.tables(),
                geometry,
                input,
                input_zero_point,
                output,
                zero_point,
                clamp,
                rows,
            });
        }
        let only_edges = self.quads.is_some();
        if only_edges && !self.quads.as_ref().is_some_and(Quads::is_flat) {
            return;
        }
        let sink = ToU8 { output, requantize };
        self.isa.dispatch(Run {
            depthwise: self,
            input,
            sink,
            rows,
            only_edges,
        });
    }

    /// Computes the output pixels `rows` as float; as [`run`](Self::run) otherwise.
    ///
    /// # Panics
    /// If the output is u8, a slice is too short, or `rows` is out of range.
    pub fn run_f32(&self, input: &[u8], output: &mut [f32], rows: Range<usize>) {
        self.geometry.check_run(input.len(), None, output.len(), &rows);
        let Output::F32 { clamp } = self.output else {
            panic!("this convolution was made for u8 output");
        };
        self.isa.dispatch(Run {
            depthwise: self,
            input,
            sink: ToF32 { output, clamp },
            rows,
            only_edges: false,
        });
    }
}

/// Writes a register of scaled sums.
trait Sink {
    fn store<S: Simd>(&mut self, simd: S, value: S::F32, at: usize, count: usize);
}

struct ToU8<'a> {
    output: &'a mut [u8],
    requantize: Requantize,
}

impl Sink for ToU8<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, value: S::F32, at: usize, count: usize) {
        let value = self.requantize.apply(simd, value);
        if count == S::LANES {
            simd.store_u8(&mut self.output[at..], value);
        } else {
            simd.store_u8_partial(&mut self.output[at..][..count], value);
        }
    }
}

struct ToF32<'a> {
    output: &'a mut [f32],
    clamp: [f32; 2],
}

impl Sink for ToF32<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, value: S::F32, at: usize, count: usize) {
        let (low, high) = (simd.splat_f32(self.clamp[0]), simd.splat_f32(self.clamp[1]));
        let value = simd.min_f32(high, simd.max_f32(low, value));
        if count == S::LANES {
            simd.store_f32(&mut self.output[at..], value);
        } else {
            simd.store_f32_partial(&mut self.output[at..][..count], value);
        }
    }
}

struct Run<'a, T> {
    depthwise: &'a DepthwiseU8,
    input: &'a [u8],
    sink: T,
    rows: Range<usize>,
    only_edges: bool,
}

struct Bytes<'a, T> {
    input: &'a [u8],
    input_zero_point: i32,
    weights: &'a [i32],
    padded: usize,
    bias: &'a [i32],
    multiplier: &'a [f32],
    sink: T,
}

impl<T: Sink> Kernel for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let depthwise = self.depthwise;
        let bias = depthwise.bias.as_slice();
        let mut element = Bytes {
            input: self.input,
            input_zero_point: i32::from(depthwise.input_zero_point),
            weights: depthwise.weights.as_slice(),
            padded: bias.len(),
            bias,
            multiplier: depthwise.multiplier.as_slice(),
            sink: self.sink,
        };
        run_rows(
            simd,
            &depthwise.geometry,
            self.rows,
            self.only_edges,
            &mut element,
        );
    }
}

impl<S: Simd, T: Sink> Element<S> for Bytes<'_, T> {
    type Register = S::I32;

    #[inline(always)]
    fn input_len(&self) -> usize {
        self.input.len()
    }

    #[inline(always)]
    unsafe fn input_unchecked(&self, simd: S, at: usize) -> S::I32 {
        // SAFETY: the caller keeps the range within the input.
        let values = unsafe { simd.load_u8_unchecked(self.input, at) };
        simd.sub_i32(values, simd.splat_i32(self.input_zero_point))
    }

    #[inline(always)]
    fn input(&self, simd: S, at: usize, count: usize) -> S::I32 {
        let values = if count == S::LANES {
            simd.load_u8(&self.input[at..])
        } else {
            simd.load_u8_partial(&self.input[at..][..count])
        };
        simd.sub_i32(values, simd.splat_i32(self.input_zero_point))
    }

    #[inline(always)]
    fn weight(&self, simd: S, tap: usize, channel: usize) -> S::I32 {
        simd.load_i32(&self.weights[tap * self.padded + channel..])
    }

    #[inline(always)]
    fn start(&self, simd: S, channel: usize) -> S::I32 {
        simd.load_i32(&self.bias[channel..])
    }

    #[inline(always)]
    fn multiply_add(&self, simd: S, acc: S::I32, input: S::I32, weight: S::I32) -> S::I32 {
        simd.mul_add_i16(acc, input, weight)
    }

    #[inline(always)]
    fn finish(&mut self, simd: S, acc: S::I32, channel: usize, at: usize, count: usize) {
        let multiplier = simd.load_f32(&self.multiplier[channel..]);
        let value = simd.mul_f32(simd.to_f32(acc), multiplier);
        self.sink.store(simd, value, at, count);
    }
}
