//! Convolutions in bf16 against the plain loop over factors narrowed beforehand.

use locket_kernels::{ConvBf16, ConvGeometry, Isa, WeightsF32};

use crate::common::{PLAIN, Shape, Values, for_each_tap};

fn narrowed(value: f32) -> f32 {
    half::bf16::from_f32(value).to_f32()
}

fn shapes() -> Vec<Shape> {
    let shape = |size, channels, kernel, stride, pad| Shape {
        size,
        channels,
        kernel,
        stride,
        pad,
        ..PLAIN
    };
    vec![
        PLAIN,
        shape([7, 7], [64, 32], [1, 1], [1, 1], [0; 4]),
        shape([1, 45], [97, 70], [1, 1], [1, 1], [0; 4]),
        shape([1, 1], [200, 100], [1, 1], [1, 1], [0; 4]),
        shape([13, 13], [3, 24], [3, 3], [2, 2], [0, 1, 0, 1]),
        shape([12, 40], [16, 48], [3, 3], [1, 1], [1; 4]),
        Shape {
            batch: 2,
            dilation: [2, 3],
            gaps: [4, 5, 3],
            ..shape([11, 12], [35, 33], [3, 3], [1, 1], [2, 2, 3, 3])
        },
        // Rows a multiple of 4096 bytes long.
        shape([6, 6], [2048, 16], [1, 1], [1, 1], [0; 4]),
    ]
}

#[test]
fn convolutions_in_bf16_match_the_plain_loop() {
    for shape in shapes() {
        let g = shape.geometry();
        let mut values = Values::new(3);
        let input = values.f32s(g.input_len());
        let weights = values.f32s(g.out_channels * g.depth());
        let bias = values.f32s(g.out_channels);
        let residual = values.f32s(g.out_pixels() * g.out_channels);
        let narrow: Vec<f32> = input.iter().map(|&x| narrowed(x)).collect();
        let narrow_weights: Vec<f32> = weights.iter().map(|&w| narrowed(w)).collect();
        let dense = WeightsF32::dense(g.out_channels, g.depth(), &weights);
        for isa in Isa::available() {
            let conv = ConvBf16::new(isa, g.clone(), &dense, Some(&bias), [-3.0, 4.0]).unwrap();
            let mut output = vec![0.0; g.out_pixels() * g.output_stride];
            let mut scratch = vec![0; conv.scratch_elems()];
            conv.run(
                &input,
                Some(&residual),
                &mut output,
                0..g.out_pixels(),
                &mut scratch,
            );
            // Sums of products below 1 in another order: by K roundings of at most K times 2⁻²⁴.
            let bound = f64::from(f32::EPSILON) * g.depth() as f64 * (g.depth() as f64).max(4.0);
            for pixel in 0..g.out_pixels() {
                for n in 0..g.out_channels {
                    let mut sum = 0.0;
                    for_each_tap(&g, pixel, n, |k, at| {
                        let x = at.map_or(0.0, |at| f64::from(narrow[at]));
                        sum += x * f64::from(narrow_weights[n * g.depth() + k]);
                    });
                    let sum = sum + f64::from(bias[n]) + f64::from(residual[pixel * g.out_channels + n]);
                    let found = f64::from(output[pixel * g.output_stride + g.output_offset + n]);
                    let expected = sum.clamp(-3.0, 4.0);
                    assert!(
                        (found - expected).abs() <= bound,
                        "{} {shape:?} {pixel} {n}: {found} and {expected}",
                        conv.kernel_name()
                    );
                }
            }
        }
    }
}

#[test]
fn columns_and_parts_make_the_whole() {
    let weights = Values::new(9).f32s(100 * 200);
    let dense = WeightsF32::dense(100, 200, &weights);
    let free = [f32::NEG_INFINITY, f32::INFINITY];
    for isa in Isa::available() {
        let single = ConvGeometry::matmul(1, 200, 100);
        let input = Values::new(1).f32s(7 * 200);
        let conv = ConvBf16::new(isa, single, &dense, None, free).unwrap();
        let mut scratch = vec![0; conv.scratch_elems()];
        let mut whole = vec![0.0; 100];
        conv.run(&input[..200], None, &mut whole, 0..1, &mut scratch);
        let mut parts = vec![0.0; 100];
        let grain = conv.column_grain();
        let (first, rest) = parts.split_at_mut(grain);
        conv.run_columns(&input[..200], first, 0..grain, &mut scratch);
        conv.run_columns(&input[..200], rest, grain..100, &mut scratch);
        assert_eq!(whole, parts, "{isa}");

        let conv = ConvBf16::new(isa, ConvGeometry::matmul(7, 200, 100), &dense, None, free);
        let conv = conv.unwrap();
        let mut scratch = vec![0; conv.scratch_elems()];
        let mut whole = vec![0.0; 700];
        conv.run(&input, None, &mut whole, 0..7, &mut scratch);
        let mut parts = vec![0.0; 700];
        let (first, rest) = parts.split_at_mut(300);
        conv.run(&input, None, first, 0..3, &mut scratch);
        conv.run(&input, None, rest, 3..7, &mut scratch);
        assert_eq!(whole, parts, "{isa}");
    }
}

#[test]
fn extremes_pass_as_in_f32() {
    let weights = [1.0; 4];
    let dense = WeightsF32::dense(2, 2, &weights);
    for isa in Isa::available() {
        let geometry = ConvGeometry::matmul(4, 2, 2);
        let conv = ConvBf16::new(isa, geometry, &dense, None, [f32::NEG_INFINITY, f32::INFINITY]).unwrap();
        let input = [
            f32::NAN,
            1.0,
            f32::INFINITY,
            1.0,
            f32::NEG_INFINITY,
            1.0,
            f32::MAX,
            1.0,
        ];
        let mut output = [0.0; 8];
        conv.run(
            &input,
            None,
            &mut output,
            0..4,
            &mut vec![0; conv.scratch_elems()],
        );
        assert!(output[0].is_nan(), "{isa}");
        // The greatest f32 is beyond the greatest bf16, nearer to what would follow it.
        assert_eq!(
            [output[2], output[4], output[6]],
            [f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY],
            "{isa}"
        );
    }
}
