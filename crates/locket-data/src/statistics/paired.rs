//! The same samples before and after a change: how much accuracy was lost, and how much may have been lost.
//!
//! Of `n` samples, `lost` were right before and are wrong now, `gained` the other way round. The drop is
//! `(lost - gained) / n`. Comparing sample by sample needs far fewer samples than comparing two accuracies, because only
//! the samples that changed carry noise.
//!
//! # The bound that certifies
//!
//! [`PairedCounts::drop_upper_bound`] inverts the score test for a difference of paired proportions (T. Tango, *Statistics
//! in Medicine* 17, 1998), with a continuity correction of half a sample. For a supposed drop `m`, the chance of a gain is
//! estimated under that supposition,
//!
//! `A = 2n`, `B = (2n - lost + gained) m - lost - gained`, `C = -gained m (1 - m)`, `g = (sqrt(B^2 - 4AC) - B) / (2A)`,
//!
//! and the bound is the `m` at which
//!
//! `(lost - gained - n m + 1/2) / sqrt(n (2g + m (1 - m))) = -z`.
//!
//! Why the correction: the chance of certifying a variant whose true drop *is* the margin, computed exactly over 14
//! sizes (100 to 10 000), 6 drops (0.2 to 2 %) and 9 chances of a gain (0 to 4 %) at a promised 5 %, is at most 4.83 %
//! with it, 6.08 % without (and up to 82 % for the bound of Wald, which is 0 where nothing changed). The price is half a sample:
//! 0.01 points at 5000 samples.

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::distribution::{binomial_cdf, bisect, normal_quantile};

/// More samples than this are not asked for.
const MAX_SAMPLES: u64 = 1_000_000_000_000;

/// What changed between two runs on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PairedCounts {
    samples: u64,
    lost: u64,
    gained: u64,
}

impl PairedCounts {
    /// Takes counts made elsewhere: `samples` compared, of which `lost` were right before and are wrong after, and `gained`
    /// the other way round.
    ///
    /// # Panics
    ///
    /// If there is no sample, or fewer than changed.
    #[must_use]
    pub fn new(samples: u64, lost: u64, gained: u64) -> Self {
        let changed = lost.saturating_add(gained);
        assert!(
            samples > 0 && changed <= samples,
            "{changed} of {samples} samples changed, expected at most all"
        );
        Self {
            samples,
            lost,
            gained,
        }
    }

    /// Counts from the predicted classes of two models.
    ///
    /// # Panics
    ///
    /// If the lists differ in length or are empty.
    #[must_use]
    pub fn from_predictions(labels: &[usize], before: &[usize], after: &[usize]) -> Self {
        assert_eq!(labels.len(), before.len(), "one prediction for each label");
        assert_eq!(labels.len(), after.len(), "one prediction for each label");
        let right = labels
            .iter()
            .zip(before.iter().zip(after))
            .map(|(label, (b, a))| (b == label, a == label));
        Self::from_right(right)
    }

    /// Counts from whether each sample was right (before, after).
    ///
    /// # Panics
    ///
    /// If there is no sample.
    #[must_use]
    pub fn from_right(samples: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self {
            samples: 0,
            lost: 0,
            gained: 0,
        };
        for (before, after) in samples {
            counts.samples += 1;
            counts.lost += u64::from(before && !after);
            counts.gained += u64::from(!before && after);
        }
        assert!(counts.samples > 0, "at least one sample is compared");
        counts
    }

    /// Samples compared, at least 1.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples that were right before and are wrong after.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Samples that were wrong before and are right after.
    #[must_use]
    pub const fn gained(&self) -> u64 {
        self.gained
    }

    /// The observed drop in accuracy, negative where accuracy was gained.
    #[must_use]
    pub fn drop(&self) -> f64 {
        (self.lost as f64 - self.gained as f64) / self.samples as f64
    }

    /// The share of samples that changed between right and wrong, either way.
    #[must_use]
    pub fn disagreement(&self) -> f64 {
        (self.lost + self.gained) as f64 / self.samples as f64
    }

    /// The upper bound on the true drop: the one that certifies, see the module's docs.
    ///
    /// # Panics
    ///
    /// If `confidence` is not from 0.5 to 1, exclusive.
    #[must_use]
    pub fn drop_upper_bound(&self, confidence: f64) -> f64 {
        self.rates()
            .score_bound(self.samples as f64, confidence_z(confidence), 0.5)
    }

    /// The score bound without the continuity correction, to be shown beside; its error rate is up to 1.1 points above
    /// what is promised.
    ///
    /// # Panics
    ///
    /// If `confidence` is not from 0.5 to 1, exclusive.
    #[must_use]
    pub fn drop_upper_bound_uncorrected(&self, confidence: f64) -> f64 {
        self.rates()
            .score_bound(self.samples as f64, confidence_z(confidence), 0.0)
    }

