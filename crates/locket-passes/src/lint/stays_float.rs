//! Operations of a quantised program that run on floats.

use locket_mil::Severity;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let reports = context.lower_reports.iter();
    let skipped = reports
        .filter(|report| report.pass == "lower_quantized")
        .flat_map(|report| &report.skipped);
    skipped
        .map(|skipped| {
            let operation = context
                .lowered
                .operations
                .iter()
                .find(|operation| operation.label() == skipped.node);
            let kind = operation.map_or("operation", |operation| &*operation.kind);
            // A softmax in floats is as usual; a layer in floats is most of the time and memory.
            let layer = matches!(kind, "locket.conv" | "locket.linear" | "conv" | "linear");
            let severity = if layer { Severity::Warning } else { Severity::Note };
            let kind = kind.strip_prefix("locket.").unwrap_or(kind);
            Finding::new(severity, &skipped.node, format!("{kind} {}", skipped.reason))
        })
        .collect()
}
