//! Operators of the executor in a program that is to be deployed.

use locket_mil::{Dialect, Severity};

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let operations = context.function.operations.iter();
    let internal = operations.filter(|operation| operation.dialect() == Dialect::Locket);
    internal
        .map(|operation| {
            let message = format!("{} is internal to Locket", operation.kind);
            Finding::new(Severity::Error, operation.label(), message)
        })
        .collect()
}
