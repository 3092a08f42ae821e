//! Activations: functions of one number. x: fp16, fp32 of any shape; y: as x. All since iOS 15; since iOS 17 the
//! parameters may have another float type than x.
//!
//! NaN gives NaN.

use super::unary::Unary;
use crate::Param;

const ALPHA: &[Param] = &[Param::required("x"), Param::constant("alpha")];
const ALPHA_BETA: &[Param] = &[
    Param::required("x"),
    Param::constant("alpha"),
    Param::constant("beta"),
];

/// `max(x, 0)`
pub static RELU: Unary = Unary::plain("relu", |x, _| if x < 0.0 { 0.0 } else { x });

/// `min(max(x, 0), 6)`
pub static RELU6: Unary = Unary::plain("relu6", |x, _| x.clamp(0.0, 6.0));

/// `x` where `x >= 0`, else `alpha * x`
pub static LEAKY_RELU: Unary = Unary::plain(
    "leaky_relu",
    |x, [alpha, _]| if x < 0.0 { alpha * x } else { x },
)
.with(ALPHA, [0.01, 0.0], "alpha=0.25");

/// `min(x, beta)` where `x >= 0`, else `min(alpha * x, beta)`
pub static CLAMPED_RELU: Unary = Unary::plain("clamped_relu", |x, [alpha, beta]| {
    let y = if x < 0.0 { alpha * x } else { x };
    if y > beta { beta } else { y }
})
.with(ALPHA_BETA, [0.0, f32::INFINITY], "alpha=0.25, beta=1.5");

/// `x` where `x >= alpha`, else 0
pub static THRESHOLDED_RELU: Unary = Unary::plain(
    "thresholded_relu",
    |x, [alpha, _]| if x < alpha { 0.0 } else { x },
)
.with(ALPHA, [1.0, 0.0], "alpha=0.75");

/// `x` where `x > 0`, else `alpha * (exp(x) - 1)`
pub static ELU: Unary = Unary::plain(
    "elu",
    |x, [alpha, _]| if x > 0.0 { x } else { alpha * x.exp_m1() },
)
.with(ALPHA, [1.0, 0.0], "alpha=0.75");

/// `1 / (1 + exp(-x))`
pub static SIGMOID: Unary = Unary::plain("sigmoid", |x, _| 1.0 / (1.0 + (-x).exp()));

/// `min(max(alpha * x + beta, 0), 1)`
pub static SIGMOID_HARD: Unary = Unary::plain("sigmoid_hard", |x, [alpha, beta]| {
    (alpha * x + beta).clamp(0.0, 1.0)
})
.with(ALPHA_BETA, [0.2, 0.5], "alpha=0.16666667, beta=0.5");

/// `x / (1 + exp(-x))`
pub static SILU: Unary = Unary::plain("silu", |x, _| x / (1.0 + (-x).exp()));

/// `log(1 + exp(x))`
pub static SOFTPLUS: Unary = Unary::plain("softplus", |x, _| x.max(0.0) + (-x.abs()).exp().ln_1p());

/// `x / (1 + |x|)`
pub static SOFTSIGN: Unary = Unary::plain("softsign", |x, _| x / (1.0 + x.abs()));

/// `alpha * tanh(beta * x)`
pub static SCALED_TANH: Unary = Unary::plain("scaled_tanh", |x, [alpha, beta]| alpha * (beta * x).tanh())
    .with(ALPHA_BETA, [1.0, 1.0], "alpha=1.7159, beta=0.66666667");

/// `alpha * x + beta`
pub static LINEAR_ACTIVATION: Unary = Unary::plain("linear_activation", |x, [alpha, beta]| alpha * x + beta)
    .with(ALPHA_BETA, [1.0, 0.0], "alpha=0.5, beta=-0.25");
