//! AVX-512 with products of bf16 pairs (`vdpbf16ps`): the products of a matrix unit, on vectors.
#![expect(
    unsafe_code,
    reason = "intrinsics and reads within ranges that an assertion states before the loop"
)]

use core::arch::x86_64::{
    __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_ps,
};

use super::Avx512;
use super::matrix::{MATRIX_COLUMNS, Product, Sums};

/// Most rows whose sums stay in registers beside two registers of weights.
const ROWS: usize = 14;

/// Proof that the machine has `vdpbf16ps` beside [`Avx512`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Avx512Bf16(());

impl Avx512Bf16 {
    /// Returns the proof if the machine has the feature.
    pub(crate) fn detect() -> Option<Self> {
        let present = Avx512::detect().is_some() && is_x86_feature_detected!("avx512bf16");
        present.then_some(Self(()))
    }

    /// Computes the product into `sums[..rows][..b_width / 4]`.
    ///
    /// # Panics
    /// If a range that the product names is not within its operand.
    pub(crate) fn multiply(self, product: &Product<'_>, sums: &mut Sums) {
        product.check();
        assert!(
            product.b_width == 64 || product.b_width == 128,
            "one register of columns, or two"
        );
        let mut first = 0;
        while first < product.rows {
            // As equal as possible.
            let parts = (product.rows - first).div_ceil(ROWS);
            let rows = (product.rows - first).div_ceil(parts);
            // SAFETY: the token says that the feature is there; the check says that all rows and columns are within the operands.
            unsafe { entry(product, first, rows, sums) };
            first += rows;
        }
    }
}

/// # Safety
/// The machine has `avx512bf16`; the product was checked, and rows `first..first + rows` are its.
unsafe fn entry(product: &Product<'_>, first: usize, rows: usize, sums: &mut Sums) {
    macro_rules! select {
        ($($rows:literal)*) => {
            match (rows, product.b_width / 64) {
                $(
                    // SAFETY: the caller's.
                    ($rows, 1) => unsafe { tile::<$rows, 1>(product, first, sums) },
                    // SAFETY: the caller's.
                    ($rows, _) => unsafe { tile::<$rows, 2>(product, first, sums) },
                )*
                _ => unreachable!("no tile has {rows} rows"),
            }
        };
    }
    select!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// The same bits as pairs of bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of which any are valid.
    unsafe { core::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// # Safety
/// As [`entry`], with `R` rows and `T` registers of columns.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<const R: usize, const T: usize>(product: &Product<'_>, first: usize, sums: &mut Sums) {
    let mut acc = [[_mm512_setzero_ps(); T]; R];
    let mut b = product.b.as_ptr();
    for &run in product.runs {
        // SAFETY: the first row of this tile is within the operand.
        let a = unsafe { product.a.as_ptr().add(run + first * product.a_stride) };
        for four in 0..product.chunks * product.chunk / 4 {
            let mut weights = [pairs(_mm512_setzero_si512()); T];
            for t in 0..T {
                // SAFETY: 64 bytes for each tile of columns lie here.
                weights[t] = pairs(unsafe { _mm512_loadu_si512(b.add(64 * t).cast()) });
            }
            for row in 0..R {
                // SAFETY: every four of every row is within the operand; the read does not ask for alignment.
                let pair = unsafe {
                    a.add(row * product.a_stride + 4 * four)
                        .cast::<i32>()
                        .read_unaligned()
                };
                let pair = pairs(_mm512_set1_epi32(pair));
                for t in 0..T {
                    acc[row][t] = _mm512_dpbf16_ps(acc[row][t], pair, weights[t]);
                }
            }
            b = b.wrapping_add(product.b_stride);
        }
    }
    for row in 0..R {
        for t in 0..T {
            let at = (first + row) * MATRIX_COLUMNS + 16 * t;
            let to = &mut sums.0[at..at + 16];
            // SAFETY: sixteen elements lie there.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr().cast(), acc[row][t]) };
        }
    }
}
