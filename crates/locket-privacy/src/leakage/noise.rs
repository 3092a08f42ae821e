//! The bound that Gaussian noise gives against every unbiased attacker, whatever their attack.
//!
//! With `N(0, σ² I)` added to an embedding `f(x)` of a picture of `d` values, the Fisher information about the picture is
//! `JᵀJ / σ²` with the Jacobian `J` of `f`, and by Cramér and Rao the mean squared error of an unbiased reconstruction is at least
//! `1 / dFIL` with `dFIL = tr(JᵀJ) / (d σ²)` (K. Maeng, C. Guo, S. Kariyappa and G. E. Suh,
//! "Bounding the invertibility of privacy-preserving instance encoding using Fisher information", NeurIPS 2023). Biased attackers, such as
//! those of the ladder, can be below it.
//!
//! `tr(JᵀJ) = E ‖J v‖²` for random signs `v` (Hutchinson); `J v` is a central difference with a step of one grey level. The
//! figure is therefore an estimate, from [`PICTURES`] pictures with [`PROBES`] directions each. The bound stated is for the
//! mean over pictures of `dFIL`.

use locket_data::preprocess::Layout;
use locket_mil::Function;
use locket_runtime::PlanOptions;
use locket_tensor::{DType, Tensor};

use super::{
    Request,
    features::{Collection, run_all},
    taps::{Role, Tap},
};
use crate::{PrivacyError, random::Random};

/// Pictures that the Jacobian is probed at.
pub(super) const PICTURES: usize = 16;
/// Random directions for each.
pub(super) const PROBES: usize = 4;
/// The step of a pixel, which goes from 0 to 1: one grey level.
const STEP: f64 = 1.0 / 255.0;

/// An estimate of dFIL with the bound that follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseBound {
    /// The noise's standard deviation.
    pub sigma: f64,
    /// Estimated Fisher information leakage by pixel value.
    pub dfil: f64,
    /// The least root-mean-square error of an unbiased reconstruction, for pixels from 0 to 1.
    pub rmse: f64,
}

/// Estimates the bound for the first output of `function`; `None` if its input is not float32.
pub(super) fn bound(
    request: &Request<'_>,
    function: &Function,
    sigma: f64,
) -> Result<Option<NoiseBound>, PrivacyError> {
    let some: Vec<&Tensor> = request.attacked.inputs.iter().take(PICTURES).collect();
    if some.iter().any(|tensor| tensor.dtype() != DType::Float32) {
        return Ok(None);
    }
    let channels_last = request.recipe.layout == Layout::Nhwc;
    // Scales stand in the order of the input's channels already.
    let by_channel: Vec<f64> = request.recipe.scale.iter().map(|scale| scale * 255.0).collect();
    let mut random = Random::new(request.seed, 0xf151);
    let mut pairs = Vec::new();
    for picture in &some {
        let values = picture.as_slice::<f32>();
        let gains = gains(picture.shape(), channels_last, &by_channel);
        for _ in 0..PROBES {
            let steps: Vec<f32> = gains
                .iter()
                .map(|gain| (f64::from(random.sign()) * gain * STEP) as f32)
                .collect();
            for sign in [1.0, -1.0] {
                let moved: Vec<f32> = values
                    .iter()
                    .zip(&steps)
                    .map(|(value, step)| value + sign * step)
                    .collect();
                let tensor = Tensor::from_slice(picture.shape(), &moved);
                pairs.push(tensor.map_err(|error| PrivacyError::Unsuitable(error.to_string()))?);
            }
        }
    }
    let output = &function.outputs[0];
    let tap = Tap {
        name: output.name.clone(),
        operator: String::new(),
        role: Role::Embedding,
        depth: 1,
        is_result: false,
        value: output.value,
        shape: function.ty(output.value).shape().unwrap_or_default().to_vec(),
    };
    let collection = Collection {
        function,
        taps: &[&tap],
        plan: PlanOptions {
            threads: 1,
            ..request.plan
        },
        channels_last_input: channels_last,
        limit: usize::MAX,
        seed: request.seed,
    };
    let outputs = run_all(collection, &pairs, &|_, values| values.to_vec(), &|_| {})?;
    let differences = outputs[0].as_chunks::<2>().0.iter().map(|[above, below]| {
        let squares = above
            .iter()
            .zip(below)
            .map(|(a, b)| (f64::from(a - b) / (2.0 * STEP)).powi(2));
        squares.sum::<f64>()
    });
    let probes = outputs[0].len() / 2;
    let trace = differences.sum::<f64>() / probes.max(1) as f64;
    let pixels = some.first().map_or(1, |picture| picture.elems()).max(1);
    let dfil = trace / (pixels as f64 * sigma * sigma);
    Ok(Some(NoiseBound {
        sigma,
        dfil,
        rmse: (1.0 / dfil.max(f64::MIN_POSITIVE)).sqrt(),
    }))
}

/// For each element of an input, how much it changes where its pixel goes from 0 to 1.
fn gains(shape: &[usize], channels_last: bool, by_channel: &[f64]) -> Vec<f64> {
    let elems: usize = shape.iter().product();
    let channels = by_channel.len();
    let plane = elems / channels.max(1);
    (0..elems)
        .map(|at| {
            by_channel[if channels_last {
                at % channels
            } else {
                (at / plane.max(1)).min(channels - 1)
            }]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::gains;

    #[test]
    fn gains_follow_the_layout() {
        assert_eq!(gains(&[1, 2, 1, 2], false, &[1.0, 2.0]), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(gains(&[1, 1, 2, 2], true, &[1.0, 2.0]), [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(gains(&[1, 3], false, &[4.0]), [4.0; 3]);
    }
}
