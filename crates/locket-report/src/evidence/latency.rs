//! Latency as a distribution, with the bound on the chance of an overrun that the number of runs supports.

use serde::{Deserialize, Serialize};

use super::{Kind, number, numbers};

/// Bins of a histogram built from samples.
const BINS: usize = 60;
/// Of these, bins that the tail gets if it is long.
const TAIL_BINS: usize = 12;
const NS_PER_MS: f64 = 1e6;

/// The runs of one variant on one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyRun {
    /// Which variant, for example `Source float32`.
    pub label: String,
    /// How the figures came to be.
    pub kind: Kind,
    /// What was measured, on what: machine, threads, state of the machine.
    pub measured_on: String,
    /// Number of runs.
    pub runs: u64,
    /// How many of the runs took longer than the budget.
    #[serde(default)]
    pub overruns: u64,
    /// The upper 95 % bound on the chance that a run takes longer than the budget, as a fraction.
    #[serde(default)]
    pub overrun_bound: Option<f64>,
    /// The first run after loading in milliseconds, if it was timed.
    #[serde(default)]
    pub first_ms: Option<f64>,
    /// Median in milliseconds.
    #[serde(deserialize_with = "number")]
    pub p50_ms: f64,
    /// 90th percentile in milliseconds.
    #[serde(deserialize_with = "number")]
    pub p90_ms: f64,
    /// 99th percentile in milliseconds.
    #[serde(deserialize_with = "number")]
    pub p99_ms: f64,
    /// 99.9th percentile in milliseconds.
    #[serde(deserialize_with = "number")]
    pub p999_ms: f64,
    /// The longest run in milliseconds.
    #[serde(deserialize_with = "number")]
    pub max_ms: f64,
    /// The runs by duration.
    #[serde(default)]
    pub histogram: Histogram,
}

impl LatencyRun {
    /// The distribution of `samples_ns`, one duration per run, in any order; `budget_ms` decides what an overrun is.
    /// A quantile is the sample at that share of the sorted list, the last one at most. The bound on the chance of an
    /// overrun is filled in if there was none. Without samples, every duration is not-a-number.
    pub fn from_samples_ns(
        label: impl Into<String>,
        measured_on: impl Into<String>,
        samples_ns: &[u64],
        budget_ms: Option<f64>,
    ) -> Self {
        let mut sorted = samples_ns.to_vec();
        sorted.sort_unstable();
        let quantile = |share: f64| quantile_ms(&sorted, share);
        let overruns = budget_ms.map_or(0, |budget| {
            sorted
                .iter()
                .filter(|&&ns| ns as f64 / NS_PER_MS > budget)
                .count()
        });
        Self {
            label: label.into(),
            kind: Kind::Measured,
            measured_on: measured_on.into(),
            runs: sorted.len() as u64,
            overruns: overruns as u64,
            overrun_bound: if budget_ms.is_some() && overruns == 0 {
                overrun_bound(sorted.len() as u64)
            } else {
                None
            },
            first_ms: None,
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: quantile(1.0),
            histogram: Histogram::from_sorted_ns(&sorted),
        }
    }
}

/// The largest chance of an overrun that still lets `runs` runs pass without one with probability 5 %:
/// `1 - 0.05^(1/runs)`. `None` without runs.
pub fn overrun_bound(runs: u64) -> Option<f64> {
    (runs > 0).then(|| 1.0 - 0.05_f64.powf(1.0 / runs as f64))
}

fn quantile_ms(sorted_ns: &[u64], share: f64) -> f64 {
    let Some(last) = sorted_ns.len().checked_sub(1) else {
        return f64::NAN;
    };
    let rank = (share * sorted_ns.len() as f64) as usize;
    sorted_ns[rank.min(last)] as f64 / NS_PER_MS
}

fn equal_edges(low: f64, high: f64, bins: usize) -> impl Iterator<Item = f64> {
    let width = (high - low) / bins as f64;
    (0..=bins).map(move |edge| low + width * edge as f64)
}

