//! Dense symmetric linear algebra in `f64`: what second-order compression needs, and no more.
//!
//! Matrices are square, row-major slices of `n * n`. Loops run along rows, so that they vectorise; everything is sequential and
//! deterministic.

/// Why a factorisation failed: the matrix is not positive definite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a positive definite matrix, found a pivot of row {row} that is not positive")]
pub(crate) struct NotPositive {
    /// The row of the pivot.
    pub(crate) row: usize,
}

/// Sum of products, in eight interleaved sums.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let mut sums = [0.0; 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = blocks_a
        .remainder()
        .iter()
        .zip(blocks_b.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in blocks_a.zip(blocks_b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// `y += factor * x`.
pub(crate) fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor `L`, `A = L Lᵀ`. The upper triangle is left.
///
/// # Errors
///
/// If the matrix is not positive definite.
pub(crate) fn cholesky(a: &mut [f64], n: usize) -> Result<(), NotPositive> {
    for i in 0..n {
        let (above, rest) = a.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in 0..i {
            let other = &above[j * n..][..n];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        // Written so that NaN fails too.
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Err(NotPositive { row: i });
        }
        row[i] = pivot.sqrt();
    }
    Ok(())
}

/// Solves `L Lᵀ x = b` in place, given the factor in the lower triangle.
pub(crate) fn solve_factored(factor: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        let row = &factor[i * n..][..n];
        b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
    }
    for i in (0..n).rev() {
        b[i] /= factor[i * n + i];
        let value = b[i];
        add_scaled(&mut b[..i], -value, &factor[i * n..][..i]);
    }
}

/// The upper triangular `C` with `A⁻¹ = Cᵀ C`; entries below the diagonal are zero.
///
/// `A = U Uᵀ` with `U` upper triangular is a Cholesky factorisation from the last row on; then `C = U⁻¹`. This is cheaper
/// and more exact than factorising the inverse.
///
/// # Errors
///
/// If the matrix is not positive definite.
pub(crate) fn inverse_factor(a: &[f64], n: usize) -> Result<Vec<f64>, NotPositive> {
    // Turned by half a circle, the last row is the first.
    let mut turned: Vec<f64> = a.iter().rev().copied().collect();
    cholesky(&mut turned, n).map_err(|error| NotPositive {
        row: n - 1 - error.row,
    })?;
    turned.reverse();
    let upper = turned;
    let mut inverse = vec![0.0; n * n];
    for i in (0..n).rev() {
        let (head, below) = inverse.split_at_mut((i + 1) * n);
        let row = &mut head[i * n..];
        let scale = 1.0 / upper[i * n + i];
        for k in i + 1..n {
            let factor = -upper[i * n + k] * scale;
            if factor != 0.0 {
                add_scaled(&mut row[k..], factor, &below[(k - i - 1) * n..][k..n]);
            }
        }
        row[i] = scale;
    }
    Ok(inverse)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prop_assert, proptest, strategy::Strategy};

    use super::{NotPositive, cholesky, dot, inverse_factor, solve_factored};

    /// `B Bᵀ` plus a diagonal: positive definite, with a condition number that f64 has room for.
    fn positive(seed: &[f64], n: usize) -> Vec<f64> {
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] = dot(&seed[i * n..][..n], &seed[j * n..][..n]);
            }
            a[i * n + i] += 0.1;
        }
        a
    }

    fn product(a: &[f64], x: &[f64], n: usize) -> Vec<f64> {
        (0..n).map(|i| dot(&a[i * n..][..n], x)).collect()
    }

    #[test]
    fn sums_of_products_of_any_length() {
        for n in 0..40 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            assert_eq!(dot(&a, &a), (0..n).map(|i| f64::from(i * i)).sum::<f64>());
        }
    }

    #[test]
    fn what_is_not_positive_is_refused() {
        assert_eq!(
            cholesky(&mut [1.0, 2.0, 2.0, 1.0], 2),
            Err(NotPositive { row: 1 })
        );
        assert_eq!(cholesky(&mut [f64::NAN], 1), Err(NotPositive { row: 0 }));
        assert_eq!(
            inverse_factor(&[0.0, 0.0, 0.0, 1.0], 2),
            Err(NotPositive { row: 0 })
        );
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        #[test]
        fn factors_undo_the_matrix(
            (n, seed) in (1usize..14).prop_flat_map(|n| (proptest::strategy::Just(n), vec(-1.0f64..1.0, n * n))),
            b in vec(-1.0f64..1.0, 14),
        ) {
            let a = positive(&seed, n);
            let mut factor = a.clone();
            cholesky(&mut factor, n).unwrap();
            let mut x = b[..n].to_vec();
            solve_factored(&factor, n, &mut x);
            for (found, wanted) in product(&a, &x, n).iter().zip(&b) {
                prop_assert!((found - wanted).abs() < 1e-9);
            }
            // C A Cᵀ is the identity.
            let c = inverse_factor(&a, n).unwrap();
            for i in 0..n {
                prop_assert!(c[i * n..][..i].iter().all(|&value| value == 0.0));
                let image = product(&a, &c[i * n..][..n], n);
                for j in 0..n {
                    let found = dot(&c[j * n..][..n], &image);
                    let wanted = f64::from(u8::from(i == j));
                    prop_assert!((found - wanted).abs() < 1e-8, "{i} {j}: {found}");
                }
            }
        }
    }
}
