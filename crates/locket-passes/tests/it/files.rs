//! Runs each pass on the files of its folder under `tests/files`.
//!
//! A file holds a function, a line `---`, and the function after the pass, with a line `# skipped NODE: reason` for each place
//! that the pass left alone. `UPDATE=1` writes what is found. Besides the text, the run keeps the values: both functions are run
//! through references on random inputs.

use std::path::Path;

use locket_mil::{Function, text};
use locket_passes::{PassReport, passes};

use crate::values::{
    ACCUMULATOR_TOLERANCE, FLOAT_TOLERANCE, HALF_TOLERANCE, Tolerance, assert_close, check_types, inputs,
    run, step_of,
};

/// Constants longer than this are left out of the expected text.
const ELIDE_OVER: usize = 16;

/// One step of a quantised result, and what floats around it round to.
const ONE_STEP: f32 = 1.0 + 1e-4;

fn check(pass: fn(&mut Function) -> PassReport, folder: &str, tolerance: f32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/files")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds no test", folder.display());
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let content = std::fs::read_to_string(&path).unwrap();
        let (source, expected) = content.split_once("---\n").unwrap_or((&content, ""));
        let before = text::parse(source).unwrap_or_else(|error| panic!("{name}: {error}"));
        check_types(&before);
        let mut after = before.clone();
        let report = pass(&mut after);
        check_types(&after);
        let printed = text::print(&after, usize::MAX) == text::print(&before, usize::MAX);
        assert_eq!(
            report.changes == 0,
            printed,
            "{name}: the report counts {} changes",
            report.changes
        );
        compare(&before, &after, tolerance, &name);
        let found = expected_text(&after, &report);
        if update {
            std::fs::write(&path, format!("{}\n---\n{found}", source.trim_end())).unwrap();
        } else if found != expected {
            failures.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(failures.is_empty(), "{}\n(UPDATE=1 accepts)", failures.join("\n"));
}

fn expected_text(function: &Function, report: &PassReport) -> String {
    let mut text = text::print(function, ELIDE_OVER);
    for skipped in &report.skipped {
        text.push_str(&format!("# skipped {}: {}\n", skipped.node, skipped.reason));
    }
    text
}

fn compare(before: &Function, after: &Function, tolerance: f32, name: &str) {
    for seed in 1..4 {
        let inputs = inputs(before, seed);
        let (expected, found) = (run(before, &inputs), run(after, &inputs));
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let allowed = match step_of(before, index).filter(|_| tolerance == ACCUMULATOR_TOLERANCE) {
                Some(step) => Tolerance::Absolute(step * ONE_STEP),
                None => Tolerance::Relative(tolerance),
            };
            assert_close(expected, found, allowed, &format!("{name}, seed {seed}"));
        }
    }
}

#[test]
fn fold_affine() {
    check(passes::fold_affine::run, "fold_affine", FLOAT_TOLERANCE);
}

#[test]
fn fold_constants() {
    check(passes::fold_constants::run, "fold_constants", 0.0);
}

#[test]
fn fuse_convolutions() {
    check(
        passes::fuse_convolutions::run,
        "fuse_convolutions",
        FLOAT_TOLERANCE,
    );
}

#[test]
fn linear_from_matmul() {
    check(
        passes::linear_from_matmul::run,
        "linear_from_matmul",
        FLOAT_TOLERANCE,
    );
}

#[test]
fn lower_quantized() {
    check(
        passes::lower_quantized::run,
        "lower_quantized",
        ACCUMULATOR_TOLERANCE,
    );
}

#[test]
fn merge_duplicates() {
    check(passes::merge_duplicates::run, "merge_duplicates", 0.0);
}

#[test]
fn remove_clamps() {
    check(passes::remove_clamps::run, "remove_clamps", 0.0);
}

#[test]
fn remove_dead_code() {
    check(passes::remove_dead_code::run, "remove_dead_code", 0.0);
}

#[test]
fn fuse_hard_swish() {
    check(passes::fuse_hard_swish::run, "fuse_hard_swish", 1e-6);
}

#[test]
fn remove_identities() {
    check(passes::remove_identities::run, "remove_identities", 0.0);
}

#[test]
fn remove_transposes() {
    check(
        passes::remove_transposes::run,
        "remove_transposes",
        FLOAT_TOLERANCE,
    );
}

#[test]
fn widen_float16() {
    check(passes::widen_float16::run, "widen_float16", HALF_TOLERANCE);
}
