//! What an integer kernel does with its sums.

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
