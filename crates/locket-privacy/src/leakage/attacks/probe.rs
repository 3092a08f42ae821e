//! A6: the attribute probe. Logistic regression from features to the class of the picture, by gradient descent with momentum.
//!
//! It reconstructs nothing; it says whether a property of the picture can be told from the tap. Its figure stands beside the
//! level and does not enter it.

use locket_kernels::Isa;

use crate::leakage::{matrix::Matrix, score::Share};

/// Features that are taken.
const INPUTS: usize = 512;
const STEPS: usize = 150;
const MOMENTUM: f32 = 0.9;
/// Penalty on the squared weights.
const DECAY: f32 = 1e-3;
/// Fewest of the attacker's pictures for each class: with fewer, the answer says nothing about the tap.
const LEAST_EACH: usize = 8;

/// How often the class was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Probe {
    /// Attacked pictures whose class was told.
    pub(crate) right: Share,
    /// Share of the attacked pictures' most frequent class: what guessing reaches.
    pub(crate) chance: f64,
    /// Classes that both sets have.
    pub(crate) classes: usize,
}

/// Trains on the attacker's pictures, each in so many variants, and asks for the attacked ones. `None` if there are too few pictures of each class.
pub(crate) fn probe(
    isa: Isa,
    features: &Matrix,
    labels: &[usize],
    attacked: &Matrix,
    wanted: &[usize],
    variants: usize,
) -> Option<Probe> {
    let classes = labels.iter().chain(wanted).max()? + 1;
    let counts = |labels: &[usize]| {
        let mut counts = vec![0_usize; classes];
        labels.iter().for_each(|&label| counts[label] += 1);
        counts
    };
    let (known, asked) = (counts(labels), counts(wanted));
    let present = known.iter().filter(|count| **count > 0).count();
    if present < 2 || features.rows < LEAST_EACH * present * variants {
        return None;
    }
    let inputs = features.columns.min(INPUTS);
    let weights = train(isa, &features.first_columns(inputs), labels, classes);
    let scores = with_one(attacked.first_columns(inputs)).times_transposed(isa, &weights);
    let right = scores
        .iter_rows()
        .zip(wanted)
        .filter(|(row, label)| {
            row.iter()
                .enumerate()
                .all(|(at, value)| at == **label || *value < row[**label])
        })
        .count();
    Some(Probe {
        right: Share::new(right, wanted.len()),
        chance: asked.iter().copied().max().unwrap_or(0) as f64 / wanted.len().max(1) as f64,
        classes: present,
    })
}

/// Weights `[classes, inputs + 1]`, the bias last.
fn train(isa: Isa, features: &Matrix, labels: &[usize], classes: usize) -> Matrix {
    let x = with_one(features.clone());
    let across = x.transposed();
    // Twice the mean squared length bounds the curvature of the loss, so that steps of its inverse do not overshoot.
    let length: f32 = x.values.iter().map(|value| value * value).sum::<f32>() / x.rows.max(1) as f32;
    let rate = 4.0 / length.max(1.0);
    let mut weights = Matrix::zeros(classes, x.columns);
    let mut speed = vec![0.0_f32; weights.values.len()];
    for _ in 0..STEPS {
        let mut error = x.times_transposed(isa, &weights);
        for (row, label) in labels.iter().enumerate() {
            softmax(error.row_mut(row));
            error.row_mut(row)[*label] -= 1.0;
        }
        let gradient = across.times(isa, &error).transposed();
        let scale = rate / x.rows.max(1) as f32;
        for ((weight, speed), gradient) in weights.values.iter_mut().zip(&mut speed).zip(&gradient.values) {
            *speed = MOMENTUM * *speed - scale * gradient - rate * DECAY * *weight;
            *weight += *speed;
        }
    }
    weights
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = (*value - most).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

/// The same with a column of ones at the end.
fn with_one(features: Matrix) -> Matrix {
    let rows = features.iter_rows().map(|row| [row, &[1.0]].concat()).collect();
    Matrix::from_rows(rows, features.columns + 1)
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{Matrix, probe};
    use crate::random::Random;

    /// Three classes in ten noisy dimensions, and labels that have nothing to do with the features.
    #[test]
    fn a_probe_tells_what_is_there_and_nothing_else() {
        let mut random = Random::new(8, 8);
        let mut set = |count: usize| -> (Matrix, Vec<usize>) {
            let labels: Vec<usize> = (0..count).map(|_| random.below(3)).collect();
            let rows = labels
                .iter()
                .map(|&label| {
                    let signal = |at: usize| if at == label { 3.0 } else { 0.0 };
                    (0..10).map(|at| random.normal() + signal(at)).collect()
                })
                .collect();
            (Matrix::from_rows(rows, 10), labels)
        };
        let ((known, labels), (asked, wanted)) = (set(300), set(300));
        let found = probe(Isa::best(), &known, &labels, &asked, &wanted, 1).unwrap();
        assert_eq!(found.classes, 3);
        assert!(found.right.seen() > 0.9, "{found:?}");
        let mut shuffled = labels.clone();
        random.shuffle(&mut shuffled);
        let none = probe(Isa::best(), &known, &shuffled, &asked, &wanted, 1).unwrap();
        assert!(none.right.seen() < 0.5, "{none:?}");
        assert!(
            probe(
                Isa::best(),
                &known.slice(0..20),
                &labels[..20],
                &asked,
                &wanted,
                1
            )
            .is_none()
        );
    }
}
