//! Conversions between element types: quantise, dequantise, requantise, float16.

use half::f16;

use crate::conv::{Requantize, round_clamped};
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Quantises: `clip(round_ties_even(x / scale) + zero_point, 0, 255)`. NaN gives the zero point.
///
/// # Panics
/// If the slices differ in length.
pub fn quantize_u8(isa: Isa, scale: f32, zero_point: u8, input: &[f32], output: &mut [u8]) {
    let [low, high] = [0.0, 255.0].map(|bound| bound - f32::from(zero_point));
    let quantize = |x: f32| (round_clamped(x / scale, low, high) + i32::from(zero_point)) as u8;
    map(isa, input, output, quantize);
}

/// Quantises: `clip(round_ties_even(x / scale) + zero_point, -128, 127)`. NaN gives the zero point.
///
/// # Panics
/// If the slices differ in length.
pub fn quantize_i8(isa: Isa, scale: f32, zero_point: i8, input: &[f32], output: &mut [i8]) {
    let [low, high] = [-128.0, 127.0].map(|bound| bound - f32::from(zero_point));
    let quantize = |x: f32| (round_clamped(x / scale, low, high) + i32::from(zero_point)) as i8;
    map(isa, input, output, quantize);
}

/// Dequantises: `scale * (q - zero_point)`.
///
/// # Panics
/// If the slices differ in length.
pub fn dequantize_u8(isa: Isa, scale: f32, zero_point: u8, input: &[u8], output: &mut [f32]) {
    map(isa, input, output, |q: u8| {
        scale * (i32::from(q) - i32::from(zero_point)) as f32
    });
}

/// Dequantises: `scale * (q - zero_point)`.
///
/// # Panics
/// If the slices differ in length.
pub fn dequantize_i8(isa: Isa, scale: f32, zero_point: i8, input: &[i8], output: &mut [f32]) {
    map(isa, input, output, |q: i8| {
        scale * (i32::from(q) - i32::from(zero_point)) as f32
    });
}

/// Moves u8 values to another scale and zero point: `t = (x - input_zero_point) as f32 * multiplier`;
/// `y = clamp(round_ties_even(t) + zero_point)`, with `multiplier = scale_x / scale_y`.
///
/// # Panics
/// If the slices differ in length.
pub fn requantize_u8(
    isa: Isa,
    (multiplier, input_zero_point): (f32, u8),
    (zero_point, clamp): (u8, [u8; 2]),
    input: &[u8],
    output: &mut [u8],
) {
    let requantize = Requantize::new(zero_point, clamp);
    let convert =
        |q: u8| requantize.apply_lane((i32::from(q) - i32::from(input_zero_point)) as f32 * multiplier);
    map(isa, input, output, convert);
}

/// Widens float16 to float32, exactly.
///
/// # Panics
/// If the slices differ in length.
pub fn f16_to_f32(isa: Isa, input: &[f16], output: &mut [f32]) {
    assert_eq!(input.len(), output.len(), "as many outputs as inputs");
    isa.dispatch(Widen {
        input: bytemuck::cast_slice(input),
        output,
    });
}

/// Narrows float32 to float16, to nearest, ties to even; too large values become infinite.
///
/// # Panics
/// If the slices differ in length.
pub fn f32_to_f16(isa: Isa, input: &[f32], output: &mut [f16]) {
    assert_eq!(input.len(), output.len(), "as many outputs as inputs");
    isa.dispatch(Narrow {
        input,
        output: bytemuck::cast_slice_mut(output),
    });
}

/// Applies `f` to every element; the compiler vectorises it for the instruction set.
fn map<A: Copy, B>(isa: Isa, input: &[A], output: &mut [B], f: impl Fn(A) -> B) {
    assert_eq!(input.len(), output.len(), "as many outputs as inputs");
    isa.dispatch(Map { input, output, f });
}

struct Map<'a, A, B, F> {
    input: &'a [A],
    output: &'a mut [B],
    f: F,
}

impl<A: Copy, B, F: Fn(A) -> B> Kernel for Map<'_, A, B, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (result, &value) in self.output.iter_mut().zip(self.input) {
            *result = (self.f)(value);
        }
    }
}

struct Widen<'a> {
    input: &'a [u16],
    output: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut outputs = self.output.chunks_exact_mut(S::LANES);
        let mut inputs = self.input.chunks_exact(S::LANES);
        for (to, from) in outputs.by_ref().zip(inputs.by_ref()) {
            simd.store_f32(to, simd.load_f16(from));
        }
        for (to, &from) in outputs.into_remainder().iter_mut().zip(inputs.remainder()) {
            *to = f16::from_bits(from).to_f32();
        }
    }
}

struct Narrow<'a> {
    input: &'a [f32],
    output: &'a mut [u16],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut outputs = self.output.chunks_exact_mut(S::LANES);
        let mut inputs = self.input.chunks_exact(S::LANES);
        for (to, from) in outputs.by_ref().zip(inputs.by_ref()) {
            simd.store_f16(to, simd.load_f32(from));
        }
        for (to, &from) in outputs.into_remainder().iter_mut().zip(inputs.remainder()) {
            *to = f16::from_f32(from).to_bits();
        }
    }
}
