//! A1: retrieval. The mean of the `k` of the attacker's pictures whose features are nearest; `k` is chosen on those held out.

use super::Problem;
use crate::leakage::{matrix::Matrix, score};

/// Numbers of neighbours that are tried.
const NEIGHBOURS: [usize; 4] = [1, 3, 10, 30];

/// Looks for the nearest features.
pub(super) fn attack(problem: &Problem<'_>) -> Matrix {
    let fitted = problem.fitted();
    let count = problem.features.rows;
    let (known, held) = (
        problem.features.slice(0..fitted),
        problem.features.slice(fitted..count),
    );
    let (pictures, originals) = (
        problem.pictures.slice(0..fitted),
        problem.pictures.slice(fitted..count),
    );
    let mut best = (f64::NEG_INFINITY, NEIGHBOURS[0]);
    if held.rows > 1 {
        let order = neighbours(problem, &known, &held, NEIGHBOURS[NEIGHBOURS.len() - 1]);
        for k in NEIGHBOURS.into_iter().filter(|k| *k <= fitted) {
            let found = score::r2(&originals, &means(&order, &pictures, k));
            if found > best.0 {
                best = (found, k);
            }
        }
    }
    let order = neighbours(problem, problem.features, problem.attacked, best.1);
    means(&order, problem.pictures, best.1)
}

/// For each row of `asked` the rows of `known` with the least distance, nearest first.
fn neighbours(problem: &Problem<'_>, known: &Matrix, asked: &Matrix, count: usize) -> Vec<Vec<usize>> {
    let squares = |matrix: &Matrix| -> Vec<f32> {
        matrix
            .iter_rows()
            .map(|row| row.iter().map(|value| value * value).sum())
            .collect()
    };
    let lengths = squares(known);
    let products = asked.times_transposed(problem.isa, known);
    products
        .iter_rows()
        .map(|row| {
            // The asked row's own length is the same for all.
            let mut all: Vec<(f32, usize)> = row
                .iter()
                .zip(&lengths)
                .enumerate()
                .map(|(at, (product, length))| (length - 2.0 * product, at))
                .collect();
            let count = count.min(all.len());
            all.select_nth_unstable_by(count.saturating_sub(1), |a, b| {
                a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
            });
            all.truncate(count);
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.into_iter().map(|(_, at)| at).collect()
        })
        .collect()
}

fn means(order: &[Vec<usize>], pictures: &Matrix, k: usize) -> Matrix {
    let mut out = Matrix::zeros(order.len(), pictures.columns);
    for (row, near) in order.iter().enumerate() {
        let near = &near[..k.min(near.len())];
        let own = out.row_mut(row);
        for &at in near {
            own.iter_mut()
                .zip(pictures.row(at))
                .for_each(|(own, value)| *own += value);
        }
        own.iter_mut().for_each(|own| *own /= near.len().max(1) as f32);
    }
    out
}
