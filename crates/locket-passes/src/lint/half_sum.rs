//! Long sums in fp16.

use locket_mil::{Function, Operation, Severity};

use super::{Context, Finding};
use crate::pattern::resolved_axes;

/// From this many terms on a running sum of equal numbers stands still: fp16 has 11 significant bits.
const LONG: usize = 2048;

/// Operators that sum along `axes` (all axes without it).
const SUMS: &[&str] = &[
    "reduce_sum",
    "reduce_mean",
    "reduce_sum_square",
    "reduce_l1_norm",
    "reduce_l2_norm",
    "reduce_log_sum",
    "reduce_log_sum_exp",
    "layer_norm",
];

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.simplified;
    let mut findings = Vec::new();
    if !context.half {
        return findings;
    }
    for operation in &function.operations {
        let terms = terms(function, operation).filter(|&terms| terms >= LONG);
        let Some(terms) = terms else { continue };
        let message = format!("{} sums {terms} numbers in fp16", operation.kind);
        findings.push(Finding::new(Severity::Warning, operation.label(), message));
    }
    findings
}

/// How many numbers go into one sum.
fn terms(function: &Function, operation: &Operation) -> Option<usize> {
    let kind: &str = &operation.kind;
    let shape = function.ty(operation.input("x")?).shape()?;
    let along = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product();
    if kind == "softmax" {
        return match operation.input("axis") {
            None => shape.last().copied(),
            Some(_) => Some(along(&resolved_axes(function, operation, "axis", shape.len())?)),
        };
    }
    SUMS.contains(&kind).then_some(())?;
    match operation.input("axes") {
        None => Some(shape.iter().product()),
        Some(_) => Some(along(&resolved_axes(function, operation, "axes", shape.len())?)),
    }
}
