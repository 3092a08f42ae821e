//! Functions of whole rows: softmax and layer normalisation over the last axis.
//!
//! Sums run in 32 interleaved partial sums, the same on every instruction set.

use crate::elementwise::math;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

const LANES: usize = 32;

/// Computes `e^(x - max) / Σ e^(x - max)` for each row of `n` elements.
///
/// Each result is within `(4 + n/32) · 2⁻²³` relative of exact where it is normal. A row with a NaN is all NaN.
///
/// # Panics
/// If the slices differ in length or `n` does not divide it.
pub fn softmax_f32(isa: Isa, n: usize, input: &[f32], output: &mut [f32]) {
    check_rows(n, input.len(), output.len());
    isa.dispatch(Softmax {
        n,
        input,
        output,
        log: false,
    });
}

/// Computes `x - max - log Σ e^(x - max)` for each row of `n` elements.
///
/// # Panics
/// If the slices differ in length or `n` does not divide it.
pub fn log_softmax_f32(isa: Isa, n: usize, input: &[f32], output: &mut [f32]) {
    check_rows(n, input.len(), output.len());
    isa.dispatch(Softmax {
        n,
        input,
        output,
        log: true,
    });
}

/// Computes `(x - mean) / √(variance + epsilon) · gamma + beta` for each row of `n` elements; the variance is that of the
/// row itself (divided by n), taken in a second pass.
///
/// # Panics
/// If the slices differ in length, `n` does not divide it, or `gamma` or `beta` do not have `n` elements.
pub fn layer_norm_f32(
    isa: Isa,
    n: usize,
    gamma: Option<&[f32]>,
    beta: Option<&[f32]>,
    epsilon: f32,
    input: &[f32],
    output: &mut [f32],
) {
    check_rows(n, input.len(), output.len());
    assert!(
        gamma.is_none_or(|gamma| gamma.len() == n),
        "one gamma for each of {n} elements"
    );
    assert!(
        beta.is_none_or(|beta| beta.len() == n),
        "one beta for each of {n} elements"
    );
    isa.dispatch(LayerNorm {
        n,
        gamma,
        beta,
        epsilon,
        input,
        output,
    });
}

fn check_rows(n: usize, input: usize, output: usize) {
    assert_eq!(input, output, "as many outputs as inputs");
    assert!(
        n > 0 && input.is_multiple_of(n),
        "rows of {n} make up {input} elements"
    );
}

/// Adds partial sums, the upper half to the lower until one is left.
#[inline(always)]
pub(crate) fn fold_sum(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

/// Sums `f` over a row.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += f(chunk[lane]);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f(value);
    }
    fold_sum(sums)
}

/// The greatest element; if any is NaN, the result is finite or NaN, either of which ends in NaN below.
#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut greatest = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            greatest[lane] = larger(greatest[lane], chunk[lane]);
        }
    }
    for (greatest, &value) in greatest.iter_mut().zip(rest) {
        *greatest = larger(*greatest, value);
    }
    greatest.into_iter().fold(f32::NEG_INFINITY, larger)
}

struct Softmax<'a> {
    n: usize,
    input: &'a [f32],
    output: &'a mut [f32],
    log: bool,
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self {
            n,
            input,
            output,
            log,
        } = self;
        for (input, output) in input.chunks_exact(n).zip(output.chunks_exact_mut(n)) {
            let greatest = maximum(input);
            if log {
                for (result, &x) in output.iter_mut().zip(input) {
                    *result = x - greatest;
                }
                let shift = math::log::<S>(sum(output, math::exp::<S>));
                for result in output {
                    *result -= shift;
                }
            } else {
                for (result, &x) in output.iter_mut().zip(input) {
                    *result = math::exp::<S>(x - greatest);
                }
                let total = sum(output, |e| e);
                for result in output {
                    *result /= total;
                }
            }
        }
    }
}

struct LayerNorm<'a> {
    n: usize,
    gamma: Option<&'a [f32]>,
    beta: Option<&'a [f32]>,
    epsilon: f32,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let n = self.n as f32;
        for (input, output) in self
            .input
            .chunks_exact(self.n)
            .zip(self.output.chunks_exact_mut(self.n))
        {
            let mean = sum(input, |x| x) / n;
            let variance = sum(input, |x| (x - mean) * (x - mean)) / n;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for (result, &x) in output.iter_mut().zip(input) {
                *result = (x - mean) * scale;
            }
            if let Some(gamma) = self.gamma {
                output
                    .iter_mut()
                    .zip(gamma)
                    .for_each(|(result, gamma)| *result *= gamma);
            }
            if let Some(beta) = self.beta {
                output
                    .iter_mut()
                    .zip(beta)
                    .for_each(|(result, beta)| *result += beta);
            }
        }
    }
}
