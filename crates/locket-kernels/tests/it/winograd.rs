//! Winograd convolutions against the plain ones.

use locket_kernels::{Activation, ConvF32, ConvGeometry, Isa, WeightsF32, WinogradF32};
use proptest::prelude::*;

use crate::common::Values;

/// Largest difference from the plain convolution, as a part of the sum of magnitudes: with weights and inputs of about 1 the transforms
/// multiply roundings of 2⁻²⁴ by up to 100 (the row sums of the matrices), and 36 of them are added.
const TOLERANCE: f32 = 2e-5;

fn check(isa: Isa, geometry: &ConvGeometry, seed: u64) {
    check_activation(isa, geometry, seed, [-1.5, 2.5].into());
    check_activation(isa, geometry, seed, Activation::HardSwish);
}

fn check_activation(isa: Isa, geometry: &ConvGeometry, seed: u64, activation: Activation) {
    let mut values = Values::new(seed);
    let input = values.f32s(geometry.input_len());
    let weights = values.f32s(geometry.out_channels * geometry.depth());
    let bias = values.f32s(geometry.out_channels);
    let residual = values.f32s(geometry.out_pixels() * geometry.out_channels);
    let plain = ConvF32::new(
        Isa::SCALAR,
        geometry.clone(),
        &WeightsF32::dense(geometry.out_channels, geometry.depth(), &weights).channels_first(9),
        Some(&bias),
        activation,
    );
    let pixels = geometry.out_pixels();
    let length = pixels * geometry.out_channels;
    let mut expected = vec![0.0; length];
    let mut scratch = vec![0.0; plain.scratch_elems()];
    plain.run(&input, Some(&residual), &mut expected, 0..pixels, &mut scratch);
    let winograd = WinogradF32::new(isa, geometry.clone(), &weights, Some(&bias), activation);
    let mut scratch = vec![f32::NAN; winograd.scratch_elems()];
    let bound = TOLERANCE * geometry.depth() as f32;
    for cut in 0..winograd.strips() {
        let mut found = vec![f32::NAN; length];
        let row = geometry.out_width * geometry.out_channels;
        let border = cut * WinogradF32::STRIP_ROWS * row;
        let (upper, lower) = found.split_at_mut(border);
        winograd.run(&input, Some(&residual[..border]), upper, 0..cut, &mut scratch);
        winograd.run(
            &input,
            Some(&residual[border..]),
            lower,
            cut..winograd.strips(),
            &mut scratch,
        );
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                (found - expected).abs() <= bound,
                "{isa} {geometry:?} element {at}: {found} for {expected}"
            );
        }
    }
}

fn geometry(channels: [usize; 2], size: [usize; 2], pad: [usize; 4]) -> ConvGeometry {
    ConvGeometry {
        batch: 1,
        in_height: size[0],
        in_width: size[1],
        in_channels: channels[0],
        out_height: size[0] + pad[0] + pad[1] - 2,
        out_width: size[1] + pad[2] + pad[3] - 2,
        out_channels: channels[1],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad,
        groups: 1,
        input_stride: channels[0],
        output_stride: channels[1],
        output_offset: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_agrees_with_the_plain_convolution(
        inner in 1usize..40,
        outer in 1usize..60,
        height in 3usize..14,
        width in 3usize..30,
        pad in prop::array::uniform4(0usize..3),
        seed in any::<u64>(),
    ) {
        for isa in Isa::available() {
            check(isa, &geometry([inner, outer], [height, width], pad), seed);
        }
    }
}

#[test]
fn several_blocks_make_one_output() {
    for isa in Isa::available() {
        check(isa, &geometry([130, 70], [9, 41], [1; 4]), 5);
    }
}

/// Threads cut the output into strips: the same bits come out wherever they cut.
#[test]
fn results_do_not_depend_on_where_the_output_is_cut() {
    // 1 x 29 tiles: a last block of a single tile.
    let geometry = geometry([24, 40], [8, 57], [1; 4]);
    let mut values = Values::new(9);
    let input = values.f32s(geometry.input_len());
    let weights = values.f32s(geometry.out_channels * geometry.depth());
    for isa in Isa::available() {
        let winograd = WinogradF32::new(isa, geometry.clone(), &weights, None, [f32::MIN, f32::MAX]);
        let mut scratch = vec![0.0; winograd.scratch_elems()];
        let length = geometry.out_pixels() * geometry.out_channels;
        let (mut whole, mut parts) = (vec![0.0; length], vec![0.0; length]);
        winograd.run(&input, None, &mut whole, 0..winograd.strips(), &mut scratch);
        let strip = WinogradF32::STRIP_ROWS * geometry.out_width * geometry.out_channels;
        for (index, part) in parts.chunks_mut(strip).enumerate() {
            winograd.run(&input, None, part, index..index + 1, &mut scratch);
        }
        assert!(whole == parts, "{isa}");
    }
}
