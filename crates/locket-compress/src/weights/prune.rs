//! Pruning: the weights that matter least become zero.
//!
//! Without calibration those are the smallest. With it, those whose removal changes the layer's result least when the others
//! make it good (Optimal Brain Surgeon's saliency, `w² / H⁻¹`), and the others then do so: one pass in the order of the
//! curvature, then coordinate descent.

use locket_tensor::DType;

use super::{Matrix, Rounding, as_stored, parallel};
use crate::{
    calibrate::Curvature,
    linalg::{add_scaled, dot},
};

/// Rounds of descent of the weights that are left. Each takes up most of what is still missing.
const SWEEPS: usize = 6;

/// A weight of which `percent` of the elements are zero, at least those that were zero before.
pub(crate) fn prune(weight: &Matrix, percent: u8, rounding: Rounding<'_>) -> Matrix {
    let curvatures = rounding.curvatures;
    let saliency: Vec<f64> = match curvatures {
        None => weight.values.iter().map(|value| f64::from(value.abs())).collect(),
        Some(curvatures) => (0..weight.rows)
            .flat_map(|row| saliency(weight.row(row), curvatures.of_row(row)))
            .collect(),
    };
    let removed = weight.values.len() * usize::from(percent) / 100;
    let mut order: Vec<usize> = (0..weight.values.len()).collect();
    order.sort_by(|&a, &b| saliency[a].total_cmp(&saliency[b]).then(a.cmp(&b)));
    let mut kept = vec![true; weight.values.len()];
    order[..removed].iter().for_each(|&at| kept[at] = false);
    let rows = parallel(weight.rows, rounding.threads, |row| {
        let kept = &kept[row * weight.columns..][..weight.columns];
        match curvatures {
            Some(curvatures) => compensated(weight.row(row), kept, curvatures.of_row(row), rounding.dtype),
            None => {
                let values = weight.row(row).iter().zip(kept);
                values
                    .map(|(&value, &kept)| if kept { value } else { 0.0 })
                    .collect()
            }
        }
    });
    Matrix {
        values: rows.concat(),
        ..*weight
    }
}

/// What the removal of each weight alone costs.
fn saliency(row: &[f32], curvatures: &[Curvature]) -> Vec<f64> {
    let mut saliency = vec![0.0; row.len()];
    for curvature in curvatures {
        // The diagonal of the inverse, from its factor.
        let mut inverse = vec![0.0; curvature.size];
        for line in curvature.factor.chunks_exact(curvature.size) {
            inverse
                .iter_mut()
                .zip(line)
                .for_each(|(sum, value)| *sum += value * value);
        }
        let values = curvature.pick(row);
        let costs: Vec<f64> = values
            .iter()
            .zip(&inverse)
            .map(|(&value, inverse)| f64::from(value).powi(2) / inverse)
            .collect();
        curvature.put(&costs, &mut saliency);
    }
    saliency
}

/// A row without the weights that are not kept, the others changed to make that good.
fn compensated(row: &[f32], kept: &[bool], curvatures: &[Curvature], dtype: DType) -> Vec<f32> {
    let mut result = vec![0.0; row.len()];
    for curvature in curvatures {
        let wanted: Vec<f64> = curvature.pick(row).into_iter().map(f64::from).collect();
        let values = compensate(&wanted, &curvature.pick(kept), curvature);
        let values: Vec<f32> = values
            .iter()
            .map(|&value| as_stored(dtype, value as f32))
            .collect();
        curvature.put(&values, &mut result);
    }
    result
}

/// The same for one block, all in the order of the curvature.
fn compensate(wanted: &[f64], kept: &[bool], curvature: &Curvature) -> Vec<f64> {
    let size = curvature.size;
    let mut values = wanted.to_vec();
    for at in (0..size).filter(|&at| !kept[at]) {
        let factors = &curvature.factor[at * size..][..size];
        let error = values[at] / factors[at];
        values[at] = 0.0;
        add_scaled(&mut values[at + 1..], -error, &factors[at + 1..]);
    }
    let matrix_row = |at: usize| &curvature.matrix[at * size..][..size];
    let errors: Vec<f64> = values
        .iter()
        .zip(wanted)
        .map(|(value, wanted)| value - wanted)
        .collect();
    let mut gradient: Vec<f64> = (0..size).map(|at| dot(matrix_row(at), &errors)).collect();
    for _ in 0..SWEEPS {
        for at in (0..size).filter(|&at| kept[at]) {
            let line = matrix_row(at);
            let step = -gradient[at] / line[at];
            values[at] += step;
            add_scaled(&mut gradient, step, line);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use locket_tensor::DType;

    use super::prune;
    use crate::{
        calibrate::Curvatures,
        weights::{Matrix, Rounding},
    };

    fn rounding(curvatures: Option<&Curvatures>, threads: usize) -> Rounding<'_> {
        Rounding {
            curvatures,
            dtype: DType::Float32,
            threads,
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

    #[test]
    fn the_smallest_go_without_calibration() {
        let weight = Matrix::of(&[2, 3], vec![0.5, -0.1, 2.0, -3.0, 0.2, 0.0]);
        let found = prune(&weight, 50, rounding(None, 1));
        assert_eq!(found.values, [0.5, 0.0, 2.0, -3.0, 0.0, 0.0]);
        assert_eq!(
            prune(&weight, 1, rounding(None, 1)),
            weight,
            "a share of less than one element"
        );
    }

    #[test]
    fn what_is_left_makes_good_what_is_gone() {
        let (rows, size, count) = (4, 10, 400);
        let weight = Matrix::of(&[rows, size], numbers(1, rows * size));
        let mut inputs = numbers(2, count * size);
        for row in inputs.chunks_exact_mut(size) {
            for at in 1..size {
                row[at] += 0.8 * row[at - 1];
            }
        }
        let curvatures = Curvatures::of(&mut inputs.clone(), 1, size, rows, Isa::best()).unwrap();
        let error = |pruned: &Matrix| -> f64 {
            let changes = |row: usize, x: &[f32]| -> f64 {
                let pairs = pruned.row(row).iter().zip(weight.row(row)).zip(x);
                pairs.map(|((a, b), x)| f64::from((a - b) * x)).sum()
            };
            let all = inputs
                .chunks_exact(size)
                .flat_map(|x| (0..rows).map(move |row| changes(row, x)));
            all.map(|change| change * change).sum()
        };
        let (plain, careful) = (
            prune(&weight, 50, rounding(None, 1)),
            prune(&weight, 50, rounding(Some(&curvatures), 1)),
        );
        assert_eq!(
            careful.values.iter().filter(|&&value| value == 0.0).count(),
            rows * size / 2
        );
        assert!(
            error(&careful) < 0.75 * error(&plain),
            "{} {}",
            error(&careful),
            error(&plain)
        );
        assert_eq!(prune(&weight, 50, rounding(Some(&curvatures), 3)), careful);
    }
}
