//! Operators without a dialect that the registry does not have.

use locket_mil::{Dialect, Severity};
use locket_ops::registry;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let operations = context.function.operations.iter();
    let unknown = operations
        .filter(|operation| operation.dialect() == Dialect::Mil && registry::get(&operation.kind).is_none());
    unknown
        .map(|operation| {
            let message = format!("{} is not among the operators that Locket knows", operation.kind);
            Finding::new(Severity::Warning, operation.label(), message)
        })
        .collect()
}
