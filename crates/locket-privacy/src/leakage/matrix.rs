//! Dense matrices of `f32` whose products run on the kernels, and symmetric systems solved in `f64`.

use locket_kernels::{Isa, MatmulF32};

/// A row-major matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    /// A matrix of zeros.
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            values: vec![0.0; rows * columns],
        }
    }

    /// A matrix of rows that are all `columns` long.
    pub(crate) fn from_rows(rows: Vec<Vec<f32>>, columns: usize) -> Self {
        debug_assert!(
            rows.iter().all(|row| row.len() == columns),
            "rows are equally long"
        );
        Self {
            rows: rows.len(),
            columns,
            values: rows.concat(),
        }
    }

    /// One row.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// One row, to change.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.columns..][..self.columns]
    }

    /// All rows.
    pub(crate) fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    /// The rows in `range`, copied.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            rows: range.len(),
            columns: self.columns,
            values: self.values[range.start * self.columns..range.end * self.columns].to_vec(),
        }
    }

    /// The first `count` columns, copied.
    pub(crate) fn first_columns(&self, count: usize) -> Self {
        let rows = self.iter_rows().map(|row| row[..count].to_vec()).collect();
        Self::from_rows(rows, count)
    }

    /// The rows named, in that order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self {
            rows: rows.len(),
            columns: self.columns,
            values: rows.iter().flat_map(|&row| self.row(row)).copied().collect(),
        }
    }

    /// Rows and columns change places.
    pub(crate) fn transposed(&self) -> Self {
        let mut out = Self::zeros(self.columns, self.rows);
        // Blocks keep both sides in the cache.
        const BLOCK: usize = 32;
        for top in (0..self.rows).step_by(BLOCK) {
            for left in (0..self.columns).step_by(BLOCK) {
                for row in top..(top + BLOCK).min(self.rows) {
                    for column in left..(left + BLOCK).min(self.columns) {
                        out.values[column * self.rows + row] = self.values[row * self.columns + column];
                    }
                }
            }
        }
        out
    }

    /// The mean of each column, summed in `f64`.
    pub(crate) fn column_means(&self) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.columns];
        for row in self.iter_rows() {
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sums.into_iter()
            .map(|sum| (sum / self.rows.max(1) as f64) as f32)
            .collect()
    }

    /// Adds `factor * row` to each row.
    pub(crate) fn add_to_rows(&mut self, row: &[f32], factor: f32) {
        for own in self.values.chunks_exact_mut(self.columns.max(1)) {
            own.iter_mut()
                .zip(row)
                .for_each(|(own, value)| *own += factor * value);
        }
    }

    /// `self · other`.
    pub(crate) fn times(&self, isa: Isa, other: &Self) -> Self {
        assert_eq!(self.columns, other.rows, "the inner sides of a product agree");
        product(isa, self, other, [self.rows, self.columns, other.columns], false)
    }

    /// `self · otherᵀ`.
    pub(crate) fn times_transposed(&self, isa: Isa, other: &Self) -> Self {
        assert_eq!(self.columns, other.columns, "the inner sides of a product agree");
        product(isa, self, other, [self.rows, self.columns, other.rows], true)
    }
}

fn product(isa: Isa, a: &Matrix, b: &Matrix, [m, k, n]: [usize; 3], transposed: bool) -> Matrix {
    let mut out = Matrix::zeros(m, n);
    if m == 0 || n == 0 || k == 0 {
        return out;
    }
    let matmul = MatmulF32::new(isa, [m, k, n], transposed, 1.0);
    let mut packed = vec![0.0; matmul.packed_elems()];
    matmul.pack(&b.values, b.columns, &mut packed);
    matmul.run(&a.values, k, &packed, &mut out.values, n, 0..m);
    out
}

/// A symmetric positive definite matrix `A + λI`, factored in `f64`: `L Lᵀ`.
#[derive(Debug)]
pub(crate) struct Factor {
    lower: Vec<f64>,
    side: usize,
}

impl Factor {
    /// Factors; `None` if the matrix is not positive definite, which rounding in `A` makes of one that hardly is.
    pub(crate) fn new(a: &Matrix, lambda: f64) -> Option<Self> {
        let side = a.rows;
        let mut lower: Vec<f64> = a.values.iter().map(|&value| f64::from(value)).collect();
        for row in 0..side {
            let (above, rest) = lower.split_at_mut(row * side);
            let own = &mut rest[..side];
            own[row] += lambda;
            for column in 0..row {
                let other = &above[column * side..][..side];
                own[column] = (own[column] - dot(&own[..column], &other[..column])) / other[column];
            }
            let pivot = own[row] - dot(&own[..row], &own[..row]);
            // Written so that NaN fails too.
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            own[row] = pivot.sqrt();
        }
        Some(Self { lower, side })
    }

