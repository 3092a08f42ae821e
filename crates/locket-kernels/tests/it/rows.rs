//! Softmax and layer normalisation against double precision.

use locket_kernels::{Isa, layer_norm_f32, log_softmax_f32, softmax_f32};

use crate::common::Values;

const UNIT: f64 = 1.0 / 8_388_608.0;

#[test]
fn softmax_matches_double_precision() {
    for isa in Isa::available() {
        for n in (1..70).chain([1000]) {
            let mut values = Values::new(13);
            let input: Vec<f32> = values.f32s(3 * n).iter().map(|x| x * 20.0).collect();
            let mut found = vec![0.0; input.len()];
            let mut logs = vec![0.0; input.len()];
            softmax_f32(isa, n, &input, &mut found);
            log_softmax_f32(isa, n, &input, &mut logs);
            for row in 0..3 {
                let x: Vec<f64> = input[row * n..][..n].iter().map(|&x| x.into()).collect();
                let greatest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = x.iter().map(|x| (x - greatest).exp()).sum();
                for (i, x) in x.iter().enumerate() {
                    let expected = (x - greatest).exp() / total;
                    // Rounding x - max, of magnitude up to 40, is part of the formula.
                    let bound = (4.0 + n as f64 / 32.0) * UNIT * expected + (greatest - x) * UNIT * expected;
                    let error = (f64::from(found[row * n + i]) - expected).abs();
                    assert!(error <= bound, "{isa} {n}: {} for {expected}", found[row * n + i]);
                    let log = x - greatest - total.ln();
                    let error = (f64::from(logs[row * n + i]) - log).abs();
                    assert!(
                        error <= (5.0 + n as f64 / 32.0 + log.abs()) * UNIT,
                        "{isa} {n}: {} for {log}",
                        logs[row * n + i]
                    );
                }
            }
        }
    }
}

#[test]
fn softmax_of_extremes_is_finite_or_nan_throughout() {
    for isa in Isa::available() {
        let input = [
            f32::NEG_INFINITY,
            0.0,
            f32::NEG_INFINITY,
            1e30,
            1e30,
            -1e30,
            f32::NAN,
            0.0,
            1.0,
        ];
        let mut found = [0.0; 9];
        softmax_f32(isa, 3, &input, &mut found);
        assert_eq!(found[..6], [0.0, 1.0, 0.0, 0.5, 0.5, 0.0], "{isa}");
        assert!(found[6..].iter().all(|y| y.is_nan()), "{isa} {found:?}");
    }
}

#[test]
fn layer_norm_matches_double_precision() {
    for isa in Isa::available() {
        for n in (1..70).chain([384, 1000]) {
            for with_parameters in [false, true] {
                let mut values = Values::new(14);
                let input: Vec<f32> = values.f32s(2 * n).iter().map(|x| x * 3.0 + 2.0).collect();
                let (gamma, beta) = (values.f32s(n), values.f32s(n));
                let mut found = vec![0.0; input.len()];
                let parameters = with_parameters
                    .then_some((gamma.as_slice(), beta.as_slice()))
                    .unzip();
                layer_norm_f32(isa, n, parameters.0, parameters.1, 1e-5, &input, &mut found);
                for row in 0..2 {
                    let x: Vec<f64> = input[row * n..][..n].iter().map(|&x| x.into()).collect();
                    let mean = x.iter().sum::<f64>() / n as f64;
                    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
                    for i in 0..n {
                        let scale = 1.0 / (variance + 1e-5).sqrt();
                        let mut expected = (x[i] - mean) * scale;
                        if with_parameters {
                            expected = expected * f64::from(gamma[i]) + f64::from(beta[i]);
                        }
                        // The mean is off by its rounding, up to 5 in magnitude here; the scale magnifies that.
                        let bound = (8.0 + n as f64 / 32.0) * UNIT * (5.0 * scale + 2.0);
                        let error = (f64::from(found[row * n + i]) - expected).abs();
                        assert!(error <= bound, "{isa} {n}: {} for {expected}", found[row * n + i]);
                    }
                }
            }
        }
    }
}
