//! From which target on a program works.

use expect_test::expect;
use locket_mil::{Severity, Target};
use locket_passes::{LintOptions, lint_with, lowest_target};

use crate::lints::{CLEAN, check_with, program, said};

#[test]
fn newer_target() {
    let source = r#"func main opset ios18 (%x: fp16[1, 4]) -> (y: %y) {
  %q: int8[4, 4] = ramp(-90.0, 13.0)
  %z: int8[] = [0]
  %s: fp16[] = [0.1]
  %w: fp16[4, 4] = constexpr_affine_dequantize(quantized_data=%q, zero_point=%z, scale=%s, axis=0) "w"
  %h: fp16[1, 4] = linear(x=%x, weight=%w) "dense"
  %c: fp32[1, 4] = cast(x=%h, dtype="fp32") "cast"
  %zp: uint8[] = [128]
  %k: uint8[1, 4] = quantize(input=%c, zero_point=%zp, scale=0.5, output_dtype="uint8") "q"
  %r: uint8[4, 1] = reshape(x=%k, shape=[4, 1]) "reshape"
  %d: fp32[4, 1] = dequantize(input=%r, zero_point=%zp, scale=0.5) "d1"
  %e: fp32[4, 1] = dequantize(input=%r, zero_point=%zp, scale=0.25) "d2"
  %y: fp32[4, 1] = add(x=%d, y=%e) "sum"
}"#;
    let options = LintOptions {
        target: Target::Ios15,
        half: false,
    };
    check_with(
        options,
        &["LK0102"],
        source,
        &expect![[r#"
        LK0102 error x: fp16 at the interface needs ios16, the target is ios15
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 16, macOS 13, watchOS 9 or later
          works from ios16
        LK0102 error w: constexpr_affine_dequantize needs ios16, the target is ios15
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 16, macOS 13, watchOS 9 or later
          works from ios16
        LK0102 error q: quantize needs ios17, the target is ios15
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 17, macOS 14, watchOS 10 or later
          works from ios17
        LK0102 error reshape: reshape on uint8 needs ios17, the target is ios15
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 17, macOS 14, watchOS 10 or later
          works from ios17
        LK0102 error d1: dequantize needs ios17, the target is ios15 (and in d2)
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 17, macOS 14, watchOS 10 or later
          works from ios17
    "#]],
    );
    assert_eq!(lowest_target(program(source).main()), Ok(Target::Ios17));
}

#[test]
fn several_functions_need_ios18() {
    let mut two = program(CLEAN);
    let mut second = two.main().clone();
    "second".clone_into(&mut second.name);
    two.functions.push(second);
    let options = LintOptions {
        target: Target::Ios17,
        half: false,
    };
    let findings = lint_with(&two, options);
    expect![[r#"
        LK0102 error main: a program of 2 functions needs ios18, the target is ios17
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 18, macOS 15, watchOS 11 or later
          works from ios18
        LK0102 error second: a program of 2 functions needs ios18, the target is ios17
          older systems refuse to load a program that uses newer operators
          help: deploy to iOS 18, macOS 15, watchOS 11 or later
          works from ios18
    "#]]
    .assert_eq(&said(&findings));
}

#[test]
fn compressed_forms_of_ios18() {
    let source = |lut: &str| {
        format!(
            "func main opset ios18 (%x: fp32[1, 2]) -> (y: %y) {{
  %i: uint1[4, 2] = [0, 1, 1, 0, 0, 0, 1, 1]
  %l: {lut}
  %w: fp32[4, 2] = constexpr_lut_to_dense(indices=%i, lut=%l) \"w\"
  %y: fp32[1, 4] = linear(x=%x, weight=%w) \"dense\"
}}"
        )
    };
    let one_table = source("fp32[1, 1, 2, 1] = [-1.0, 1.0]");
    assert_eq!(lowest_target(program(&one_table).main()), Ok(Target::Ios16));
    let tables = source("fp32[2, 1, 2, 1] = [-1.0, 1.0, -2.0, 2.0]");
    assert_eq!(lowest_target(program(&tables).main()), Ok(Target::Ios18));
}

#[test]
fn no_target_runs_foreign_operators() {
    let source = "func main opset ios16 (%x: fp32[4]) -> (y: %y) {
  %y: ? = onnx.NonZero(x=%x)
}";
    let errors = lowest_target(program(source).main()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].code, errors[0].severity), ("LK0101", Severity::Error));
}
