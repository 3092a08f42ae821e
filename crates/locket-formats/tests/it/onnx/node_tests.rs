//! ONNX's own operator tests: what is lowered, and whether the lowered operations compute the stored results.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use locket_formats::limits::Limits;
use locket_formats::onnx::read_tensor;
use locket_formats::{FormatError, Import, ReadOptions, onnx};
use locket_mil::{Dialect, Severity, verify};
use locket_tensor::{DType, Tensor};

use crate::interpreter::{Stop, excess, narrowed, run};

/// How many of the 1079 tests are lowered without a foreign operation; raise it with each operator, never lower it.
const LOWERED_FLOOR: usize = 700;
/// How many of them also compute the stored results; the others use operators without a reference.
const RIGHT_FLOOR: usize = 614;

/// Distance of neighbouring bf16 numbers, relative to them: 8 bits of fraction.
const BF16_STEP: f64 = 1.0 / 256.0;

/// Tests whose stored results onnxruntime does not give either: with aligned corners and a scale that gives no whole
/// size, they measure the result by the scale, and onnxruntime and we by its elements.
const DISPUTED: [&str; 2] = [
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
];

/// What became of the tests.
#[derive(Debug, Default)]
struct Counts {
    /// Lowered without a foreign operation.
    lowered: usize,
    /// Read, with a foreign operation.
    foreign: Vec<String>,
    /// Not read.
    refused: Vec<String>,
    /// Lowered, and the results are those stored.
    right: usize,
    /// Lowered, and the results differ.
    wrong: Vec<String>,
    /// Lowered to an operator that has no reference.
    no_reference: BTreeMap<String, usize>,
}

fn tensors(folder: &Path, kind: &str) -> Option<Vec<(String, Tensor)>> {
    let mut tensors = Vec::new();
    for index in 0.. {
        let path = folder.join(format!("test_data_set_0/{kind}_{index}.pb"));
        let Ok(bytes) = std::fs::read(path) else {
            break;
        };
        tensors.push(read_tensor(&bytes, &Limits::small()).ok()?);
    }
    Some(tensors)
}

/// The shapes of the given inputs: some tests leave them open in the model.
fn shapes(inputs: &[(String, Tensor)]) -> BTreeMap<String, Vec<u64>> {
    let shape = |tensor: &Tensor| tensor.shape().iter().map(|&dim| dim as u64).collect();
    inputs
        .iter()
        .map(|(name, tensor)| (name.clone(), shape(tensor)))
        .collect()
}

/// Reads a test's model; `fixed` makes constants of all its inputs from that position on.
fn read(folder: &Path, given: &[(String, Tensor)], fixed: usize) -> Result<Import, FormatError> {
    let constants = given.iter().skip(fixed).cloned().collect();
    let options = ReadOptions {
        shapes: shapes(given),
        constants,
        ..ReadOptions::default()
    };
    onnx::read(&folder.join("model.onnx"), &options, &Limits::small())
}

fn is_foreign(import: &Import) -> bool {
    import
        .program
        .main()
        .operations
        .iter()
        .any(|operation| operation.dialect() == Dialect::Foreign)
}

fn check(name: &str, folder: &Path, (relative, absolute): (f64, f64), counts: &mut Counts) {
    let given = tensors(folder, "input").unwrap_or_default();
    let mut kept = given.len();
    let mut import = match read(folder, &given, kept) {
        Ok(import) => import,
        Err(error) => {
            counts.refused.push(format!("{name}: {error}"));
            return;
        }
    };
    // Models have axes, shapes and scales as constants; the tests give them as inputs.
    for fixed in [1, 0] {
        if is_foreign(&import)
            && fixed < kept
            && let Ok(other) = read(folder, &given, fixed)
            && !is_foreign(&other)
        {
            (import, kept) = (other, fixed);
        }
    }
    let main = import.program.main();
    verify(main).unwrap_or_else(|error| panic!("{name}: {error}"));
    if is_foreign(&import) {
        let errors = import
            .diagnostics
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        let messages: Vec<&str> = errors.map(|finding| finding.message.as_str()).collect();
        assert!(
            !messages.is_empty(),
            "{name}: a foreign operation without a finding"
        );
        counts.foreign.push(format!("{name}: {messages:?}"));
        return;
    }
    counts.lowered += 1;
    let Some(expected) = tensors(folder, "output") else {
        return;
    };
    let inputs: Vec<Tensor> = main
        .inputs
        .iter()
        .zip(&given)
        .map(|(&id, (_, tensor))| narrowed(tensor, main.ty(id)))
        .collect();
    match run(main, &inputs) {
        Err(Stop::NoReference(kind)) => *counts.no_reference.entry(kind).or_default() += 1,
        Err(Stop::Wrong(why)) => counts.wrong.push(format!("{name}: {why}")),
        Ok(found) => {
            let pairs = found.iter().zip(&expected);
            let worst = pairs.map(|(found, (_, expected))| {
                // Computed in fp32 and not rounded to bf16, whose numbers are this far apart.
                let coarse = expected.dtype() == DType::BFloat16;
                excess(
                    found,
                    expected,
                    if coarse { relative.max(BF16_STEP) } else { relative },
                    absolute,
                )
            });
            match worst.collect::<Option<Vec<f64>>>() {
                Some(worst) if worst.iter().all(|&worst| worst == 0.0) => counts.right += 1,
                _ if DISPUTED.contains(&name) => {}
                other => counts
                    .wrong
                    .push(format!("{name}: over the tolerance by {other:?}")),
            }
        }
    }
}

#[test]
fn operator_tests_are_lowered_and_right() {
    let Some(kit) = locket_testkit::kit() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let archive = kit.join("op-tests/onnx-node-tests.tar.gz");
    let unpacked = Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(
        unpacked.is_ok_and(|status| status.success()),
        "tar unpacks {}",
        archive.display()
    );
    let index = std::fs::read_to_string(folder.path().join("index.csv")).unwrap();
    let mut counts = Counts::default();
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize, default: f64| {
            fields
                .get(at)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let tolerance = (number(4, 1e-3), number(5, 1e-7));
        check(
            fields[0],
            &folder.path().join("node").join(fields[0]),
            tolerance,
            &mut counts,
        );
    }
    for line in counts.foreign.iter().chain(&counts.refused).chain(&counts.wrong) {
        println!("{line}");
    }
    println!(
        "lowered {}, foreign {}, refused {}; right {}, wrong {}, without reference {:?}",
        counts.lowered,
        counts.foreign.len(),
        counts.refused.len(),
        counts.right,
        counts.wrong.len(),
        counts.no_reference
    );
    assert!(
        counts.refused.is_empty() && counts.wrong.is_empty(),
        "every sound model is read, and computes what it should"
    );
    assert!(
        counts.lowered >= LOWERED_FLOOR,
        "{} tests are lowered, {LOWERED_FLOOR} were before",
        counts.lowered
    );
    assert!(
        counts.right >= RIGHT_FLOOR,
        "{} tests are right, {RIGHT_FLOOR} were before",
        counts.right
    );
}
