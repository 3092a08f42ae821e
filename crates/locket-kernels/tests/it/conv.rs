//! Convolutions against the plain loop.

use locket_kernels::{Activation, ConvF32, ConvGeometry, ConvU8, Isa, Output, Residual, WeightsF32};

use crate::common::{PLAIN, Shape, Values, activated, for_each_tap, parts};

/// Shapes that reach every path: pointwise, by taps, by kernel rows, groups, gaps, and every width of panel.
pub(crate) fn shapes() -> Vec<Shape> {
    let mut shapes = vec![
        Shape {
            channels: [64, 64],
            ..PLAIN
        },
        // Pixels that fall into the same sets of a cache are copied.
        Shape {
            channels: [512, 17],
            size: [10, 7],
            ..PLAIN
        },
        Shape {
            channels: [2048, 9],
            size: [3, 25],
            gaps: [0, 2, 1],
            ..PLAIN
        },
        Shape {
            channels: [512, 9],
            size: [13, 21],
            stride: [3, 2],
            batch: 2,
            ..PLAIN
        },
        Shape {
            channels: [100, 17],
            size: [1, 1],
            ..PLAIN
        },
        Shape {
            channels: [37, 100],
            size: [1, 1],
            ..PLAIN
        },
        Shape {
            kernel: [3, 3],
            pad: [1; 4],
            channels: [16, 48],
            ..PLAIN
        },
        Shape {
            kernel: [3, 3],
            pad: [1; 4],
            channels: [17, 33],
            stride: [2, 2],
            batch: 2,
            ..PLAIN
        },
        Shape {
            kernel: [3, 3],
            pad: [2, 0, 0, 3],
            channels: [12, 3],
            dilation: [2, 1],
            gaps: [3, 2, 5],
            ..PLAIN
        },
        Shape {
            kernel: [3, 3],
            pad: [0; 4],
            channels: [3, 16],
            stride: [2, 2],
            ..PLAIN
        },
        Shape {
            kernel: [3, 3],
            pad: [1, 0, 1, 0],
            channels: [3, 20],
            size: [9, 40],
            gaps: [1, 0, 0],
            ..PLAIN
        },
        Shape {
            kernel: [5, 4],
            pad: [2, 2, 3, 3],
            channels: [1, 64],
            size: [9, 5],
            batch: 2,
            ..PLAIN
        },
        Shape {
            kernel: [1, 7],
            pad: [0, 0, 6, 6],
            channels: [4, 8],
            size: [3, 2],
            dilation: [3, 1],
            ..PLAIN
        },
        Shape {
            kernel: [2, 2],
            channels: [12, 18],
            groups: 3,
            gaps: [2, 1, 1],
            ..PLAIN
        },
        Shape {
            kernel: [3, 3],
            pad: [1; 4],
            channels: [6, 12],
            groups: 6,
            ..PLAIN
        },
        Shape {
            kernel: [1, 1],
            stride: [2, 3],
            channels: [24, 40],
            ..PLAIN
        },
        Shape {
            kernel: [4, 4],
            pad: [4; 4],
            dilation: [3, 4],
            channels: [9, 5],
            ..PLAIN
        },
    ];
    for channels in [1, 3, 5, 15, 16, 17, 31, 32, 47, 48, 63, 64, 65, 80, 100] {
        shapes.push(Shape {
            channels: [20, channels],
            size: [3, 5],
            ..PLAIN
        });
        shapes.push(Shape {
            channels: [channels, 3],
            size: [1, 3],
            ..PLAIN
        });
    }
    for width in 1..=16 {
        shapes.push(Shape {
            size: [1, width],
            channels: [8, 32],
            ..PLAIN
        });
    }
    shapes
}

/// The exact value in f64 and the sum of magnitudes, which bounds rounding.
fn exact(g: &ConvGeometry, input: &[f32], weights: &[f32], row: usize, n: usize) -> (f64, f64) {
    let (mut sum, mut size) = (0.0, 0.0);
    for_each_tap(g, row, n, |k, at| {
        if let Some(at) = at {
            let product = f64::from(input[at]) * f64::from(weights[n * g.depth() + k]);
            sum += product;
            size += product.abs();
        }
    });
    (sum, size)
}

