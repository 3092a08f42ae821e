//! A3: ridge regression on random features of a Gaussian kernel (Rahimi and Recht 2007), beside the features themselves.
//!
//! `φ(x) = √(1/m) [cos(w·x), sin(w·x)]` for `m` random directions `w`. Directions come from structured orthogonal matrices
//! (Yu, Suresh, Choromanski, Holtmann-Rice and Kumar 2016), `√n/σ · H D₁ H D₂ H D₃`, which cost `n log n`. The width `σ` is a
//! multiple of the median distance of the attacker's samples, the multiple chosen on those held out. The linear features stay, so
//! that this attack is not weaker than A2 where the map is linear.

use super::{
    Problem,
    ridge::{choose, predict},
};
use crate::{
    leakage::{hadamard::transform, matrix::Matrix},
    random::Random,
};

/// Widths that are tried, in units of the median distance.
const WIDTHS: [f32; 2] = [0.7, 1.5];

/// Random directions.
const DIRECTIONS: usize = 512;

/// Pairs of samples that the median distance is taken from.
const PAIRS: usize = 500;

/// Fits and predicts.
pub(super) fn attack(problem: &Problem<'_>) -> Matrix {
    let median = median_distance(problem.features, problem.seed);
    let maps = WIDTHS.map(|width| Map::new(problem.features.columns, width * median, problem.seed));
    let made = maps.map(|map| {
        let features = map.apply(problem.features);
        let choice = choose(problem, &features);
        (choice, features, map)
    });
    let best = made
        .into_iter()
        .reduce(|best, next| if next.0.error < best.0.error { next } else { best });
    match best {
        Some((choice, features, map)) => {
            let asked = map.apply(problem.attacked);
            predict(problem.isa, &features, problem.pictures, &asked, choice.lambda)
        }
        None => Matrix::zeros(problem.attacked.rows, problem.pictures.columns),
    }
}

/// The median of distances between random pairs, at least a small number.
fn median_distance(features: &Matrix, seed: u64) -> f32 {
    let mut random = Random::new(seed, 0xd157);
    let mut distances: Vec<f32> = (0..PAIRS)
        .map(|_| {
            let (a, b) = (
                features.row(random.below(features.rows)),
                features.row(random.below(features.rows)),
            );
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b) * (a - b))
                .sum::<f32>()
                .sqrt()
        })
        .filter(|distance| *distance > 0.0)
        .collect();
    distances.sort_by(f32::total_cmp);
    distances
        .get(distances.len() / 2)
        .copied()
        .unwrap_or(1.0)
        .max(1e-6)
}

/// The feature map.
struct Map {
    length: usize,
    width: f32,
    /// For each block of directions, three diagonals of signs.
    blocks: Vec<[Vec<f32>; 3]>,
}

impl Map {
    fn new(inputs: usize, width: f32, seed: u64) -> Self {
        let length = inputs.next_power_of_two();
        let mut random = Random::new(seed, 0xfea7);
        let blocks = (0..DIRECTIONS.div_ceil(length))
            .map(|_| [0, 1, 2].map(|_| (0..length).map(|_| random.sign()).collect()))
            .collect();
        Self {
            length,
            width,
            blocks,
        }
    }

    fn apply(&self, features: &Matrix) -> Matrix {
        let scale = (self.length as f32).sqrt() / self.width;
        let (linear, random) = balance(features.columns);
        let rows = features
            .iter_rows()
            .map(|row| {
                let mut out: Vec<f32> = row.iter().map(|value| value * linear).collect();
                let mut angles = Vec::with_capacity(self.blocks.len() * self.length);
                for block in &self.blocks {
                    let mut values = row.to_vec();
                    values.resize(self.length, 0.0);
                    for signs in block {
                        values
                            .iter_mut()
                            .zip(signs)
                            .for_each(|(value, sign)| *value *= sign);
                        transform(&mut values);
                    }
                    angles.extend(values);
                }
                angles.truncate(DIRECTIONS);
                out.extend(angles.iter().map(|angle| (angle * scale).cos() * random));
                out.extend(angles.iter().map(|angle| (angle * scale).sin() * random));
                out
            })
            .collect();
        Matrix::from_rows(rows, features.columns + 2 * DIRECTIONS)
    }
}

/// Factors that give the linear and the random part the same squared length, 1, on average.
fn balance(columns: usize) -> (f32, f32) {
    (
        (1.0 / columns.max(1) as f32).sqrt(),
        (1.0 / DIRECTIONS as f32).sqrt(),
    )
}
