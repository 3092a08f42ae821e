//! Gives convolutions and fully connected layers the residual and the activation that follow them.
//!
//! `conv [-> add residual] [-> relu | relu6 | clip | locket.hard_swish]` becomes `locket.conv` with `residual`, and `clamp_min` and
//! `clamp_max` or `activation`; `linear [-> activation]` becomes `locket.linear`. Each value in between must have no other reader. The fused operation
//! stands where the last one stood, so that its residual is known. Depthwise convolutions take no residual.

use locket_mil::{Function, Operation, Patch, ValueId};

use crate::{
    PassReport,
    pattern::{Links, as_clamp, origins},
};

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("fuse_convolutions");
    let links = Links::of(function);
    let mut taken = vec![false; function.operations.len()];
    // From the end, so that of two convolutions that meet in a sum the later one takes it.
    for index in (0..function.operations.len()).rev() {
        let layer = function.operations[index].clone();
        if !matches!(&*layer.kind, "conv" | "linear") {
            continue;
        }
        let chain = follow(function, &links, index, &taken, &mut report);
        for &at in &chain.positions {
            taken[at] = true;
        }
        let operation = fused(function, &layer, &chain);
        let last = chain.positions.last().copied().unwrap_or(index);
        patch.remove(index);
        for &at in chain.positions.iter().filter(|&&at| at != last) {
            patch.remove(at);
        }
        if last == index {
            patch.insert_before(index, operation);
        } else {
            patch.replace(last, operation);
        }
        report.changes += 1;
    }
    patch.apply(function);
    report
}

/// What follows a layer and is taken into it.
#[derive(Default)]
struct Chain {
    positions: Vec<usize>,
    residual: Option<ValueId>,
    clamp: Option<[f32; 2]>,
    hard_swish: bool,
}

fn follow(
    function: &Function,
    links: &Links,
    index: usize,
    taken: &[bool],
    report: &mut PassReport,
) -> Chain {
    let layer = &function.operations[index];
    let mut chain = Chain::default();
    let mut value = layer.outputs[0];
    if let Some(at) = links.only_user(value).filter(|&at| !taken[at]) {
        let next = &function.operations[at];
        if next.kind == "add" && layer.kind == "conv" {
            match residual(function, next, value, layer) {
                Ok(other) => {
                    chain.residual = Some(other);
                    chain.positions.push(at);
                    value = next.outputs[0];
                }
                Err(reason) => report.skip(next.label(), reason),
            }
        }
    }
    if let Some(at) = links.only_user(value).filter(|&at| !taken[at]) {
        let next = &function.operations[at];
        chain.clamp = as_clamp(function, next);
        chain.hard_swish = next.kind == "locket.hard_swish";
        if chain.clamp.is_some() || chain.hard_swish {
            chain.positions.push(at);
        }
    }
    chain
}

/// The other operand of a sum, if it can be a residual.
fn residual(
    function: &Function,
    add: &Operation,
    value: ValueId,
    layer: &Operation,
) -> Result<ValueId, &'static str> {
    let (Some(x), Some(y)) = (add.input("x"), add.input("y")) else {
        return Err("the sum lacks an operand");
    };
    let other = if x == value { y } else { x };
    if other == value || function.literal(other).is_some() {
        return Err("the other operand is not a second tensor");
    }
    if function.ty(other) != function.ty(value) {
        return Err("the other operand has another shape");
    }
    let depthwise = layer
        .input("weight")
        .and_then(|id| function.ty(id).shape())
        .is_some_and(|shape| shape[1] == 1)
        && layer
            .input("groups")
            .and_then(|id| function.const_tensor(id))
            .is_some_and(|groups| groups.to_i64() != Some(vec![1]));
    if depthwise {
        Err("depthwise convolutions take no residual")
    } else {
        Ok(other)
    }
}

fn fused(function: &mut Function, layer: &Operation, chain: &Chain) -> Operation {
    let mut operation = layer.clone();
    operation.kind = if layer.kind == "conv" {
        "locket.conv".into()
    } else {
        "locket.linear".into()
    };
    if let Some(residual) = chain.residual {
        operation.set_input("residual", residual);
    }
    if let Some([low, high]) = chain.clamp {
        for (param, bound) in [("clamp_min", low), ("clamp_max", high)] {
            if bound.is_finite() {
                let id = function.add_constant(param, bound);
                operation.set_input(param, id);
            }
        }
    }
    if chain.hard_swish {
        let id = function.add_constant("activation", "hard_swish");
        operation.set_input("activation", id);
    }
    let followers: Vec<Operation> = chain
        .positions
        .iter()
        .map(|&at| function.operations[at].clone())
        .collect();
    if let Some(last) = followers.last() {
        operation.outputs.clone_from(&last.outputs);
    }
    operation.origin = origins(std::iter::once(layer).chain(&followers));
    operation
}
