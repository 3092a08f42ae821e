//! Takes an `add` of a constant per channel into the bias of the `conv` or `linear` before it.
//!
//! The constant must be of one element, or have one element for each output channel on the channel's axis and 1 elsewhere.

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_ops::Node;

use super::fold_batch_norm::{like, set_bias};
use crate::{
    PassReport,
    pattern::{Links, origins},
};

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("fold_bias");
    let links = Links::of(function);
    for index in 0..function.operations.len() {
        let add = function.operations[index].clone();
        if add.kind != "add" {
            continue;
        }
        let Some((at, constant)) = operands(function, &links, &add) else {
            continue;
        };
        let layer = function.operations[at].clone();
        if links.only_user(layer.outputs[0]) != Some(index) {
            report.skip(add.label(), "the layer before it has other readers");
        } else if let Some(operation) = merged(function, &layer, &add, constant) {
            patch.remove(at);
            patch.replace(index, operation);
            report.changes += 1;
        } else {
            report.skip(
                add.label(),
                "the constant is not one number for each output channel",
            );
        }
    }
    patch.apply(function);
    report
}

/// The position of the layer that makes one operand, and the other operand, a constant.
fn operands(function: &Function, links: &Links, add: &Operation) -> Option<(usize, ValueId)> {
    let (x, y) = (add.input("x")?, add.input("y")?);
    let (value, constant) = if function.const_tensor(y).is_some() {
        (x, y)
    } else {
        (y, x)
    };
    function.const_tensor(constant)?;
    let at = links.producer(value)?;
    matches!(&*function.operations[at].kind, "conv" | "linear").then_some((at, constant))
}

fn merged(
    function: &mut Function,
    layer: &Operation,
    add: &Operation,
    constant: ValueId,
) -> Option<Operation> {
    let node = Node::new(function, layer);
    let (_, output) = node.output_ty(0).ok()?;
    if function.ty(add.outputs[0]).shape()? != output {
        return None;
    }
    let axis = if layer.kind == "conv" { 1 } else { output.len() - 1 };
    let channels = output[axis];
    let model = function.const_tensor(constant)?.clone();
    let shape = model.shape();
    let at = (axis + shape.len()).checked_sub(output.len());
    let per_channel = at.is_some_and(|at| shape.get(at) == Some(&channels)) && model.elems() == channels;
    let values = model.to_f32()?;
    let summands = if per_channel {
        values
    } else {
        vec![*values.first().filter(|_| model.elems() == 1)?; channels]
    };
    let bias = match node.has("bias") {
        true => node.tensor("bias")?.to_f32()?,
        false => vec![0.0; channels],
    };
    let sums: Vec<f32> = bias
        .iter()
        .zip(&summands)
        .map(|(bias, summand)| bias + summand)
        .collect();
    let name = function.value(constant).name.clone();
    let id = function.add_constant(&name, like(&model, &[channels], &sums)?);
    let mut operation = layer.clone();
    set_bias(&mut operation, id);
    operation.outputs.clone_from(&add.outputs);
    operation.origin = origins(&[layer, add]);
    Some(operation)
}
