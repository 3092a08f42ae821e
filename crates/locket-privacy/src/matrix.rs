//! The privacy trade-off matrix: the rules that score a variant's accuracy, resources and privacy from 1 to 5.
//!
//! All scores are oriented alike, 5 is best, and are multiplied. A product of small numbers has few values and hides swaps
//! (5 x 1 x 3 is 1 x 5 x 3), so that raw values stand beside scores, the Pareto front of the raw values is marked, and
//! the best product is tried against scores moved by one and against cut-points changed at random.
//!
//! | score | drop of top-1 | load | leakage level |
//! |---|---|---|---|
//! | 5 | ≤ 0.25 points | ≤ 0.5 | 1 |
//! | 4 | ≤ 0.5 | ≤ 0.75 | 2 |
//! | 3 | ≤ 1 | ≤ 1 | 3 |
//! | 2 | ≤ 2.5 | ≤ 1.5 | 4 |
//! | 1 | more | more | 5 |
//!
//! The *load* is the largest of latency (99th percentile), peak memory and energy, each as a multiple of its limit or, where none was
//! given, of the source's own figure. Energy has no limit and is modelled: multiply-adds and bytes at published prices.

use locket_report::{Figure, RankStability, Rate, TradeOffLeakage, TradeOffMatrix, TradeOffRow};

use crate::{
    leakage::{Leak, level_at},
    random::Random,
};

/// Cut-points of the drop for the scores 5 to 2, as fractions.
pub const DROPS: [f64; 4] = [0.0025, 0.005, 0.01, 0.025];
/// Cut-points of the load for the scores 5 to 2.
pub const LOADS: [f64; 4] = [0.5, 0.75, 1.0, 1.5];
/// By what part a cut-point is changed at most.
pub const JITTER: f64 = 0.25;
/// Draws of cut-points.
const DRAWS: usize = 1000;

/// What was measured of one variant.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Short name.
    pub name: String,
    /// Whether it was packaged.
    pub chosen: bool,
    /// Drop of top-1 against the source, as a fraction.
    pub drop: f64,
    /// 99th percentile of the latency in milliseconds.
    pub latency_ms: f64,
    /// Peak memory in bytes, from the plan.
    pub peak_bytes: u64,
    /// Energy of a prediction in microjoules, modelled.
    pub energy_uj: f64,
    /// The worst of what leaves it; `None` if that was not measured.
    pub leak: Option<&'a Leak>,
}

/// What latency, memory and energy are compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct References {
    /// The latency budget in milliseconds, or the source's latency.
    pub latency_ms: f64,
    /// The memory budget in bytes, or the source's peak.
    pub peak_bytes: u64,
    /// The source's energy in microjoules.
    pub energy_uj: f64,
}

/// Factors on the cut-points of each axis.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    drop: f64,
    load: f64,
    leakage: f64,
}

const NO_DOUBT: Doubt = Doubt {
    drop: 1.0,
    load: 1.0,
    leakage: 1.0,
};