    /// Wald's bound, `drop + z sqrt((disagreement - drop^2) / n)`, to be shown beside: well known, and too low where few
    /// samples changed.
    ///
    /// # Panics
    ///
    /// If `confidence` is not from 0.5 to 1, exclusive.
    #[must_use]
    pub fn drop_upper_bound_wald(&self, confidence: f64) -> f64 {
        let (drop, variance) = (self.drop(), self.rates().variance());
        drop + confidence_z(confidence) * (variance / self.samples as f64).sqrt()
    }

    /// McNemar's exact two-sided p: the chance, were losing and gaining equally likely, of counts at least this uneven.
    #[must_use]
    pub fn mcnemar_p(&self) -> f64 {
        let changed = self.lost + self.gained;
        (2.0 * binomial_cdf(self.lost.min(self.gained), changed, 0.5)).min(1.0)
    }

    /// How many samples in all bring [`Self::drop_upper_bound`] down to `margin` if samples keep changing at the rates seen
    /// so far; as the rates may turn out either way, about an even chance that they do. `None` if the observed drop is
    /// not below the margin (or more than 10^12 samples would be needed): more data will not help.
    ///
    /// # Panics
    ///
    /// If `confidence` is not from 0.5 to 1, exclusive.
    #[must_use]
    pub fn samples_needed(&self, margin: f64, confidence: f64) -> Option<u64> {
        let (rates, z) = (self.rates(), confidence_z(confidence));
        if margin.is_nan() || self.drop() >= margin {
            return None;
        }
        let enough = |samples: u64| rates.score_bound(samples as f64, z, 0.5) <= margin;
        let mut high = 1;
        while !enough(high) {
            high *= 2;
            if high > MAX_SAMPLES {
                return None;
            }
        }
        // The bound falls as samples are added: halve between the last size that was too small and the first enough.
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let end = if enough(middle) { &mut high } else { &mut low };
            *end = middle;
        }
        Some(high)
    }

    fn rates(&self) -> Rates {
        let samples = self.samples as f64;
        Rates {
            lost: self.lost as f64 / samples,
            gained: self.gained as f64 / samples,
        }
    }
}

/// How many samples are needed so that a variant with a true drop of `drop` is certified below `margin` with the chance
/// `power`, when a share `disagreement` of samples changes. `None` if `drop` is not below `margin`.
///
/// The normal approximation `(z_confidence + z_power)^2 (disagreement - drop^2) / (margin - drop)^2`, rounded up: for
/// planning, not for certifying.
///
/// # Panics
///
/// If `confidence` or `power` is not from 0.5 to 1, exclusive.
#[must_use]
pub fn samples_for_power(
    drop: f64,
    disagreement: f64,
    margin: f64,
    confidence: f64,
    power: f64,
) -> Option<u64> {
    if drop.is_nan() || margin.is_nan() || drop >= margin {
        return None;
    }
    let z = confidence_z(confidence) + confidence_z(power);
    let samples = z * z * (disagreement - drop * drop).max(0.0) / (margin - drop).powi(2);
    (samples <= MAX_SAMPLES as f64).then_some((samples.ceil() as u64).max(1))
}

/// Normal quantile of a one-sided confidence.
fn confidence_z(confidence: f64) -> f64 {
    assert!(
        (0.5..1.0).contains(&confidence),
        "a confidence from 0.5 to 1, found {confidence}"
    );
    normal_quantile(confidence)
}

/// Shares of lost and gained samples.
#[derive(Debug, Clone, Copy)]
struct Rates {
    lost: f64,
    gained: f64,
}

impl Rates {
    fn variance(self) -> f64 {
        let drop = self.lost - self.gained;
        // Never negative but for rounding: |drop| <= lost + gained <= 1.
        (self.lost + self.gained - drop * drop).max(0.0)
    }

    /// Solves the score equation of the module's docs, divided by `samples`.
    fn score_bound(self, samples: f64, z: f64, correction: f64) -> f64 {
        let Self { lost, gained } = self;
        let drop = lost - gained;
        let below = |supposed: f64| {
            let linear = (2.0 - lost + gained) * supposed - lost - gained;
            let constant = -gained * supposed * (1.0 - supposed);
            let root = (linear * linear - 8.0 * constant).max(0.0).sqrt();
            // The form that does not cancel.
            let gain = if linear > 0.0 {
                -2.0 * constant / (linear + root)
            } else {
                (root - linear) / 4.0
            };
            let deviation = ((2.0 * gain + supposed * (1.0 - supposed)).max(0.0) / samples).sqrt();
            drop - supposed + correction / samples + z * deviation > 0.0
        };
        bisect(drop.max(-1.0), 1.0, below)
    }
}
