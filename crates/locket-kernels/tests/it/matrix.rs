//! Convolutions on the matrix unit: the bits of the plain kernels, over the shapes that reach it.

use locket_kernels::{ConvU8, Isa, Output, Residual};

use crate::common::{Shape, Values};

/// Pointwise, few channels and taps; whole and broken registers; panels of one to three; more rows than one tile, and fewer.
fn shapes() -> Vec<Shape> {
    let shape = |size, channels, kernel, stride, pad| Shape {
        batch: 1,
        size,
        channels,
        kernel,
        stride,
        dilation: [1, 1],
        pad,
        groups: 1,
        gaps: [0, 0, 0],
    };
    let same = [1; 4];
    vec![
        shape([7, 7], [64, 32], [1, 1], [1, 1], [0; 4]),
        shape([6, 11], [96, 48], [1, 1], [1, 1], [0; 4]),
        shape([2, 2], [160, 17], [1, 1], [1, 1], [0; 4]),
        shape([5, 20], [40, 16], [1, 1], [1, 1], [0; 4]),
        shape([9, 9], [192, 80], [1, 1], [2, 2], [0; 4]),
        shape([13, 13], [3, 24], [5, 5], [2, 2], [0, 1, 0, 1]),
        shape([12, 40], [16, 64], [3, 3], [1, 1], same),
        shape([6, 6], [256, 40], [3, 3], [1, 1], same),
        Shape {
            batch: 2,
            dilation: [2, 3],
            gaps: [4, 5, 3],
            ..shape([11, 12], [132, 33], [3, 3], [1, 1], [2, 2, 3, 3])
        },
    ]
}

fn run(isa: Isa, shape: &Shape, output: Output, cut: bool) -> (Vec<u8>, &'static str) {
    let g = shape.geometry();
    let mut values = Values::new(5);
    let input = values.u8s(g.input_len());
    let weights = values.i8s(g.out_channels * g.depth());
    let bias: Vec<i32> = (0..g.out_channels).map(|_| values.below(5000) as i32).collect();
    let multiplier: Vec<f32> = (0..g.out_channels).map(|_| values.f32() * 0.001).collect();
    let residual = values.u8s(g.out_pixels() * g.out_channels);
    let conv = ConvU8::new(isa, g.clone(), &weights, &bias, 77, &multiplier, output);
    let mut scratch = vec![0; conv.scratch_elems()];
    let pixels = g.out_pixels();
    let parts: Vec<_> = if cut {
        vec![0..pixels / 3, pixels / 3..pixels]
    } else {
        core::iter::once(0..pixels).collect()
    };
    let mut bytes = Vec::new();
    for rows in parts {
        if let Output::U8 {
            residual: scaling, ..
        } = output
        {
            let mut part = vec![0; rows.len() * g.output_stride];
            let residual = scaling.map(|_| &residual[rows.start * g.out_channels..rows.end * g.out_channels]);
            conv.run(&input, residual, &mut part, rows, &mut scratch);
            bytes.extend(part);
        } else {
            let mut part = vec![0.0; rows.len() * g.output_stride];
            conv.run_f32(&input, &mut part, rows, &mut scratch);
            bytes.extend(part.iter().flat_map(|value: &f32| value.to_ne_bytes()));
        }
    }
    (bytes, conv.kernel_name())
}

#[test]
fn integer_convolutions_on_the_unit_are_exactly_the_formula() {
    let Some(amx) = Isa::parse("amx") else {
        eprintln!("skipped: this machine has no matrix unit");
        return;
    };
    let quantised = |residual| Output::U8 {
        zero_point: 131,
        clamp: [3, 250],
        residual,
    };
    let residual = Residual {
        zero_point: 90,
        multiplier: 0.37,
    };
    for shape in shapes() {
        for output in [
            quantised(None),
            quantised(Some(residual)),
            Output::F32 {
                clamp: [-900.0, f32::INFINITY],
            },
        ] {
            let (expected, _) = run(Isa::SCALAR, &shape, output, false);
            for cut in [false, true] {
                let (found, name) = run(amx, &shape, output, cut);
                assert!(name.ends_with("_amx"), "{shape:?} reaches the unit, not {name}");
                assert!(found == expected, "{shape:?} {output:?} {cut}");
            }
        }
    }
}