/// Scores the variants, which are in the order in which they were tried.
pub fn matrix(candidates: &[Candidate<'_>], references: References, seed: u64) -> TradeOffMatrix {
    let mut rows: Vec<TradeOffRow> = candidates
        .iter()
        .map(|candidate| row(candidate, references))
        .collect();
    for index in 0..rows.len() {
        rows[index].on_front = !rows.iter().any(|other| beats(other, &rows[index]));
    }
    TradeOffMatrix {
        rules: rules(),
        stability: stability(candidates, references, seed),
        rows,
    }
}

fn row(candidate: &Candidate<'_>, references: References) -> TradeOffRow {
    let (load, bottleneck) = load(candidate, references);
    let [accuracy, resources, privacy] = scores(candidate, references, NO_DOUBT);
    let (accuracy, resources) = (accuracy.unwrap_or(1), resources.unwrap_or(1));
    TradeOffRow {
        name: candidate.name.clone(),
        chosen: candidate.chosen,
        drop: Figure::measured(candidate.drop),
        accuracy,
        latency_ms: Figure::measured(candidate.latency_ms),
        peak_bytes: Figure::planned(candidate.peak_bytes),
        energy_uj: Figure::modelled(candidate.energy_uj),
        load,
        bottleneck: bottleneck.to_owned(),
        resources,
        leakage: candidate.leak.map(leakage),
        privacy,
        product: privacy.map(|privacy| u32::from(accuracy) * u32::from(resources) * u32::from(privacy)),
        on_front: false,
    }
}

fn leakage(leak: &Leak) -> TradeOffLeakage {
    let worst = leak.worst();
    let rate = |share: crate::leakage::Share| Rate {
        count: share.count as u64,
        of: share.of as u64,
        share: share.seen(),
        upper: share.upper,
    };
    TradeOffLeakage {
        tap: leak.tap.name.clone(),
        level: leak.level.value,
        r2: worst.r2,
        identification: rate(worst.identification),
        success: rate(worst.success),
    }
}

/// The largest multiple of a reference, and which one it is.
fn load(candidate: &Candidate<'_>, references: References) -> (f64, &'static str) {
    let of = |value: f64, reference: f64| value / reference.max(f64::MIN_POSITIVE);
    let loads = [
        (of(candidate.latency_ms, references.latency_ms), "latency"),
        (
            of(candidate.peak_bytes as f64, references.peak_bytes as f64),
            "peak memory",
        ),
        (of(candidate.energy_uj, references.energy_uj), "modelled energy"),
    ];
    // The first of equals, and not-a-number before any number: a load that is not known is none that was kept.
    let [first, rest @ ..] = loads;
    rest.into_iter().fold(first, |worst, next| {
        if worst.0.is_nan() || next.0 <= worst.0 {
            worst
        } else {
            next
        }
    })
}

/// Scores of accuracy, resources and, where it was measured, privacy.
fn scores(candidate: &Candidate<'_>, references: References, doubt: Doubt) -> [Option<u8>; 3] {
    let score = |value: f64, cuts: [f64; 4], factor: f64| {
        // NaN is within no cut-point.
        let within = cuts.iter().position(|cut| value <= cut * factor);
        Some(within.map_or(1, |at| 5 - at as u8))
    };
    let (load, _) = load(candidate, references);
    [
        score(candidate.drop, DROPS, doubt.drop),
        score(load, LOADS, doubt.load),
        candidate.leak.map(|leak| 6 - level_at(leak, doubt.leakage)),
    ]
}

/// True if `one` is at least as good on every raw value and better on one. What was not measured is equal.
fn beats(one: &TradeOffRow, other: &TradeOffRow) -> bool {
    let values = |row: &TradeOffRow| {
        let level = row
            .leakage
            .as_ref()
            .map_or(0.0, |leakage| f64::from(leakage.level));
        [
            row.drop.value,
            row.latency_ms.value,
            row.peak_bytes.value as f64,
            row.energy_uj.value,
            level,
        ]
    };
    let (one, other) = (values(one), values(other));
    one.iter().zip(&other).all(|(one, other)| one <= other)
        && one.iter().zip(&other).any(|(one, other)| one < other)
}

fn product(scores: [Option<u8>; 3]) -> Option<u32> {
    scores
        .into_iter()
        .try_fold(1, |product, score| Some(product * u32::from(score?)))
}

/// Moves each score by one, and all cut-points at random, and counts how often the best product stays one of the best.
fn stability(candidates: &[Candidate<'_>], references: References, seed: u64) -> Option<RankStability> {
    let all = |doubt: Doubt| -> Option<Vec<u32>> {
        candidates
            .iter()
            .map(|candidate| product(scores(candidate, references, doubt)))
            .collect()
    };
    let products = all(NO_DOUBT)?;
    let best = products.iter().copied().max()?;
    let first = products.iter().position(|product| *product == best)?;
    let keeps = |products: &[u32]| products.iter().all(|product| *product <= products[first]);
    let mut found = RankStability {
        jitter: JITTER,
        ..RankStability::default()
    };
    for (index, candidate) in candidates.iter().enumerate() {
        let own = scores(candidate, references, NO_DOUBT);
        for axis in 0..own.len() {
            for step in [-1_i8, 1] {
                let mut moved = own;
                moved[axis] = own[axis].map(|score| score.saturating_add_signed(step).clamp(1, 5));
                if moved == own {
                    continue;
                }
                let mut products = products.clone();
                products[index] = product(moved)?;
                found.moved += 1;
                found.kept_when_moved += u64::from(keeps(&products));
            }
        }
    }
    let mut random = Random::new(seed, 0x7e57);
    for _ in 0..DRAWS {
        let mut factor = || 1.0 + JITTER * (2.0 * random.uniform() - 1.0);
        let doubt = Doubt {
            drop: factor(),
            load: factor(),
            leakage: factor(),
        };
        found.jittered += 1;
        found.kept_when_jittered += u64::from(keeps(&all(doubt)?));
    }
    Some(found)
}

fn rules() -> Vec<String> {
    let list = |cuts: [f64; 4], unit: f64| cuts.map(|cut| (cut * unit).to_string()).join(", ");
    vec![
        format!(
            "Accuracy: 5, 4, 3, 2 for a drop of top-1 of at most {} percentage points, else 1.",
            list(DROPS, 100.0)
        ),
        format!(
            "Resources: the largest of latency (p99), peak memory and modelled energy, each as a multiple of its limit or, without one, of the source's: 5, 4, 3, 2 for at most {}, else 1.",
            list(LOADS, 1.0)
        ),
        "Privacy: 6 less the level of leakage of what leaves the model (docs/privacy.md).".to_owned(),
        "Energy is modelled, not measured: multiply-adds and bytes at the prices of Horowitz, ISSCC 2014 (docs/privacy.md); it has no limit."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Candidate, References, matrix};

    fn candidate(name: &str, drop: f64, latency_ms: f64, peak_bytes: u64) -> Candidate<'static> {
        Candidate {
            name: name.to_owned(),
            chosen: false,
            drop,
            latency_ms,
            peak_bytes,
            energy_uj: 1.0,
            leak: None,
        }
    }

    const REFERENCES: References = References {
        latency_ms: 10.0,
        peak_bytes: 1000,
        energy_uj: 10.0,
    };

    #[test]
    fn scores_follow_the_published_cut_points() {
        let cases = [
            (0.0025, 5.0, 500, (5, 5)),
            (0.0026, 5.1, 500, (4, 4)),
            (-0.01, 1.0, 751, (5, 3)),
            (0.02, 10.0, 1001, (2, 2)),
            (0.03, 15.1, 1, (1, 1)),
            (f64::NAN, f64::NAN, 1, (1, 1)),
        ];
        for (drop, latency, peak, expected) in cases {
            let found = matrix(&[candidate("x", drop, latency, peak)], REFERENCES, 0);
            let row = &found.rows[0];
            assert_eq!((row.accuracy, row.resources), expected, "{drop} {latency} {peak}");
            assert_eq!((row.privacy, row.product), (None, None));
        }
    }

    #[test]
    fn the_worst_of_latency_peak_and_energy_counts() {
        let cases = [
            (9.0, 500, 4.0, ("latency", 3)),
            (4.0, 700, 4.0, ("peak memory", 4)),
            (4.0, 700, 14.0, ("modelled energy", 2)),
            (4.0, 700, f64::NAN, ("modelled energy", 1)),
        ];
        for (latency, peak, energy_uj, expected) in cases {
            let candidate = Candidate {
                energy_uj,
                ..candidate("x", 0.0, latency, peak)
            };
            let found = matrix(&[candidate], REFERENCES, 0);
            let row = &found.rows[0];
            assert_eq!(
                (row.bottleneck.as_str(), row.resources),
                expected,
                "{latency} {peak} {energy_uj}"
            );
            assert_eq!(row.energy_uj.kind.word(), "modelled");
        }
        // Less energy is enough to be on the front.
        let frugal = Candidate {
            energy_uj: 0.5,
            ..candidate("frugal", 0.01, 3.0, 300)
        };
        let found = matrix(&[candidate("fast", 0.01, 2.0, 200), frugal], REFERENCES, 0);
        assert!(found.rows.iter().all(|row| row.on_front));
    }

    #[test]
    fn the_front_is_what_no_other_variant_beats() {
        let found = matrix(
            &[
                candidate("exact", 0.0, 10.0, 1000),
                candidate("fast", 0.01, 2.0, 200),
                candidate("beaten", 0.01, 3.0, 200),
                candidate("equal", 0.01, 2.0, 200),
                candidate("small", 0.01, 5.0, 100),
                candidate("slower at the same load", 0.0, 12.0, 1000),
            ],
            REFERENCES,
            0,
        );
        let front: Vec<bool> = found.rows.iter().map(|row| row.on_front).collect();
        assert_eq!(front, [true, true, false, true, true, false]);
        assert_eq!(found.stability, None);
    }
}
