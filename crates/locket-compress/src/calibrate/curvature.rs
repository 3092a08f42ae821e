//! How much an error in each weight of a layer costs in its result: the second moments of what the weights are multiplied with.
//!
//! The squared error of a row of weights that changes by `e` is `eᵀ H e` with `H` the covariance of the inputs; the mean is
//! left out because the bias takes it up. `H` is held for one layer at a time.

use std::sync::Arc;

use locket_kernels::{Isa, MatmulF32};

use crate::linalg::inverse_factor;

/// Share of the mean of the diagonal that is added to it: the inputs of the samples are not all there are.
const DAMPING: f64 = 0.01;
/// Rows that are multiplied in float32 before sums go on in float64.
const BLOCK: usize = 1024;

/// The curvature that some rows of a weight share: those of one group of a convolution, or all.
#[derive(Clone, Debug)]
pub(crate) struct Curvature {
    /// Inputs.
    pub(crate) size: usize,
    /// Inputs by falling variance: the order in which weights are rounded, so that errors which cost most can still be
    /// made good by others.
    pub(crate) order: Vec<u32>,
    /// The damped covariance in that order, `[size, size]`.
    pub(crate) matrix: Vec<f64>,
    /// The upper factor `C` of its inverse, `Cᵀ C`, in that order.
    pub(crate) factor: Vec<f64>,
}

/// The curvature of each group of a layer, or of all rows alike.
#[derive(Clone, Debug)]
pub(crate) struct Curvatures {
    groups: Arc<[Curvature]>,
    rows_per_group: usize,
    /// The row of the weight that is called row 0.
    first: usize,
}

impl Curvatures {
    /// From inputs `[count, groups * size]` of a layer with `rows` output channels. `None` if an input does nothing at all, so that
    /// no weight matters, or the numbers are not finite.
    pub(crate) fn of(inputs: &mut [f32], groups: usize, size: usize, rows: usize, isa: Isa) -> Option<Self> {
        let width = groups * size;
        if width == 0 || inputs.len() < width {
            return None;
        }
        centre(inputs, width);
        let count = inputs.len() / width;
        let groups: Arc<[Curvature]> = (0..groups)
            .map(|group| {
                let mut matrix = if groups == 1 {
                    gram(inputs, size, isa)
                } else {
                    small_gram(inputs, width, group * size, size)
                };
                matrix.iter_mut().for_each(|value| *value /= count as f64);
                Curvature::new(matrix, size)
            })
            .collect::<Option<_>>()?;
        let rows_per_group = rows / groups.len().max(1);
        Some(Self {
            groups,
            rows_per_group,
            first: 0,
        })
    }

    /// The same, with rows counted from another one.
    pub(crate) fn from_row(&self, row: usize) -> Self {
        Self {
            first: self.first + row,
            ..self.clone()
        }
    }

    /// The curvature of a row of the weight.
    pub(crate) fn of_row(&self, row: usize) -> &Curvature {
        let group = (self.first + row) / self.rows_per_group.max(1);
        &self.groups[group.min(self.groups.len() - 1)]
    }
}

impl Curvature {
    /// The damped variance of each input, in the order of the weight.
    pub(crate) fn variances(&self) -> Vec<f64> {
        let mut variances = vec![0.0; self.size];
        for (at, &column) in self.order.iter().enumerate() {
            variances[column as usize] = self.matrix[at * self.size + at];
        }
        variances
    }

    fn new(matrix: Vec<f64>, size: usize) -> Option<Self> {
        let diagonal = |at: usize| matrix[at * size + at];
        let mean = (0..size).map(diagonal).sum::<f64>() / size.max(1) as f64;
        if !mean.is_finite() {
            return None;
        }
        // Inputs that never change leave nothing to weigh errors by; then all count the same.
        let added = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        let mut order: Vec<u32> = (0..size as u32).collect();
        order.sort_by(|&a, &b| diagonal(b as usize).total_cmp(&diagonal(a as usize)).then(a.cmp(&b)));
        let mut sorted = vec![0.0; size * size];
        for (row, &from_row) in order.iter().enumerate() {
            for (column, &from_column) in order.iter().enumerate() {
                sorted[row * size + column] = matrix[from_row as usize * size + from_column as usize];
            }
            sorted[row * size + row] += added;
        }
        let factor = inverse_factor(&sorted, size);
        factor.ok().map(|factor| Self {
            size,
            order,
            matrix: sorted,
            factor,
        })
    }
}

