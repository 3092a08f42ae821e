//! Activations: functions of one number. x: fp16, fp32 of any shape; y: as x. All since iOS 15; since iOS 17 the
//! parameters may have another float type than x.
//!
//! NaN gives NaN.

use locket_kernels::UnaryF32;

use super::unary::{Kernel, Unary};
use crate::Param;

const ALPHA: &[Param] = &[Param::required("x"), Param::constant("alpha")];
const ALPHA_BETA: &[Param] = &[
    Param::required("x"),
    Param::constant("alpha"),
    Param::constant("beta"),
];

/// `max(x, 0)`
pub static RELU: Unary =
    Unary::plain("relu", |x, _| if x < 0.0 { 0.0 } else { x }).kernel(|_| Kernel::of(UnaryF32::Relu));

/// `min(max(x, 0), 6)`
pub static RELU6: Unary = Unary::plain("relu6", |x, _| x.clamp(0.0, 6.0))
    .kernel(|_| Kernel::of(UnaryF32::Clamp { low: 0.0, high: 6.0 }));

/// `x` where `x >= 0`, else `alpha * x`
pub static LEAKY_RELU: Unary =
    Unary::plain("leaky_relu", |x, [alpha, _]| if x < 0.0 { alpha * x } else { x })
        .with(ALPHA, [0.01, 0.0], "alpha=0.25")
        .kernel(|[alpha, _]| Kernel::of(UnaryF32::LeakyRelu { alpha }));

/// `min(x, beta)` where `x >= 0`, else `min(alpha * x, beta)`
pub static CLAMPED_RELU: Unary = Unary::plain("clamped_relu", |x, [alpha, beta]| {
    let y = if x < 0.0 { alpha * x } else { x };
    if y > beta { beta } else { y }
})
.with(ALPHA_BETA, [0.0, f32::INFINITY], "alpha=0.25, beta=1.5")
.kernel(|[alpha, beta]| Kernel {
    then: Some(UnaryF32::Clamp {
        low: f32::NEG_INFINITY,
        high: beta,
    }),
    ..Kernel::of(UnaryF32::LeakyRelu { alpha })
});

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
.with(ALPHA, [1.0, 0.0], "alpha=0.75")
.kernel(|[alpha, _]| Kernel::of(UnaryF32::Elu { alpha }));

/// `1 / (1 + exp(-x))`
pub static SIGMOID: Unary =
    Unary::plain("sigmoid", |x, _| 1.0 / (1.0 + (-x).exp())).kernel(|_| Kernel::of(UnaryF32::Sigmoid));

/// `min(max(alpha * x + beta, 0), 1)`
pub static SIGMOID_HARD: Unary = Unary::plain("sigmoid_hard", |x, [alpha, beta]| {
    (alpha * x + beta).clamp(0.0, 1.0)
})
.with(ALPHA_BETA, [0.2, 0.5], "alpha=0.16666667, beta=0.5")
.kernel(|[alpha, beta]| Kernel::of(UnaryF32::HardSigmoid { alpha, beta }));

/// The formula of `locket.hard_swish`, which convolutions may have taken in.
pub(crate) fn hard_swish(x: f64) -> f64 {
    x * (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

/// `locket.hard_swish`: `x * min(max(x / 6 + 1/2, 0), 1)`. Made by the pass that finds it; never written.
pub static HARD_SWISH: Unary = Unary::plain("locket.hard_swish", |x, _| hard_swish(x))
    .kernel(|_| Kernel::of(UnaryF32::HardSwish))
    .internal();

/// `x / (1 + exp(-x))`
pub static SILU: Unary =
    Unary::plain("silu", |x, _| x / (1.0 + (-x).exp())).kernel(|_| Kernel::of(UnaryF32::Silu));

/// `log(1 + exp(x))`
pub static SOFTPLUS: Unary = Unary::plain("softplus", |x, _| x.max(0.0) + (-x.abs()).exp().ln_1p())
    .kernel(|_| Kernel::of(UnaryF32::Softplus));

/// `x / (1 + |x|)`
pub static SOFTSIGN: Unary = Unary::plain("softsign", |x, _| x / (1.0 + x.abs()));

/// `alpha * tanh(beta * x)`
pub static SCALED_TANH: Unary = Unary::plain("scaled_tanh", |x, [alpha, beta]| alpha * (beta * x).tanh())
    .with(ALPHA_BETA, [1.0, 1.0], "alpha=1.7159, beta=0.66666667")
    .kernel(|[alpha, beta]| Kernel {
        scale: beta,
        gain: alpha,
        ..Kernel::of(UnaryF32::Tanh)
    });

/// `alpha * x + beta`
pub static LINEAR_ACTIVATION: Unary = Unary::plain("linear_activation", |x, [alpha, beta]| alpha * x + beta)
    .with(ALPHA_BETA, [1.0, 0.0], "alpha=0.5, beta=-0.25")
    .kernel(|[alpha, beta]| Kernel {
        scale: alpha,
        shift: beta,
        ..Kernel::NONE
    });
