//! Rounding weights so that the layer's result changes least, not the weights.
//!
//! First one pass over the inputs (GPTQ, arXiv 2210.17323, after Optimal Brain Surgeon): each weight is rounded in turn, and those not
//! yet rounded take up what that changes in the result. Then coordinate descent: each code is set to the best given all
//! others, until nothing changes. Rows are independent of each other, so that threads change nothing but the time.

use super::{Matrix, parallel};
use crate::{
    calibrate::{Curvature, Curvatures},
    linalg::{add_scaled, dot},
};

/// The values that codes stand for.
pub(crate) trait Grid: Sync {
    /// The code whose value is nearest.
    fn nearest(&self, row: usize, column: usize, value: f64) -> u8;
    /// The value of a code.
    fn value(&self, row: usize, column: usize, code: u8) -> f64;
}

/// How much is spent on rounding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds of coordinate descent at most.
    pub(crate) sweeps: usize,
    /// Rows at once.
    pub(crate) threads: usize,
}

/// Codes of a weight, and for each row what its rounding costs in the layer's result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rounded {
    /// In the order of the weight.
    pub(crate) codes: Vec<u8>,
    pub(crate) errors: Vec<f64>,
}

/// Rounds a weight to a grid: the pass, then descent.
pub(crate) fn round(weight: &Matrix, curvatures: &Curvatures, grid: &impl Grid, effort: Effort) -> Rounded {
    each_block(weight, curvatures, effort, |row, curvature, wanted| {
        let codes = pass(wanted.to_vec(), curvature, row, grid);
        improve(codes, wanted, curvature, row, grid, effort.sweeps)
    })
}

/// Improves codes on a grid by descent alone.
pub(crate) fn descend(
    codes: &[u8],
    weight: &Matrix,
    curvatures: &Curvatures,
    grid: &impl Grid,
    effort: Effort,
) -> Rounded {
    each_block(weight, curvatures, effort, |row, curvature, wanted| {
        let mine = curvature.pick(&codes[row * weight.columns..][..weight.columns]);
        improve(mine, wanted, curvature, row, grid, effort.sweeps)
    })
}

/// Runs `work` for each block of columns of each row: with the row, the curvature and the wanted values in its order. It gives
/// codes in that order, and what they cost.
fn each_block(
    weight: &Matrix,
    curvatures: &Curvatures,
    effort: Effort,
    work: impl Fn(usize, &Curvature, &[f64]) -> (Vec<u8>, f64) + Sync,
) -> Rounded {
    let rows = parallel(weight.rows, effort.threads, |row| {
        let mut codes = vec![0; weight.columns];
        let mut cost = 0.0;
        for curvature in curvatures.of_row(row) {
            let wanted: Vec<f64> = curvature
                .pick(weight.row(row))
                .into_iter()
                .map(f64::from)
                .collect();
            let (mine, its_cost) = work(row, curvature, &wanted);
            curvature.put(&mine, &mut codes);
            cost += its_cost;
        }
        (codes, cost)
    });
    let (codes, errors): (Vec<Vec<u8>>, Vec<f64>) = rows.into_iter().unzip();
    Rounded {
        codes: codes.concat(),
        errors,
    }
}

/// Rounds one weight after the other, each time moving the rest. Codes are in the order of the curvature.
fn pass(mut weights: Vec<f64>, curvature: &Curvature, row: usize, grid: &impl Grid) -> Vec<u8> {
    let size = curvature.size;
    let mut codes = Vec::with_capacity(size);
    for at in 0..size {
        let column = curvature.order[at] as usize;
        let factors = &curvature.factor[at * size..][..size];
        let code = grid.nearest(row, column, weights[at]);
        let error = (weights[at] - grid.value(row, column, code)) / factors[at];
        codes.push(code);
        add_scaled(&mut weights[at + 1..], -error, &factors[at + 1..]);
    }
    codes
}

