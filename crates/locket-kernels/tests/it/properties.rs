//! Convolutions of arbitrary shape: every instruction set gives the scalar bits (integers) or agrees within rounding (floats).

use locket_kernels::{ConvF32, ConvU8, DepthwiseF32, DepthwiseU8, Isa, Output, Residual, WeightsF32};
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};

use crate::common::{Shape, Values};

fn shape() -> impl Strategy<Value = Shape> {
    let sizes = ((1_usize..3, 1_usize..12, 1_usize..40), (1_usize..40, 1_usize..70));
    let window = (
        (1_usize..5, 1_usize..5),
        (1_usize..4, 1_usize..4),
        (1_usize..3, 1_usize..3),
    );
    let rest = (
        proptest::array::uniform4(0_usize..4),
        proptest::array::uniform3(0_usize..3),
        1_usize..4,
    );
    (sizes, window, rest).prop_map(
        |((size, channels), (kernel, stride, dilation), (pad, gaps, groups))| {
            let reach = [(kernel.0 - 1) * dilation.0 + 1, (kernel.1 - 1) * dilation.1 + 1];
            Shape {
                batch: size.0,
                size: [size.1.max(reach[0]), size.2.max(reach[1])],
                channels: [channels.0 * groups, channels.1 * groups],
                kernel: [kernel.0, kernel.1],
                stride: [stride.0, stride.1],
                dilation: [dilation.0, dilation.1],
                pad,
                groups,
                gaps,
            }
        },
    )
}

fn run_f32(isa: Isa, shape: &Shape, seed: u64) -> Vec<f32> {
    let g = shape.geometry();
    let mut values = Values::new(seed);
    let input = values.f32s(g.input_len());
    let weights = values.f32s(g.out_channels * g.depth());
    let mut output = vec![0.0; g.out_pixels() * g.output_stride];
    let rows = 0..g.out_pixels();
    if shape.groups == g.in_channels && g.in_channels == g.out_channels {
        DepthwiseF32::new(isa, g, &weights, None, [-1.0, 1.0]).run(&input, &mut output, rows);
    } else {
        let weights = WeightsF32::dense(g.out_channels, g.depth(), &weights);
        let conv = ConvF32::new(isa, g, &weights, None, [-1.0, 1.0]);
        conv.run(
            &input,
            None,
            &mut output,
            rows,
            &mut vec![0.0; conv.scratch_elems()],
        );
    }
    output
}

fn run_u8(isa: Isa, shape: &Shape, seed: u64) -> Vec<u8> {
    let g = shape.geometry();
    let mut values = Values::new(seed);
    let input = values.u8s(g.input_len());
    let weights = values.i8s(g.out_channels * g.depth());
    let bias: Vec<i32> = (0..g.out_channels).map(|_| values.below(5000) as i32).collect();
    let multiplier: Vec<f32> = (0..g.out_channels).map(|_| values.f32() * 0.01).collect();
    let residual = values.u8s(g.out_pixels() * g.out_channels);
    let zero_point = values.below(256) as u8;
    let mut output = vec![0; g.out_pixels() * g.output_stride];
    let rows = 0..g.out_pixels();
    if shape.groups == g.in_channels && g.in_channels == g.out_channels {
        let sink = Output::U8 {
            zero_point: 31,
            clamp: [9, 251],
            residual: None,
        };
        DepthwiseU8::new(isa, g, &weights, &bias, zero_point, &multiplier, sink).run(
            &input,
            &mut output,
            rows,
        );
    } else {
        let scaling = Residual {
            zero_point: 200,
            multiplier: 0.77,
        };
        let sink = Output::U8 {
            zero_point: 31,
            clamp: [9, 251],
            residual: Some(scaling),
        };
        let conv = ConvU8::new(isa, g, &weights, &bias, zero_point, &multiplier, sink);
        conv.run(
            &input,
            Some(&residual),
            &mut output,
            rows,
            &mut vec![0; conv.scratch_elems()],
        );
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(debug_assertions) { 32 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instruction_set_agrees_with_scalar(shape in shape(), depthwise in any::<bool>(), seed in any::<u64>()) {
        let mut shape = shape;
        if depthwise {
            shape.channels[1] = shape.channels[0];
            shape.groups = shape.channels[0];
        }
        let integers = run_u8(Isa::SCALAR, &shape, seed);
        let floats = run_f32(Isa::SCALAR, &shape, seed);
        // Products of values below 1, summed in another order and perhaps fused.
        let bound = f32::EPSILON * shape.geometry().depth() as f32 * shape.geometry().depth() as f32;
        for isa in Isa::available() {
            assert_eq!(run_u8(isa, &shape, seed), integers, "{isa} {shape:?}");
            for (a, b) in run_f32(isa, &shape, seed).iter().zip(&floats) {
                assert!((a - b).abs() <= bound, "{isa} {shape:?}: {a} and {b}");
            }
        }
    }
}
