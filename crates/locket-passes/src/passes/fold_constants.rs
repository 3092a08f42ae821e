//! Computes operations whose inputs are all constants, through their references.
//!
//! `constexpr_*` operations stay: they are how a weight is compressed. A result larger than all its inputs together by more than
//! [`GROWTH_BYTES`] stays computed at load, so that a small file does not become a large one (`fill`, `tile`).

use locket_mil::{Dialect, Function};
use locket_ops::{Node, evaluate, registry};

use crate::PassReport;

/// By how much a folded constant may exceed its operands.
const GROWTH_BYTES: u64 = 1 << 16;

/// Most multiply-adds spent in all: what takes longer than about a second is computed at load as well.
const MAX_MACS: u64 = 1 << 28;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut macs = 0u64;
    let mut kept = Vec::with_capacity(function.operations.len());
    for operation in std::mem::take(&mut function.operations) {
        let foldable = operation.dialect() == Dialect::Mil
            && !operation.kind.starts_with("constexpr_")
            && operation.input_values().all(|id| function.literal(id).is_some());
        if !foldable {
            kept.push(operation);
            continue;
        }
        let node = Node::new(function, &operation);
        let grown: u64 = operation
            .outputs
            .iter()
            .map(|&id| function.ty(id).bytes() as u64)
            .sum();
        if grown.saturating_sub(node.traffic_bytes() - grown) > GROWTH_BYTES {
            report.skip(
                operation.label(),
                format!("its result of {grown} bytes is larger than its operands"),
            );
            kept.push(operation);
            continue;
        }
        let cost = registry::get(&operation.kind).map_or(0, |operator| operator.cost(&node).macs);
        macs = macs.saturating_add(cost);
        if macs > MAX_MACS {
            report.skip(operation.label(), "folding it would take long");
            kept.push(operation);
            continue;
        }
        match evaluate(function, &operation, &[]) {
            Ok(results) => {
                for (&id, tensor) in operation.outputs.iter().zip(results) {
                    function.set_constant(id, tensor);
                }
                report.changes += 1;
            }
            Err(error) => {
                report.skip(operation.label(), error.to_string());
                kept.push(operation);
            }
        }
    }
    function.operations = kept;
    report
}
