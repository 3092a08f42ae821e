//! Operators that readers could not express in MIL.

use locket_mil::{Dialect, Operation, Severity, Type};

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    // What reads the result of a foreign operation could not be expressed for that reason alone.
    let known = |operation: &Operation| {
        operation
            .input_values()
            .all(|id| *function.ty(id) != Type::Unknown)
    };
    let operations = function.operations.iter();
    let foreign = operations.filter(|operation| operation.dialect() == Dialect::Foreign && known(operation));
    foreign
        .map(|operation| {
            let message = format!("{} is not expressed in MIL", operation.kind);
            Finding::new(Severity::Error, operation.label(), message)
        })
        .collect()
}
