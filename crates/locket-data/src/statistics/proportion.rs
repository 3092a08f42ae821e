//! One proportion: how large may the true share be, given that it was seen `k` times in `n`.

use super::distribution::{binomial_cdf, bisect, normal_quantile};

/// The two-sided Wilson score interval for a proportion, such as an accuracy: `confidence` 0.95 leaves 2.5 % on each side.
///
/// # Panics
///
/// If `successes > trials`, `trials` is 0, or `confidence` is not between 0 and 1, exclusive.
#[must_use]
pub fn wilson_interval(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    check(successes, trials, confidence);
    let (n, share) = (trials as f64, successes as f64 / trials as f64);
    let z = normal_quantile(0.5 + confidence / 2.0);
    let z2 = z * z;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // Exact at the ends, where rounding would leave a trace.
    let low = if successes == 0 {
        0.0
    } else {
        (centre - half).max(0.0)
    };
    let high = if successes == trials {
        1.0
    } else {
        (centre + half).min(1.0)
    };
    (low, high)
}

/// The one-sided exact (Clopper and Pearson) upper bound on a chance that was seen `events` times in `trials`: the chance
/// at which so few events would have a probability of `1 - confidence`.
///
/// # Panics
///
/// If `events > trials`, `trials` is 0, or `confidence` is not between 0 and 1, exclusive.
#[must_use]
pub fn chance_upper_bound(events: u64, trials: u64, confidence: f64) -> f64 {
    check(events, trials, confidence);
    if events == trials {
        return 1.0;
    }
    if events == 0 {
        // (1 - p)^n = 1 - confidence, solved; the "rule of three" is its approximation 3/n at 95 %.
        return -((-confidence).ln_1p() / trials as f64).exp_m1();
    }
    bisect(events as f64 / trials as f64, 1.0, |chance| {
        binomial_cdf(events, trials, chance) > 1.0 - confidence
    })
}

/// The upper bound on the chance that one prediction overruns its deadline, after `runs` of which `overruns` were late.
/// Holds for runs like those measured; it says nothing of another temperature or load.
///
/// # Panics
///
/// As [`chance_upper_bound`].
#[must_use]
pub fn overrun_upper_bound(overruns: u64, runs: u64, confidence: f64) -> f64 {
    chance_upper_bound(overruns, runs, confidence)
}

/// How many runs without an overrun support the statement that its chance is at most `chance`.
///
/// # Panics
///
/// If `chance` or `confidence` is not between 0 and 1, exclusive.
#[must_use]
pub fn runs_needed(chance: f64, confidence: f64) -> u64 {
    assert!(
        chance > 0.0 && chance < 1.0,
        "a chance strictly between 0 and 1, found {chance}"
    );
    assert!(
        confidence > 0.0 && confidence < 1.0,
        "a confidence strictly between 0 and 1, found {confidence}"
    );
    ((-confidence).ln_1p() / (-chance).ln_1p()).ceil() as u64
}

fn check(successes: u64, trials: u64, confidence: f64) {
    assert!(
        trials > 0 && successes <= trials,
        "{successes} of {trials}, expected at most all of at least one"
    );
    assert!(
        confidence > 0.0 && confidence < 1.0,
        "a confidence strictly between 0 and 1, found {confidence}"
    );
}

#[cfg(test)]
mod tests {
    use super::{chance_upper_bound, overrun_upper_bound, runs_needed, wilson_interval};

    /// Both sides are computed in `f64`; scipy finds its quantiles by iteration, too.
    const TOLERANCE: f64 = 1e-9;

    /// `statsmodels.stats.proportion.proportion_confint(k, n, alpha=1 - confidence, method="wilson")`.
    #[test]
    fn wilson_interval_is_that_of_statsmodels() {
        let cases = [
            (249, 407, 0.95, 0.5636124406368033, 0.657884192787711),
            (0, 20, 0.95, 0.0, 0.16112515805281938),
            (20, 20, 0.90, 0.8808421626390355, 1.0),
            (3050, 3999, 0.99, 0.7449354656206427, 0.7795756429136876),
        ];
        for (successes, trials, confidence, low, high) in cases {
            let found = wilson_interval(successes, trials, confidence);
            let close = (found.0 - low).abs() < TOLERANCE && (found.1 - high).abs() < TOLERANCE;
            assert!(
                close,
                "{successes} of {trials}: {found:?}, expected {low} to {high}"
            );
        }
    }

    /// `scipy.stats.beta.ppf(confidence, k + 1, n - k)`.
    #[test]
    fn chance_upper_bound_is_that_of_clopper_and_pearson() {
        let cases = [
            (0, 20, 0.95, 0.13910834066826516),
            (0, 1000, 0.95, 0.002991249545095295),
            (1, 100, 0.95, 0.046559811453538935),
            (7, 300, 0.99, 0.05253686802609311),
            (250, 1000, 0.95, 0.2735536313237202),
            (3, 3, 0.95, 1.0),
        ];
        for (events, trials, confidence, expected) in cases {
            let found = chance_upper_bound(events, trials, confidence);
            assert!(
                (found - expected).abs() < TOLERANCE,
                "{events} of {trials}: {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn runs_without_overrun_bound_its_chance() {
        // 1 - 0.05^(1/n), as percentages with one digit.
        for (runs, percent) in [
            (20, "13.9"),
            (100, "3.0"),
            (300, "1.0"),
            (1000, "0.3"),
            (3000, "0.1"),
        ] {
            assert_eq!(
                format!("{:.1}", 100.0 * overrun_upper_bound(0, runs, 0.95)),
                percent,
                "{runs} runs"
            );
        }
        let needed = runs_needed(0.001, 0.95);
        assert_eq!(needed, 2995);
        assert!(overrun_upper_bound(0, needed, 0.95) <= 0.001);
        assert!(overrun_upper_bound(0, needed - 1, 0.95) > 0.001);
    }
}
