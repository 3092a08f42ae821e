//! Constants of 64 bits.

use locket_mil::Severity;
use locket_tensor::{DType, Tensor};

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let mut findings = Vec::new();
    for id in function.used_constants() {
        let Some(tensor) = function.const_tensor(id) else {
            continue;
        };
        let (narrow, lost) = match tensor.dtype() {
            DType::Float64 => ("fp32", beyond_f32(tensor)),
            DType::Int64 | DType::UInt64 | DType::UInt32 => ("int32", beyond_i32(tensor)),
            _ => continue,
        };
        let name = &function.value(id).name;
        let dtype = tensor.dtype();
        findings.push(match lost {
            Some(value) => {
                let message = format!("a constant of {dtype} holds {value}, which {narrow} cannot");
                Finding::new(Severity::Error, name, message)
                    .help(format!("keep the numbers within the range of {narrow}"))
            }
            None => {
                Finding::new(Severity::Warning, name, format!("a constant of {dtype}")).rewritten_to(narrow)
            }
        });
    }
    findings
}

/// A number that would become infinite.
fn beyond_f32(tensor: &Tensor) -> Option<String> {
    let values = tensor.as_slice::<f64>();
    let lost = values
        .iter()
        .find(|value| value.is_finite() && !(**value as f32).is_finite());
    lost.map(|value| format!("{value:e}"))
}

/// An integer that does not fit. Codes beyond `i64` (of uint64) do not fit either.
fn beyond_i32(tensor: &Tensor) -> Option<String> {
    match tensor.to_i64() {
        None => Some("integers beyond 63 bits".to_owned()),
        Some(values) => {
            let lost = values.iter().find(|value| i32::try_from(**value).is_err());
            lost.map(i64::to_string)
        }
    }
}
