//! Compressed weights: expansion gives the bits of the plain formula, so a convolution equals the one with plain weights.

use half::f16;
use locket_kernels::{Blocks, ConvF32, ConvGeometry, Isa, WeightsF32};

use crate::common::{PLAIN, Shape, Values};

const UNBOUNDED: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

fn shapes() -> Vec<Shape> {
    vec![
        Shape {
            channels: [24, 40],
            size: [3, 5],
            ..PLAIN
        },
        Shape {
            channels: [12, 100],
            size: [1, 1],
            ..PLAIN
        },
        Shape {
            channels: [7, 5],
            size: [2, 9],
            ..PLAIN
        },
        Shape {
            channels: [3, 48],
            kernel: [3, 3],
            pad: [1; 4],
            ..PLAIN
        },
        Shape {
            channels: [40, 20],
            kernel: [3, 3],
            pad: [1; 4],
            ..PLAIN
        },
        Shape {
            channels: [12, 36],
            kernel: [2, 2],
            groups: 3,
            ..PLAIN
        },
    ]
}

/// Runs a convolution over an identity-like input that shows every weight, and a random one.
fn run(isa: Isa, g: &ConvGeometry, weights: &WeightsF32<'_>) -> (Vec<f32>, usize) {
    let mut values = Values::new(15);
    let input = values.f32s(g.input_len());
    let conv = ConvF32::new(isa, g.clone(), weights, None, UNBOUNDED);
    let mut scratch = vec![f32::NAN; conv.scratch_elems()];
    let mut output = vec![0.0; g.out_pixels() * g.out_channels];
    let half = g.out_pixels() / 2;
    let (first, second) = output.split_at_mut(half * g.out_channels);
    conv.run(&input, None, first, 0..half, &mut scratch);
    conv.run(&input, None, second, half..g.out_pixels(), &mut scratch);
    (output, conv.weight_bytes())
}

/// Checks that compressed weights act as their plain values do, bit for bit, and take `bits` for each weight and about
/// `more` bytes beside.
fn check(isa: Isa, shape: &Shape, weights: &WeightsF32<'_>, plain: &[f32], bits: f64, more: usize) {
    let g = shape.geometry();
    let (found, bytes) = run(isa, &g, weights);
    let (expected, _) = run(isa, &g, &WeightsF32::dense(g.out_channels, g.depth(), plain));
    assert_eq!(found, expected, "{isa} {shape:?}");
    // Channels are padded to registers in each group.
    let padded = g.groups * (g.out_channels / g.groups).next_multiple_of(isa.lanes());
    let limit = (padded * g.depth()) as f64 * bits / 8.0 + more as f64 + (8 * padded) as f64 + 256.0;
    assert!(
        bytes as f64 <= limit,
        "{isa} {shape:?}: {bytes} bytes, limit {limit}"
    );
}

#[test]
fn expanded_weights_act_as_their_plain_values() {
    for isa in Isa::available() {
        for shape in shapes() {
            let g = shape.geometry();
            let (n, k) = (g.out_channels, g.depth());
            let mut values = Values::new(16);

            let halves: Vec<f16> = values.f32s(n * k).iter().map(|&v| f16::from_f32(v)).collect();
            let plain: Vec<f32> = halves.iter().map(|h| h.to_f32()).collect();
            check(isa, &shape, &WeightsF32::f16(n, k, &halves), &plain, 16.0, 0);

            let codes = values.i8s(n * k);
            for per_channel in [1, n] {
                let scale: Vec<f32> = values.f32s(per_channel);
                let zero_points = values.i8s(per_channel);
                for zero_point in [None, Some(zero_points.as_slice())] {
                    let plain: Vec<f32> = (0..n * k)
                        .map(|at| {
                            let channel = if per_channel == 1 { 0 } else { at / k };
                            let zero_point = zero_point.map_or(0, |z| i32::from(z[channel]));
                            scale[channel] * (i32::from(codes[at]) - zero_point) as f32
                        })
                        .collect();
                    let weights = WeightsF32::int8(n, k, &codes, &scale, zero_point);
                    check(isa, &shape, &weights, &plain, 8.0, 5 * n);
                }
            }
        }
    }
}

#[test]
fn four_bit_blocks_act_as_their_plain_values() {
    for isa in Isa::available() {
        for shape in shapes() {
            let g = shape.geometry();
            let (n, k) = (g.out_channels, g.depth());
            let mut values = Values::new(17);
            let packed = values.u8s((n * k).div_ceil(2));
            let channels = g.in_channels / g.groups;
            for (blocks, signed) in [
                (Blocks { channels, size: 4 }, true),
                (
                    Blocks {
                        channels,
                        size: channels,
                    },
                    false,
                ),
                (
                    Blocks {
                        channels: k,
                        size: 32,
                    },
                    true,
                ),
            ] {
                let scale = values.f32s(n * blocks.count());
                let zero_points: Vec<i8> = (0..scale.len()).map(|_| values.below(16) as i8).collect();
                for zero_point in [None, Some(zero_points.as_slice())] {
                    let plain: Vec<f32> = (0..n * k)
                        .map(|at| {
                            let nibble = i32::from(packed[at / 2] >> (4 * (at % 2)) & 15);
                            let code = if signed && nibble > 7 { nibble - 16 } else { nibble };
                            let block = at / k * blocks.count() + at % k % blocks.channels / blocks.size;
                            scale[block] * (code - zero_point.map_or(0, |z| i32::from(z[block]))) as f32
                        })
                        .collect();
                    let weights = WeightsF32::int4(n, k, &packed, signed, blocks, &scale, zero_point);
                    let padded = g.groups * (n / g.groups).next_multiple_of(isa.lanes());
                    check(isa, &shape, &weights, &plain, 4.0, 5 * padded * blocks.count());
                }
            }
        }
    }
}

#[test]
fn palettes_and_sparse_weights_act_as_their_plain_values() {
    for isa in Isa::available() {
        for shape in shapes() {
            let g = shape.geometry();
            let (n, k) = (g.out_channels, g.depth());
            let mut values = Values::new(18);
            for bits in [1, 2, 3, 4, 6, 8] {
                let indices: Vec<u8> = (0..n * k).map(|_| values.below(1 << bits) as u8).collect();
                for groups in [1, n / 2, n]
                    .into_iter()
                    .filter(|&groups| groups > 0 && n % groups == 0)
                {
                    let tables = values.f32s(groups << bits);
                    let plain: Vec<f32> = (0..n * k)
                        .map(|at| tables[((at / k * groups / n) << bits) + usize::from(indices[at])])
                        .collect();
                    let weights = WeightsF32::lut(n, k, bits, &indices, &tables, groups);
                    check(
                        isa,
                        &shape,
                        &weights,
                        &plain,
                        bits as f64,
                        4 * (groups << bits) + 4 * n,
                    );
                }
            }
            for density in [0, 3, 10] {
                let sparse: Vec<f32> = (0..n * k)
                    .map(|_| {
                        if values.below(10) < density {
                            values.f32()
                        } else {
                            0.0
                        }
                    })
                    .collect();
                let nonzeros = sparse.iter().filter(|v| **v != 0.0).count();
                check(
                    isa,
                    &shape,
                    &WeightsF32::sparse(n, k, &sparse),
                    &sparse,
                    1.0,
                    4 * nonzeros + 8 * n,
                );
            }
        }
    }
}
