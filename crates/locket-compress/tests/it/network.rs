//! A small network with one of everything: a stem, a depthwise and a grouped convolution, a residual, a concatenation,
//! pools, a fully connected layer; and samples for it.

use locket_compress::{measure::Samples, recipe::layers};
use locket_kernels::Isa;
use locket_mil::{Function, Program, SourceFormat, ValueId, text};
use locket_runtime::PlanOptions;
use locket_tensor::Tensor;

pub(crate) const NETWORK: &str = r#"func main opset ios15 (%x: fp32[1, 3, 16, 16]) -> (scores: %l) {
  %w1: fp32[32, 3, 3, 3] = ramp(-0.4, 0.05)
  %b1: fp32[32] = ramp(-0.2, 0.03)
  %c1: fp32[1, 32, 16, 16] = conv(x=%x, weight=%w1, bias=%b1, pad_type="same") "stem"
  %r1: fp32[1, 32, 16, 16] = relu6(x=%c1) "stem_relu"
  %w2: fp32[32, 1, 3, 3] = ramp(-0.3, 0.04)
  %c2: fp32[1, 32, 8, 8] = conv(x=%r1, weight=%w2, pad_type="same", strides=[2, 2], groups=32) "depthwise"
  %r2: fp32[1, 32, 8, 8] = relu(x=%c2) "depthwise_relu"
  %w3: fp32[32, 32, 1, 1] = ramp(-0.11, 0.015)
  %c3: fp32[1, 32, 8, 8] = conv(x=%r2, weight=%w3) "project"
  %a3: fp32[1, 32, 8, 8] = add(x=%c3, y=%r2) "sum"
  %r3: fp32[1, 32, 8, 8] = relu(x=%a3) "sum_relu"
  %w4: fp32[32, 16, 3, 3] = ramp(-0.1, 0.013)
  %c4: fp32[1, 32, 8, 8] = conv(x=%r3, weight=%w4, pad_type="same", groups=2) "grouped"
  %r4: fp32[1, 32, 8, 8] = relu(x=%c4) "grouped_relu"
  %j: fp32[1, 64, 8, 8] = concat(values=(%r3, %r4), axis=1, interleave=false) "join"
  %p: fp32[1, 64, 4, 4] = max_pool(x=%j, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid") "pool"
  %m: fp32[1, 64, 1, 1] = reduce_mean(x=%p, axes=[2, 3], keep_dims=true) "mean"
  %f: fp32[1, 64] = reshape(x=%m, shape=[1, 64]) "flat"
  %w5: fp32[10, 64] = ramp(-0.3, 0.04)
  %b5: fp32[10] = ramp(-0.2, 0.03)
  %l: fp32[1, 10] = linear(x=%f, weight=%w5, bias=%b5) "head"
}"#;

/// Weights that look random instead of the text's short ramps.
pub(crate) fn network() -> Program {
    let mut function = text::parse(NETWORK).unwrap();
    let mut state = 1u32;
    for layer in layers(&function) {
        let id = weight(&function, layer.output);
        let fan_in = (layer.weight_elems / layer.weight_shape[0]) as f32;
        let values: Vec<f32> = (0..layer.weight_elems)
            .map(|_| noise(&mut state) * 3.4 / fan_in.sqrt())
            .collect();
        function.set_constant(id, Tensor::from_slice(&layer.weight_shape, &values).unwrap());
    }
    Program::new(function, SourceFormat::Memory)
}

/// The weight of the layer with this result.
pub(crate) fn weight(function: &Function, output: ValueId) -> ValueId {
    let layer = function.operations.iter().find(|op| op.outputs == [output]);
    layer.unwrap().input("weight").unwrap()
}

/// Evenly from -0.5 to 0.5.
fn noise(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
}

/// Smooth pictures with noise.
pub(crate) fn samples(count: usize) -> Samples {
    let mut state = 7u32;
    let picture = |state: &mut u32| {
        let phase = noise(state) * 6.0;
        let pixel = |at: usize, state: &mut u32| {
            let (x, y) = (at % 16, at / 16 % 16);
            ((x as f32 * 0.4 + y as f32 * 0.3 + phase).sin() + 0.3 * noise(state)) * 1.5
        };
        let values: Vec<f32> = (0..768).map(|at| pixel(at, state)).collect();
        Tensor::from_slice(&[1, 3, 16, 16], &values).unwrap()
    };
    Samples {
        inputs: (0..count).map(|_| picture(&mut state)).collect(),
        labels: vec![0; count],
        label_offset: 0,
    }
}

pub(crate) fn plan_options(threads: usize) -> PlanOptions {
    PlanOptions {
        isa: Isa::best(),
        threads,
        lean: false,
        precision: locket_runtime::Precision::Float32,
        depth_first: true,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    }
}
