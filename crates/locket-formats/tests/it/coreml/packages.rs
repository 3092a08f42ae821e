//! The packages of the test kit, which coremltools wrote.

use std::path::Path;

use expect_test::expect;
use locket_formats::coreml::{self, Precision, WriteOptions};
use locket_formats::limits::Limits;
use locket_mil::{Function, Target, verify};

use super::{check, contents};
use crate::kit;

/// One line for each package: interface, operators, constants.
fn summary(path: &Path) -> String {
    let program = coreml::read(path, &Limits::default()).unwrap();
    let main = program.main();
    verify(main).unwrap();
    let name = |id| format!("{}: {}", main.value(id).name, main.ty(id));
    let inputs: Vec<_> = main.inputs.iter().map(|id| name(*id)).collect();
    let outputs: Vec<_> = main
        .outputs
        .iter()
        .map(|output| format!("{}: {}", output.name, main.ty(output.value)))
        .collect();
    let operators: Vec<_> = program
        .histogram()
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let bytes: usize = main.used_constants().iter().map(|id| main.ty(*id).bytes()).sum();
    format!(
        "({}) -> ({}) {}, {bytes} bytes\n  {}",
        inputs.join(", "),
        outputs.join(", "),
        main.opset,
        operators.join(", ")
    )
}

#[test]
fn packages_are_read() {
    let Some(kit) = kit::folder() else { return };
    let cases = [
        (
            "f32",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 1870329 bytes
              conv 27, relu6 27, linear 1, reduce_mean 1, softmax 1"#]],
        ),
        (
            "f16",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 935657 bytes
              conv 27, relu6 27, cast 2, linear 1, reduce_mean 1, softmax 1"#]],
        ),
        (
            "w8",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 530925 bytes
              conv 27, relu6 27, constexpr_affine_dequantize 11, linear 1, reduce_mean 1, softmax 1"#]],
        ),
        (
            "pal6",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 408161 bytes
              conv 27, relu6 27, constexpr_lut_to_dense 11, linear 1, reduce_mean 1, softmax 1"#]],
        ),
    ];
    for (variant, expected) in cases {
        let path = kit.join(format!("models/mobilenet_v1_0.25_224_{variant}.mlpackage"));
        expected.assert_eq(&summary(&path));
    }
}

#[test]
fn packages_are_written_as_they_were_read() {
    let Some(kit) = kit::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    for variant in ["f32", "f16", "w8", "pal6"] {
        let source = kit.join(format!("models/mobilenet_v1_0.25_224_{variant}.mlpackage"));
        let program = coreml::read(&source, &Limits::default()).unwrap();
        let written = folder.path().join(format!("{variant}.mlpackage"));
        let summary = coreml::write(&program, &written, &WriteOptions::default()).unwrap();
        assert!(
            summary.renamed.is_empty() && summary.notes.is_empty(),
            "{summary:?}"
        );
        let again = coreml::read(&written, &Limits::default()).unwrap();
        assert_same(program.main(), again.main());
        let first = contents(&written);
        coreml::write(&again, &written, &WriteOptions::default()).unwrap();
        assert!(
            first == contents(&written),
            "{variant}: a second writing gave other bytes"
        );
    }
}

/// Same interface, same operations with the same parameters and constants.
fn assert_same(left: &Function, right: &Function) {
    assert_eq!(left.operations.len(), right.operations.len());
    for (a, b) in left.operations.iter().zip(&right.operations) {
        assert_eq!((&a.kind, a.inputs.len()), (&b.kind, b.inputs.len()));
        for (param, arg) in &a.inputs {
            let other = b
                .arg(param)
                .unwrap_or_else(|| panic!("{}: no parameter {param}", b.label()));
            for (x, y) in arg.values().iter().zip(other.values()) {
                assert_eq!(left.ty(*x), right.ty(*y), "{}: {param}", a.label());
                assert_eq!(left.literal(*x), right.literal(*y), "{}: {param}", a.label());
            }
        }
    }
    let names = |function: &Function| {
        function
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(left), names(right));
}

#[test]
#[ignore = "slow: starts coremltools for each package, 60 s"]
fn the_checker_agrees() {
    let Some(kit) = kit::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    for variant in ["f32", "f16", "w8", "pal6"] {
        let source = kit.join(format!("models/mobilenet_v1_0.25_224_{variant}.mlpackage"));
        let program = coreml::read(&source, &Limits::default()).unwrap();
        for (precision, target) in [(Precision::AsIs, None), (Precision::Float16, Some(Target::Ios18))] {
            let path = folder.path().join("m.mlpackage");
            let options = WriteOptions {
                precision,
                target,
                ..WriteOptions::default()
            };
            coreml::write(&program, &path, &options).unwrap();
            check(&path);
        }
    }
}
