//! Depthwise layers whose weight has one scale for all channels.

use locket_mil::Severity;
use locket_ops::{Node, Weight};

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let mut findings = Vec::new();
    for operation in function
        .operations
        .iter()
        .filter(|operation| operation.kind == "conv")
    {
        let node = Node::new(function, operation);
        let Ok((_, &[channels, 1, ..])) = node.ty("weight") else {
            continue;
        };
        let Some(Weight::Compressed(compressed)) = node.weight("weight") else {
            continue;
        };
        let scales = compressed.tensor("scale").map(|scale| scale.elems());
        if channels > 1 && node.int("groups", 1).is_ok_and(|groups| groups > 1) && scales == Some(1) {
            let message = "a depthwise weight is quantised with one scale for all channels";
            findings.push(Finding::new(Severity::Warning, operation.label(), message));
        }
    }
    findings
}
