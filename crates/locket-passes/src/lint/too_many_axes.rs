//! Tensors of more axes than Core ML computes.

use locket_mil::Severity;

use super::{Context, Finding};

/// Most axes of a tensor.
const MAX_RANK: usize = 5;

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.simplified;
    let mut findings = Vec::new();
    for operation in &function.operations {
        let values = operation.input_values().chain(operation.outputs.iter().copied());
        let rank = values
            .filter_map(|id| function.ty(id).shape().map(<[usize]>::len))
            .max()
            .unwrap_or(0);
        if rank > MAX_RANK {
            let message = format!("{} has a tensor of {rank} axes", operation.kind);
            findings.push(Finding::new(Severity::Error, operation.label(), message));
        }
    }
    findings
}
