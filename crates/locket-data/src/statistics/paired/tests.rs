use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::{PairedCounts, samples_for_power};

/// The expected bounds were found by maximising the likelihood numerically, and have some 9 digits.
const TOLERANCE: f64 = 1e-8;

/// Columns: n, lost, gained; corrected score bound, score bound, Wald's bound, McNemar's p.
///
/// Computed independently of the formula: the likelihood of (lost, gained, rest) under a supposed drop maximised with
/// `scipy.optimize.minimize_scalar(method="bounded", options={"xatol": 1e-15})`, the bound found with
/// `scipy.optimize.brentq`, p by `scipy.stats.binomtest(min(b, c), b + c).pvalue`. In the last case the maximum is at the
/// edge, where the chance of a gain is `(1 - m) / 2`; its score bounds were solved with `mpmath.findroot`.
const CASES: [(u64, u64, u64, f64, f64, f64, f64); 9] = [
    (1000, 0, 0, 0.0036267996948310555, 0.0026982432397607155, 0.0, 1.0),
    (
        1000,
        1,
        0,
        0.005263858777021957,
        0.004469722909369551,
        0.0026440309944284254,
        1.0,
    ),
    (
        1000,
        0,
        5,
        -0.001359449622458887,
        -0.002288265624374059,
        -0.001331202010995334,
        0.0625,
    ),
    (
        10000,
        63,
        76,
        0.0006960350222394709,
        0.0006453887040284711,
        0.0006391359324062049,
        0.30875256919282823,
    ),
    (
        407,
        12,
        8,
        0.030785891328134498,
        0.029408485402185446,
        0.02788397050813094,
        0.5034446716308594,
    ),
    (
        461,
        3,
        5,
        0.008049321764935242,
        0.006709852304091026,
        0.005747993415635468,
        0.7265625,
    ),
    (
        3999,
        30,
        12,
        0.007506572371008184,
        0.007369987098535086,
        0.00716418683400317,
        0.007915897334896727,
    ),
    (
        100,
        40,
        10,
        0.4070770256844572,
        0.4022341283236257,
        0.405322021257623,
        2.3861331676755526e-05,
    ),
    (
        20,
        0,
        20,
        -0.7196056172192219,
        -0.761684325278071,
        -1.0,
        1.9073486328125e-06,
    ),
];

#[test]
fn bounds_are_those_of_an_independent_computation() {
    for (samples, lost, gained, corrected, score, wald, p) in CASES {
        let counts = PairedCounts::new(samples, lost, gained);
        let pairs = [
            ("corrected", counts.drop_upper_bound(0.95), corrected),
            ("score", counts.drop_upper_bound_uncorrected(0.95), score),
            ("wald", counts.drop_upper_bound_wald(0.95), wald),
            ("p", counts.mcnemar_p(), p),
        ];
        for (what, found, expected) in pairs {
            assert!(
                (found - expected).abs() < TOLERANCE,
                "{counts:?}, {what}: {found}, expected {expected}"
            );
        }
    }
    let bound = PairedCounts::new(500, 20, 10).drop_upper_bound(0.99);
    assert!((bound - 0.049579381924605266).abs() < TOLERANCE, "{bound}");
}

#[test]
fn counts_come_from_pairs_of_predictions() {
    let labels = [0, 1, 2, 3, 4, 5];
    let before = [0, 1, 9, 3, 9, 5];
    let after = [0, 9, 2, 9, 8, 9];
    let counts = PairedCounts::from_predictions(&labels, &before, &after);
    assert_eq!(counts, PairedCounts::new(6, 3, 1));
    assert_eq!(counts.drop(), 2.0 / 6.0);
    assert_eq!(counts.disagreement(), 4.0 / 6.0);
}

/// Sizes found by the independent computation of [`CASES`], by bisection on n at constant rates.
#[test]
fn samples_needed_is_the_first_size_that_certifies() {
    let cases = [
        (PairedCounts::new(407, 2, 1), 0.007, Some(1571)),
        (PairedCounts::new(1000, 0, 0), 0.007, Some(517)),
        (PairedCounts::new(3999, 30, 12), 0.01, Some(1449)),
        (PairedCounts::new(3999, 30, 12), 0.0045, None),
        (PairedCounts::new(100, 10, 0), 0.007, None),
    ];
    for (counts, margin, expected) in cases {
        assert_eq!(
            counts.samples_needed(margin, 0.95),
            expected,
            "{counts:?} within {margin}"
        );
    }
}

