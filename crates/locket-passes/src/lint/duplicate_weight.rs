//! Weights that hold the same bytes.

use std::collections::BTreeMap;

use locket_mil::Severity;

use super::{Context, Finding, bytes_text};

/// Constants below this are not worth a word.
const LEAST_BYTES: usize = 1024;

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let mut groups: BTreeMap<(&str, &[usize], &[u8]), Vec<&str>> = BTreeMap::new();
    for id in function.used_constants() {
        let Some(tensor) = function
            .const_tensor(id)
            .filter(|tensor| tensor.bytes().len() >= LEAST_BYTES)
        else {
            continue;
        };
        let key = (tensor.dtype().name(), tensor.shape(), tensor.bytes());
        groups.entry(key).or_default().push(&function.value(id).name);
    }
    let same = groups.into_iter().filter(|(_, names)| names.len() > 1);
    let mut findings: Vec<Finding> = same
        .map(|((_, _, bytes), names)| {
            let copies = names.len() - 1;
            let saved = bytes_text(bytes.len().saturating_mul(copies));
            let others = match &names[1..] {
                [other] => other.to_string(),
                [other, ..] => format!("{other} and {} more", copies - 1),
                [] => String::new(),
            };
            let message = format!("{others} holds the same numbers; sharing them saves {saved}");
            Finding::new(Severity::Note, names[0], message)
        })
        .collect();
    // In the order of names rather than of contents.
    findings.sort_by(|a, b| a.nodes.cmp(&b.nodes));
    findings
}
