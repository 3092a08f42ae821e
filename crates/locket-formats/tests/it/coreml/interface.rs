//! What the writer does to a program so that the format can hold it.

use expect_test::{Expect, expect};
use locket_formats::coreml::{self, Precision, WriteOptions, WriteSummary};
use locket_formats::limits::Limits;
use locket_mil::{Program, SourceFormat, Target, text};

use super::check;

/// Names that are no identifiers, and two that become the same one.
const NAMES: &str = r#"
func main opset ios15 (%"in put:0": fp32[1, 2], %tensor: fp32[1, 2]) -> (out/1: %"a:b", "out:1": %"a/b") {
  %"a/b": fp32[1, 2] = add(x=%"in put:0", y=%tensor)
  %"a:b": fp32[1, 2] = mul(x=%"a/b", y=%tensor)
}"#;

/// Outputs that are an input, a constant, and one value twice.
const OUTPUTS: &str = "
func main opset ios15 (%x: fp32[1, 2]) -> (a: %x, b: %r, c: %r, d: %w) {
  %w: fp32[2] = [1.0, 2.0]
  %r: fp32[1, 2] = add(x=%x, y=%w)
}";

/// Types that arrays at the interface cannot have.
const TYPES: &str = "
func main opset ios17 (%x: uint8[1, 4], %m: bool[1, 4]) -> (q: %q, g: %g) {
  %s: fp32[] = [0.5]
  %z: uint8[] = [128]
  %f: fp32[1, 4] = dequantize(input=%x, zero_point=%z, scale=%s)
  %r: fp32[1, 4] = relu(x=%f)
  %q: uint8[1, 4] = quantize(input=%r, zero_point=%z, scale=%s, output_dtype=\"uint8\")
  %g: bool[1, 4] = logical_not(x=%m)
}";

/// Constants beyond float16 in both directions, a cast, and a value that both precisions need.
const PRECISION: &str = r#"
func main opset ios15 (%x: fp32[1, 2, 4, 4], %i: int32[1, 2, 4, 4]) -> (y: %y, s: %s) {
  %mean: fp32[2] = [0.5, -0.5]
  %variance: fp32[2] = [1.0, 2.0]
  %n: fp32[1, 2, 4, 4] = batch_norm(x=%x, mean=%mean, variance=%variance, epsilon=1e-9)
  %big: fp32[] = [100000.0]
  %b: fp32[1, 2, 4, 4] = mul(x=%n, y=%big)
  %f: fp32[1, 2, 4, 4] = cast(x=%i, dtype="fp32")
  %s: fp32[1, 2, 4, 4] = add(x=%n, y=%f)
  %never: fp32[] = [-1e39]
  %l: fp32[1, 2, 4, 4] = maximum(x=%s, y=%never)
  %y: fp32[1, 2, 4, 4] = sub(x=%b, y=%l)
}"#;

/// Operations that leave out what has a default.
const DEFAULTS: &str = "
func main opset ios15 (%x: fp32[1, 4, 8, 8]) -> (y: %y) {
  %w: fp32[4, 4, 3, 3] = ramp(-0.5, 0.0625)
  %c: fp32[1, 4, 6, 6] = conv(x=%x, weight=%w)
  %p: fp32[1, 4, 3, 3] = avg_pool(x=%c, kernel_sizes=[2, 2], strides=[2, 2], pad_type=\"valid\")
  %r: fp32[1, 36] = reshape(x=%p, shape=[1, 36])
  %v: fp32[3, 36] = ramp(-0.5, 0.0625)
  %l: fp32[1, 3] = linear(x=%r, weight=%v)
  %n: fp32[1, 3] = layer_norm(x=%l)
  %y: fp32[1, 3] = softmax(x=%n)
}";

fn program(source: &str) -> Program {
    Program::new(text::parse(source).unwrap(), SourceFormat::Memory)
}

fn with(precision: Precision, target: Option<Target>) -> WriteOptions {
    WriteOptions {
        precision,
        target,
        ..WriteOptions::default()
    }
}

/// Writes a program and reads it again.
fn round_trip(source: &Program, options: &WriteOptions) -> (Program, WriteSummary) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    let summary = coreml::write(source, &path, options).unwrap();
    (coreml::read(&path, &Limits::default()).unwrap(), summary)
}

fn written(source: &str, options: &WriteOptions, expected: Expect) {
    let (program, _) = round_trip(&program(source), options);
    expected.assert_eq(&text::print(program.main(), 8));
}

fn refused(source: &str, options: &WriteOptions, expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let error = coreml::write(&program(source), &folder.path().join("m.mlpackage"), options).unwrap_err();
    expected.assert_eq(&error.to_string());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn names_become_identifiers_and_the_source_names_are_kept() {
    written(
        NAMES,
        &WriteOptions::default(),
        expect![[r#"
        func main opset ios15 (%in_put_0: fp32[1, 2], %tensor_: fp32[1, 2]) -> (out_1: %out_1, out_1_1: %out_1_1) {
          %out_1_1: fp32[1, 2] = add(x=%in_put_0, y=%tensor_) "out_1_1"
          %out_1: fp32[1, 2] = mul(x=%out_1_1, y=%tensor_) "out_1"
        }
    "#]],
    );
    let (program, summary) = round_trip(&program(NAMES), &WriteOptions::default());
    let pairs: Vec<_> = summary
        .renamed
        .iter()
        .map(|(from, to)| format!("{from} -> {to}"))
        .collect();
    assert_eq!(
        pairs,
        [
            "in put:0 -> in_put_0",
            "tensor -> tensor_",
            "out/1 -> out_1",
            "out:1 -> out_1_1"
        ]
    );
    let key = "locket.source_name.in_put_0";
    assert_eq!(program.metadata.get(key).map(String::as_str), Some("in put:0"));
    // The names hold when the package is read and written again, and go with the input that they are of.
    let (mut again, summary) = round_trip(&program, &WriteOptions::default());
    assert!(summary.renamed.is_empty());
    assert_eq!(again.metadata, program.metadata);
    let input = again.main().inputs[0];
    again.main_mut().rename(input, "picture");
    let (renamed, _) = round_trip(&again, &WriteOptions::default());
    assert!(!renamed.metadata.contains_key(key));
}

#[test]
fn every_output_is_a_value_of_its_own() {
    written(
        OUTPUTS,
        &WriteOptions::default(),
        expect![[r#"
        func main opset ios15 (%x: fp32[1, 2]) -> (a: %a, b: %b, c: %c, d: %d) {
          %b: fp32[1, 2] = add(x=%x, y=[1.0, 2.0]) "b"
          %a: fp32[1, 2] = identity(x=%x) "a"
          %c: fp32[1, 2] = identity(x=%b) "c"
          %d: fp32[2] = identity(x=[1.0, 2.0]) "d"
        }
    "#]],
    );
}

#[test]
fn the_interface_has_types_that_core_ml_has() {
    written(
        TYPES,
        &WriteOptions::default(),
        expect![[r#"
        func main opset ios17 (%x: int32[1, 4], %m: int32[1, 4]) -> (q: %q, g: %g) {
          %x_to_uint8: uint8[1, 4] = cast(x=%x, dtype="uint8") "x_to_uint8"
          %m_to_bool: bool[1, 4] = cast(x=%m, dtype="bool") "m_to_bool"
          %z: uint8[] = [128]
          %f: fp32[1, 4] = dequantize(input=%x_to_uint8, zero_point=%z, scale=0.5) "f"
          %r: fp32[1, 4] = relu(x=%f) "r"
          %q_1: uint8[1, 4] = quantize(input=%r, zero_point=%z, scale=0.5, output_dtype="uint8") "q_1"
          %g_1: bool[1, 4] = logical_not(x=%m_to_bool) "g_1"
          %q: int32[1, 4] = cast(x=%q_1, dtype="int32") "q"
          %g: int32[1, 4] = cast(x=%g_1, dtype="int32") "g"
        }
    "#]],
    );
    let (_, summary) = round_trip(&program(TYPES), &WriteOptions::default());
    let notes: Vec<_> = summary
        .notes
        .iter()
        .map(|note| format!("{} {}: {}", note.code, note.node, note.message))
        .collect();
    expect![[r#"
        LK1111 x: the input is uint8 in the program and int32 in the package
        LK1111 m: the input is bool in the program and int32 in the package
        LK1111 q: the output is uint8 in the program and int32 in the package
        LK1111 g: the output is bool in the program and int32 in the package"#]]
    .assert_eq(&notes.join("\n"));
    assert_eq!(summary.target, Target::Ios17);
}

#[test]
fn float16_is_used_where_it_can_be() {
    written(
        PRECISION,
        &with(Precision::Float16, None),
        expect![[r#"
        func main opset ios15 (%x: fp32[1, 2, 4, 4], %i: int32[1, 2, 4, 4]) -> (y: %y, s: %s) {
          %x_to_fp16: fp16[1, 2, 4, 4] = cast(x=%x, dtype="fp16") "x_to_fp16"
          %mean_to_fp16: fp16[2] = [0.5, -0.5]
          %variance_to_fp16: fp16[2] = [1.0, 2.0]
          %epsilon_to_fp16: fp16[] = [5.9604645e-8]
          %n: fp16[1, 2, 4, 4] = batch_norm(x=%x_to_fp16, mean=%mean_to_fp16, variance=%variance_to_fp16, epsilon=%epsilon_to_fp16) "n"
          %n_to_fp32: fp32[1, 2, 4, 4] = cast(x=%n, dtype="fp32") "n_to_fp32"
          %b: fp32[1, 2, 4, 4] = mul(x=%n_to_fp32, y=100000.0) "b"
          %f: fp16[1, 2, 4, 4] = cast(x=%i, dtype="fp16") "f"
          %s_1: fp16[1, 2, 4, 4] = add(x=%n, y=%f) "s_1"
          %never_to_fp16: fp16[] = [-inf]
          %l: fp16[1, 2, 4, 4] = maximum(x=%s_1, y=%never_to_fp16) "l"
          %b_to_fp16: fp16[1, 2, 4, 4] = cast(x=%b, dtype="fp16") "b_to_fp16"
          %y_1: fp16[1, 2, 4, 4] = sub(x=%b_to_fp16, y=%l) "y_1"
          %y: fp32[1, 2, 4, 4] = cast(x=%y_1, dtype="fp32") "y"
          %s: fp32[1, 2, 4, 4] = cast(x=%s_1, dtype="fp32") "s"
        }
    "#]],
    );
}

#[test]
fn float16_and_back_gives_the_same_operations() {
    let (half, _) = round_trip(&program(DEFAULTS), &with(Precision::Float16, None));
    let (back, _) = round_trip(&half, &with(Precision::Float32, None));
    let (whole, _) = round_trip(&program(DEFAULTS), &WriteOptions::default());
    assert_eq!(
        half.histogram()
            .iter()
            .find(|(kind, _)| kind == "cast")
            .map(|(_, count)| *count),
        Some(2)
    );
    assert_eq!(back.histogram(), whole.histogram());
}

#[test]
fn defaults_are_written_out() {
    written(
        DEFAULTS,
        &WriteOptions::default(),
        expect![[r#"
        func main opset ios15 (%x: fp32[1, 4, 8, 8]) -> (y: %y) {
          %w: fp32[4, 4, 3, 3] = <elided>
          %c: fp32[1, 4, 6, 6] = conv(x=%x, weight=%w, strides=[1, 1], pad_type="valid", pad=[0, 0, 0, 0], dilations=[1, 1], groups=1) "c"
          %p: fp32[1, 4, 3, 3] = avg_pool(x=%c, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", pad=[0, 0, 0, 0], exclude_padding_from_average=false, ceil_mode=false) "p"
          %r: fp32[1, 36] = reshape(x=%p, shape=[1, 36]) "r"
          %v: fp32[3, 36] = <elided>
          %l: fp32[1, 3] = linear(x=%r, weight=%v, bias=[0.0, 0.0, 0.0]) "l"
          %n: fp32[1, 3] = layer_norm(x=%l, axes=[0, 1], epsilon=1e-5) "n"
          %y: fp32[1, 3] = softmax(x=%n, axis=-1) "y"
        }
    "#]],
    );
}

#[test]
fn a_target_is_the_lowest_that_does_or_what_the_user_says() {
    let (_, summary) = round_trip(&program(DEFAULTS), &WriteOptions::default());
    assert_eq!(summary.target, Target::Ios15);
    let (read, summary) = round_trip(&program(DEFAULTS), &with(Precision::AsIs, Some(Target::Ios26)));
    assert_eq!(
        (summary.target, read.main().opset),
        (Target::Ios26, Target::Ios26)
    );
    refused(
        TYPES,
        &with(Precision::AsIs, Some(Target::Ios16)),
        expect![
            "Core ML: target ios16: operation dequantize (dequantize) needs ios17; operation quantize (quantize) needs ios17; write for ios17 or later"
        ],
    );
    let old = "
func main opset ios15 (%x: fp32[1, 4, 4, 2], %r: fp32[1, 1, 4, 1, 1]) -> (y: %y) {
  %y: fp32[1, 1, 4, 1, 1] = crop_resize(x=%x, roi=%r)
}";
    refused(
        old,
        &with(Precision::AsIs, Some(Target::Ios17)),
        expect![
            "Core ML: target ios17: parameter roi of operation crop_resize (crop_resize) is gone from ios17 on; write for an earlier target, or express it with newer operators"
        ],
    );
}

#[test]
fn what_mil_does_not_have_is_refused() {
    let head = "func main opset ios15 (%x: fp32[2]) -> (y: %y) {\n";
    for (line, expected) in [
        (
            "%y: fp32[2] = locket.conv(x=%x) \"fused\"",
            expect![
                "Core ML: operation fused (locket.conv): it is internal to the executor; write the program as it was before it was prepared for execution"
            ],
        ),
        (
            "%y: fp32[2] = onnx.Foo(x=%x) \"node 7\"",
            expect![
                "Core ML: operation node 7 (onnx.Foo): it could not be expressed in MIL; `locket check` says what it could be rewritten to"
            ],
        ),
        (
            "%y: fp32[2] = frobnicate(x=%x)",
            expect![
                "Core ML: operation frobnicate (frobnicate): MIL has no such operator; express it with operators of MIL"
            ],
        ),
        (
            "%y: fp32[2] = relu(x=%x, slope=0.5)",
            expect![
                "Core ML: operation relu (relu): the program is not sound: expected parameters of the operator, found `slope`; mend what made the program"
            ],
        ),
        (
            "%y: fp32[2] = add(x=%x)",
            expect![
                "Core ML: operation add (add): the program is not sound: expected parameter `y`, found none; mend what made the program"
            ],
        ),
        (
            "%y: fp64[2] = relu(x=%x)",
            expect![
                "Core ML: operation relu (relu): MIL does not compute in fp64; use fp32 or int32 in the model"
            ],
        ),
    ] {
        refused(&format!("{head}{line}\n}}"), &WriteOptions::default(), expected);
    }
}

#[test]
fn metadata_is_merged_and_kept() {
    let mut source = program(OUTPUTS);
    for (key, text) in [("author", "A"), ("license", "MIT"), ("my.key", "1")] {
        source.metadata.insert(key.to_owned(), text.to_owned());
    }
    let added = [
        ("author", "B"),
        ("description", "tells cats from dogs"),
        ("version", "7"),
    ];
    let metadata = added
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .collect();
    let (read, _) = round_trip(
        &source,
        &WriteOptions {
            metadata,
            ..WriteOptions::default()
        },
    );
    let found: Vec<_> = read
        .metadata
        .iter()
        .map(|(key, text)| format!("{key}={text}"))
        .collect();
    let version = format!("locket.version={}", env!("CARGO_PKG_VERSION"));
    let expected = [
        "author=B",
        "description=tells cats from dogs",
        "license=MIT",
        &version,
        "my.key=1",
        "version=7",
    ];
    assert_eq!(found, expected);
}

#[test]
fn functions_are_kept() {
    let mut source = program(OUTPUTS);
    let mut second = text::parse(DEFAULTS).unwrap();
    second.name = "second".to_owned();
    source.functions.push(second);
    source.default_function = 1;
    let (read, summary) = round_trip(&source, &WriteOptions::default());
    assert_eq!(summary.target, Target::Ios18);
    let names: Vec<_> = read
        .functions
        .iter()
        .map(|function| function.name.as_str())
        .collect();
    assert_eq!(
        (names, read.main().name.as_str()),
        (vec!["main", "second"], "second")
    );
}

#[test]
#[ignore = "slow: starts coremltools for each package, 60 s"]
fn the_checker_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let mut several = program(OUTPUTS);
    several
        .functions
        .push(text::parse(&DEFAULTS.replace("func main", "func second")).unwrap());
    let cases = [
        ("names", program(NAMES), WriteOptions::default()),
        ("outputs", program(OUTPUTS), WriteOptions::default()),
        ("types", program(TYPES), WriteOptions::default()),
        ("f16", program(PRECISION), with(Precision::Float16, None)),
        ("defaults", program(DEFAULTS), with(Precision::AsIs, None)),
        (
            "defaults26",
            program(DEFAULTS),
            with(Precision::Float16, Some(Target::Ios26)),
        ),
        ("several", several, WriteOptions::default()),
    ];
    for (name, source, options) in cases {
        let path = folder.path().join(format!("{name}.mlpackage"));
        coreml::write(&source, &path, &options).unwrap();
        check(&path);
    }
}
