//! A model's output rows: which class, at which rank, and how far two rows are apart.

/// Below this a probability counts as this much, so that a class which a quantised softmax rounds to 0 costs 20 nats
/// instead of infinitely many.
pub const PROBABILITY_FLOOR: f64 = 2e-9;

/// How far from 1 the sum of a row may be that is still taken for probabilities: room for 1000 classes in `f16`.
const SUM_TOLERANCE: f64 = 0.01;

/// The index of the largest score; of equal ones the first, as `numpy.argmax` has it. NaN never wins, and where nothing
/// else is there (or nothing at all) the answer is `None`: a broken row is not a prediction of class 0.
#[must_use]
pub fn argmax(scores: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &score) in scores.iter().enumerate() {
        if best.map_or(!score.is_nan(), |(_, largest)| score > largest) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// The rank of class `label`, counted from 0: how many classes score higher, or equal with a lower index. `None` if its
/// score is NaN or it is not in the row.
#[must_use]
pub fn rank(scores: &[f32], label: usize) -> Option<usize> {
    let own = *scores.get(label).filter(|score| !score.is_nan())?;
    let ahead = |(index, &score): (usize, &f32)| score > own || (score == own && index < label);
    Some(scores.iter().enumerate().filter(|&entry| ahead(entry)).count())
}

/// Whether class `label` is among the `k` best.
#[must_use]
pub fn in_top_k(scores: &[f32], label: usize, k: usize) -> bool {
    rank(scores, label).is_some_and(|rank| rank < k)
}

/// The `k` best classes, best first; of equal scores the lower index first. NaN scores are left out.
#[must_use]
pub fn top_k(scores: &[f32], k: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..scores.len())
        .filter(|&index| !scores[index].is_nan())
        .collect();
    // Stable, and NaN is gone: equal scores stay in the order of their indices.
    indices.sort_by(|&a, &b| {
        scores[b]
            .partial_cmp(&scores[a])
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    indices.truncate(k);
    indices
}

/// The share of equal predictions of two models.
///
/// # Panics
///
/// If the lists differ in length or are empty.
#[must_use]
pub fn agreement<T: PartialEq>(before: &[T], after: &[T]) -> f64 {
    assert_eq!(before.len(), after.len(), "predictions of the same samples");
    assert!(!before.is_empty(), "at least one sample is compared");
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before == after)
        .count() as f64
        / before.len() as f64
}

/// Whether a row is probabilities already (all from 0 to 1, sum near 1) rather than logits.
#[must_use]
pub fn is_probabilities(row: &[f32]) -> bool {
    let in_range = row
        .iter()
        .all(|&value| (0.0..=1.0 + SUM_TOLERANCE as f32).contains(&value));
    in_range && (row.iter().map(|&value| f64::from(value)).sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
}

/// `exp(x_i) / sum exp(x_j)`, shifted by the largest so that nothing overflows; `output` is filled in place.
///
/// # Panics
///
/// If the rows differ in length.
pub fn softmax(logits: &[f32], output: &mut [f32]) {
    assert_eq!(logits.len(), output.len(), "one probability for each logit");
    let shift = log_sum_exp(logits);
    for (output, &logit) in output.iter_mut().zip(logits) {
        *output = (f64::from(logit) - shift).exp() as f32;
    }
}

/// Divergence of `other` from `reference`, `sum p ln(p / q)` in nats, for rows of probabilities. Both rows are brought to
/// sum 1 after values below [`PROBABILITY_FLOOR`] were raised to it. NaN in a row gives NaN.
///
/// # Panics
///
/// If the rows differ in length.
#[must_use]
pub fn kl_divergence(reference: &[f32], other: &[f32]) -> f64 {
    assert_eq!(reference.len(), other.len(), "rows over the same classes");
    // `f64::max` would hide NaN.
    let floored = |value: f32| {
        if value.is_nan() {
            f64::NAN
        } else {
            f64::from(value).max(PROBABILITY_FLOOR)
        }
    };
    let total = |row: &[f32]| row.iter().map(|&value| floored(value)).sum::<f64>();
    let (reference_total, other_total) = (total(reference), total(other));
    let terms = reference.iter().zip(other).map(|(&p, &q)| {
        let (p, q) = (floored(p) / reference_total, floored(q) / other_total);
        p * (p / q).ln()
    });
    not_negative(terms.sum())
}

/// Divergence of `other` from `reference` in nats, for rows of logits: of their softmax, computed without leaving logarithms.
///
/// # Panics
///
/// If the rows differ in length.
#[must_use]
pub fn kl_divergence_of_logits(reference: &[f32], other: &[f32]) -> f64 {
    assert_eq!(reference.len(), other.len(), "rows over the same classes");
    let (reference_shift, other_shift) = (log_sum_exp(reference), log_sum_exp(other));
    let terms = reference.iter().zip(other).map(|(&p, &q)| {
        let (ln_p, ln_q) = (f64::from(p) - reference_shift, f64::from(q) - other_shift);
        let probability = ln_p.exp();
        // A class that the reference excludes costs nothing, also where both exclude it.
        if probability == 0.0 {
            0.0
        } else {
            probability * (ln_p - ln_q)
        }
    });
    not_negative(terms.sum())
}

/// Rounding can push a divergence of equal rows below 0; NaN stays.
fn not_negative(divergence: f64) -> f64 {
    if divergence < 0.0 { 0.0 } else { divergence }
}

/// `ln(sum exp(x_i))` in `f64`.
fn log_sum_exp(row: &[f32]) -> f64 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if largest.is_infinite() {
        // Nothing to shift by: an empty row, or one with infinite scores.
        return f64::from(largest);
    }
    f64::from(largest)
        + row
            .iter()
            .map(|&x| (f64::from(x) - f64::from(largest)).exp())
            .sum::<f64>()
            .ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{
        agreement, argmax, in_top_k, is_probabilities, kl_divergence, kl_divergence_of_logits, rank, softmax,
        top_k,
    };

    #[test]
    fn ties_go_to_the_lower_index_and_nan_to_nobody() {
        let nan = f32::NAN;
        let cases: [(&[f32], Option<usize>, &[usize]); 7] = [
            (&[1.0, 3.0, 3.0, 2.0], Some(1), &[1, 2, 3]),
            (&[0.0, -0.0], Some(0), &[0, 1]),
            (&[nan, 1.0, nan, 2.0], Some(3), &[3, 1]),
            (&[f32::NEG_INFINITY, f32::NEG_INFINITY], Some(0), &[0, 1]),
            (&[nan, nan], None, &[]),
            (&[], None, &[]),
            (&[5.0; 6], Some(0), &[0, 1, 2]),
        ];
        for (scores, best, three) in cases {
            assert_eq!(argmax(scores), best, "{scores:?}");
            assert_eq!(top_k(scores, 3), three, "{scores:?}");
        }
    }

    #[test]
    fn ranks_count_the_classes_ahead() {
        let scores = [0.1, 0.5, 0.5, f32::NAN, 0.9];
        let ranks: Vec<_> = (0..6).map(|label| rank(&scores, label)).collect();
        assert_eq!(ranks, [Some(3), Some(1), Some(2), None, Some(0), None]);
        assert!(in_top_k(&scores, 2, 3) && !in_top_k(&scores, 2, 2) && !in_top_k(&scores, 3, 5));
    }

    /// `scipy.special.softmax` and `scipy.special.rel_entr(p, q).sum()`.
    #[test]
    fn softmax_and_divergence_are_those_of_scipy() {
        let (reference, other) = ([1.0, 2.0, 3.0, -1.0], [1.5, 2.0, 2.0, 0.0]);
        let mut probabilities = [0.0; 4];
        softmax(&reference, &mut probabilities);
        let expected = [
            0.0889468172974043,
            0.24178251715880075,
            0.6572330228318554,
            0.01203764271193945,
        ];
        for (found, expected) in probabilities.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{probabilities:?}");
        }
        let divergence = kl_divergence_of_logits(&reference, &other);
        assert!((divergence - 0.18964401485620774).abs() < 1e-12, "{divergence}");
        let divergence = kl_divergence(&[0.5, 0.25, 0.25], &[0.25, 0.25, 0.5]);
        assert!((divergence - 0.17328679513998632).abs() < 1e-7, "{divergence}");
    }

    #[test]
    fn divergence_from_a_lost_class_is_large_but_finite() {
        let divergence = kl_divergence(&[1.0, 0.0], &[0.0, 1.0]);
        assert!((divergence - 20.03).abs() < 0.01, "{divergence}");
        assert!(kl_divergence(&[f32::NAN, 1.0], &[0.5, 0.5]).is_nan());
        assert!(kl_divergence_of_logits(&[0.0, 1.0], &[f32::NAN, 1.0]).is_nan());
        assert_eq!(
            kl_divergence_of_logits(&[f32::NEG_INFINITY, 1.0], &[f32::NEG_INFINITY, 5.0]),
            0.0
        );
    }

    #[test]
    fn probabilities_are_told_from_logits() {
        let cases: [(&[f32], bool); 6] = [
            (&[0.2, 0.8], true),
            (&[0.0, 1.0], true),
            (&[0.2, 0.7], false),
            (&[-0.1, 1.1], false),
            (&[f32::NAN, 1.0], false),
            (&[2.0, -1.0], false),
        ];
        for (row, expected) in cases {
            assert_eq!(is_probabilities(row), expected, "{row:?}");
        }
    }

    #[test]
    fn agreement_is_a_share() {
        assert_eq!(agreement(&[1, 2, 3, 4], &[1, 2, 0, 4]), 0.75);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn ranks_follow_the_sorted_order(scores in prop::collection::vec(-4_i8..4, 1..12)) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let order = top_k(&scores, scores.len());
            for (position, &index) in order.iter().enumerate() {
                prop_assert_eq!(rank(&scores, index), Some(position));
            }
            prop_assert_eq!(argmax(&scores), order.first().copied());
        }

        #[test]
        fn divergence_is_never_negative(rows in prop::collection::vec(any::<(i16, i16)>(), 2..12)) {
            let scale = |x: i16| f32::from(x) / 1000.0;
            let (first, second): (Vec<f32>, Vec<f32>) = rows.iter().map(|&(a, b)| (scale(a), scale(b))).unzip();
            prop_assert!(kl_divergence_of_logits(&first, &second) >= 0.0);
            prop_assert_eq!(kl_divergence_of_logits(&first, &first), 0.0);
            let mut probabilities = [vec![0.0; first.len()], vec![0.0; first.len()]];
            softmax(&first, &mut probabilities[0]);
            softmax(&second, &mut probabilities[1]);
            prop_assert!(is_probabilities(&probabilities[0]));
            prop_assert!(kl_divergence(&probabilities[0], &probabilities[1]) >= 0.0);
        }
    }
}