/// Takes the mean of each column away.
fn centre(inputs: &mut [f32], width: usize) {
    let mut means = vec![0.0f64; width];
    for row in inputs.chunks_exact(width) {
        means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value));
    }
    let count = (inputs.len() / width) as f64;
    let means: Vec<f32> = means.iter().map(|sum| (sum / count) as f32).collect();
    for row in inputs.chunks_exact_mut(width) {
        row.iter_mut().zip(&means).for_each(|(value, mean)| *value -= mean);
    }
}

/// `Xᵀ X` of `[count, size]`, by the matrix kernel.
fn gram(inputs: &[f32], size: usize, isa: Isa) -> Vec<f64> {
    let mut sums = vec![0.0f64; size * size];
    let mut turned = vec![0.0f32; size * BLOCK];
    let mut product = vec![0.0f32; size * size];
    for block in inputs.chunks(BLOCK * size) {
        let count = block.len() / size;
        for (row, values) in block.chunks_exact(size).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                turned[column * count + row] = value;
            }
        }
        let kernel = MatmulF32::new(isa, [size, count, size], false, 1.0);
        let mut packed = vec![0.0f32; kernel.packed_elems()];
        kernel.pack(block, size, &mut packed);
        kernel.run(&turned, count, &packed, &mut product, size, 0..size);
        sums.iter_mut().zip(&product).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums
}

/// `Xᵀ X` of some columns.
fn small_gram(inputs: &[f32], width: usize, start: usize, size: usize) -> Vec<f64> {
    let mut sums = vec![0.0f64; size * size];
    for row in inputs.chunks_exact(width) {
        let row = &row[start..start + size];
        for (sums, &a) in sums.chunks_exact_mut(size).zip(row) {
            sums.iter_mut().zip(row).for_each(|(sum, &b)| *sum += f64::from(a) * f64::from(b));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{BLOCK, Curvatures, DAMPING};

    #[test]
    fn curvature_is_the_damped_covariance() {
        let (count, size) = (BLOCK + 77, 5);
        let mut inputs: Vec<f32> = (0..count * size)
            .map(|n| ((n * 31 % 97) as f32 / 20.0) * (1 + n % size) as f32 + 3.0)
            .collect();
        let column = |c: usize| -> Vec<f64> { (0..count).map(|r| f64::from(inputs[r * size + c])).collect() };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count as f64;
        let covariance = |a: usize, b: usize| {
            let (a, b) = (column(a), column(b));
            let products: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
            mean(&products) - mean(&a) * mean(&b)
        };
        let wanted: Vec<f64> = (0..size * size).map(|at| covariance(at / size, at % size)).collect();
        let damping = DAMPING * (0..size).map(|at| wanted[at * size + at]).sum::<f64>() / size as f64;
        let found = Curvatures::of(&mut inputs, 1, size, 8, Isa::best()).unwrap();
        let found = found.of_row(7);
        for row in 0..size {
            for column in 0..size {
                let (from, to) = (found.order[row] as usize, found.order[column] as usize);
                let added = if row == column { damping } else { 0.0 };
                let difference = found.matrix[row * size + column] - wanted[from * size + to] - added;
                assert!(difference.abs() < 1e-3 * wanted[from * size + from], "{row} {column}: {difference}");
            }
        }
        assert_eq!(found.order, [4, 3, 2, 1, 0]);
    }

    #[test]
    fn groups_have_curvatures_of_their_own_and_constant_inputs_count_alike() {
        // The first group varies, the second does not.
        let mut inputs: Vec<f32> = (0..40).flat_map(|n| [n as f32, (n * n % 7) as f32, 2.0, 2.0]).collect();
        let found = Curvatures::of(&mut inputs, 2, 2, 6, Isa::best()).unwrap();
        assert!(found.of_row(0).matrix[0] > 100.0);
        assert_eq!(found.of_row(2).matrix, found.of_row(0).matrix);
        assert_eq!(found.of_row(3).matrix, [1.0, 0.0, 0.0, 1.0]);
        assert!(Curvatures::of(&mut [f32::NAN; 4], 1, 2, 1, Isa::best()).is_none());
    }
}
