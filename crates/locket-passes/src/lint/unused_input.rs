//! Inputs that nothing reads.

use locket_mil::Severity;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.simplified;
    let users = function.users();
    let unused = function
        .inputs
        .iter()
        .filter(|id| users[id.index()].is_empty() && !function.is_output(**id));
    unused
        .map(|&id| {
            let message = format!("no result depends on this input of {}", function.ty(id));
            Finding::new(Severity::Warning, &function.value(id).name, message)
        })
        .collect()
}
