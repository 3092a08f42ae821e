//! Functions of one f32 that the compiler can vectorise: no branches, no calls, both sides of a condition computed.
//!
//! Polynomials are our own weighted minimax fits (Lawson iteration at 2000 Chebyshev nodes, in double precision, coefficients
//! then rounded to f32); each comment gives the fitted function, its range and the largest weighted error of the fit, which is far below
//! the rounding of the evaluation. Bounds of the whole functions are in [`super::UnaryF32`] and tested by a sweep.

use crate::simd::Simd;

/// Rounds to the nearest integer for `|x| < 2²²` when added and subtracted again.
const ROUND_MAGIC: f32 = 12_582_912.0;

/// The high part of ln 2, short enough that its product with an exponent is exact.
const LN2_HIGH: f32 = 0.693_145_75;
/// ln 2 minus the high part.
const LN2_LOW: f32 = 1.428_606_8e-6;

/// Evaluates a polynomial, the constant coefficient first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    for term in (0..N - 1).rev() {
        value = S::fused(value, x, coefficients[term]);
    }
    value
}

/// Returns 2^n for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23).cast_unsigned())
}

/// Splits `x` into `n · ln 2 + r` with `|r| <= ln 2 / 2` and returns `(n, e^r - 1)`. NaN gives NaN.
#[inline(always)]
fn split_exp<S: Simd>(x: f32) -> (i32, f32) {
    let shifted = S::fused(x, core::f32::consts::LOG2_E, ROUND_MAGIC);
    let n = shifted
        .to_bits()
        .cast_signed()
        .wrapping_sub(ROUND_MAGIC.to_bits().cast_signed());
    let whole = shifted - ROUND_MAGIC;
    let r = S::fused(whole, -LN2_LOW, S::fused(whole, -LN2_HIGH, x));
    // (e^r - 1 - r) / r² on ±0.347; 3.1e-9 of e^r.
    let p = polynomial::<S, 5>(
        r,
        [
            0.499_999_94,
            0.166_665_2,
            0.041_668_393,
            0.008_368_781,
            0.001_381_446_7,
        ],
    );
    (n, S::fused(r * r, p, r))
}

/// e^x. Subnormal results are kept, too large ones are infinite.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: f32) -> f32 {
    // Beyond these the result is zero or infinite anyway, and within them n stays in range.
    let x = if x < -105.0 { -105.0 } else { x };
    let x = if x > 90.0 { 90.0 } else { x };
    let (n, e) = split_exp::<S>(x);
    // 2^n in two factors: n may be beyond what one can hold. The mask only matters for NaN, whose n is arbitrary.
    let half = (n >> 1).clamp(-126, 127);
    let rest = n.wrapping_sub(half).clamp(-126, 127);
    (1.0 + e) * power_of_two(half) * power_of_two(rest)
}

/// e^x - 1 for `x <= 0`.
#[inline(always)]
pub(crate) fn exp_minus_one_of_negative<S: Simd>(x: f32) -> f32 {
    let x = if x < -40.0 { -40.0 } else { x };
    let (n, e) = split_exp::<S>(x);
    let scale = power_of_two(n.clamp(-126, 127));
    S::fused(scale, e, scale - 1.0)
}

/// Natural logarithm: negative infinity at zero, NaN below.
#[inline(always)]
pub(crate) fn log<S: Simd>(x: f32) -> f32 {
    let is_subnormal = x < f32::MIN_POSITIVE;
    let normal = if is_subnormal { x * 8_388_608.0 } else { x };
    // Moves the mantissa to [√½, √2) by counting from the bits of √½.
    let offset = normal.to_bits().cast_signed().wrapping_sub(0x3f35_04f3);
    let exponent = (offset >> 23) as f32 - if is_subnormal { 23.0 } else { 0.0 };
    let mantissa = f32::from_bits((offset & 0x007f_ffff).wrapping_add(0x3f35_04f3).cast_unsigned());
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    // (2·atanh(s) - 2s) / s³ in s² on [0, 0.0295]; 4.8e-12 of the logarithm.
    let p = polynomial::<S, 4>(z, [0.666_666_6, 0.400_003_37, 0.285_372_38, 0.235_835_69]);
    // log(1 + f) = f - s·(f - z·p), which loses nothing for small f.
    let tail = S::fused(exponent, LN2_LOW, -(s * S::fused(-z, p, f)));
    let value = S::fused(exponent, LN2_HIGH, f + tail);
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    let value = if x < 0.0 { f32::NAN } else { value };
    // Infinity and NaN are their own logarithm.
    if x < f32::INFINITY { value } else { x }
}

/// log(1 + x) for `0 <= x <= 1`.
#[inline(always)]
fn log_of_one_plus<S: Simd>(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    // (2·atanh(s) - 2s) / s³ in s² on [0, 1/9]; 2.8e-12 of the logarithm.
    let p = polynomial::<S, 6>(
        z,
        [
            0.666_666_7,
            0.400_000_54,
            0.285_683_96,
            0.223_015,
            0.171_478_51,
            0.217_923_92,
        ],
    );
    S::fused(s * z, p, 2.0 * s)
}

/// log(1 + e^x).
#[inline(always)]
pub(crate) fn softplus<S: Simd>(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log_of_one_plus::<S>(exp::<S>(-x.abs()))
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(x: f32) -> f32 {
    let e = exp::<S>(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(x: f32) -> f32 {
    let size = x.abs();
    let z = x * x;
    // (tanh(x) - x) / x³ in x² on [0, 0.625²]; 1.5e-10 of x.
    let p = polynomial::<S, 6>(
        z,
        [
            -0.333_333_3,
            0.133_332_1,
            -0.053_947_203,
            0.021_702_97,
            -0.008_182_677,
            0.002_147_54,
        ],
    );
    let small = S::fused(x * z, p, x);
    let large = (1.0 - 2.0 / (exp::<S>(2.0 * size) + 1.0)).copysign(x);
    // A NaN is not below the border and goes through the exponential.
    if size < 0.625 { small } else { large }
}

/// The error function.
#[inline(always)]
pub(crate) fn erf<S: Simd>(x: f32) -> f32 {
    let size = x.abs();
    let z = x * x;
    // erf(x) / x in x² on [0, 1]; 1.2e-9.
    let p = polynomial::<S, 7>(
        z,
        [
            core::f32::consts::FRAC_2_SQRT_PI,
            -0.376_126_26,
            0.112_836,
            -0.026_854_444,
            0.005_189_535_7,
            -0.000_802_084_2,
            7.889_123e-5,
        ],
    );
    let small = x * p;
    // From 4 on the result rounds to 1.
    let bounded = if size > 4.0 { 4.0 } else { size };
    // -log(erfc(x)) on [1, 4]; 1.0e-9 absolute in erfc.
    let q = polynomial::<S, 7>(
        bounded,
        [
            0.000_353_719_52,
            1.127_04,
            0.638_225_7,
            0.103_037_37,
            -0.021_805_318,
            0.002_939_607_2,
            -0.000_185_574_01,
        ],
    );
    let large = (1.0 - exp::<S>(-q)).copysign(x);
    if size < 1.0 { small } else { large }
}

/// x · Φ(x) with the error function.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<S>(x * core::f32::consts::FRAC_1_SQRT_2))
}

/// The form of [`gelu`] with a hyperbolic tangent: `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let inner = SQRT_2_OVER_PI * S::fused(0.044_715 * x * x, x, x);
    0.5 * x * (1.0 + tanh::<S>(inner))
}

/// The value, at least `low` and at most `high`; NaN stays NaN.
#[inline(always)]
pub(crate) fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}
