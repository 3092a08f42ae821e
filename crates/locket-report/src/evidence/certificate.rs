//! The paired comparison with the source: what the data allow to claim about the accuracy drop.

use serde::{Deserialize, Serialize};

use super::number;

/// A paired, one-sided statement about the drop of top-1 accuracy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The data set that it was taken on.
    pub data_set: String,
    /// Samples compared.
    pub samples: u64,
    /// Samples that the source has right and the variant has wrong.
    pub lost: u64,
    /// Samples that the source has wrong and the variant has right.
    pub gained: u64,
    /// The observed drop as a fraction: (lost - gained) / samples.
    #[serde(deserialize_with = "number")]
    pub drop: f64,
    /// The upper 95 % confidence bound on the drop, as a fraction.
    #[serde(deserialize_with = "number")]
    pub upper_bound: f64,
    /// The largest drop that is acceptable, as a fraction.
    #[serde(deserialize_with = "number")]
    pub max_drop: f64,
    /// Whether the bound is within the acceptable drop.
    pub certified: bool,
    /// How many more samples the claim would need if the observed rates hold; `None` if none or if no number would do.
    #[serde(default)]
    pub missing_samples: Option<u64>,
    /// How the bound was computed, for example `paired Wald, Bonferroni over 3 variants`.
    #[serde(default)]
    pub method: String,
}

impl Certificate {
    /// The fraction of samples on which exactly one of the two is right; `None` without samples.
    pub fn disagreement(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.lost.saturating_add(self.gained) as f64 / self.samples as f64)
    }
}
