//! k-means on a line.
//!
//! Sorted values make clusters stretches, whose error follows from prefix sums. The best division of at most 2048 stretches of
//! values is found exactly by dynamic programming (the best last border never moves back, so that each level takes
//! `n log n`), then Lloyd's iteration moves the borders between single values. No random start, no luck.

/// Stretches that dynamic programming divides: borders end within a thousandth of the range, Lloyd does the rest.
const STRETCHES: usize = 2048;
/// Iterations of Lloyd's at most.
const ITERATIONS: usize = 50;

/// Sums over values up to a place.
struct Prefix {
    weight: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Prefix {
    fn new(points: &[(f64, f64)]) -> Self {
        let mut all = Self {
            weight: vec![0.0],
            first: vec![0.0],
            second: vec![0.0],
        };
        let [mut weight, mut first, mut second] = [0.0; 3];
        for &(value, w) in points {
            weight += w;
            first += w * value;
            second += w * value * value;
            all.weight.push(weight);
            all.first.push(first);
            all.second.push(second);
        }
        all
    }

    /// The weighted mean of a stretch, if it has weight.
    fn mean(&self, start: usize, end: usize) -> Option<f64> {
        let weight = self.weight[end] - self.weight[start];
        (weight > 0.0).then(|| (self.first[end] - self.first[start]) / weight)
    }

    /// The squared error of a stretch around its mean.
    fn error(&self, start: usize, end: usize) -> f64 {
        match self.mean(start, end) {
            Some(mean) => {
                let second = self.second[end] - self.second[start];
                (second - mean * (self.first[end] - self.first[start])).max(0.0)
            }
            None => 0.0,
        }
    }
}

/// `count` centres, ascending, that values with these weights are near to; centres repeat if there are fewer values. Values and weights
/// are finite, weights not negative; `values` is not empty.
pub(crate) fn centres(values: &[f32], weights: impl Fn(usize) -> f64, count: usize) -> Vec<f64> {
    let mut points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(at, &value)| (f64::from(value), weights(at)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let start = divide(&stretches(&points), count);
    lloyd(&points, start)
}

/// Neighbouring values joined, by equal width, until few are left; a value and its weight for each.
fn stretches(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (low, high) = (points[0].0, points[points.len() - 1].0);
    let width = (high - low) / STRETCHES as f64;
    let mut joined: Vec<(usize, f64, f64)> = Vec::new();
    for (at, &(value, weight)) in points.iter().enumerate() {
        // Few values stay apart, equal ones excepted.
        let place = if points.len() <= STRETCHES {
            at
        } else {
            ((value - low) / width) as usize
        };
        match joined.last_mut() {
            Some((last, first, total)) if *last == place || (points[at - 1].0 == value) => {
                *first += weight * value;
                *total += weight;
            }
            _ => joined.push((place, weight * value, weight)),
        }
    }
    joined
        .into_iter()
        .filter(|(_, _, total)| *total > 0.0)
        .map(|(_, first, total)| (first / total, total))
        .collect()
}

/// The means of the division of sorted points into `count` stretches with the least error.
fn divide(points: &[(f64, f64)], count: usize) -> Vec<f64> {
    if points.is_empty() {
        return vec![0.0; count];
    }
    let n = points.len();
    let prefix = Prefix::new(points);
    let levels = count.min(n);
    // error[end]: of the first `end` points in the clusters so far; starts[level][end]: where the last of them starts.
    let mut error: Vec<f64> = (0..=n).map(|end| prefix.error(0, end)).collect();
    let mut starts: Vec<Vec<u32>> = vec![vec![0; n + 1]];
    for level in 1..levels {
        let mut next = vec![f64::INFINITY; n + 1];
        let mut chosen = vec![0u32; n + 1];
        // Ranges of ends still to do, with the range in which their best start lies.
        let mut open = vec![(level, n, level, n)];
        while let Some((from, to, first, last)) = open.pop() {
            let end = from + (to - from) / 2;
            let mut best = (f64::INFINITY, first);
            for start in first..=last.min(end) {
                let total = error[start] + prefix.error(start, end);
                if total < best.0 {
                    best = (total, start);
                }
            }
            (next[end], chosen[end]) = (best.0, best.1 as u32);
            if end > from {
                open.push((from, end - 1, first, best.1));
            }
            if end < to {
                open.push((end + 1, to, best.1, last));
            }
        }
        error = next;
        starts.push(chosen);
    }
    let mut centres = Vec::with_capacity(count);
    let mut end = n;
    for level in (0..levels).rev() {
        let start = starts[level][end] as usize;
        centres.extend(prefix.mean(start, end));
        end = start;
    }
    centres.reverse();
    let last = centres.last().copied().unwrap_or(0.0);
    centres.resize(count, last);
    centres
}

/// Moves centres to the means of the values nearest to them until nothing changes.
fn lloyd(points: &[(f64, f64)], mut centres: Vec<f64>) -> Vec<f64> {
    let prefix = Prefix::new(points);
    for _ in 0..ITERATIONS {
        let mut start = 0;
        let mut moved = false;
        let old = centres.clone();
        for at in 0..old.len() {
            let end = match old.get(at + 1) {
                Some(next) => {
                    let border = (old[at] + next) / 2.0;
                    points.partition_point(|point| point.0 < border)
                }
                None => points.len(),
            };
            if let Some(mean) = prefix.mean(start, end.max(start)) {
                moved |= (mean - old[at]).abs() > 1e-12 * mean.abs();
                centres[at] = mean;
            }
            start = end.max(start);
        }
        if !moved {
            break;
        }
    }
    centres
}

/// The position of the centre nearest to a value; the lower one on a tie.
pub(crate) fn nearest(centres: &[f64], value: f64) -> usize {
    let above = centres.partition_point(|&centre| centre < value);
    match (above.checked_sub(1), centres.get(above)) {
        (Some(below), Some(&centre)) if value - centres[below] <= centre - value => below,
        (_, Some(_)) => above,
        (Some(below), None) => below,
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{centres, nearest};

    fn error(values: &[f32], centres: &[f64]) -> f64 {
        let off = |&value: &f32| f64::from(value) - centres[nearest(centres, f64::from(value))];
        values.iter().map(|value| off(value).powi(2)).sum()
    }

    /// The least error of all divisions of sorted values, by trying each.
    fn least(values: &[f32], count: usize) -> f64 {
        if count == 1 || values.len() <= 1 {
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
            return values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
        }
        (0..values.len())
            .map(|start| least(&values[..start], count - 1) + least(&values[start..], 1))
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn few_values_are_divided_best() {
        let mut values: Vec<f32> = (0..17u32)
            .map(|n| ((n * n * 7) % 31) as f32 - 9.0 + 0.1 * n as f32)
            .collect();
        values.sort_by(f32::total_cmp);
        for count in 1..6 {
            let found = error(&values, &centres(&values, |_| 1.0, count));
            let best = least(&values, count);
            assert!(
                (found - best).abs() < 1e-6 * best.max(1.0),
                "{count}: {found}, best {best}"
            );
        }
    }

    #[test]
    fn many_values_are_divided_nearly_best() {
        // For a normal distribution and 16 levels, the least mean square error is 0.009497 (Lloyd-Max tables).
        let values: Vec<f32> = (0..40_000u32)
            .map(|n| {
                // Sums of twelve hashes are nearly normal.
                let bits = |k: u32| {
                    (n * 12 + k).wrapping_mul(0x9E37_79B1) ^ ((n * 12 + k) << 7).wrapping_mul(0x85EB_CA6B)
                };
                (0..12).map(|k| f64::from(bits(k)) / 4_294_967_296.0).sum::<f64>() as f32 - 6.0
            })
            .collect();
        let found = centres(&values, |_| 1.0, 16);
        let power: f64 = values.iter().map(|&v| f64::from(v).powi(2)).sum();
        let share = error(&values, &found) / power;
        assert!((0.007..0.0097).contains(&share), "{share}");
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn corner_cases_have_as_many_centres_as_asked_for() {
        assert_eq!(centres(&[3.0], |_| 1.0, 4), [3.0; 4]);
        assert_eq!(centres(&[2.0, 2.0, 1.0], |_| 1.0, 2), [1.0, 2.0]);
        assert_eq!(centres(&[1.0, 5.0], |_| 0.0, 2).len(), 2);
        // A heavy value pulls.
        let heavy = centres(&[0.0, 1.0], |at| if at == 0 { 3.0 } else { 1.0 }, 1);
        assert_eq!(heavy, [0.25]);
    }

    #[test]
    fn the_nearest_centre_is_found() {
        let centres = [-1.0, 0.0, 2.0];
        for (value, wanted) in [
            (-9.0, 0),
            (-0.6, 0),
            (-0.5, 0),
            (-0.4, 1),
            (0.0, 1),
            (1.1, 2),
            (9.0, 2),
        ] {
            assert_eq!(nearest(&centres, value), wanted, "{value}");
        }
    }
}
