//! Depthwise convolutions against the plain loop.

use locket_kernels::{Activation, DepthwiseF32, DepthwiseU8, Isa, Output};

use crate::common::{PLAIN, Shape, Values, activated, for_each_tap, parts};
use crate::conv::quantized;

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for channels in [1, 3, 5, 8, 16, 17, 32, 64, 100, 130] {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (2, 1), (3, 3), (7, 1)] {
            for width in [7, 8, 13, 19] {
                shapes.push(Shape {
                    size: [7, width],
                    channels: [channels, channels],
                    groups: channels,
                    kernel: [kernel, kernel],
                    stride: [stride, stride],
                    pad: [kernel / 2, kernel / 2, kernel / 2, kernel / 2],
                    ..PLAIN
                });
            }
        }
        let base = Shape {
            channels: [channels, channels],
            groups: channels,
            ..PLAIN
        };
        shapes.extend([
            Shape {
                kernel: [3, 3],
                gaps: [3, 2, 4],
                batch: 2,
                ..base
            },
            Shape {
                kernel: [3, 3],
                dilation: [2, 2],
                pad: [2; 4],
                ..base
            },
            Shape {
                kernel: [1, 3],
                pad: [0, 0, 3, 3],
                size: [2, 1],
                ..base
            },
            Shape {
                kernel: [3, 5],
                pad: [1, 0, 2, 1],
                stride: [2, 1],
                size: [5, 25],
                ..base
            },
            Shape {
                kernel: [3, 3],
                pad: [4, 4, 1, 1],
                ..base
            },
        ]);
    }
    shapes
}

#[test]
fn float_depthwise_matches_the_plain_loop() {
    for isa in Isa::available() {
        let activations = [Activation::Clamp([-0.75, 2.0]), Activation::HardSwish];
        for (shape, activation) in shapes()
            .iter()
            .flat_map(|shape| activations.map(|of| (shape, of)))
        {
            let g = shape.geometry();
            let mut values = Values::new(4);
            let input = values.f32s(g.input_len());
            let weights = values.f32s(g.out_channels * g.depth());
            let bias = values.f32s(g.out_channels);
            let conv = DepthwiseF32::new(isa, g.clone(), &weights, Some(&bias), activation);
            let mut output = vec![99.0; g.out_pixels() * g.output_stride];
            for rows in parts(g.out_pixels()) {
                conv.run(
                    &input,
                    &mut output[rows.start * g.output_stride..rows.end * g.output_stride],
                    rows,
                );
            }
            for row in 0..g.out_pixels() {
                for at in 0..g.output_stride {
                    let found = output[row * g.output_stride + at];
                    let Some(n) = at.checked_sub(g.output_offset).filter(|&n| n < g.out_channels) else {
                        assert_eq!(found, 99.0, "{isa} {shape:?}: untouched between pixels");
                        continue;
                    };
                    let mut expected = f64::from(bias[n]);
                    for_each_tap(&g, row, n, |k, at| {
                        let x = at.map_or(0.0, |at| f64::from(input[at]));
                        expected += x * f64::from(weights[n * g.depth() + k]);
                    });
                    let bound = (g.depth() * g.depth()) as f64 * f64::from(f32::EPSILON);
                    let difference = (f64::from(found) - activated(expected, activation)).abs();
                    assert!(
                        difference <= bound,
                        "{isa} {shape:?} {row} {n}: {found} for {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn integer_depthwise_is_exactly_the_formula() {
    for isa in Isa::available() {
        for shape in shapes() {
            let g = shape.geometry();
            let mut values = Values::new(5);
            let input = values.u8s(g.input_len());
            let weights = values.i8s(g.out_channels * g.depth());
            let bias: Vec<i32> = (0..g.out_channels)
                .map(|_| values.below(2000) as i32 - 1000)
                .collect();
            let multiplier: Vec<f32> = (0..g.out_channels)
                .map(|_| (values.f32() + 1.5) * 0.003)
                .collect();
            let (zero_point, clamp, input_zero_point) = (120, [5, 201], 99);
            let output = Output::U8 {
                zero_point,
                clamp,
                residual: None,
            };
            let conv = DepthwiseU8::new(
                isa,
                g.clone(),
                &weights,
                &bias,
                input_zero_point,
                &multiplier,
                output,
            );
            let float = Output::F32 { clamp: [-9.0, 9.0] };
            let float = DepthwiseU8::new(
                isa,
                g.clone(),
                &weights,
                &bias,
                input_zero_point,
                &multiplier,
                float,
            );
            let mut found = vec![99; g.out_pixels() * g.output_stride];
            let mut found_float = vec![99.0; g.out_pixels() * g.output_stride];
            for rows in parts(g.out_pixels()) {
                let place = rows.start * g.output_stride..rows.end * g.output_stride;
                conv.run(&input, &mut found[place.clone()], rows.clone());
                float.run_f32(&input, &mut found_float[place], rows);
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
                    let t = quantized(
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
                        t.clamp(-9.0, 9.0),
                        "{isa} {shape:?} {row} {n}"
                    );
                    let expected = (t.round_ties_even() as i32 + i32::from(zero_point)).clamp(5, 201);
                    assert_eq!(i32::from(found[place]), expected, "{isa} {shape:?} {row} {n}");
                }
            }
        }
    }
}
