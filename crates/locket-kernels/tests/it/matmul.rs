//! Products of run-time operands and dot products against plain loops.

use locket_kernels::{Isa, MatmulF32, dot_f32};

use crate::common::{Values, parts};

#[test]
fn products_match_the_plain_loop() {
    for isa in Isa::available() {
        for ([m, k, n], gaps) in [
            ([1, 1, 1], [0, 0, 0]),
            ([1, 64, 100], [0, 0, 0]),
            ([13, 5, 48], [3, 1, 2]),
            ([50, 64, 50], [128, 64, 0]),
            ([197, 33, 17], [0, 7, 9]),
            ([4, 100, 80], [0, 0, 4]),
        ] {
            for transposed in [false, true] {
                let mut values = Values::new(8);
                let a_stride = k + gaps[0];
                let b_stride = if transposed { k } else { n } + gaps[1];
                let output_stride = n + gaps[2];
                let a = values.f32s(m * a_stride);
                let b = values.f32s(if transposed { n } else { k } * b_stride);
                let matmul = MatmulF32::new(isa, [m, k, n], transposed, 0.125);
                let mut packed = vec![f32::NAN; matmul.packed_elems()];
                matmul.pack(&b, b_stride, &mut packed);
                let mut found = vec![99.0; m * output_stride];
                for rows in parts(m) {
                    let target = &mut found[rows.start * output_stride..rows.end * output_stride];
                    matmul.run(&a, a_stride, &packed, target, output_stride, rows);
                }
                for i in 0..m {
                    for j in 0..output_stride {
                        let value = found[i * output_stride + j];
                        if j >= n {
                            assert_eq!(value, 99.0, "untouched between rows");
                            continue;
                        }
                        let b_at = |t: usize| {
                            if transposed {
                                b[j * b_stride + t]
                            } else {
                                b[t * b_stride + j]
                            }
                        };
                        let products =
                            (0..k).map(|t| 0.125 * f64::from(a[i * a_stride + t]) * f64::from(b_at(t)));
                        let (sum, size) = products.fold((0.0, 0.0), |(s, z), p: f64| (s + p, z + p.abs()));
                        let bound = (k + 2) as f64 * f64::from(f32::EPSILON) * size;
                        assert!(
                            (f64::from(value) - sum).abs() <= bound,
                            "{isa} {m} {k} {n} {i} {j}: {value} for {sum}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn dot_products_match_the_plain_loop() {
    for isa in Isa::available() {
        for len in (0..70).chain([1000]) {
            let mut values = Values::new(9);
            let (a, b) = (values.f32s(len), values.f32s(len));
            let products = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            let (sum, size) = products.fold((0.0, 0.0), |(s, z), p| (s + p, z + p.abs()));
            let found = f64::from(dot_f32(isa, &a, &b));
            assert!(
                (found - sum).abs() <= (len / 32 + 8) as f64 * f64::from(f32::EPSILON) * size,
                "{isa} {len}"
            );
        }
    }
}