/// `ceil((norm.ppf(0.95) + norm.ppf(0.8))**2 * (D - d*d) / (m - d)**2)` with `scipy.stats.norm`.
#[test]
fn planned_samples_follow_the_normal_approximation() {
    let plan = |drop, disagreement, margin| samples_for_power(drop, disagreement, margin, 0.95, 0.8);
    assert_eq!(plan(0.0, 0.02, 0.007), Some(2524));
    assert_eq!(plan(0.003, 0.02, 0.007), Some(7725));
    assert_eq!(plan(0.0, 0.10, 0.007), Some(12618));
    assert_eq!(plan(0.0, 0.02, 0.005), Some(4947));
    assert_eq!(plan(0.007, 0.02, 0.007), None);
}

/// The chance of certifying a variant whose true drop is exactly the margin, summed over all outcomes.
fn chance_of_certifying(samples: u64, margin: f64, gain: f64, bound: impl Fn(&PairedCounts) -> f64) -> f64 {
    let loss = margin + gain;
    // Probability of each count, by the ratio of neighbours; beyond the limit there is less than 1e-9.
    let binomial = |trials: u64, chance: f64| {
        let mean = trials as f64 * chance;
        let limit = ((mean + 8.0 * mean.sqrt() + 10.0) as u64).min(trials);
        let mut probability = (trials as f64 * (-chance).ln_1p()).exp();
        (0..=limit).map(move |count| {
            let current = probability;
            probability *= (trials - count) as f64 / (count + 1) as f64 * chance / (1.0 - chance);
            (count, current)
        })
    };
    let outcomes = binomial(samples, loss).flat_map(|(lost, first)| {
        binomial(samples - lost, gain / (1.0 - loss))
            .map(move |(gained, second)| (lost, gained, first * second))
    });
    let certified =
        outcomes.filter(|&(lost, gained, _)| bound(&PairedCounts::new(samples, lost, gained)) <= margin);
    certified.map(|(_, _, probability)| probability).sum()
}

/// What the module's docs promise, on a part of the grid that they name; and the reason for the correction.
#[test]
fn at_most_five_percent_are_certified_wrongly() {
    let mut worst = [0.0_f64; 3];
    for samples in [100, 300, 461, 1000, 1500] {
        for margin in [0.002, 0.003, 0.007, 0.01, 0.02] {
            for gain in [0.0, 0.002, 0.01] {
                let chances = [
                    chance_of_certifying(samples, margin, gain, |counts| counts.drop_upper_bound(0.95)),
                    chance_of_certifying(samples, margin, gain, |counts| {
                        counts.drop_upper_bound_uncorrected(0.95)
                    }),
                    chance_of_certifying(samples, margin, gain, |counts| counts.drop_upper_bound_wald(0.95)),
                ];
                for (worst, chance) in worst.iter_mut().zip(chances) {
                    *worst = worst.max(chance);
                }
            }
        }
    }
    println!("certified wrongly: {worst:.4?} (corrected score bound, score bound, Wald's bound)");
    let [corrected, uncorrected, wald] = worst;
    assert!(corrected <= 0.05, "{corrected}");
    assert!(
        uncorrected > 0.055 && wald > 0.5,
        "the others do not keep the promise: {uncorrected}, {wald}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bounds_are_ordered_and_move_the_right_way(
        samples in 50_u64..20_000,
        lost in 0_u64..25,
        gained in 0_u64..25,
    ) {
        let counts = PairedCounts::new(samples, lost, gained);
        let bound = counts.drop_upper_bound(0.95);
        prop_assert!(bound > counts.drop() && bound <= 1.0);
        prop_assert!(bound > 0.0 || gained > lost, "nothing lost is no proof that nothing can be lost");
        prop_assert!(bound > counts.drop_upper_bound_uncorrected(0.95));
        prop_assert!(counts.drop_upper_bound(0.99) > bound);
        prop_assert!(PairedCounts::new(samples, lost + 1, gained).drop_upper_bound(0.95) > bound);
        prop_assert!(PairedCounts::new(samples * 2, lost * 2, gained * 2).drop_upper_bound(0.95) < bound);
        if let Some(needed) = counts.samples_needed(0.01, 0.95) {
            prop_assert_eq!(needed <= samples, bound <= 0.01);
        } else {
            prop_assert!(bound > 0.01);
        }
    }
}
