//! Weights with NaN or infinite numbers.

use locket_mil::Severity;
use locket_tensor::Tensor;

use super::{Context, Finding};

/// Parameters in which an infinite number has no meaning. Elsewhere it may: as a bound, or to mask an attention.
const WEIGHTS: &[&str] = &[
    "weight",
    "bias",
    "gamma",
    "mean",
    "variance",
    "scale",
    "lut",
    "quantized_data",
    "nonzero_data",
    "weight_ih",
    "weight_hh",
];

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let mut findings = Vec::new();
    for operation in &function.operations {
        for (param, arg) in &operation.inputs {
            let is_weight =
                WEIGHTS.contains(&&**param) || (**param == *"beta" && operation.kind.ends_with("_norm"));
            for tensor in arg.values().iter().filter_map(|&id| function.const_tensor(id)) {
                let Some([nan, infinite]) = count(tensor) else {
                    continue;
                };
                let message = match (nan, infinite) {
                    (1.., _) => format!("{param} holds {nan} NaN among {} numbers", tensor.elems()),
                    (0, 1..) if is_weight => {
                        format!(
                            "{param} holds {infinite} infinite numbers among {}",
                            tensor.elems()
                        )
                    }
                    _ => continue,
                };
                findings.push(Finding::new(Severity::Error, operation.label(), message));
            }
        }
    }
    findings
}

/// How many numbers are NaN, and how many infinite; `None` for integers.
fn count(tensor: &Tensor) -> Option<[usize; 2]> {
    let values = tensor.dtype().is_float().then(|| tensor.to_f32()).flatten()?;
    let nan = values.iter().filter(|value| value.is_nan()).count();
    let infinite = values.iter().filter(|value| value.is_infinite()).count();
    Some([nan, infinite])
}
