//! How much an error in each weight of a layer costs in its result: the second moments of what the weights are multiplied with.
//!
//! The squared error of a row of weights that changes by `e` is `eᵀ H e` with `H` the covariance of the inputs; the mean is
//! left out because the bias takes it up. `H` is held for one layer at a time.

use std::{ops::Range, sync::Arc};

use locket_kernels::{Isa, MatmulF32};

use crate::linalg::inverse_factor;

/// Share of the mean of the diagonal that is added to it: the inputs of the samples are not all there are.
const DAMPING: f64 = 0.01;
/// Rows that are multiplied in float32 before sums go on in float64.
const BLOCK: usize = 1024;
/// Inputs that are looked at together. What two of different blocks do to each other is left out: the work grows with the cube of this,
/// and 1152 is all of a 3 x 3 convolution of 128 channels.
const MOST_TOGETHER: usize = 1152;

/// The curvature of neighbouring inputs that some rows of a weight share.
#[derive(Clone, Debug)]
pub(crate) struct Curvature {
    /// Inputs.
    pub(crate) size: usize,
    /// Columns of the weight by falling variance: the order in which weights are rounded, so that errors which cost most can
    /// still be made good by others.
    pub(crate) order: Vec<u32>,
    /// The damped covariance in that order, `[size, size]`.
    pub(crate) matrix: Vec<f64>,
    /// The upper factor `C` of its inverse, `Cᵀ C`, in that order.
    pub(crate) factor: Vec<f64>,
}

/// The curvature of the weight of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Curvatures {
    /// For each group of a convolution, or once, that of each block of columns.
    groups: Arc<[Vec<Curvature>]>,
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
        let blocks = size.div_ceil(MOST_TOGETHER);
        let groups: Arc<[Vec<Curvature>]> = (0..groups)
            .map(|group| {
                let block = |block: usize| {
                    let (start, end) = (size * block / blocks, size * (block + 1) / blocks);
                    let columns = group * size + start..group * size + end;
                    let mut matrix = gram(inputs, width, columns, isa);
                    matrix.iter_mut().for_each(|value| *value /= count as f64);
                    Curvature::new(matrix, start, end - start)
                };
                (0..blocks).map(block).collect()
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
    pub(crate) fn at_row(&self, row: usize) -> Self {
        Self {
            first: self.first + row,
            ..self.clone()
        }
    }

    /// The curvature of a row of the weight, for each block of its columns.
    pub(crate) fn of_row(&self, row: usize) -> &[Curvature] {
        let group = (self.first + row) / self.rows_per_group.max(1);
        &self.groups[group.min(self.groups.len() - 1)]
    }
}

impl Curvature {
    fn new(matrix: Vec<f64>, start: usize, size: usize) -> Option<Self> {
        let diagonal = |at: usize| matrix[at * size + at];
        let mean = (0..size).map(diagonal).sum::<f64>() / size.max(1) as f64;
        if !mean.is_finite() {
            return None;
        }
        // Inputs that never change leave nothing to weigh errors by; then all count the same.
        let added = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| diagonal(b).total_cmp(&diagonal(a)).then(a.cmp(&b)));
        let mut sorted = vec![0.0; size * size];
        for (row, &from_row) in order.iter().enumerate() {
            for (column, &from_column) in order.iter().enumerate() {
                sorted[row * size + column] = matrix[from_row * size + from_column];
            }
            sorted[row * size + row] += added;
        }
        let factor = inverse_factor(&sorted, size);
        factor.ok().map(|factor| Self {
            size,
            order: order.iter().map(|&at| (start + at) as u32).collect(),
            matrix: sorted,
            factor,
        })
    }

    /// The elements of a row of the weight, in this order.
    pub(crate) fn pick<T: Copy>(&self, row: &[T]) -> Vec<T> {
        self.order.iter().map(|&column| row[column as usize]).collect()
    }

    /// Puts elements in this order back into a row of the weight.
    pub(crate) fn put<T: Copy>(&self, picked: &[T], row: &mut [T]) {
        for (&column, &value) in self.order.iter().zip(picked) {
            row[column as usize] = value;
        }
    }

    /// The damped variance of each input, in this order.
    pub(crate) fn variances(&self) -> Vec<f64> {
        (0..self.size)
            .map(|at| self.matrix[at * self.size + at])
            .collect()
    }
}

