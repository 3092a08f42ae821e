//! Constants that fp16 cannot hold.

use std::collections::BTreeSet;

use locket_mil::{Severity, ValueId};
use locket_tensor::DType;

use super::{Context, Finding, is_constexpr};

/// The largest number of fp16.
const LARGEST: f32 = 65504.0;

/// Half of the smallest number of fp16 above 0, 2^-24: at and below this, numbers round to 0.
const FLUSHED: f32 = 1.0 / (1u32 << 25) as f32;

/// Numbers that become infinite.
pub(super) fn beyond(context: &Context<'_>) -> Vec<Finding> {
    let per_constant = |values: &[f32]| {
        let large = values
            .iter()
            .filter(|value| value.is_finite() && value.abs() > LARGEST);
        let count = large.clone().count();
        let largest = large
            .copied()
            .fold(0f32, |a, b| if b.abs() > a.abs() { b } else { a });
        (count > 0).then(|| {
            let numbers = if count == 1 {
                "1 number".to_owned()
            } else {
                format!("{count} numbers")
            };
            format!("holds {numbers} beyond the range of fp16, up to {largest:e}")
        })
    };
    each_constant(context, Severity::Warning, &per_constant)
}

/// Numbers that become 0.
pub(super) fn flushed(context: &Context<'_>) -> Vec<Finding> {
    let per_constant = |values: &[f32]| {
        let small = values
            .iter()
            .filter(|value| **value != 0.0 && value.abs() <= FLUSHED);
        let count = small.count();
        (count > 0).then(|| format!("holds {count} of {} numbers that become 0 in fp16", values.len()))
    };
    each_constant(context, Severity::Note, &per_constant)
}

/// Looks at every fp32 constant that an operation computes with, once.
fn each_constant(
    context: &Context<'_>,
    severity: Severity,
    judge: &dyn Fn(&[f32]) -> Option<String>,
) -> Vec<Finding> {
    let function = context.simplified;
    let mut findings = Vec::new();
    if !context.half {
        return findings;
    }
    let mut seen: BTreeSet<ValueId> = BTreeSet::new();
    for operation in function
        .operations
        .iter()
        .filter(|operation| !is_constexpr(operation))
    {
        for (param, arg) in &operation.inputs {
            for &id in arg.values() {
                let wide = function
                    .const_tensor(id)
                    .filter(|tensor| tensor.dtype() == DType::Float32 && !seen.contains(&id));
                let Some(values) = wide.and_then(|tensor| tensor.to_f32()) else {
                    continue;
                };
                seen.insert(id);
                if let Some(message) = judge(&values) {
                    findings.push(Finding::new(
                        severity,
                        operation.label(),
                        format!("{param} {message}"),
                    ));
                }
            }
        }
    }
    findings
}
