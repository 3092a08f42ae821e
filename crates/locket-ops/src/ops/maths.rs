//! Elementary functions of one number. x: fp16, fp32 of any shape, for some int32 or bool; y: as x. All since iOS 15.
//!
//! Outside a function's domain the result is NaN, at its poles infinite, as IEEE 754 has it. `round` rounds halves to
//! even. int32 wraps.

use locket_kernels::UnaryF32;
use locket_tensor::DType;

use super::{
    common::checks::NUMBERS,
    unary::{Kernel, Unary},
};
use crate::Param;

const EPSILON: &[Param] = &[Param::required("x"), Param::attribute("epsilon")];

/// `|x|`
pub static ABS: Unary = Unary::plain("abs", |x, _| x.abs())
    .ints(NUMBERS, i64::wrapping_abs)
    .kernel(|_| Kernel::of(UnaryF32::Abs));
/// `acos(x)`
pub static ACOS: Unary = Unary::plain("acos", |x, _| x.acos());
/// `asin(x)`
pub static ASIN: Unary = Unary::plain("asin", |x, _| x.asin());
/// `atan(x)`
pub static ATAN: Unary = Unary::plain("atan", |x, _| x.atan());
/// `atanh(x)`
pub static ATANH: Unary = Unary::plain("atanh", |x, _| x.atanh());
/// The smallest integer that is not below `x`
pub static CEIL: Unary = Unary::plain("ceil", |x, _| x.ceil()).kernel(|_| Kernel::of(UnaryF32::Ceil));
/// `min(max(x, alpha), beta)`
pub static CLIP: Unary = Unary::plain("clip", |x, [alpha, beta]| {
    let y = if x < alpha { alpha } else { x };
    if y > beta { beta } else { y }
})
.with(
    const {
        &[
            Param::required("x"),
            Param::constant("alpha"),
            Param::constant("beta"),
        ]
    },
    [f32::NEG_INFINITY, f32::INFINITY],
    "alpha=-1.0, beta=2.5",
)
.kernel(|[low, high]| Kernel::of(UnaryF32::Clamp { low, high }));
/// `cos(x)`
pub static COS: Unary = Unary::plain("cos", |x, _| x.cos());
/// `cosh(x)`
pub static COSH: Unary = Unary::plain("cosh", |x, _| x.cosh());
/// The error function, `2 / sqrt(pi) * integral of exp(-t^2) for t from 0 to x`
pub static ERF: Unary = Unary::plain("erf", |x, _| erf(x)).kernel(|_| Kernel::of(UnaryF32::Erf));
/// `exp(x)`
pub static EXP: Unary = Unary::plain("exp", |x, _| x.exp()).kernel(|_| Kernel::of(UnaryF32::Exp));
/// `2^x`; of an int32 a power below 1 is 0 and one above the range wraps
pub static EXP2: Unary = Unary::plain("exp2", |x, _| x.exp2()).ints(NUMBERS, |x| match x {
    0..63 => 1 << x,
    _ => 0,
});
/// The largest integer that is not above `x`
pub static FLOOR: Unary = Unary::plain("floor", |x, _| x.floor()).kernel(|_| Kernel::of(UnaryF32::Floor));
/// `1 / (x + epsilon)`
pub static INVERSE: Unary = Unary::plain("inverse", |x, [epsilon, _]| 1.0 / (x + epsilon))
    .with(EPSILON, [1e-4, 0.0], "epsilon=0.001")
    .kernel(|[epsilon, _]| Kernel::shifted(epsilon, UnaryF32::Reciprocal));
/// `log(x + epsilon)`, the natural logarithm
pub static LOG: Unary = Unary::plain("log", |x, [epsilon, _]| (x + epsilon).ln())
    .with(EPSILON, [1e-45, 0.0], "epsilon=0.001")
    .kernel(|[epsilon, _]| Kernel::shifted(epsilon, UnaryF32::Log));
/// True where `x` is false
pub static LOGICAL_NOT: Unary =
    Unary::plain("logical_not", |x, _| x).ints(const { &[DType::Bool] }, |x| i64::from(x == 0));
/// The nearest integer, halves to even
pub static ROUND: Unary =
    Unary::plain("round", |x, _| x.round_ties_even()).kernel(|_| Kernel::of(UnaryF32::Round));
/// `1 / sqrt(x + epsilon)`
pub static RSQRT: Unary = Unary::plain("rsqrt", |x, [epsilon, _]| 1.0 / (x + epsilon).sqrt())
    .with(EPSILON, [1e-12, 0.0], "epsilon=0.001")
    .kernel(|[epsilon, _]| Kernel::shifted(epsilon, UnaryF32::Rsqrt));
/// -1, 0 or 1
pub static SIGN: Unary = Unary::plain("sign", |x, _| if x == 0.0 || x.is_nan() { x } else { x.signum() })
    .ints(NUMBERS, i64::signum)
    .kernel(|_| Kernel::of(UnaryF32::Sign));
/// `sin(x)`
pub static SIN: Unary = Unary::plain("sin", |x, _| x.sin());
/// `sinh(x)`
pub static SINH: Unary = Unary::plain("sinh", |x, _| x.sinh());
/// `sqrt(x)`
pub static SQRT: Unary = Unary::plain("sqrt", |x, _| x.sqrt()).kernel(|_| Kernel::of(UnaryF32::Sqrt));
/// `x * x`
pub static SQUARE: Unary = Unary::plain("square", |x, _| x * x)
    .ints(NUMBERS, |x| x.wrapping_mul(x))
    .kernel(|_| Kernel::of(UnaryF32::Square));
/// `tan(x)`
pub static TAN: Unary = Unary::plain("tan", |x, _| x.tan());
/// `tanh(x)`
pub static TANH: Unary = Unary::plain("tanh", |x, _| x.tanh()).kernel(|_| Kernel::of(UnaryF32::Tanh));
/// `max(x, alpha)`
pub static THRESHOLD: Unary = Unary::plain("threshold", |x, [alpha, _]| if x < alpha { alpha } else { x })
    .with(
        const { &[Param::required("x"), Param::constant("alpha")] },
        [f32::NEG_INFINITY, 0.0],
        "alpha=0.5",
    )
    .kernel(|[low, _]| {
        Kernel::of(UnaryF32::Clamp {
            low,
            high: f32::INFINITY,
        })
    });

/// The error function, to about 1e-15: `erf(x) = 2/sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (1*3*...*(2n+1))`, a
/// sum of terms of one sign, so nothing cancels.
pub(crate) fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    // 1 - erf(6) is 2e-17, less than half a unit in the last place of 1.
    if x.abs() >= 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > sum.abs() * 1e-17 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::erf;

    // Values from Abramowitz and Stegun, table 7.1.
    #[test]
    fn erf_is_the_tabulated_one() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (-1.5, -0.966_105_146_5),
            (2.0, 0.995_322_265_0),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - expected).abs() < 1e-10, "{x}: {}", erf(x));
        }
        assert!(erf(f64::NAN).is_nan());
    }
}
