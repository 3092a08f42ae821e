//! Operators that readers could not express in MIL.

use locket_mil::{Dialect, Severity};

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let operations = context.function.operations.iter();
    let foreign = operations.filter(|operation| operation.dialect() == Dialect::Foreign);
    foreign
        .map(|operation| {
            let message = format!("{} is not expressed in MIL", operation.kind);
            Finding::new(Severity::Error, operation.label(), message)
        })
        .collect()
}
