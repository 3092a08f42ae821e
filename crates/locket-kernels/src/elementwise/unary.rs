//! Functions of one float element.

use super::math;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// A function of one float element.
///
/// Bounds are against the exact function, over all finite inputs, on every instruction set: "relative" in units of the result, with
/// 2⁻²³ = 1.19e-7; NaN gives NaN. Functions without a bound are correctly rounded, or exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryF32 {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`.
    Clamp {
        /// Least result.
        low: f32,
        /// Greatest result.
        high: f32,
    },
    /// `1 / (1 + e^-x)`; 2·2⁻²³ relative where the result is normal.
    Sigmoid,
    /// Hyperbolic tangent; 2·2⁻²³ relative.
    Tanh,
    /// `e^x`; 2⁻²³ relative where the result is normal.
    Exp,
    /// `x · Φ(x)` with the error function; 2·2⁻²³ absolute per `max(1, |x|)`.
    Gelu,
    /// `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`; 2·2⁻²³ absolute per `max(1, |x|)`.
    GeluTanh,
    /// `x · sigmoid(x)`; 2·2⁻²³ relative where the sigmoid is normal.
    Silu,
    /// `clamp(alpha · x + beta, 0, 1)`, product and sum rounded apart.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x · clamp(x / 6 + 1/2, 0, 1)`, evaluated as `x · (clamp(x + 3, 0, 6) · (1/6))`.
    HardSwish,
    /// `x` if positive, else `alpha · x`.
    LeakyRelu {
        /// Slope of the negative side.
        alpha: f32,
    },
    /// `x` if positive, else `alpha · (e^x - 1)`; 2·2⁻²³ relative.
    Elu {
        /// Scale of the negative side.
        alpha: f32,
    },
    /// `log(1 + e^x)`; 2·2⁻²³ relative where the result is normal.
    Softplus,
    /// Square root.
    Sqrt,
    /// `1 / √x`, both operations rounded.
    Rsqrt,
    /// Absolute value.
    Abs,
    /// `-x`.
    Neg,
    /// `x · x`.
    Square,
    /// `1 / x`.
    Reciprocal,
    /// Natural logarithm; 2⁻²³ relative or absolute, whichever is more.
    Log,
    /// The error function; 2·2⁻²³ absolute.
    Erf,
    /// Largest integer not above.
    Floor,
    /// Smallest integer not below.
    Ceil,
    /// Nearest integer, ties to even.
    Round,
    /// -1, 0 or 1 with the sign of x; zero for zero.
    Sign,
}

/// Elements that are copied before they are computed in place: they stay in the first-level cache.
const CHUNK: usize = 1024;

/// Applies a function to every element.
///
/// # Panics
/// If the slices differ in length.
pub fn unary_f32(isa: Isa, op: UnaryF32, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len(), "as many outputs as inputs");
    for (input, output) in input.chunks(CHUNK).zip(output.chunks_mut(CHUNK)) {
        output.copy_from_slice(input);
        isa.dispatch(Unary { op, data: output });
    }
}

/// Applies a function to every element, in place.
pub fn unary_f32_in_place(isa: Isa, op: UnaryF32, data: &mut [f32]) {
    isa.dispatch(Unary { op, data });
}

struct Unary<'a> {
    op: UnaryF32,
    data: &'a mut [f32],
}

#[inline(always)]
fn map(data: &mut [f32], f: impl Fn(f32) -> f32) {
    for value in data {
        *value = f(*value);
    }
}

impl Kernel for Unary<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let data = self.data;
        match self.op {
            UnaryF32::Relu => map(data, |x| if x < 0.0 { 0.0 } else { x }),
            UnaryF32::Clamp { low, high } => map(data, |x| math::clamp(x, low, high)),
            UnaryF32::Sigmoid => map(data, math::sigmoid::<S>),
            UnaryF32::Tanh => map(data, math::tanh::<S>),
            UnaryF32::Exp => map(data, math::exp::<S>),
            UnaryF32::Gelu => map(data, math::gelu::<S>),
            UnaryF32::GeluTanh => map(data, math::gelu_tanh::<S>),
            UnaryF32::Silu => map(data, |x| x * math::sigmoid::<S>(x)),
            UnaryF32::HardSigmoid { alpha, beta } => map(data, |x| math::clamp(alpha * x + beta, 0.0, 1.0)),
            UnaryF32::HardSwish => map(data, |x| x * (math::clamp(x + 3.0, 0.0, 6.0) * (1.0 / 6.0))),
            UnaryF32::LeakyRelu { alpha } => map(data, |x| if x < 0.0 { alpha * x } else { x }),
            UnaryF32::Elu { alpha } => map(data, |x| {
                let negative = alpha * math::exp_minus_one_of_negative::<S>(if x > 0.0 { 0.0 } else { x });
                if x > 0.0 { x } else { negative }
            }),
            UnaryF32::Softplus => map(data, math::softplus::<S>),
            UnaryF32::Sqrt => map(data, f32::sqrt),
            UnaryF32::Rsqrt => map(data, |x| 1.0 / x.sqrt()),
            UnaryF32::Abs => map(data, f32::abs),
            UnaryF32::Neg => map(data, |x| -x),
            UnaryF32::Square => map(data, |x| x * x),
            UnaryF32::Reciprocal => map(data, |x| 1.0 / x),
            UnaryF32::Log => map(data, math::log::<S>),
            UnaryF32::Erf => map(data, math::erf::<S>),
            UnaryF32::Floor => map(data, f32::floor),
            UnaryF32::Ceil => map(data, f32::ceil),
            UnaryF32::Round => map(data, f32::round_ties_even),
            UnaryF32::Sign => map(data, |x| {
                if x == 0.0 || x.is_nan() {
                    x
                } else {
                    1.0_f32.copysign(x)
                }
            }),
        }
    }
}
