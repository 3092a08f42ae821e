//! Lists of measurements: percentiles and rank correlation.

/// The element at a fraction of a list sorted upwards: the one with index `min(n - 1, floor(fraction n))`. Always a value
/// that was measured, never one in between.
///
/// # Panics
///
/// If the list is empty or `fraction` is not from 0 to 1.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], fraction: f64) -> T {
    assert!(!sorted.is_empty(), "a percentile of at least one value");
    assert!(
        (0.0..=1.0).contains(&fraction),
        "a fraction from 0 to 1, found {fraction}"
    );
    let index = (fraction * sorted.len() as f64) as usize;
    sorted[index.min(sorted.len() - 1)]
}

/// Spearman's rank correlation: 1 where two lists rank alike, -1 where opposite; equal values share their mean rank. `None`
/// for lists of fewer than two values, with NaN, or where one list is constant: there is no ranking to compare.
///
/// # Panics
///
/// If the lists differ in length.
#[must_use]
pub fn spearman(first: &[f64], second: &[f64]) -> Option<f64> {
    assert_eq!(first.len(), second.len(), "two values for each item");
    if first.iter().chain(second).any(|value| value.is_nan()) {
        return None;
    }
    let (first, second) = (ranks(first), ranks(second));
    // Ranks always have this mean, also with ties.
    let mean = (first.len() as f64 - 1.0) / 2.0;
    let (mut covariance, mut first_variance, mut second_variance) = (0.0, 0.0, 0.0);
    for (x, y) in first.iter().zip(&second) {
        covariance += (x - mean) * (y - mean);
        first_variance += (x - mean) * (x - mean);
        second_variance += (y - mean) * (y - mean);
    }
    let scale = f64::sqrt(first_variance * second_variance);
    (scale > 0.0).then(|| (covariance / scale).clamp(-1.0, 1.0))
}

/// The rank of each value, from 0; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &index in group {
            ranks[index] = start as f64 + (group.len() as f64 - 1.0) / 2.0;
        }
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::{percentile, spearman};

    #[test]
    fn percentiles_are_measured_values() {
        let sorted = [10, 20, 30, 40, 50];
        let cases = [
            (0.0, 10),
            (0.1, 10),
            (0.2, 20),
            (0.5, 30),
            (0.9, 50),
            (0.99, 50),
            (1.0, 50),
        ];
        for (fraction, expected) in cases {
            assert_eq!(percentile(&sorted, fraction), expected, "{fraction}");
        }
        assert_eq!(percentile(&[7.5], 0.5), 7.5);
    }

    /// `scipy.stats.spearmanr(x, y).statistic`.
    #[test]
    fn rank_correlation_is_that_of_scipy() {
        let cases: [(&[f64], &[f64], Option<f64>); 6] = [
            (
                &[1.0, 2.0, 3.0, 4.0, 5.0],
                &[5.0, 6.0, 7.0, 8.0, 7.0],
                Some(0.8207826816681233),
            ),
            (
                &[1.0, 2.0, 2.0, 3.0, 5.0, 5.5],
                &[-1.0, 4.0, 2.0, 2.0, 0.0, 9.0],
                Some(0.5147058823529411),
            ),
            (&[1.0, 2.0, 3.0], &[-1.0, -2.0, -30.0], Some(-1.0)),
            (&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0], None),
            (&[1.0, f64::NAN], &[1.0, 2.0], None),
            (&[], &[], None),
        ];
        for (first, second, expected) in cases {
            let found = spearman(first, second);
            let close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
                (found, expected) => found == expected,
            };
            assert!(close, "{first:?} {second:?}: {found:?}, expected {expected:?}");
        }
    }
}
