//! Functions of two float elements, with broadcasting of whole repetitions.

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// A function of two float elements, each operation rounded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryF32 {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// The greater; NaN if either is.
    Max,
    /// The smaller; NaN if either is.
    Min,
    /// `a^b` as the platform's mathematics library computes it (`a · a` for an exponent of 2).
    Pow,
}

/// Applies a function to pairs of elements.
///
/// One operand has the length of the output; the other has that too, or is one element, or repeats (such as one value
/// for each channel).
///
/// # Panics
/// If neither operand has the length of the output, or the other one's length does not divide it.
pub fn binary_f32(isa: Isa, op: BinaryF32, a: &[f32], b: &[f32], output: &mut [f32]) {
    let len = output.len();
    assert!(
        a.len() == len || b.len() == len,
        "an operand has the output's {len} elements: {}, {}",
        a.len(),
        b.len()
    );
    let repeats = |shorter: usize| shorter == len || shorter > 0 && len.is_multiple_of(shorter);
    assert!(
        repeats(a.len()) && repeats(b.len()),
        "{} and {} elements repeat to {len}",
        a.len(),
        b.len()
    );
    if len > 0 {
        isa.dispatch(Binary { op, a, b, output });
    }
}

struct Binary<'a> {
    op: BinaryF32,
    a: &'a [f32],
    b: &'a [f32],
    output: &'a mut [f32],
}

#[inline(always)]
fn zip(a: &[f32], b: &[f32], output: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    if let &[a] = a {
        for (result, &b) in output.iter_mut().zip(b) {
            *result = f(a, b);
        }
    } else if let &[b] = b {
        for (result, &a) in output.iter_mut().zip(a) {
            *result = f(a, b);
        }
    } else {
        let rows = a.len().min(b.len());
        for (row, output) in output.chunks_exact_mut(rows).enumerate() {
            let a = if a.len() == rows { a } else { &a[row * rows..] };
            let b = if b.len() == rows { b } else { &b[row * rows..] };
            for (result, (&a, &b)) in output.iter_mut().zip(a.iter().zip(b)) {
                *result = f(a, b);
            }
        }
    }
}

impl Kernel for Binary<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self { op, a, b, output } = self;
        match op {
            BinaryF32::Add => zip(a, b, output, |a, b| a + b),
            BinaryF32::Sub => zip(a, b, output, |a, b| a - b),
            BinaryF32::Mul => zip(a, b, output, |a, b| a * b),
            BinaryF32::Div => zip(a, b, output, |a, b| a / b),
            BinaryF32::Max => zip(a, b, output, |a, b| if a > b || a.is_nan() { a } else { b }),
            BinaryF32::Min => zip(a, b, output, |a, b| if a < b || a.is_nan() { a } else { b }),
            BinaryF32::Pow if b == [2.0] => zip(a, b, output, |a, _| a * a),
            BinaryF32::Pow => zip(a, b, output, f32::powf),
        }
    }
}