    /// Solves for every column of `right`.
    pub(crate) fn solve(&self, right: &Matrix) -> Matrix {
        let side = self.side;
        let mut columns = right.transposed();
        for column in columns.values.chunks_exact_mut(side.max(1)) {
            let mut x: Vec<f64> = column.iter().map(|&value| f64::from(value)).collect();
            for i in 0..side {
                let row = &self.lower[i * side..][..side];
                x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
            }
            for i in (0..side).rev() {
                x[i] /= self.lower[i * side + i];
                let value = x[i];
                let row = &self.lower[i * side..][..i];
                x[..i].iter_mut().zip(row).for_each(|(x, l)| *x -= value * l);
            }
            column.iter_mut().zip(x).for_each(|(out, x)| *out = x as f32);
        }
        columns.transposed()
    }

    /// The inverse of the factored matrix, rounded to `f32`: worth it where many columns are to be solved for.
    pub(crate) fn inverse(&self) -> Matrix {
        let side = self.side;
        // Row i of `factor` becomes row i of L⁻¹, which is lower triangular.
        let mut factor = vec![0.0_f64; side * side];
        for i in 0..side {
            let (above, rest) = factor.split_at_mut(i * side);
            let own = &mut rest[..side];
            let row = &self.lower[i * side..][..side];
            let scale = 1.0 / row[i];
            for k in 0..i {
                let weight = -row[k] * scale;
                let other = &above[k * side..][..=k];
                own[..=k]
                    .iter_mut()
                    .zip(other)
                    .for_each(|(own, other)| *own += weight * other);
            }
            own[i] = scale;
        }
        // A⁻¹ = L⁻ᵀ L⁻¹: columns of L⁻¹ as rows, from the diagonal on.
        let mut columns = vec![0.0_f64; side * side];
        for i in 0..side {
            for j in 0..=i {
                columns[j * side + i] = factor[i * side + j];
            }
        }
        let mut out = Matrix::zeros(side, side);
        for i in 0..side {
            for j in 0..=i {
                let sum = dot(
                    &columns[i * side + i..][..side - i],
                    &columns[j * side + i..][..side - i],
                ) as f32;
                out.values[i * side + j] = sum;
                out.values[j * side + i] = sum;
            }
        }
        out
    }
}

/// Sum of products in eight interleaved sums.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let length = a.len().min(b.len());
    let (a, b) = (a[..length].as_chunks::<8>(), b[..length].as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{Factor, Matrix};
    use crate::random::Random;

    fn random(rows: usize, columns: usize) -> Matrix {
        let mut random = Random::new(3, (rows * 100 + columns) as u64);
        let values = (0..rows * columns).map(|_| random.normal()).collect();
        Matrix {
            rows,
            columns,
            values,
        }
    }

    #[test]
    fn a_system_is_solved() {
        for isa in Isa::available() {
            for side in [1, 2, 9, 40] {
                let b = random(side, side + 3);
                let a = b.times_transposed(isa, &b);
                let right = random(side, 5);
                let factor = Factor::new(&a, 0.5).unwrap();
                let mut shifted = a.clone();
                (0..side).for_each(|i| shifted.values[i * side + i] += 0.5);
                for solution in [factor.solve(&right), factor.inverse().times(isa, &right)] {
                    let back = shifted.times(isa, &solution);
                    for (found, wanted) in back.values.iter().zip(&right.values) {
                        // The condition number is some hundreds, and f32 has 7 digits.
                        assert!((found - wanted).abs() < 1e-2, "{side}: {found} {wanted}");
                    }
                }
            }
        }
        let indefinite = Matrix {
            rows: 2,
            columns: 2,
            values: vec![1.0, 2.0, 2.0, 1.0],
        };
        assert!(Factor::new(&indefinite, 0.0).is_none());
    }

    #[test]
    fn a_transpose_of_a_transpose_is_the_matrix() {
        let a = random(37, 70);
        assert_eq!(a.transposed().transposed(), a);
        assert_eq!(a.transposed().row(3)[36], a.row(36)[3]);
    }
}
