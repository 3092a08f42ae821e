//! Folds `batch_norm` into the convolution before it.
//!
//! `conv` with weight W and bias b, then factor f and summand s per channel, is `conv` with weight `f W` and bias `f b + s`,
//! computed in `f64` and rounded once to the weight's type. The convolution must have no other reader, and a weight that is stored dense.

use locket_mil::{Function, Operation, Patch};
use locket_ops::{Node, ops::batch_norm::affine};
use locket_tensor::{DType, Tensor};

use crate::{
    PassReport,
    pattern::{Links, origins},
};

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("fold_batch_norm");
    let links = Links::of(function);
    for index in 0..function.operations.len() {
        let norm = function.operations[index].clone();
        let source = (norm.kind == "batch_norm")
            .then(|| norm.input("x").and_then(|x| links.producer(x)))
            .flatten();
        let Some(at) = source.filter(|&at| function.operations[at].kind == "conv") else {
            continue;
        };
        let conv = function.operations[at].clone();
        if links.only_user(conv.outputs[0]) != Some(index) {
            report.skip(norm.label(), "the convolution before it has other readers");
            continue;
        }
        match merged(function, &conv, &norm) {
            Some(operation) => {
                patch.remove(at);
                patch.replace(index, operation);
                report.changes += 1;
            }
            None => report.skip(
                norm.label(),
                "the weight or bias of the convolution before it is not stored dense",
            ),
        }
    }
    patch.apply(function);
    report
}

fn merged(function: &mut Function, conv: &Operation, norm: &Operation) -> Option<Operation> {
    let (factors, summands) = affine(&Node::new(function, norm)).ok()?;
    let node = Node::new(function, conv);
    let weight = node.tensor("weight")?.clone();
    let bias = match node.has("bias") {
        true => node.tensor("bias")?.to_f32()?,
        false => vec![0.0; factors.len()],
    };
    let per_channel = weight.elems() / factors.len().max(1);
    let scaled: Vec<f32> = weight
        .to_f32()?
        .iter()
        .enumerate()
        .map(|(at, &value)| (f64::from(value) * f64::from(factors[at / per_channel])) as f32)
        .collect();
    let shifted: Vec<f32> = bias
        .iter()
        .zip(factors.iter().zip(&summands))
        .map(|(&bias, (&factor, &summand))| (f64::from(bias) * f64::from(factor) + f64::from(summand)) as f32)
        .collect();
    let name = function.value(conv.input("weight")?).name.clone();
    let bias_name = format!("{name}_bias");
    let weight_id = function.add_constant(&name, like(&weight, weight.shape(), &scaled)?);
    let bias_id = function.add_constant(&bias_name, like(&weight, &[shifted.len()], &shifted)?);
    let mut operation = conv.clone();
    operation.set_input("weight", weight_id);
    set_bias(&mut operation, bias_id);
    operation.outputs.clone_from(&norm.outputs);
    operation.origin = origins(&[conv, norm]);
    Some(operation)
}

/// Binds `bias` right after `weight`, where MIL has it.
pub(crate) fn set_bias(operation: &mut Operation, bias: locket_mil::ValueId) {
    operation.remove_input("bias");
    let at = operation
        .inputs
        .iter()
        .position(|(param, _)| param == "weight")
        .map_or(0, |at| at + 1);
    operation.inputs.insert(at, ("bias".into(), bias.into()));
}

/// Numbers in the element type of another tensor (fp16 or fp32).
pub(crate) fn like(model: &Tensor, shape: &[usize], values: &[f32]) -> Option<Tensor> {
    if model.dtype() == DType::Float16 {
        let narrow: Vec<half::f16> = values.iter().map(|&value| half::f16::from_f32(value)).collect();
        return Tensor::from_slice(shape, &narrow).ok();
    }
    (model.dtype() == DType::Float32)
        .then(|| Tensor::from_slice(shape, values).ok())
        .flatten()
}
