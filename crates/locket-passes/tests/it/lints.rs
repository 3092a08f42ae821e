//! Each lint on a function that it is made for.

use expect_test::{Expect, expect};
use locket_mil::{Diagnostic, Program, Severity, SourceFormat, Target, text};
use locket_passes::{LINTS, LintOptions, lint_with, lowest_target};

pub(crate) fn program(source: &str) -> Program {
    let function = text::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    Program::new(function, SourceFormat::Memory)
}

pub(crate) fn said(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let severity = format!("{:?}", diagnostic.severity).to_lowercase();
        text.push_str(&format!(
            "{} {severity} {}: {}\n",
            diagnostic.code, diagnostic.node, diagnostic.message
        ));
        if let Some(what) = &diagnostic.rewritten_to {
            text.push_str(&format!("  becomes {what}\n"));
        }
        text.push_str(&format!("  {}\n  help: {}\n", diagnostic.why, diagnostic.help));
        if let Some(target) = diagnostic.works_from {
            text.push_str(&format!("  works from {target}\n"));
        }
    }
    text
}

/// Findings of the lints with these codes, for iOS 18 in fp32.
fn check(codes: &[&str], source: &str, expected: &Expect) {
    let options = LintOptions {
        target: Target::Ios18,
        half: false,
    };
    check_with(options, codes, source, expected);
}

pub(crate) fn check_with(options: LintOptions, codes: &[&str], source: &str, expected: &Expect) {
    let mut findings = lint_with(&program(source), options);
    findings.retain(|finding| codes.contains(&finding.code));
    assert!(!findings.is_empty(), "no finding of {codes:?}");
    expected.assert_eq(&said(&findings));
}

const HALF: LintOptions = LintOptions {
    target: Target::Ios18,
    half: true,
};

pub(crate) const CLEAN: &str = "func main opset ios16 (%x: fp32[1, 3, 4, 4]) -> (y: %y) {
  %w: fp32[4, 3, 1, 1] = ramp(-0.9, 0.13)
  %h: fp32[1, 4, 4, 4] = conv(x=%x, weight=%w) \"conv\"
  %y: fp32[1, 4, 4, 4] = relu(x=%h) \"relu\"
}";

#[test]
fn a_clean_program_has_no_findings() {
    for half in [false, true] {
        let options = LintOptions {
            target: Target::Ios15,
            half,
        };
        assert_eq!(said(&lint_with(&program(CLEAN), options)), "");
    }
    assert_eq!(lowest_target(program(CLEAN).main()), Ok(Target::Ios15));
}

#[test]
fn codes_are_unique_and_every_lint_says_what_to_do() {
    for (position, lint) in LINTS.iter().enumerate() {
        assert!(
            LINTS[..position]
                .iter()
                .all(|other| other.code < lint.code && other.name != lint.name)
        );
        assert!(
            !lint.why.is_empty() && !lint.help.is_empty() && !lint.why.ends_with('.'),
            "{}",
            lint.code
        );
    }
}

#[test]
fn worst_findings_come_first() {
    let source = "func main opset ios16 (%x/0: fp32[4], %u: fp32[4]) -> (y: %y) {
  %y: ? = onnx.NonZero(x=%x/0) \"where\"
}";
    let findings = lint_with(&program(source), HALF);
    let severities: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Note]);
}

