//! Turns `mul(x, sigmoid_hard(x, alpha = 1/6, beta = 1/2))` on fp32 into `locket.hard_swish`, which reads x once and writes once.

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_ops::Node;
use locket_tensor::DType;

use crate::{
    PassReport,
    pattern::{Links, origins},
};

/// The slope: what the nearest fp16 or a decimal of some digits gives for it counts too.
const ALPHA: f32 = 1.0 / 6.0;
const ALPHA_TOLERANCE: f32 = 1e-7;
const BETA: f32 = 0.5;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("fuse_hard_swish");
    let links = Links::of(function);
    for (index, product) in function.operations.iter().enumerate() {
        if product.kind != "mul" {
            continue;
        }
        let (Some(a), Some(b)) = (product.input("x"), product.input("y")) else {
            continue;
        };
        let Some((x, gate)) = gated(function, &links, a, b).or_else(|| gated(function, &links, b, a)) else {
            continue;
        };
        let gate_is_free = links
            .producer(gate)
            .filter(|_| links.only_user(gate) == Some(index));
        let Some(at) = gate_is_free else {
            report.skip(product.label(), "its gate has other readers");
            continue;
        };
        let operation = Operation {
            kind: "locket.hard_swish".into(),
            inputs: vec![("x".into(), x.into())],
            outputs: product.outputs.clone(),
            origin: origins([&function.operations[at], product]),
        };
        patch.remove(at);
        patch.replace(index, operation);
        report.changes += 1;
    }
    patch.apply(function);
    report
}

/// `x` and its gate, if `gate` is the gate of `x`.
fn gated(function: &Function, links: &Links, x: ValueId, gate: ValueId) -> Option<(ValueId, ValueId)> {
    let operation = links.made_by(function, gate, "sigmoid_hard")?;
    if operation.input("x") != Some(x) || function.ty(x).dtype() != Some(DType::Float32) {
        return None;
    }
    let node = Node::new(function, operation);
    let alpha = node.float("alpha", 0.2).ok()?;
    let beta = node.float("beta", BETA).ok()?;
    ((alpha - ALPHA).abs() <= ALPHA_TOLERANCE && beta == BETA).then_some((x, gate))
}