/// Coordinate descent from given codes. Gives codes and what they cost.
fn improve(
    mut codes: Vec<u8>,
    wanted: &[f64],
    curvature: &Curvature,
    row: usize,
    grid: &impl Grid,
    sweeps: usize,
) -> (Vec<u8>, f64) {
    let size = curvature.size;
    let matrix_row = |at: usize| &curvature.matrix[at * size..][..size];
    let value = |at: usize, code: u8| grid.value(row, curvature.order[at] as usize, code);
    let mut errors: Vec<f64> = (0..size).map(|at| value(at, codes[at]) - wanted[at]).collect();
    // Half the gradient of the squared error.
    let mut gradient: Vec<f64> = (0..size).map(|at| dot(matrix_row(at), &errors)).collect();
    for _ in 0..sweeps {
        let mut changed = false;
        for at in 0..size {
            let slope = matrix_row(at)[at];
            let now = value(at, codes[at]);
            let code = grid.nearest(row, curvature.order[at] as usize, now - gradient[at] / slope);
            if code != codes[at] {
                let step = value(at, code) - now;
                add_scaled(&mut gradient, step, matrix_row(at));
                errors[at] += step;
                codes[at] = code;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let cost = dot(&errors, &gradient);
    (codes, cost)
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{Effort, Grid, descend, round};
    use crate::{calibrate::Curvatures, weights::Matrix};

    /// Whole numbers from -4 to 3.
    struct Whole;

    impl Grid for Whole {
        fn nearest(&self, _row: usize, _column: usize, value: f64) -> u8 {
            (value.round_ties_even().clamp(-4.0, 3.0) + 4.0) as u8
        }

        fn value(&self, _row: usize, _column: usize, code: u8) -> f64 {
            f64::from(code) - 4.0
        }
    }

    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    /// Inputs that move together, as neighbouring pixels do.
    fn correlated(count: usize, size: usize) -> Vec<f32> {
        let noise = numbers(5, count * size);
        let mut inputs = noise.clone();
        for row in inputs.chunks_exact_mut(size) {
            for at in 1..size {
                row[at] = 0.9 * row[at - 1] + 0.3 * row[at];
            }
        }
        inputs
    }

    #[test]
    fn results_change_less_than_by_rounding_each_weight_alone() {
        let (rows, size) = (6, 12);
        let weight = Matrix::of(
            &[rows, size],
            numbers(1, rows * size).iter().map(|x| x * 5.0).collect(),
        );
        let inputs = correlated(500, size);
        let curvatures = Curvatures::of(&mut inputs.clone(), 1, size, rows, Isa::best()).unwrap();
        let effort = |sweeps, threads| Effort { sweeps, threads };
        let plain: Vec<u8> = weight
            .values
            .iter()
            .map(|&value| Whole.nearest(0, 0, f64::from(value)))
            .collect();
        let alone = descend(&plain, &weight, &curvatures, &Whole, effort(0, 1));
        let passed = round(&weight, &curvatures, &Whole, effort(0, 1));
        let improved = round(&weight, &curvatures, &Whole, effort(8, 1));
        assert_eq!(alone.codes, plain);
        let total = |errors: &[f64]| errors.iter().sum::<f64>();
        assert!(total(&passed.errors) < 0.5 * total(&alone.errors));
        for row in 0..rows {
            assert!(
                improved.errors[row] <= passed.errors[row] * (1.0 + 1e-9),
                "descent never goes up"
            );
        }
        assert_eq!(round(&weight, &curvatures, &Whole, effort(8, 3)), improved);
        // The error that is told is that of the result, up to the damping.
        let centred = |row: usize| {
            let mut sum = [0.0; 2];
            for x in inputs.chunks_exact(size) {
                let codes = &improved.codes[row * size..][..size];
                let difference: f64 = (0..size)
                    .map(|at| {
                        (Whole.value(0, 0, codes[at]) - f64::from(weight.row(row)[at])) * f64::from(x[at])
                    })
                    .sum();
                sum[0] += difference;
                sum[1] += difference * difference;
            }
            sum[1] / 500.0 - (sum[0] / 500.0).powi(2)
        };
        for row in 0..rows {
            let (told, measured) = (improved.errors[row], centred(row));
            assert!(
                told >= measured && told <= measured * 1.5 + 0.05,
                "{told} {measured}"
            );
        }
    }
}
