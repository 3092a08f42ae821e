//! A2: ridge regression from features to pixels, solved in closed form.
//!
//! `W = argmin ‖X W - Y‖² + λ ‖W‖²`. With fewer samples than features the dual is solved, `W = Xᵀ (X Xᵀ + λ I)⁻¹ Y`, else the
//! primal, `W = (Xᵀ X + λ I)⁻¹ Xᵀ Y`: products in `f32` on the kernels, the factorisation in `f64`. `λ`, in units of the
//! matrix's mean diagonal, is the one with the least error on the pictures held out; the error is taken on a
//! random projection of the pixels to [`SKETCH`] numbers, which keeps squared lengths within some percent.

use locket_kernels::Isa;

use super::Problem;
use crate::{
    leakage::matrix::{Factor, Matrix},
    random::Random,
};

/// Penalties that are tried, strongest first, in units of the mean diagonal.
const LAMBDAS: [f64; 9] = [1000.0, 100.0, 10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5];

/// Weaker penalties are not tried any more after so many that were worse than the best.
const WORSE: usize = 2;

/// Numbers that pictures are projected to while `λ` is chosen.
const SKETCH: usize = 64;

/// Fits and predicts.
pub(super) fn attack(problem: &Problem<'_>) -> Matrix {
    let chosen = choose(problem, problem.features);
    predict(
        problem.isa,
        problem.features,
        problem.pictures,
        problem.attacked,
        chosen.lambda,
    )
}

/// A penalty, and how well it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) lambda: f64,
    /// Squared error on what was held out, of the sketch.
    pub(super) error: f64,
}

/// The penalty with the least error on what is held out, for features that are those of the problem or made of them.
pub(super) fn choose(problem: &Problem<'_>, features: &Matrix) -> Choice {
    let (isa, fitted) = (problem.isa, problem.fitted());
    let sketch = sketch(isa, problem.seed, problem.pictures);
    let (x, held) = (features.slice(0..fitted), features.slice(fitted..features.rows));
    let (y, wanted) = (sketch.slice(0..fitted), sketch.slice(fitted..sketch.rows));
    let strongest = Choice {
        lambda: LAMBDAS[0],
        error: f64::INFINITY,
    };
    if held.rows == 0 {
        return strongest;
    }
    let system = System::new(isa, &x, &y, &held);
    let (mut best, mut worse) = (strongest, 0);
    for lambda in LAMBDAS {
        let Some(factor) = Factor::new(&system.matrix, lambda * system.diagonal) else {
            continue;
        };
        let made = system.design.times(isa, &factor.solve(&system.right));
        let error = made
            .values
            .iter()
            .zip(&wanted.values)
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum();
        if error < best.error {
            best = Choice { lambda, error };
            worse = 0;
        } else {
            worse += 1;
        }
        if worse == WORSE {
            break;
        }
    }
    best
}

/// Predictions for `asked` of a fit to all of `features` and `pictures`.
pub(super) fn predict(isa: Isa, features: &Matrix, pictures: &Matrix, asked: &Matrix, lambda: f64) -> Matrix {
    let system = System::new(isa, features, pictures, asked);
    // A matrix that is hardly positive is made so by a penalty that a hundredfold larger one always is.
    let factor = [1.0, 1e2, 1e4, 1e8].into_iter().find_map(|more| {
        Factor::new(
            &system.matrix,
            (lambda * more * system.diagonal).max(f64::MIN_POSITIVE),
        )
    });
    match factor {
        Some(factor) => system
            .design
            .times(isa, &factor.inverse().times(isa, &system.right)),
        None => Matrix::zeros(asked.rows, pictures.columns),
    }
}

/// Primal or dual: predictions are `design · (matrix + λI)⁻¹ · right`.
struct System {
    matrix: Matrix,
    right: Matrix,
    design: Matrix,
    diagonal: f64,
}

impl System {
    fn new(isa: Isa, x: &Matrix, y: &Matrix, asked: &Matrix) -> Self {
        let (matrix, right, design) = if x.rows <= x.columns {
            (
                x.times_transposed(isa, x),
                y.clone(),
                asked.times_transposed(isa, x),
            )
        } else {
            let across = x.transposed();
            (
                across.times_transposed(isa, &across),
                across.times(isa, y),
                asked.clone(),
            )
        };
        let side = matrix.rows;
        let trace: f64 = (0..side).map(|i| f64::from(matrix.values[i * side + i])).sum();
        Self {
            diagonal: (trace / side.max(1) as f64).max(1e-12),
            matrix,
            right,
            design,
        }
    }
}

fn sketch(isa: Isa, seed: u64, pictures: &Matrix) -> Matrix {
    let mut random = Random::new(seed, 0x5ce7);
    let scale = 1.0 / (SKETCH as f32).sqrt();
    let values = (0..pictures.columns * SKETCH)
        .map(|_| random.normal() * scale)
        .collect();
    pictures.times(
        isa,
        &Matrix {
            rows: pictures.columns,
            columns: SKETCH,
            values,
        },
    )
}
