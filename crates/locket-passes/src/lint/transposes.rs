//! Transposes that are left after simplification.

use locket_mil::Severity;

use super::{Context, Finding, bytes_text};
use crate::{passes::remove_transposes::moves_nothing, pattern::permutation};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.simplified;
    let mut found: Vec<(&str, usize)> = Vec::new();
    for operation in &function.operations {
        let Some(perm) = permutation(function, operation) else {
            continue;
        };
        let shape = operation.input("x").and_then(|x| function.ty(x).shape());
        if shape.is_some_and(|shape| !moves_nothing(&perm, shape)) {
            found.push((operation.label(), function.ty(operation.outputs[0]).bytes()));
        }
    }
    let Some(&(largest, most)) = found.iter().max_by_key(|(_, bytes)| *bytes) else {
        return Vec::new();
    };
    let total = bytes_text(found.iter().map(|(_, bytes)| bytes).sum());
    let message = match found.len() {
        1 => format!("a transpose moves {total}"),
        count => format!(
            "{count} transposes move {total} in each prediction; this one is the largest, with {}",
            bytes_text(most)
        ),
    };
    vec![Finding::new(Severity::Warning, largest, message)]
}
