//! A0: the attacker's mean picture. What every other attack must beat.

use super::Problem;
use crate::leakage::matrix::Matrix;

/// Nothing but the mean.
pub(super) fn attack(problem: &Problem<'_>) -> Matrix {
    Matrix::zeros(problem.attacked.rows, problem.pictures.columns)
}
