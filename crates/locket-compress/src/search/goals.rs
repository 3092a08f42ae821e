//! The limits, and when a variant keeps to them.

use std::time::Duration;

use locket_data::statistics::PairedCounts;

use super::Variant;

/// Confidence of every statement about what was sampled.
pub const CONFIDENCE: f64 = 0.95;

/// The largest chance that a prediction overruns its budget, which the measured runs must support at [`CONFIDENCE`].
pub const MAX_OVERRUN_CHANCE: f64 = 0.01;

/// A step is refused if it is slower than what it replaces by more than this factor, unless it stays within the latency budget.
const SLOWER: f64 = 1.05;

/// The limits; `None` is one that was not set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goals {
    /// Bytes that weights, tensors and scratch may take together.
    pub memory_bytes: Option<u64>,
    /// Bytes of the package on disk.
    pub size_bytes: Option<u64>,
    /// Time that a prediction may take.
    pub latency: Option<Duration>,
    /// Largest drop of top-1 accuracy, as a fraction.
    pub max_drop: Option<f64>,
}

/// A limit that a variant does not meet, or that the data cannot show it to meet.
#[derive(Clone, Debug, PartialEq)]
pub enum Shortfall {
    /// The peak is over the budget.
    Memory {
        /// Bytes needed.
        peak: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The package is over its limit.
    Size {
        /// Bytes on disk.
        package: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Too many predictions took longer than the budget.
    Latency {
        /// The 99th percentile.
        p99: Duration,
        /// Time allowed.
        limit: Duration,
        /// The upper bound on the chance of an overrun.
        chance: f64,
    },
    /// The observed drop is over the limit.
    Drop {
        /// The observed drop, as a fraction.
        drop: f64,
        /// The drop allowed.
        limit: f64,
    },
    /// The observed drop is within the limit, but the samples are too few to certify it.
    Unproven {
        /// The upper bound on the drop.
        bound: f64,
        /// The drop allowed.
        limit: f64,
        /// Samples that are missing at the observed rates; `None` if no number would do.
        missing: Option<u64>,
    },
}

impl Goals {
    /// The upper bound on the drop, corrected for having looked at `variants` variants (Bonferroni).
    pub fn drop_bound(paired: &PairedCounts, variants: usize) -> f64 {
        paired.drop_upper_bound(Self::confidence(variants))
    }

    /// The confidence that each of `variants` statements needs so that all hold at [`CONFIDENCE`].
    pub fn confidence(variants: usize) -> f64 {
        1.0 - (1.0 - CONFIDENCE) / variants.max(1) as f64
    }

    /// Limits that a variant does not meet, given how many variants were looked at. The source drops nothing by definition.
    pub fn shortfalls(&self, variant: &Variant, paired: &PairedCounts, variants: usize) -> Vec<Shortfall> {
        let mut list = Vec::new();
        if let Some(limit) = self.memory_bytes.filter(|&limit| variant.peak_bytes > limit) {
            list.push(Shortfall::Memory {
                peak: variant.peak_bytes,
                limit,
            });
        }
        if let Some(limit) = self.size_bytes.filter(|&limit| variant.package_bytes > limit) {
            list.push(Shortfall::Size {
                package: variant.package_bytes,
                limit,
            });
        }
        if let Some(limit) = self.latency {
            let chance = variant.latency.overrun_bound(limit, CONFIDENCE);
            if chance > MAX_OVERRUN_CHANCE {
                let p99 = Duration::from_secs_f64(variant.latency.percentile_ms(0.99) / 1e3);
                list.push(Shortfall::Latency { p99, limit, chance });
            }
        }
        if let Some(limit) = self.max_drop.filter(|_| !variant.is_source()) {
            let (drop, bound) = (paired.drop(), Self::drop_bound(paired, variants));
            if drop > limit {
                list.push(Shortfall::Drop { drop, limit });
            } else if bound > limit {
                let missing = paired.samples_needed(limit, Self::confidence(variants));
                let missing = missing.map(|needed| needed.saturating_sub(paired.samples()).max(1));
                list.push(Shortfall::Unproven {
                    bound,
                    limit,
                    missing,
                });
            }
        }
        list
    }

    /// Why a variant does not pay, compared with the one it would replace; `None` if it does.
    pub fn objection(&self, current: &Variant, variant: &Variant, paired: &PairedCounts) -> Option<String> {
        if variant.package_bytes >= current.package_bytes {
            let (new, old) = (variant.package_bytes, current.package_bytes);
            return Some(format!(
                "its package of {new} bytes is no smaller than {old} bytes"
            ));
        }
        if let Some(limit) = self.max_drop.filter(|&limit| paired.drop() > limit) {
            return Some(format!(
                "top-1 drops by {:.2} points, more than {:.2}: {} of {} samples lost, {} gained",
                paired.drop() * 100.0,
                limit * 100.0,
                paired.lost(),
                paired.samples(),
                paired.gained()
            ));
        }
        let (new, old) = (
            variant.latency.percentile_ms(0.5),
            current.latency.percentile_ms(0.5),
        );
        let in_budget = self
            .latency
            .is_some_and(|limit| variant.latency.overrun_bound(limit, CONFIDENCE) <= MAX_OVERRUN_CHANCE);
        let needed = (self.memory_bytes.is_some_and(|limit| current.peak_bytes > limit)
            && variant.peak_bytes < current.peak_bytes)
            || self.size_bytes.is_some_and(|limit| current.package_bytes > limit);
        if new > old * SLOWER && !in_budget && !needed {
            return Some(format!(
                "its median of {new:.3} ms is longer than {old:.3} ms, and no limit asks for it"
            ));
        }
        None
    }
}