fn check_f32(isa: Isa, shape: &Shape, activation: Activation, with_residual: bool) {
    let g = shape.geometry();
    let mut values = Values::new(1);
    let input = values.f32s(g.input_len());
    let weights = values.f32s(g.out_channels * g.depth());
    let bias = values.f32s(g.out_channels);
    let residual = values.f32s(g.out_pixels() * g.out_channels);
    let conv = ConvF32::new(
        isa,
        g.clone(),
        &WeightsF32::dense(g.out_channels, g.depth(), &weights),
        Some(&bias),
        activation,
    );
    let mut scratch = vec![f32::NAN; conv.scratch_elems()];
    let mut output = vec![99.0; g.out_pixels() * g.output_stride];
    for rows in parts(g.out_pixels()) {
        let residual = &residual[rows.start * g.out_channels..rows.end * g.out_channels];
        let target = &mut output[rows.start * g.output_stride..rows.end * g.output_stride];
        conv.run(
            &input,
            with_residual.then_some(residual),
            target,
            rows,
            &mut scratch,
        );
    }
    for row in 0..g.out_pixels() {
        for at in 0..g.output_stride {
            let found = output[row * g.output_stride + at];
            let Some(n) = at.checked_sub(g.output_offset).filter(|&n| n < g.out_channels) else {
                assert_eq!(found, 99.0, "{isa} {shape:?}: untouched between pixels");
                continue;
            };
            let (sum, size) = exact(&g, &input, &weights, row, n);
            let extra = if with_residual {
                residual[row * g.out_channels + n]
            } else {
                0.0
            };
            let expected = activated(sum + f64::from(bias[n]) + f64::from(extra), activation);
            let bound = (g.depth() + 3) as f64 * f64::from(f32::EPSILON) * (size + 2.0);
            assert!(
                (f64::from(found) - expected).abs() <= bound,
                "{isa} {shape:?} {row} {n}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn float_convolutions_match_the_plain_loop() {
    for isa in Isa::available() {
        for shape in shapes() {
            check_f32(isa, &shape, Activation::NONE, false);
            check_f32(isa, &shape, [0.0, 0.5].into(), true);
            check_f32(isa, &shape, Activation::HardSwish, false);
            check_f32(isa, &shape, Activation::HardSwish, true);
        }
    }
}

#[test]
fn planes_give_the_bits_of_pixels() {
    let wide = Shape {
        kernel: [3, 3],
        pad: [1; 4],
        channels: [3, 20],
        size: [9, 41],
        stride: [2, 2],
        batch: 2,
        ..PLAIN
    };
    let tall = Shape {
        kernel: [7, 5],
        pad: [3, 2, 2, 0],
        channels: [3, 33],
        size: [11, 70],
        stride: [1, 2],
        gaps: [0, 2, 1],
        ..PLAIN
    };
    let apart = Shape {
        kernel: [2, 2],
        stride: [5, 3],
        channels: [3, 16],
        size: [3, 30],
        ..PLAIN
    };
    for isa in Isa::available() {
        for shape in [&wide, &tall, &apart] {
            let g = shape.geometry();
            assert!(ConvF32::reads_planes(&g));
            let mut values = Values::new(3);
            let planes = values.f32s(g.input_len());
            let weights = values.f32s(g.out_channels * g.depth());
            let size = g.in_height * g.in_width;
            let pixels: Vec<f32> = (0..planes.len())
                .map(|at| planes[(at / (3 * size) * 3 + at % 3) * size + at / 3 % size])
                .collect();
            let weights = WeightsF32::dense(g.out_channels, g.depth(), &weights);
            let conv = ConvF32::new(isa, g.clone(), &weights, None, [-1.0, 1.0]);
            let mut scratch = vec![f32::NAN; conv.scratch_elems()];
            let mut expected = vec![0.0; g.out_pixels() * g.output_stride];
            let all = 0..g.out_pixels();
            conv.run(&pixels, None, &mut expected, all, &mut scratch);
            let conv = conv.of_planes();
            let mut found = vec![0.0; expected.len()];
            for rows in parts(g.out_pixels()) {
                scratch.fill(f32::NAN);
                let target = &mut found[rows.start * g.output_stride..rows.end * g.output_stride];
                conv.run(&planes, None, target, rows, &mut scratch);
            }
            assert_eq!(found, expected, "{isa} {shape:?}");
        }
    }
}

#[test]
fn columns_of_a_matrix_vector_product_match_the_whole() {
    for isa in Isa::available() {
        for (k, n) in [(1, 1), (7, 33), (129, 80), (64, 1000)] {
            let g = ConvGeometry::matmul(1, k, n);
            let mut values = Values::new(2);
            let (input, weights) = (values.f32s(k), values.f32s(n * k));
            let conv = ConvF32::new(
                isa,
                g.clone(),
                &WeightsF32::dense(n, k, &weights),
                None,
                [-1.0, 1.0],
            );
            let mut whole = vec![0.0; n];
            conv.run(&input, None, &mut whole, 0..1, &mut []);
            let bytes = values.u8s(k);
            let codes = values.i8s(n * k);
            let output = Output::F32 { clamp: [-1e9, 1e9] };
            let integer = ConvU8::new(isa, g, &codes, &vec![3; n], 7, &vec![0.5; n], output);
            let mut whole_integer = vec![0.0; n];
            integer.run_f32(&bytes, &mut whole_integer, 0..1, &mut []);
            for end in (0..n).step_by(conv.column_grain()).chain([n]) {
                let mut part = vec![0.0; n];
                let (low, high) = part.split_at_mut(end);
                conv.run_columns(&input, low, 0..end, &mut []);
                conv.run_columns(
                    &input,
                    high,
                    end.next_multiple_of(conv.column_grain()).min(n)..n,
                    &mut [],
                );
                assert_eq!(part, whole, "{isa} {k} {n} {end}");
                let (low, high) = part.split_at_mut(end);
                integer.run_columns_f32(&bytes, low, 0..end, &mut []);
                integer.run_columns_f32(
                    &bytes,
                    high,
                    end.next_multiple_of(conv.column_grain()).min(n)..n,
                    &mut [],
                );
                assert_eq!(part, whole_integer, "{isa} {k} {n} {end}");
            }
        }
    }
}

/// The formula of integer convolution, as its docs state it.
pub(crate) fn quantized(
    g: &ConvGeometry,
    (input, zero_point): (&[u8], u8),
    weights: &[i8],
    bias: i32,
    multiplier: f32,
    row: usize,
    n: usize,
) -> f32 {
    let mut acc = bias;
    for_each_tap(g, row, n, |k, at| {
        let x = at.map_or(0, |at| i32::from(input[at]) - i32::from(zero_point));
        acc = acc.wrapping_add(x * i32::from(weights[n * g.depth() + k]));
    });
    acc as f32 * multiplier
}

fn check_u8(isa: Isa, shape: &Shape, residual_scaling: Option<Residual>) {
    let g = shape.geometry();
    let mut values = Values::new(3);
    let input = values.u8s(g.input_len());
    let weights = values.i8s(g.out_channels * g.depth());
    let bias: Vec<i32> = (0..g.out_channels)
        .map(|_| values.below(20_000) as i32 - 10_000)
        .collect();
    let multiplier: Vec<f32> = (0..g.out_channels)
        .map(|_| (values.f32() + 1.5) * 0.004 / g.depth() as f32)
        .collect();
    let residual = values.u8s(g.out_pixels() * g.out_channels);
    let (zero_point, clamp, input_zero_point) = (77, [3, 250], 131);
    let output = Output::U8 {
        zero_point,
        clamp,
        residual: residual_scaling,
    };
    let conv = ConvU8::new(
        isa,
        g.clone(),
        &weights,
        &bias,
        input_zero_point,
        &multiplier,
        output,
    );
    let float = Output::F32 { clamp: [-1.0, 2.0] };
    let float = ConvU8::new(
        isa,
        g.clone(),
        &weights,
        &bias,
        input_zero_point,
        &multiplier,
        float,
    );
    let mut scratch = vec![85; conv.scratch_elems()];
    let mut found = vec![99; g.out_pixels() * g.output_stride];
    let mut found_float = vec![99.0; g.out_pixels() * g.output_stride];
    for rows in parts(g.out_pixels()) {
        let residual = &residual[rows.start * g.out_channels..rows.end * g.out_channels];
        let place = rows.start * g.output_stride..rows.end * g.output_stride;
        let residual = residual_scaling.is_some().then_some(residual);
        conv.run(
            &input,
            residual,
            &mut found[place.clone()],
            rows.clone(),
            &mut scratch,
        );
        float.run_f32(&input, &mut found_float[place], rows, &mut scratch);
    }
    for row in 0..g.out_pixels() {
        for at in 0..g.output_stride {
            let place = row * g.output_stride + at;
            let Some(n) = at.checked_sub(g.output_offset).filter(|&n| n < g.out_channels) else {
                assert_eq!(
                    (found[place], found_float[place]),
                    (99, 99.0),
                    "{isa} {shape:?}: untouched"
                );
                continue;
            };
            let scaled = quantized(
                &g,
                (&input, input_zero_point),
                &weights,
                bias[n],
                multiplier[n],
                row,
                n,
            );
            assert_eq!(
                found_float[place],
                scaled.clamp(-1.0, 2.0),
                "{isa} {shape:?} {row} {n}"
            );
            let mut t = scaled;
            if let Some(scaling) = residual_scaling {
                let r = i32::from(residual[row * g.out_channels + n]) - i32::from(scaling.zero_point);
                t += r as f32 * scaling.multiplier;
            }
            let expected = (t.round_ties_even() as i32)
                .saturating_add(i32::from(zero_point))
                .clamp(3, 250);
            assert_eq!(i32::from(found[place]), expected, "{isa} {shape:?} {row} {n}");
        }
    }
}

#[test]
fn integer_convolutions_are_exactly_the_formula() {
    for isa in Isa::available() {
        for shape in shapes() {
            check_u8(isa, &shape, None);
            check_u8(
                isa,
                &shape,
                Some(Residual {
                    zero_point: 19,
                    multiplier: 0.37,
                }),
            );
        }
    }
}

#[test]
fn extreme_operands_do_not_saturate() {
    // 255 · -128 and 255 · 127 in adjacent products overflow 16 bits where pairs are added there.
    for isa in Isa::available() {
        for (weight, k) in [(-128_i8, 4608), (127, 4608), (-128, 5)] {
            let g = ConvGeometry::matmul(3, k, 5);
            let output = Output::F32 {
                clamp: [f32::MIN, f32::MAX],
            };
            let conv = ConvU8::new(isa, g, &vec![weight; 5 * k], &[0; 5], 0, &[1.0; 5], output);
            let mut found = [0.0; 15];
            conv.run_f32(&vec![255; 3 * k], &mut found, 0..3, &mut []);
            assert_eq!(found, [255.0 * f32::from(weight) * k as f32; 15], "{isa}");
        }
    }
}

#[test]
fn sums_beyond_32_bits_wrap() {
    for isa in Isa::available() {
        let g = ConvGeometry::matmul(1, 4, 1);
        let output = Output::F32 {
            clamp: [f32::MIN, f32::MAX],
        };
        let conv = ConvU8::new(isa, g, &[127; 4], &[i32::MAX], 0, &[1.0], output);
        let mut found = [0.0];
        conv.run_f32(&[255; 4], &mut found, 0..1, &mut []);
        assert_eq!(found[0], i32::MAX.wrapping_add(4 * 255 * 127) as f32, "{isa}");
    }
}

#[test]
fn nan_passes_the_clamp_of_a_float_convolution() {
    for isa in Isa::available() {
        let g = ConvGeometry::matmul(2, 3, 20);
        let conv = ConvF32::new(isa, g, &WeightsF32::dense(20, 3, &[1.0; 60]), None, [0.0, 6.0]);
        let mut found = [0.0; 40];
        conv.run(
            &[1.0, f32::NAN, 1.0, f32::INFINITY, 1.0, 1.0],
            None,
            &mut found,
            0..2,
            &mut [],
        );
        assert!(
            found[..20].iter().all(|v| v.is_nan()) && found[20..] == [6.0; 20],
            "{isa} {found:?}"
        );
    }
}