#[test]
fn foreign_operator() {
    let source = r#"func main opset ios16 (%x: fp32[4]) -> (y: %y, z: %z) {
  %y: ? = onnx.NonZero(x=%x) "where"
  %z: ? = onnx.NonZero(x=%x) "where2"
}"#;
    check(
        &["LK0101"],
        source,
        &expect![[r#"
        LK0101 error where: onnx.NonZero is not expressed in MIL (and in where2)
          Core ML's operator set is fixed: what is not in it cannot be deployed
          help: replace the operator in the model before exporting, or cut it off and compute it in the app
    "#]],
    );
}

#[test]
fn internal_operator() {
    let source = r#"func main opset ios16 (%x: fp32[1, 3, 4, 4]) -> (y: %y) {
  %w: fp32[4, 3, 1, 1] = ramp(-0.9, 0.13)
  %y: fp32[1, 4, 4, 4] = locket.conv(x=%x, weight=%w) "conv"
}"#;
    check(
        &["LK0103"],
        source,
        &expect![[r#"
        LK0103 error conv: locket.conv is internal to Locket
          operators named locket.* are made by passes for this runtime and mean nothing to Core ML
          help: start from the program as it was read, before it was lowered
    "#]],
    );
}

#[test]
fn unknown_operator() {
    let source = r#"func main opset ios16 (%x: fp32[4]) -> (y: %y) {
  %y: fp32[4] = frobnicate(x=%x) "odd"
}"#;
    check(
        &["LK0104"],
        source,
        &expect![[r#"
        LK0104 warning odd: frobnicate is not among the operators that Locket knows
          Locket does not know this operator, so it can neither run it nor check it, and nothing can be said about speed or accuracy
          help: if it is an operator of MIL, the package can still be written; test it on a device
    "#]],
    );
}

#[test]
fn broken_operation() {
    let source = r#"func main opset ios16 (%x: fp32[1, 3, 4, 4]) -> (y: %y, z: %z) {
  %w: fp32[4, 2, 1, 1] = ramp(-0.9, 0.13)
  %y: fp32[1, 4, 4, 4] = conv(x=%x, weight=%w) "conv"
  %z: fp32[1, 3, 4, 5] = relu(x=%x) "relu"
}"#;
    check(
        &["LK0105"],
        source,
        &expect![[r#"
        LK0105 error conv: conv: parameter groups: 1 groups of weight [4, 2, 1, 1] do not fit 3 input channels
          the operation breaks the rules of its operator and would be refused on loading
          help: check how the model was exported
        LK0105 error relu: relu: its result is declared fp32[1, 3, 4, 5], but is fp32[1, 3, 4, 4]
          the operation breaks the rules of its operator and would be refused on loading
          help: check how the model was exported
    "#]],
    );
}

#[test]
fn too_many_axes() {
    let source = r#"func main opset ios16 (%x: fp32[1, 2, 1, 2, 1, 2]) -> (y: %y) {
  %y: fp32[1, 2, 1, 2, 1, 2] = relu(x=%x) "relu"
}"#;
    check(
        &["LK0106"],
        source,
        &expect![[r#"
        LK0106 error relu: relu has a tensor of 6 axes
          Core ML computes tensors of at most five axes
          help: reshape before the operation so that axes are merged
    "#]],
    );
}

#[test]
fn interface_type() {
    let source = r#"func main opset ios17 (%a: uint8[4], %b: int64[4], %c: bool[4], %d: int32[4]) -> (e: %e, f: %f) {
  %e: uint8[4] = identity(x=%a) "e"
  %f: bool[4] = logical_not(x=%c) "f"
}"#;
    check(
        &["LK0111"],
        source,
        &expect![[r#"
        LK0111 error b: the input is int64
          Core ML hands over arrays of fp32, fp16 (from iOS 16), int32 and int8 (from iOS 26) only
          help: cast it to float32 or int32 in the model before exporting
        LK0111 warning a: the input is uint8
          becomes int32, with a cast behind it
          Core ML hands over arrays of fp32, fp16 (from iOS 16), int32 and int8 (from iOS 26) only
          help: hand over the type that it becomes, or change the model's interface
        LK0111 warning c: the input is bool
          becomes int32, with a cast behind it
          Core ML hands over arrays of fp32, fp16 (from iOS 16), int32 and int8 (from iOS 26) only
          help: hand over the type that it becomes, or change the model's interface
        LK0111 warning e: the output is uint8
          becomes int32, with a cast before it
          Core ML hands over arrays of fp32, fp16 (from iOS 16), int32 and int8 (from iOS 26) only
          help: hand over the type that it becomes, or change the model's interface
        LK0111 warning f: the output is bool
          becomes int32, with a cast before it
          Core ML hands over arrays of fp32, fp16 (from iOS 16), int32 and int8 (from iOS 26) only
          help: hand over the type that it becomes, or change the model's interface
    "#]],
    );
}

#[test]
fn interface_name() {
    let source = r#"func main opset ios16 (%"input.1:0": fp32[4]) -> (495: %y) {
  %y: fp32[4] = relu(x=%"input.1:0") "relu"
}"#;
    check(
        &["LK0112"],
        source,
        &expect![[r#"
        LK0112 note input.1:0: the name of the input is no identifier
          becomes input_1_0
          names in a package are letters, digits, underscores and @, so the app has to use another name than the model's
          help: use the new name in the app, or rename it in the model
        LK0112 note 495: the name of the output is no identifier
          becomes _495
          names in a package are letters, digits, underscores and @, so the app has to use another name than the model's
          help: use the new name in the app, or rename it in the model
    "#]],
    );
}

#[test]
fn unused_input() {
    let source = r#"func main opset ios16 (%x: fp32[4], %mask: fp32[4]) -> (y: %y) {
  %y: fp32[4] = relu(x=%x) "relu"
}"#;
    check(
        &["LK0113"],
        source,
        &expect![[r#"
        LK0113 warning mask: no result depends on this input of fp32[4]
          every caller has to supply it, and it costs memory, for nothing
          help: remove the input from the model
    "#]],
    );
}

#[test]
fn constant_output() {
    let source = r#"func main opset ios16 (%x: fp32[4]) -> (y: %y, shape: %s) {
  %y: fp32[4] = relu(x=%x) "relu"
  %c: fp32[2] = [1.0, 4.0]
  %s: fp32[2] = square(x=%c) "square"
}"#;
    check(
        &["LK0114"],
        source,
        &expect![[r#"
        LK0114 note shape: the output depends on no input
          it is the same whatever comes in
          help: remove the output from the model, or check whether a part of it was lost in the export
    "#]],
    );
}

#[test]
fn not_finite() {
    let source = r#"func main opset ios16 (%x: fp32[1, 3]) -> (y: %y, z: %z) {
  %w: fp32[2, 3] = [1.0, NaN, 2.0, 3.0, inf, 0.0]
  %b: fp32[2] = [1.0, -inf]
  %y: fp32[1, 2] = linear(x=%x, weight=%w, bias=%b) "dense"
  %mask: fp32[3] = [0.0, 0.0, -inf]
  %z: fp32[1, 3] = add(x=%x, y=%mask) "mask"
}"#;
    check(
        &["LK0122"],
        source,
        &expect![[r#"
        LK0122 error dense: weight holds 1 NaN among 6 numbers
          one such number in a weight makes all results that depend on it meaningless
          help: check the training run and the export; the file may be damaged
        LK0122 error dense: bias holds 1 infinite numbers among 2
          one such number in a weight makes all results that depend on it meaningless
          help: check the training run and the export; the file may be damaged
    "#]],
    );
}

#[test]
fn depthwise_per_tensor() {
    let source = r#"func main opset ios17 (%x: fp32[1, 4, 4, 4]) -> (y: %y) {
  %q: int8[4, 1, 3, 3] = ramp(-90.0, 13.0)
  %z: int8[] = [0]
  %w: fp32[4, 1, 3, 3] = constexpr_affine_dequantize(quantized_data=%q, zero_point=%z, scale=0.1, axis=0) "w"
  %y: fp32[1, 4, 2, 2] = conv(x=%x, weight=%w, groups=4) "depthwise"
}"#;
    check(
        &["LK0131"],
        source,
        &expect![[r#"
            LK0131 warning depthwise: a depthwise weight is quantised with one scale for all channels
              channels of a depthwise layer differ widely in range, so one scale for all leaves small channels few steps: a known cause of lost accuracy
              help: quantise its weight per channel
        "#]],
    );
}

#[test]
fn channel_spread() {
    let source = r#"func main opset ios16 (%x: fp32[1, 2]) -> (y: %y) {
  %w: fp32[4, 2] = [1.0, -2.0, 0.01, 0.0, 0.0, 0.0, 1e-9, 0.0]
  %y: fp32[1, 4] = linear(x=%x, weight=%w) "dense"
}"#;
    check(
        &["LK0132"],
        source,
        &expect![[r#"
        LK0132 warning dense: channel ranges lie 200 times apart: 1.000e-2 in channel 1, 2.000e0 in channel 0
          with one scale for the whole weight, the channels of small range would be left with next to no steps
          help: quantise this layer per channel, or equalise its channels with those of the next layer
    "#]],
    );
}

#[test]
fn idle_clamp() {
    let source = r#"func main opset ios16 (%x: fp32[1, 2]) -> (y: %y) {
  %s: fp32[1, 2] = sigmoid(x=%x) "sigmoid"
  %y: fp32[1, 2] = relu(x=%s) "relu"
}"#;
    check(
        &["LK0133"],
        source,
        &expect![[r#"
        LK0133 note relu: relu clips nothing
          becomes nothing: it is removed
          the clamp changes nothing: what comes in already keeps its bounds
          help: remove it from the model, or check whether other bounds were meant
    "#]],
    );
}

#[test]
fn stays_float() {
    let source = r#"func main opset ios17 (%x: uint8[1, 2]) -> (y: %y, z: %z) {
  %zx: uint8[] = [128]
  %d: fp32[1, 2] = dequantize(input=%x, zero_point=%zx, scale=0.05) "in"
  %w: fp32[2, 2] = [0.5, 1.0, -0.25, 0.75]
  %h: fp32[1, 2] = linear(x=%d, weight=%w) "dense"
  %y: uint8[1, 2] = quantize(input=%h, zero_point=%zx, scale=0.05, output_dtype="uint8") "out"
  %s: fp32[1, 2] = softmax(x=%d, axis=1) "softmax"
  %z: uint8[1, 2] = quantize(input=%s, zero_point=%zx, scale=0.004, output_dtype="uint8") "out2"
}"#;
    check(
        &["LK0134"],
        source,
        &expect![[r#"
        LK0134 warning dense: linear stays float: its weight is not quantised
          the operation runs on floats between a dequantisation and a quantisation, which is slower and larger than on integers
          help: see the reason in the message
        LK0134 note softmax: softmax stays float: no integer form of this operator is known
          the operation runs on floats between a dequantisation and a quantisation, which is slower and larger than on integers
          help: see the reason in the message
    "#]],
    );
}

#[test]
fn duplicate_weight() {
    let source = r#"func main opset ios16 (%x: fp32[1, 16]) -> (y: %y) {
  %w1: fp32[16, 16] = ramp(-0.9, 0.13)
  %h: fp32[1, 16] = linear(x=%x, weight=%w1) "first"
  %w2: fp32[16, 16] = ramp(-0.9, 0.13)
  %y: fp32[1, 16] = linear(x=%h, weight=%w2) "second"
}"#;
    check(
        &["LK0141"],
        source,
        &expect![[r#"
        LK0141 note w1: w2 holds the same numbers; sharing them saves 1.0 kB
          the file holds the same bytes more than once
          help: share the weight in the model; packages that Locket writes hold it once
    "#]],
    );
}

#[test]
fn unfolded_batch_norm() {
    let source = r#"func main opset ios16 (%x: fp32[1, 2, 3, 3]) -> (y: %y, z: %z, h: %h) {
  %m: fp32[2] = [0.5, 1.0]
  %v: fp32[2] = [1.0, 2.0]
  %y: fp32[1, 2, 3, 3] = batch_norm(x=%x, mean=%m, variance=%v) "first"
  %w: fp32[2, 2, 1, 1] = [0.5, 1.0, -0.25, 0.75]
  %h: fp32[1, 2, 3, 3] = conv(x=%x, weight=%w) "conv"
  %z: fp32[1, 2, 3, 3] = batch_norm(x=%h, mean=%m, variance=%v) "second"
}"#;
    check(
        &["LK0142"],
        source,
        &expect![[r#"
        LK0142 warning first: batch_norm is not folded: no convolution makes its operand
          a batch norm that cannot be folded into a convolution costs a pass over its whole operand
          help: see the reason in the message
        LK0142 warning second: batch_norm is not folded: the layer before it has other readers
          a batch norm that cannot be folded into a convolution costs a pass over its whole operand
          help: see the reason in the message
    "#]],
    );
}

#[test]
fn transposes() {
    let source = r#"func main opset ios16 (%x: fp32[1, 4, 4, 3]) -> (y: %y, z: %z) {
  %t: fp32[1, 3, 4, 4] = transpose(x=%x, perm=[0, 3, 1, 2]) "to channels first"
  %w: fp32[8, 3, 1, 1] = ramp(-0.9, 0.13)
  %h: fp32[1, 8, 4, 4] = conv(x=%t, weight=%w) "conv"
  %y: fp32[1, 4, 4, 8] = transpose(x=%h, perm=[0, 2, 3, 1]) "back"
  %m: fp32[1, 8, 1, 1] = reduce_mean(x=%h, axes=[2, 3], keep_dims=true) "mean"
  %z: fp32[1, 1, 1, 8] = transpose(x=%m, perm=[0, 2, 3, 1]) "moves nothing"
}"#;
    check(
        &["LK0143"],
        source,
        &expect![[r#"
        LK0143 warning back: 2 transposes move 704 bytes in each prediction; this one is the largest, with 512 bytes
          a transpose computes nothing and reads and writes its whole operand
          help: export the model in channels-first layout, or reorder the operations around it
    "#]],
    );
}

#[test]
fn half_range() {
    let source = r#"func main opset ios16 (%x: fp32[1, 3]) -> (y: %y) {
  %w: fp32[2, 3] = [1.0, 70000.0, 65504.0, -1e6, 1e-9, 0.0]
  %h: fp32[1, 2] = linear(x=%x, weight=%w) "dense"
  %y: fp32[1, 2] = maximum(x=%h, y=-1e9) "largest"
}"#;
    check_with(
        HALF,
        &["LK0123", "LK0124"],
        source,
        &expect![[r#"
            LK0123 warning dense: weight holds 2 numbers beyond the range of fp16, up to -1e6
              fp16 ends at 65504: beyond that a number becomes infinite, and what is computed from it with it
              help: keep the program in fp32, or scale the weight and undo the scale after the operation
            LK0123 warning largest: y holds 1 number beyond the range of fp16, up to -1e9
              fp16 ends at 65504: beyond that a number becomes infinite, and what is computed from it with it
              help: keep the program in fp32, or scale the weight and undo the scale after the operation
            LK0124 note dense: weight holds 1 of 6 numbers that become 0 in fp16
              numbers below 2^-25 become 0 in fp16
              help: nothing if the layer is robust, as most are; else keep the program in fp32
        "#]],
    );
}

#[test]
fn half_sum() {
    let source = r#"func main opset ios16 (%x: fp32[2, 4096]) -> (y: %y, z: %z, s: %s) {
  %y: fp32[2] = reduce_mean(x=%x, axes=[1], keep_dims=false) "mean"
  %z: fp32[2, 4096] = softmax(x=%x, axis=-1) "softmax"
  %s: fp32[4096] = reduce_sum(x=%x, axes=[0], keep_dims=false) "short"
}"#;
    check_with(
        HALF,
        &["LK0125"],
        source,
        &expect![[r#"
        LK0125 warning mean: reduce_mean sums 4096 numbers in fp16
          fp16 has 11 significant bits: a running sum of 2048 equal numbers no longer grows
          help: keep this operation in fp32, or reduce in two steps
        LK0125 warning softmax: softmax sums 4096 numbers in fp16
          fp16 has 11 significant bits: a running sum of 2048 equal numbers no longer grows
          help: keep this operation in fp32, or reduce in two steps
    "#]],
    );
}

#[test]
fn wide_constant() {
    let source = r#"func main opset ios16 (%x: fp32[2]) -> (y: %y) {
  %d: fp64[2] = [1.0, 2.0]
  %a: fp32[2] = cast(x=%d, dtype="fp32") "a"
  %i: int64[2] = [3000000000, 1]
  %b: fp32[2] = cast(x=%i, dtype="fp32") "b"
  %c: fp32[2] = mul(x=%a, y=%b) "c"
  %y: fp32[2] = add(x=%x, y=%c) "y"
}"#;
    check(
        &["LK0121"],
        source,
        &expect![[r#"
        LK0121 error i: a constant of int64 holds 3000000000, which int32 cannot
          Core ML computes in fp16, fp32 and int32: wider constants are narrowed
          help: keep the numbers within the range of int32
        LK0121 warning d: a constant of fp64
          becomes fp32
          Core ML computes in fp16, fp32 and int32: wider constants are narrowed
          help: export the model in float32 and int32
    "#]],
    );
}

#[test]
fn slow_operator() {
    // int32 arithmetic has no kernel.
    let source = r#"func main opset ios16 (%x: int32[2, 3]) -> (y: %y, z: %z) {
  %y: int32[2] = reduce_sum(x=%x, axes=[1], keep_dims=false) "sum"
  %z: int32[3, 2] = transpose(x=%x, perm=[1, 0]) "transpose"
}"#;
    check(
        &["LK0144"],
        source,
        &expect![[r#"
        LK0144 warning sum: reduce_sum of int32 runs by its reference
          Locket's runtime has no kernel for this form and runs the reference, which is slow and allocates
          help: nothing for deployment with Core ML; for Locket's runtime use another form of the operator
    "#]],
    );
}
