//! Names at the interface that a package cannot have.

use locket_mil::Severity;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let inputs = function
        .inputs
        .iter()
        .map(|&id| ("input", &function.value(id).name));
    let outputs = function.outputs.iter().map(|output| ("output", &output.name));
    let renamed = inputs.chain(outputs).filter(|(_, name)| !is_identifier(name));
    renamed
        .map(|(role, name)| {
            let message = format!("the name of the {role} is no identifier");
            Finding::new(Severity::Note, name, message).rewritten_to(identifier(name))
        })
        .collect()
}

fn admitted(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '@')
}

fn starts_well(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn is_identifier(name: &str) -> bool {
    starts_well(name) && name.chars().all(admitted)
}

/// The name that stands in a package unless another one has it already.
fn identifier(name: &str) -> String {
    let text: String = name.chars().map(|c| if admitted(c) { c } else { '_' }).collect();
    if starts_well(&text) {
        text
    } else {
        format!("_{text}")
    }
}
