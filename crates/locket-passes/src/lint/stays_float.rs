//! Operations of a quantised program that run on floats.

use std::collections::BTreeMap;

use locket_mil::Severity;

use super::{Context, Finding};

/// Operators that readers put around others, under the same name.
const BESIDE: &[&str] = &[
    "quantize",
    "dequantize",
    "transpose",
    "reshape",
    "constexpr_affine_dequantize",
];

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let reports = context.lower_reports.iter();
    let skipped = reports
        .filter(|report| report.pass == "lower_quantized")
        .flat_map(|report| &report.skipped);
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    for operation in &context.lowered.operations {
        if !BESIDE.contains(&&*operation.kind) {
            kinds.entry(operation.label()).or_insert(&operation.kind);
        }
    }
    skipped
        .map(|skipped| {
            let kind = kinds.get(&*skipped.node).copied().unwrap_or("operation");
            // A softmax in floats is as usual; a layer in floats is most of the time and memory.
            let layer = matches!(kind, "locket.conv" | "locket.linear" | "conv" | "linear");
            let severity = if layer { Severity::Warning } else { Severity::Note };
            let kind = kind.strip_prefix("locket.").unwrap_or(kind);
            Finding::new(severity, &skipped.node, format!("{kind} {}", skipped.reason))
        })
        .collect()
}
