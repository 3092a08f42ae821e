//! Pools against plain loops.

use locket_kernels::{
    Isa, MeanU8, PoolGeometry, avg_f32, avg_u8, global_mean_f32, global_mean_u8, max_f32, max_u8,
};

use crate::common::{PLAIN, Shape, Values, for_each_tap, parts};

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for channels in [1, 3, 16, 17, 64, 100, 130] {
        let base = Shape {
            channels: [channels, channels],
            groups: channels,
            ..PLAIN
        };
        shapes.extend([
            Shape {
                kernel: [2, 2],
                stride: [2, 2],
                ..base
            },
            Shape {
                kernel: [3, 3],
                stride: [2, 2],
                pad: [1, 1, 1, 1],
                batch: 2,
                ..base
            },
            Shape {
                kernel: [3, 2],
                pad: [2, 1, 1, 0],
                gaps: [2, 1, 3],
                ..base
            },
            Shape {
                kernel: [2, 3],
                dilation: [3, 2],
                ..base
            },
            Shape {
                kernel: [6, 7],
                ..base
            },
        ]);
    }
    shapes
}

fn pool_geometry(shape: &Shape) -> PoolGeometry {
    let g = shape.geometry();
    PoolGeometry {
        batch: g.batch,
        in_height: g.in_height,
        in_width: g.in_width,
        channels: g.in_channels,
        out_height: g.out_height,
        out_width: g.out_width,
        kernel: g.kernel,
        stride: g.stride,
        dilation: g.dilation,
        pad: g.pad,
        input_stride: g.input_stride,
        output_stride: g.output_stride,
        output_offset: g.output_offset,
    }
}

/// Runs a pool in parts and calls `check(row, channel, taps inside, result)`.
fn run<T: Copy + PartialEq + core::fmt::Debug>(
    shape: &Shape,
    untouched: T,
    pool: impl Fn(&PoolGeometry, &mut [T], core::ops::Range<usize>),
    check: impl Fn(usize, usize, &[usize], T),
) {
    let (g, p) = (shape.geometry(), pool_geometry(shape));
    let mut found = vec![untouched; g.out_pixels() * g.output_stride];
    for rows in parts(g.out_pixels()) {
        pool(
            &p,
            &mut found[rows.start * g.output_stride..rows.end * g.output_stride],
            rows,
        );
    }
    for row in 0..g.out_pixels() {
        for at in 0..g.output_stride {
            let value = found[row * g.output_stride + at];
            match at.checked_sub(g.output_offset).filter(|&n| n < g.out_channels) {
                None => assert_eq!(value, untouched, "{shape:?}: untouched between pixels"),
                Some(channel) => {
                    let mut taps = Vec::new();
                    for_each_tap(&g, row, channel, |_, at| taps.extend(at));
                    check(row, channel, &taps, value);
                }
            }
        }
    }
}

#[test]
fn pools_match_the_plain_loop() {
    for isa in Isa::available() {
        for shape in shapes() {
            let g = shape.geometry();
            let area = shape.kernel[0] * shape.kernel[1];
            let mut values = Values::new(10);
            let floats = values.f32s(g.input_len());
            let bytes = values.u8s(g.input_len());
            run(
                &shape,
                99.0,
                |p, output, rows| max_f32(isa, p, &floats, output, rows),
                |_, _, taps, found| {
                    let expected = taps
                        .iter()
                        .map(|&at| floats[at])
                        .fold(f32::NEG_INFINITY, f32::max);
                    assert_eq!(found, expected, "{isa} {shape:?}");
                },
            );
            run(
                &shape,
                99,
                |p, output, rows| max_u8(isa, p, &bytes, output, rows),
                |_, _, taps, found| {
                    assert_eq!(
                        found,
                        taps.iter().map(|&at| bytes[at]).max().unwrap_or(0),
                        "{isa} {shape:?}"
                    );
                },
            );
            for include in [false, true] {
                let divisor = |taps: &[usize]| if include { area } else { taps.len() };
                run(
                    &shape,
                    99.0,
                    |p, output, rows| avg_f32(isa, p, include, &floats, output, rows),
                    |_, _, taps, found| {
                        // The stated order of the sum makes the result exact.
                        let sum = taps.iter().fold(0.0, |sum, &at| sum + floats[at]);
                        assert_eq!(
                            found.to_bits(),
                            (sum / divisor(taps) as f32).to_bits(),
                            "{isa} {shape:?}"
                        );
                    },
                );
                let mean = MeanU8 {
                    multiplier: 1.37,
                    input_zero_point: 121,
                    zero_point: 90,
                    clamp: [10, 240],
                };
                run(
                    &shape,
                    99,
                    |p, output, rows| avg_u8(isa, p, &mean, include, &bytes, output, rows),
                    |_, _, taps, found| {
                        let sum: i32 = taps.iter().map(|&at| i32::from(bytes[at]) - 121).sum();
                        let t = sum as f32 * (1.37 / divisor(taps) as f32);
                        let expected = (t.round_ties_even() as i32 + 90).clamp(10, 240);
                        assert_eq!(i32::from(found), expected, "{isa} {shape:?}");
                    },
                );
            }
        }
    }
}

#[test]
fn the_mean_of_whole_images_is_the_pool_over_them() {
    for isa in Isa::available() {
        for [batch, pixels, channels] in [[1, 1, 1], [2, 49, 65], [3, 5, 1000]] {
            let mut values = Values::new(11);
            let floats = values.f32s(batch * pixels * channels);
            let mut found = vec![0.0; batch * channels];
            global_mean_f32(isa, [batch, pixels, channels], &floats, &mut found);
            let bytes = values.u8s(batch * pixels * channels);
            let mut found_bytes = vec![0; batch * channels];
            let mean = MeanU8 {
                multiplier: 0.9,
                input_zero_point: 128,
                zero_point: 128,
                clamp: [0, 255],
            };
            global_mean_u8(isa, [batch, pixels, channels], &mean, &bytes, &mut found_bytes);
            for n in 0..batch {
                for c in 0..channels {
                    let at = |p: usize| (n * pixels + p) * channels + c;
                    let sum = (0..pixels).fold(0.0, |sum, p| sum + floats[at(p)]);
                    assert_eq!(found[n * channels + c], sum / pixels as f32, "{isa}");
                    let sum: i32 = (0..pixels).map(|p| i32::from(bytes[at(p)]) - 128).sum();
                    let t = sum as f32 * (0.9 / pixels as f32);
                    assert_eq!(
                        i32::from(found_bytes[n * channels + c]),
                        (t.round_ties_even() as i32 + 128).clamp(0, 255)
                    );
                }
            }
        }
    }
}

#[test]
fn the_greatest_of_a_window_with_nan_is_nan() {
    let shape = Shape {
        channels: [70, 70],
        groups: 70,
        kernel: [6, 7],
        ..PLAIN
    };
    for isa in Isa::available() {
        for at in [0, 41] {
            let mut input = vec![1.0; 70 * 42];
            input[at * 70 + 69] = f32::NAN;
            input[at * 70] = f32::NAN;
            let mut found = vec![0.0; 70];
            max_f32(isa, &pool_geometry(&shape), &input, &mut found, 0..1);
            assert!(
                found[0].is_nan() && found[69].is_nan() && found[1..69].iter().all(|&v| v == 1.0),
                "{isa}"
            );
        }
    }
}
