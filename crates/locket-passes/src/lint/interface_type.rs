//! Element types that arrays at the interface cannot have.

use locket_mil::{Severity, Target};
use locket_tensor::DType;

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let inputs = function
        .inputs
        .iter()
        .map(|&id| ("input", &function.value(id).name, id));
    let outputs = function
        .outputs
        .iter()
        .map(|output| ("output", &output.name, output.value));
    let mut findings = Vec::new();
    for (role, name, id) in inputs.chain(outputs) {
        let Some(dtype) = function.ty(id).dtype() else {
            continue;
        };
        let message = format!("the {role} is {dtype}");
        match dtype {
            DType::Float32 | DType::Float16 | DType::Int32 => {}
            DType::Int8 if context.target >= Target::Ios26 => {}
            DType::Bool | DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => {
                let side = if role == "input" { "behind" } else { "before" };
                let finding = Finding::new(Severity::Warning, name, message);
                findings.push(finding.rewritten_to(format!("int32, with a cast {side} it")));
            }
            _ => {
                let finding = Finding::new(Severity::Error, name, message);
                findings.push(finding.help("cast it to float32 or int32 in the model before exporting"));
            }
        }
    }
    findings
}