/// Counts by duration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Bin edges in milliseconds, ascending, one more than there are counts.
    #[serde(deserialize_with = "numbers")]
    pub edges_ms: Vec<f64>,
    /// Runs in each bin; the last bin includes its upper edge.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Counts of `sorted_ns`: equal bins from the shortest run to a little beyond the bulk, then ever wider ones to the
    /// longest. Runs have a long tail, and equal bins over all of it would leave the bulk in one or two.
    fn from_sorted_ns(sorted_ns: &[u64]) -> Self {
        let (Some(&first), Some(&last)) = (sorted_ns.first(), sorted_ns.last()) else {
            return Self::default();
        };
        let low = first as f64 / NS_PER_MS;
        let high = (last as f64 / NS_PER_MS).max(low * 1.001 + 1e-6);
        let (median, most) = (quantile_ms(sorted_ns, 0.5), quantile_ms(sorted_ns, 0.99));
        let cut = (median + 2.0 * (most - median)).max(low + (high - low) / 1e6);
        let edges_ms: Vec<f64> = if cut * 1.2 < high {
            let growth = (high / cut).powf(1.0 / TAIL_BINS as f64);
            let tail = (1..TAIL_BINS).map(|edge| cut * growth.powi(edge as i32));
            equal_edges(low, cut, BINS - TAIL_BINS)
                .chain(tail)
                .chain([high])
                .collect()
        } else {
            equal_edges(low, high, BINS).collect()
        };
        let mut counts = vec![0; edges_ms.len() - 1];
        for &ns in sorted_ns {
            let bin = edges_ms
                .partition_point(|&edge| edge <= ns as f64 / NS_PER_MS)
                .saturating_sub(1);
            let bin = bin.min(counts.len() - 1);
            counts[bin] += 1;
        }
        Self { edges_ms, counts }
    }

    /// The bins as (lower edge, upper edge, count), those with unusable edges left out.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        self.edges_ms
            .windows(2)
            .zip(&self.counts)
            .map(|(edges, &count)| (edges[0], edges[1], count))
            .filter(|(low, high, _)| low.is_finite() && high.is_finite() && low < high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_quantiles_and_bins() {
        let samples: Vec<u64> = (1..=1000).rev().map(|index| index * 20_000).collect();
        let run = LatencyRun::from_samples_ns("a", "b", &samples, Some(19.5));
        assert_eq!([run.p50_ms, run.p99_ms, run.max_ms], [10.02, 19.82, 20.0]);
        assert_eq!((run.runs, run.overruns, run.overrun_bound), (1000, 25, None));
        assert_eq!(run.histogram.counts.iter().sum::<u64>(), 1000);
        assert_eq!(run.histogram.bins().count(), BINS);
    }

    #[test]
    fn an_outlier_does_not_hide_the_bulk() {
        let mut samples: Vec<u64> = (0..2000).map(|index| 50_000 + index % 40 * 100).collect();
        samples.push(3_200_000);
        let histogram = LatencyRun::from_samples_ns("a", "b", &samples, None).histogram;
        assert!(
            histogram.counts.iter().filter(|&&count| count > 0).count() > 20,
            "{histogram:?}"
        );
        assert!(
            histogram.edges_ms.windows(2).all(|edges| edges[0] < edges[1]),
            "{histogram:?}"
        );
        assert_eq!(
            (histogram.counts.iter().sum::<u64>(), histogram.counts.last()),
            (2001, Some(&1))
        );
    }

    #[test]
    fn few_or_equal_samples_are_no_obstacle() {
        for samples in [vec![], vec![0], vec![5_000_000; 3], vec![u64::MAX, 0]] {
            let run = LatencyRun::from_samples_ns("a", "b", &samples, None);
            assert_eq!(
                run.histogram.bins().map(|bin| bin.2).sum::<u64>(),
                samples.len() as u64
            );
            assert_eq!(run.max_ms.is_nan(), samples.is_empty());
        }
    }

    #[test]
    fn runs_without_an_overrun_bound_its_chance() {
        // The values follow from 1 - 0.05^(1/n).
        for (runs, percent) in [(20, 13.9), (100, 3.0), (300, 1.0), (3000, 0.1)] {
            let bound = overrun_bound(runs).expect("there are runs") * 100.0;
            assert!((bound - percent).abs() < 0.05, "{runs}: {bound}");
        }
        assert_eq!(overrun_bound(0), None);
    }
}
