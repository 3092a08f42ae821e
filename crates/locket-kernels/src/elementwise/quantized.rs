//! Sums and products of two u8 tensors.

use crate::conv::Requantize;
use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Parameters of a quantised sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddU8 {
    /// Zero points of both operands.
    pub input_zero_points: [u8; 2],
    /// Scale of each operand over scale of the output.
    pub multipliers: [f32; 2],
    /// Zero point of the output.
    pub zero_point: u8,
    /// Least and greatest stored output value.
    pub clamp: [u8; 2],
}

/// Adds: `t = (a - za) as f32 * ma; t = t + (b - zb) as f32 * mb; y = clamp(round_ties_even(t) + zero_point)`, each
/// operation rounded.
///
/// `a` is `None` if it stands where the output goes.
///
/// # Panics
/// If the slices differ in length.
pub fn add_u8(isa: Isa, add: &AddU8, a: Option<&[u8]>, b: &[u8], output: &mut [u8]) {
    let inputs = (a.map_or(output.len(), <[u8]>::len), b.len());
    assert_eq!(inputs, (output.len(), output.len()), "as many outputs as inputs");
    let requantize = Requantize::new(add.zero_point, add.clamp);
    isa.dispatch(Pairs {
        add: *add,
        requantize,
        a,
        b,
        output,
    });
}

struct Pairs<'a> {
    add: AddU8,
    requantize: Requantize,
    a: Option<&'a [u8]>,
    b: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            add,
            requantize,
            a,
            b,
            output,
        } = self;
        let whole = output.len() - output.len() % S::LANES;
        for start in (0..whole).step_by(S::LANES) {
            // Loops and functions instead of closures: a closure that is not inlined is compiled without the instruction set.
            let left = scaled(simd, simd.load_u8(&a.unwrap_or(&*output)[start..]), &add, 0);
            let right = scaled(simd, simd.load_u8(&b[start..]), &add, 1);
            let result = requantize.apply(simd, simd.add_f32(left, right));
            simd.store_u8(&mut output[start..], result);
        }
        if whole < output.len() {
            let left = scaled(
                simd,
                simd.load_u8_partial(&a.unwrap_or(&*output)[whole..]),
                &add,
                0,
            );
            let right = scaled(simd, simd.load_u8_partial(&b[whole..]), &add, 1);
            let result = requantize.apply(simd, simd.add_f32(left, right));
            simd.store_u8_partial(&mut output[whole..], result);
        }
    }
}

/// `(value - zero point) * multiplier` of an operand.
#[inline(always)]
fn scaled<S: Simd>(simd: S, value: S::I32, add: &AddU8, operand: usize) -> S::F32 {
    let zero_point = simd.splat_i32(i32::from(add.input_zero_points[operand]));
    let value = simd.to_f32(simd.sub_i32(value, zero_point));
    simd.mul_f32(value, simd.splat_f32(add.multipliers[operand]))
}

/// Parameters of a quantised product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MulU8 {
    /// Zero points of both operands.
    pub input_zero_points: [u8; 2],
    /// Product of the operands' scales over scale of the output.
    pub multiplier: f32,
    /// Zero point of the output.
    pub zero_point: u8,
    /// Least and greatest stored output value.
    pub clamp: [u8; 2],
}

/// Multiplies: `y = clamp(round_ties_even(((a - za) * (b - zb)) as f32 * multiplier) + zero_point)`.
///
/// `b` has the length of `a`, or repeats (such as one value for each channel).
///
/// # Panics
/// If `a` and the output differ in length, or the length of `b` does not divide it.
pub fn mul_u8(isa: Isa, mul: &MulU8, a: &[u8], b: &[u8], output: &mut [u8]) {
    assert_eq!(a.len(), output.len(), "as many outputs as inputs");
    if output.is_empty() {
        return;
    }
    assert!(
        !b.is_empty() && a.len().is_multiple_of(b.len()),
        "{} elements repeat to {}",
        b.len(),
        a.len()
    );
    isa.dispatch(Products {
        mul: *mul,
        a,
        b,
        output,
    });
}

struct Products<'a> {
    mul: MulU8,
    a: &'a [u8],
    b: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { mul, a, b, output } = self;
        let requantize = Requantize::new(mul.zero_point, mul.clamp);
        let whole = b.len() - b.len() % S::LANES;
        for (output, a) in output.chunks_exact_mut(b.len()).zip(a.chunks_exact(b.len())) {
            for start in (0..whole).step_by(S::LANES) {
                let pair = [simd.load_u8(&a[start..]), simd.load_u8(&b[start..])];
                simd.store_u8(
                    &mut output[start..],
                    requantize.apply(simd, product(simd, pair, &mul)),
                );
            }
            if whole < output.len() {
                let pair = [
                    simd.load_u8_partial(&a[whole..]),
                    simd.load_u8_partial(&b[whole..]),
                ];
                simd.store_u8_partial(
                    &mut output[whole..],
                    requantize.apply(simd, product(simd, pair, &mul)),
                );
            }
        }
    }
}

/// `(a - za) * (b - zb) * multiplier`. Both factors are below 256, so their product is the same in floats as in integers.
#[inline(always)]
fn product<S: Simd>(simd: S, pair: [S::I32; 2], mul: &MulU8) -> S::F32 {
    let a = simd.sub_i32(pair[0], simd.splat_i32(i32::from(mul.input_zero_points[0])));
    let b = simd.sub_i32(pair[1], simd.splat_i32(i32::from(mul.input_zero_points[1])));
    simd.mul_f32(
        simd.mul_f32(simd.to_f32(a), simd.to_f32(b)),
        simd.splat_f32(mul.multiplier),
    )
}
