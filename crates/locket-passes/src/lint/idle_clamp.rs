//! Clamps that clip nothing.

use locket_mil::Severity;

use super::{Context, Finding};
use crate::passes::remove_clamps;

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let idle = remove_clamps::idle(function).into_iter();
    idle.map(|index| {
        let operation = &function.operations[index];
        let message = format!("{} clips nothing", operation.kind);
        Finding::new(Severity::Note, operation.label(), message).rewritten_to("nothing: it is removed")
    })
    .collect()
}
