//! Conversions between element types: exact on every instruction set, special values included.

use half::f16;
use locket_kernels::{
    Isa, dequantize_i8, dequantize_u8, f16_to_f32, f32_to_f16, quantize_i8, quantize_u8, requantize_u8,
};

use crate::common::Values;

fn inputs(len: usize) -> Vec<f32> {
    let special = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1e30,
        -1e30,
        0.5,
        1.5,
        -2.5,
        1e-40,
    ];
    let mut values = Values::new(12 + len as u64);
    (0..len)
        .map(|i| {
            if i % 3 == 0 {
                special[i / 3 % special.len()]
            } else {
                values.f32() * 40.0
            }
        })
        .collect()
}

#[test]
fn quantisation_is_exactly_the_formula() {
    for isa in Isa::available() {
        for len in (0..130).chain([1000]) {
            for (scale, zero_point) in [(1.0, 0), (0.1, 128), (0.25, 255), (0.031, 7), (-0.5, 100)] {
                let input = inputs(len);
                let mut found = vec![0; len];
                quantize_u8(isa, scale, zero_point, &input, &mut found);
                let mut signed = vec![0; len];
                let signed_zero_point = (i32::from(zero_point) - 128) as i8;
                quantize_i8(isa, scale, signed_zero_point, &input, &mut signed);
                for (i, &x) in input.iter().enumerate() {
                    let rounded = i64::from((x / scale).round_ties_even() as i32);
                    let expected = (rounded + i64::from(zero_point)).clamp(0, 255);
                    assert_eq!(
                        i64::from(found[i]),
                        expected,
                        "{isa} {x} / {scale} + {zero_point}"
                    );
                    assert_eq!(
                        i64::from(signed[i]),
                        expected - 128,
                        "{isa} {x} / {scale} + {signed_zero_point}"
                    );
                }
            }
        }
    }
}

#[test]
fn dequantisation_and_requantisation_are_exact_for_every_code() {
    let codes: Vec<u8> = (0..=255).collect();
    let signed: Vec<i8> = codes.iter().map(|&code| code.cast_signed()).collect();
    for isa in Isa::available() {
        for (scale, zero_point) in [(1.0_f32, 0_u8), (0.017, 131), (3.3, 255)] {
            let mut found = vec![0.0; 256];
            dequantize_u8(isa, scale, zero_point, &codes, &mut found);
            for (&q, &y) in codes.iter().zip(&found) {
                assert_eq!(y, scale * (i32::from(q) - i32::from(zero_point)) as f32, "{isa}");
            }
            let zero_point_i8 = zero_point.cast_signed();
            dequantize_i8(isa, scale, zero_point_i8, &signed, &mut found);
            for (&q, &y) in signed.iter().zip(&found) {
                assert_eq!(
                    y,
                    scale * (i32::from(q) - i32::from(zero_point_i8)) as f32,
                    "{isa}"
                );
            }
            let mut moved = vec![0; 256];
            requantize_u8(isa, (scale * 0.4, zero_point), (99, [3, 200]), &codes, &mut moved);
            for (&q, &y) in codes.iter().zip(&moved) {
                let t = (i32::from(q) - i32::from(zero_point)) as f32 * (scale * 0.4);
                assert_eq!(
                    i32::from(y),
                    (t.round_ties_even() as i32 + 99).clamp(3, 200),
                    "{isa}"
                );
            }
        }
    }
}

#[test]
fn float16_widens_and_narrows_exactly() {
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let mut floats = inputs(1003);
    floats.extend([65504.0, 65519.9, 65520.0, 6e-8, 2.9e-8, 3e-8]);
    for isa in Isa::available() {
        let mut wide = vec![0.0; all.len()];
        f16_to_f32(isa, &all, &mut wide);
        for (h, f) in all.iter().zip(&wide) {
            assert!(h.to_f32() == *f || h.is_nan() && f.is_nan(), "{isa} {h}");
        }
        let mut back = vec![f16::ZERO; all.len()];
        f32_to_f16(isa, &wide, &mut back);
        for (h, b) in all.iter().zip(&back) {
            assert!(
                h.to_bits() == b.to_bits() || h.is_nan() && b.is_nan(),
                "{isa} {h}"
            );
        }
        for len in 0..floats.len().min(70) {
            let mut narrow = vec![f16::ZERO; len];
            f32_to_f16(isa, &floats[floats.len() - len..], &mut narrow);
            for (f, h) in floats[floats.len() - len..].iter().zip(&narrow) {
                let expected = f16::from_f32(*f);
                assert!(
                    h.to_bits() == expected.to_bits() || h.is_nan() && f.is_nan(),
                    "{isa} {f}"
                );
            }
        }
    }
}