/// Takes the mean of each column away.
fn centre(inputs: &mut [f32], width: usize) {
    let mut means = vec![0.0f64; width];
    for row in inputs.chunks_exact(width) {
        means
            .iter_mut()
            .zip(row)
            .for_each(|(mean, &value)| *mean += f64::from(value));
    }
    let count = (inputs.len() / width) as f64;
    let means: Vec<f32> = means.iter().map(|sum| (sum / count) as f32).collect();
    for row in inputs.chunks_exact_mut(width) {
        row.iter_mut()
            .zip(&means)
            .for_each(|(value, mean)| *value -= mean);
    }
}

/// `Xᵀ X` of some columns of `[count, width]`, by the matrix kernel.
fn gram(inputs: &[f32], width: usize, columns: Range<usize>, isa: Isa) -> Vec<f64> {
    let size = columns.len();
    let mut sums = vec![0.0f64; size * size];
    let mut turned = vec![0.0f32; size * BLOCK];
    let mut product = vec![0.0f32; size * size];
    for block in inputs.chunks(BLOCK * width) {
        let count = block.len() / width;
        for (row, values) in block.chunks_exact(width).enumerate() {
            for (column, &value) in values[columns.clone()].iter().enumerate() {
                turned[column * count + row] = value;
            }
        }
        let kernel = MatmulF32::new(isa, [size, count, size], true, 1.0);
        let mut packed = vec![0.0f32; kernel.packed_elems()];
        kernel.pack(&turned, count, &mut packed);
        kernel.run(&turned, count, &packed, &mut product, size, 0..size);
        sums.iter_mut()
            .zip(&product)
            .for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{BLOCK, Curvatures, DAMPING, MOST_TOGETHER};

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
        let wanted: Vec<f64> = (0..size * size)
            .map(|at| covariance(at / size, at % size))
            .collect();
        let damping = DAMPING * (0..size).map(|at| wanted[at * size + at]).sum::<f64>() / size as f64;
        let found = Curvatures::of(&mut inputs, 1, size, 8, Isa::best()).unwrap();
        let [found] = found.of_row(7) else {
            unreachable!("few inputs are one block");
        };
        for row in 0..size {
            for column in 0..size {
                let (from, to) = (found.order[row] as usize, found.order[column] as usize);
                let added = if row == column { damping } else { 0.0 };
                let difference = found.matrix[row * size + column] - wanted[from * size + to] - added;
                assert!(
                    difference.abs() < 1e-3 * wanted[from * size + from],
                    "{row} {column}: {difference}"
                );
            }
        }
        assert_eq!(found.order, [4, 3, 2, 1, 0]);
    }

    #[test]
    fn many_inputs_fall_into_blocks() {
        let size = MOST_TOGETHER + 1;
        let mut inputs: Vec<f32> = (0..3 * size).map(|n| (n * 31 % 97) as f32).collect();
        let found = Curvatures::of(&mut inputs, 1, size, 2, Isa::best()).unwrap();
        let mut columns: Vec<u32> = found
            .of_row(1)
            .iter()
            .flat_map(|block| block.order.clone())
            .collect();
        assert_eq!(found.of_row(1).len(), 2);
        columns.sort_unstable();
        assert!(columns.iter().copied().eq(0..size as u32));
    }

    #[test]
    fn groups_have_curvatures_of_their_own_and_constant_inputs_count_alike() {
        // The first group varies, the second does not.
        let mut inputs: Vec<f32> = (0..40)
            .flat_map(|n| [n as f32, (n * n % 7) as f32, 2.0, 2.0])
            .collect();
        let found = Curvatures::of(&mut inputs, 2, 2, 6, Isa::best()).unwrap();
        assert!(found.of_row(0)[0].matrix[0] > 100.0);
        assert_eq!(found.of_row(2)[0].matrix, found.of_row(0)[0].matrix);
        assert_eq!(found.of_row(3)[0].matrix, [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(found.at_row(2).of_row(1)[0].matrix, [1.0, 0.0, 0.0, 1.0]);
        assert!(Curvatures::of(&mut [f32::NAN; 4], 1, 2, 1, Isa::best()).is_none());
    }
}
