//! Batch norms that are left after simplification.

use locket_mil::Severity;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let skipped = || context.simplify_reports.iter().flat_map(|report| &report.skipped);
    let operations = context.simplified.operations.iter();
    let left = operations.filter(|operation| operation.kind == "batch_norm");
    left.map(|operation| {
        let reason = skipped().find(|skipped| skipped.node == operation.label());
        let reason = reason.map_or("its operand is not made by a convolution", |skipped| {
            &skipped.reason
        });
        let message = format!("batch_norm is not folded: {reason}");
        Finding::new(Severity::Warning, operation.label(), message)
    })
    .collect()
}
