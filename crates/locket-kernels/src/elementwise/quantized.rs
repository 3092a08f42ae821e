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
/// # Panics
/// If the slices differ in length.
pub fn add_u8(isa: Isa, add: &AddU8, a: &[u8], b: &[u8], output: &mut [u8]) {
    assert_eq!(
        (a.len(), b.len()),
        (output.len(), output.len()),
        "as many outputs as inputs"
    );
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
    a: &'a [u8],
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
        let mut start = 0;
        while start < output.len() {
            let count = S::LANES.min(output.len() - start);
            let scaled = |values: &[u8], operand: usize| {
                let values = &values[start..start + count];
                let value = if count == S::LANES {
                    simd.load_u8(values)
                } else {
                    simd.load_u8_partial(values)
                };
                let zero_point = simd.splat_i32(i32::from(add.input_zero_points[operand]));
                simd.mul_f32(
                    simd.to_f32(simd.sub_i32(value, zero_point)),
                    simd.splat_f32(add.multipliers[operand]),
                )
            };
            let result = requantize.apply(simd, simd.add_f32(scaled(a, 0), scaled(b, 1)));
            let target = &mut output[start..start + count];
            if count == S::LANES {
                simd.store_u8(target, result);
            } else {
                simd.store_u8_partial(target, result);
            }
            start += count;
        }
    }
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
    fn run<S: Simd>(self, _simd: S) {
        let Self { mul, a, b, output } = self;
        let requantize = Requantize::new(mul.zero_point, mul.clamp);
        let zero_points = mul.input_zero_points.map(i32::from);
        for (output, a) in output.chunks_exact_mut(b.len()).zip(a.chunks_exact(b.len())) {
            for (result, (&a, &b)) in output.iter_mut().zip(a.iter().zip(b)) {
                let product = (i32::from(a) - zero_points[0]) * (i32::from(b) - zero_points[1]);
                *result = requantize.apply_lane(product as f32 * mul.multiplier);
            }
        }
    }
}
