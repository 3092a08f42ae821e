//! Rewrites of a program.
//!
//! Two pipelines, each a list of passes in the order they run:
//!
//! * [`simplify`] keeps to MIL: what it gives can be written to a file. It folds constants, batch norms and biases, turns
//!   products with constants into fully connected layers, removes transposes, clamps, duplicates and dead code.
//! * [`lower`] leaves MIL for the executor: float16 programs are widened, quantised patterns become integer
//!   operators, convolutions take up their bias, residual and activation.
//!
//! [`lint()`] says what a person should know before shipping a program.
//!
//! A pass is a function on a [`Function`](locket_mil::Function) that returns a [`PassReport`]: how much it changed,
//! and what it looked at and left alone, with the reason. Adding one is a file under `passes/` and a line in a list here.
#![forbid(unsafe_code)]

pub mod lint;
pub mod passes;
mod pattern;
mod report;

use locket_mil::{Function, Operation};
use locket_ops::{Node, registry};

pub use lint::{LINTS, Lint, LintOptions, lint, lint_with, lowest_target};
pub use report::{PassReport, Skipped};

/// A named rewrite.
pub type Pass = (&'static str, fn(&mut Function) -> PassReport);

/// Passes from MIL to MIL, in order.
pub const SIMPLIFY: &[Pass] = &[
    ("fold_constants", passes::fold_constants::run),
    ("remove_identities", passes::remove_identities::run),
    ("linear_from_matmul", passes::linear_from_matmul::run),
    ("remove_transposes", passes::remove_transposes::run),
    ("fold_affine", passes::fold_affine::run),
    ("remove_clamps", passes::remove_clamps::run),
    ("merge_duplicates", passes::merge_duplicates::run),
    ("remove_dead_code", passes::remove_dead_code::run),
];

/// Passes from MIL to what the executor runs, in order.
pub const LOWER: &[Pass] = &[
    ("widen_float16", passes::widen_float16::run),
    ("merge_duplicates", passes::merge_duplicates::run),
    ("lower_quantized", passes::lower_quantized::run),
    ("remove_identities", passes::remove_identities::run),
    ("fuse_hard_swish", passes::fuse_hard_swish::run),
    ("fuse_convolutions", passes::fuse_convolutions::run),
    ("remove_dead_code", passes::remove_dead_code::run),
];

/// Simplifies a function within MIL.
pub fn simplify(function: &mut Function) -> Vec<PassReport> {
    run_all(SIMPLIFY, function)
}

/// Lowers a function for the executor.
pub fn lower(function: &mut Function) -> Vec<PassReport> {
    run_all(LOWER, function)
}

/// Stands before the name of an operator that passes must not look into.
const HIDDEN: &str = "hidden.";

/// Runs passes in order. They rely on operations that fit their operators; those of a file may not, so that others are
/// hidden from them: they stay, under a foreign name for the time being.
fn run_all(passes: &[Pass], function: &mut Function) -> Vec<PassReport> {
    for index in 0..function.operations.len() {
        if !fits(function, &function.operations[index]) {
            let operation = &mut function.operations[index];
            operation.kind = format!("{HIDDEN}{}", operation.kind).into();
        }
    }
    let reports = run_in_order(passes, function);
    for operation in &mut function.operations {
        if let Some(kind) = operation.kind.strip_prefix(HIDDEN) {
            operation.kind = kind.into();
        }
    }
    reports
}

/// True if an operation has the parameters and types that its operator demands.
fn fits(function: &Function, operation: &Operation) -> bool {
    let node = Node::new(function, operation);
    let inferred = registry::check(&node).and_then(|operator| operator.infer(&node));
    inferred.is_ok_and(|types| {
        let declared = operation.outputs.iter().map(|&id| function.ty(id));
        types.iter().eq(declared)
    })
}

fn run_in_order(passes: &[Pass], function: &mut Function) -> Vec<PassReport> {
    passes
        .iter()
        .map(|(name, run)| {
            let report = PassReport {
                pass: name,
                ..run(function)
            };
            debug_assert_eq!(locket_mil::verify(function), Ok(()), "after {name}");
            report
        })
        .collect()
}
