//! Packages that coremltools wrote: those of the test kit, and one for each feature of the format.

use std::path::Path;
use std::process::Command;

use expect_test::expect;
use locket_formats::coreml::{self, Precision, WriteOptions};
use locket_formats::limits::Limits;
use locket_formats::onnx::ReadOptions;
use locket_mil::{Function, Target, ValueId, verify};

use super::{check, contents};

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
    let Some(kit) = locket_testkit::kit() else { return };
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
    let Some(kit) = locket_testkit::kit() else { return };
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
    let Some(kit) = locket_testkit::kit() else { return };
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

/// Interface, opset and findings of every package of a folder.
fn survey(folder: &Path) -> String {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let import = coreml::import(&path, &ReadOptions::default(), &Limits::default()).unwrap();
        let main = import.program.main();
        import
            .program
            .functions
            .iter()
            .for_each(|function| verify(function).unwrap());
        let types = |ids: &mut dyn Iterator<Item = ValueId>| {
            ids.map(|id| main.ty(id).to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let inputs = types(&mut main.inputs.iter().copied());
        let outputs = types(&mut main.outputs.iter().map(|output| output.value));
        let codes: Vec<_> = import
            .diagnostics
            .iter()
            .map(|finding| format!(" {} {}", finding.code, finding.node))
            .collect();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        lines.push(format!(
            "{name}: ({inputs}) -> ({outputs}) {}{}\n",
            main.opset,
            codes.join(",")
        ));
    }
    lines.sort();
    lines.concat()
}

#[test]
#[ignore = "slow: coremltools makes twenty packages and judges each, 150 s"]
fn packages_with_every_feature_are_read_and_written() {
    let Some(python) = std::env::var_os("LOCKET_CT_PYTHON") else {
        eprintln!("skipped: LOCKET_CT_PYTHON names no interpreter with coremltools");
        return;
    };
    let (made, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/coreml/make_packages.py");
    let output = Command::new(python)
        .arg(script)
        .arg(made.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    expect![[r#"
        branches: (fp32[1]) -> (?) ios15 LK1005 y
        classifier: (fp32[1, 3, 16, 16]) -> (? ?) ios15 LK1104 classify_0
        flexible: (fp32[3, 8]) -> (fp32[3, 8]) ios15
        functions: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios18
        half: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios16
        half_interface: (fp16[1, 16]) -> (fp16[1, 4]) ios16
        image: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios15 LK1102 x
        int4_blocks: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios18
        int8: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios16
        palette3_groups: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios18
        palette4: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios16
        plain: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios15
        quantized: (fp32[1, 8]) -> (fp32[1, 4]) ios17
        recurrent: (fp32[1, 5, 6] fp32[1, 4] fp32[1, 4]) -> (fp32[1, 1, 4] fp32[1, 4] fp32[1, 4]) ios15
        several: (fp32[1, 4, 6] fp32[1, 4, 6]) -> (fp32[1, 2, 6] fp32[1, 4, 2] fp32[1, 4, 2] fp32[1, 3, 4]) ios15
        sparse18: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios18
        sparse: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios16
        sparse_int8: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios18
        sparse_palette: (fp32[1, 3, 16, 16]) -> (fp32[1, 32]) ios18
        stateful: (fp32[1] ?) -> (fp16[1]) ios18 LK1103 memory, LK1103 read_state_0, LK1103 coreml_update_state_1_write_state, LK1103 coreml_update_state_1
    "#]].assert_eq(&survey(made.path()));
    for entry in std::fs::read_dir(made.path()).unwrap() {
        let source = entry.unwrap().path();
        let Ok(program) = coreml::read(&source, &Limits::default()) else {
            continue;
        };
        let path = folder.path().join(source.file_name().unwrap());
        coreml::write(&program, &path, &WriteOptions::default()).unwrap();
        let again = coreml::read(&path, &Limits::default()).unwrap();
        assert_eq!(program.functions.len(), again.functions.len());
        check(&path);
    }
}
