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

use locket_mil::Function;

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

fn run_all(passes: &[Pass], function: &mut Function) -> Vec<PassReport> {
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
