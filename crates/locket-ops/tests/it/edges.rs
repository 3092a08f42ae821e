//! Kernels agree with references where functions have edges: infinities, NaN, zeros of both signs, denormals, saturation.

use locket_kernels::Isa;
use locket_mil::text;
use locket_ops::{Layout, Node, Packs, Prepare, evaluate, registry};
use locket_tensor::{AlignedBytes, Tensor};

/// Largest relative difference, where the result is normal: kernels have bounds of a few ulp (2^-23 = 1.2e-7). Below the
/// normal range they may give 0.
const RELATIVE_TOLERANCE: f32 = 1e-6;

/// Largest difference of functions whose kernel is bounded in units of 1, not of the result: 4 * 2^-23.
const ABSOLUTE_TOLERANCE: f32 = 5e-7;

const INPUTS: [f32; 30] = [
    0.0,
    -0.0,
    1e-45,
    1e-40,
    -1e-40,
    1e-30,
    1e-20,
    0.5,
    -0.5,
    1.0,
    -1.0,
    1.5,
    2.5,
    -2.5,
    6.0,
    7.0,
    10.0,
    -10.0,
    -87.0,
    -90.0,
    88.0,
    89.0,
    100.0,
    -104.0,
    -200.0,
    1e10,
    -1e10,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

fn check(call: &str, inputs: &[f32], absolute: f32) {
    let count = inputs.len();
    let source =
        format!("func f opset ios18 (%x: fp32[{count}]) -> (y: %out) {{\n%out: fp32[{count}] = {call}\n}}");
    let function = text::parse(&source).unwrap();
    let node = Node::new(&function, &function.operations[0]);
    let x = Tensor::vector(inputs);
    let expected = evaluate(&function, node.operation, &[(function.inputs[0], &x)]).unwrap();
    let expected = expected[0].to_f32().unwrap();
    let layouts = vec![Layout::RowMajor; function.values().len()];
    for isa in Isa::available() {
        let prepare = Prepare {
            lean: false,
            precision: locket_ops::Precision::Float32,
            packs: &Packs::fresh(),
            node,
            isa,
            output: 0,
            layouts: &layouts,
        };
        let prepared = registry::find(&node).unwrap().prepare(&prepare).unwrap().unwrap();
        let given = AlignedBytes::copy_of(x.bytes());
        let mut result = AlignedBytes::zeroed(4 * count);
        let mut scratch = AlignedBytes::zeroed(prepared.scratch_bytes);
        prepared.step.run(
            0..prepared.units,
            &[given.as_slice()],
            result.as_mut_slice(),
            scratch.as_mut_slice(),
        );
        let found: &[f32] = bytemuck::cast_slice(result.as_slice());
        for ((&x, &found), &expected) in inputs.iter().zip(found).zip(&expected) {
            let bound = RELATIVE_TOLERANCE * expected.abs() + absolute;
            let same =
                found == expected || found.is_nan() && expected.is_nan() || (found - expected).abs() <= bound;
            assert!(
                same,
                "{call} {isa}: of {x:e} is {found:e}, the reference has {expected:e}"
            );
        }
    }
}

#[test]
fn functions_of_one_number_agree_at_their_edges() {
    for call in [
        "relu(x=%x)",
        "relu6(x=%x)",
        "leaky_relu(x=%x, alpha=0.1)",
        "clamped_relu(x=%x, alpha=0.1, beta=2.0)",
        "clip(x=%x, alpha=-1.0, beta=1.0)",
        "elu(x=%x, alpha=0.5)",
        "sigmoid(x=%x)",
        "sigmoid_hard(x=%x, alpha=0.2, beta=0.5)",
        "silu(x=%x)",
        "softplus(x=%x)",
        "softsign(x=%x)",
        "tanh(x=%x)",
        "exp(x=%x)",
        "sqrt(x=%x)",
        "rsqrt(x=%x)",
        "inverse(x=%x)",
        "abs(x=%x)",
        "sign(x=%x)",
        "round(x=%x)",
        "floor(x=%x)",
        "ceil(x=%x)",
    ] {
        check(call, &INPUTS, f32::MIN_POSITIVE);
    }
    for call in ["gelu(x=%x)", "log(x=%x)", "erf(x=%x)"] {
        check(call, &INPUTS, ABSOLUTE_TOLERANCE);
    }
}

#[test]
fn softmax_of_extremes_is_a_distribution_or_nan() {
    let infinity = f32::INFINITY;
    for row in [
        [1e30, -infinity, 0.0],
        [-infinity, -infinity, 1.0],
        [-infinity, -infinity, -infinity],
        [infinity, 0.0, 1.0],
        [f32::NAN, 0.0, 1.0],
        [-1e30, -1e30, -1e30],
    ] {
        check("softmax(x=%x)", &row, f32::MIN_POSITIVE);
    }
}
