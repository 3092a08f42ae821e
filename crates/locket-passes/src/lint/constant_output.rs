//! Outputs that depend on no input.

use locket_mil::Severity;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.simplified;
    let mut depends = vec![false; function.values().len()];
    for &input in &function.inputs {
        depends[input.index()] = true;
    }
    for operation in &function.operations {
        let any = operation.input_values().any(|id| depends[id.index()]);
        operation.outputs.iter().for_each(|id| depends[id.index()] = any);
    }
    let constant = function
        .outputs
        .iter()
        .filter(|output| !depends[output.value.index()]);
    constant
        .map(|output| Finding::new(Severity::Note, &output.name, "the output depends on no input"))
        .collect()
}
