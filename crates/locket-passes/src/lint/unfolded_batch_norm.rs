//! Batch norms that are left after simplification.

use std::collections::BTreeMap;

use locket_mil::Severity;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let reports = context.simplify_reports.iter();
    let skipped = reports.flat_map(|report| &report.skipped);
    let reasons: BTreeMap<&str, &str> = skipped
        .map(|skipped| (&*skipped.node, &*skipped.reason))
        .collect();
    let operations = context.simplified.operations.iter();
    let left = operations.filter(|operation| operation.kind == "batch_norm");
    left.map(|operation| {
        let reason = reasons.get(operation.label());
        let reason = reason.unwrap_or(&"its operand is not made by a convolution");
        let message = format!("batch_norm is not folded: {reason}");
        Finding::new(Severity::Warning, operation.label(), message)
    })
    .collect()
}
