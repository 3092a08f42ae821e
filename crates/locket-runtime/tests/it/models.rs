//! Small functions that the tests share, and their values by reference.

use locket_kernels::Isa;
use locket_mil::{Function, ValueId, text};
use locket_runtime::{OutputBuffers, PlanOptions, Session, plan};
use locket_tensor::Tensor;

/// A residual network with a depthwise convolution, a pool, a flattening and a fully connected layer.
pub(crate) const RESIDUAL: &str = r#"
func main opset ios15 (%x: fp32[1, 3, 12, 12]) -> (y: %y) {
  %w1: fp32[16, 3, 3, 3] = ramp(-0.4, 0.05)
  %b1: fp32[16] = ramp(-0.2, 0.03)
  %a: fp32[1, 16, 12, 12] = locket.conv(x=%x, weight=%w1, bias=%b1, pad_type="same", clamp_min=0.0) "stem"
  %w2: fp32[16, 1, 3, 3] = ramp(-0.3, 0.04)
  %b: fp32[1, 16, 12, 12] = conv(x=%a, weight=%w2, pad_type="same", groups=16) "depthwise"
  %w3: fp32[16, 16, 1, 1] = ramp(-0.3, 0.04)
  %c: fp32[1, 16, 12, 12] = locket.conv(x=%b, weight=%w3, residual=%a, clamp_min=0.0) "project"
  %d: fp32[1, 16, 6, 6] = max_pool(x=%c, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid") "pool"
  %w4: fp32[6, 5] = ramp(-0.3, 0.04)
  %y: fp32[1, 16, 6, 5] = matmul(x=%d, y=%w4) "head"
}"#;

pub(crate) fn function(source: &str) -> Function {
    text::parse(source).unwrap()
}

pub(crate) fn input(function: &Function, index: usize) -> Tensor {
    let ty = function.ty(function.inputs[index]);
    let values: Vec<f32> = (0..ty.elems())
        .map(|n| ((n * 37 + index * 11) % 101) as f32 / 50.0 - 1.0)
        .collect();
    Tensor::from_slice(ty.shape().unwrap(), &values).unwrap()
}

pub(crate) fn session(function: &Function, isa: Isa, threads: usize) -> Session {
    Session::new(
        plan(
            function,
            PlanOptions {
                isa,
                threads,
                lean: false,
                precision: locket_runtime::Precision::Float32,
                depth_first: true,
                hand_over_ns: PlanOptions::HAND_OVER_NS,
            },
        )
        .unwrap(),
    )
    .unwrap()
}

pub(crate) fn predict(session: &mut Session, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut outputs = OutputBuffers::new(&session.plan().outputs);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    session.predict(&views, &mut outputs.views(), None).unwrap();
    outputs.tensors().unwrap()
}

/// The results by references alone, operation by operation.
pub(crate) fn by_reference(function: &Function, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut known: Vec<(ValueId, Tensor)> = function
        .inputs
        .iter()
        .copied()
        .zip(inputs.iter().cloned())
        .collect();
    for operation in &function.operations {
        let views: Vec<(ValueId, &Tensor)> = known.iter().map(|(id, tensor)| (*id, tensor)).collect();
        let results = locket_ops::evaluate(function, operation, &views).unwrap();
        known.extend(operation.outputs.iter().copied().zip(results));
    }
    let find = |id: ValueId| known.iter().find(|(value, _)| *value == id).unwrap().1.clone();
    function.outputs.iter().map(|output| find(output.value)).collect()
}
