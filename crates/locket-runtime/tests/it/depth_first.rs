//! Chains that run strip by strip give the bits that whole tensors give, in less memory.

use locket_kernels::Isa;
use locket_runtime::{Plan, PlanOptions, Session, plan};
use locket_tensor::Tensor;

use crate::models::{function, input, predict};

/// A first convolution, a depthwise one and a projection, of one kernel, stride and size.
fn inverted_residual(kernel: usize, stride: usize, height: usize, pad: &str, dilation: usize) -> String {
    let width = 61;
    let span = (kernel - 1) * dilation + 1;
    let out = |size: usize| match pad {
        "same" => size.div_ceil(stride),
        _ => (size - span) / stride + 1,
    };
    let (h, w) = (out(height), out(width));
    let residual = if (h, w) == (height, width) {
        ", residual=%x"
    } else {
        ""
    };
    format!(
        r#"func main opset ios15 (%x: fp32[1, 16, {height}, {width}]) -> (y: %y) {{
  %w1: fp32[96, 16, 1, 1] = ramp(-0.4, 0.05)
  %b1: fp32[96] = ramp(-0.2, 0.03)
  %a: fp32[1, 96, {height}, {width}] = locket.conv(x=%x, weight=%w1, bias=%b1, clamp_min=0.0, clamp_max=6.0) "expand"
  %w2: fp32[96, 1, {kernel}, {kernel}] = ramp(-0.3, 0.04)
  %b: fp32[1, 96, {h}, {w}] = conv(x=%a, weight=%w2, pad_type="{pad}", strides=[{stride}, {stride}], dilations=[{dilation}, {dilation}], groups=96) "depthwise"
  %w3: fp32[16, 96, 1, 1] = ramp(-0.3, 0.04)
  %y: fp32[1, 16, {h}, {w}] = locket.conv(x=%b, weight=%w3{residual}) "project"
}}"#
    )
}

/// The same on integers, after a first layer of three channels.
const INTEGERS: &str = r#"
func main opset ios17 (%f: fp32[1, 3, 127, 131]) -> (y: %y) {
  %z: uint8[] = [117]
  %x: uint8[1, 3, 127, 131] = quantize(input=%f, zero_point=%z, scale=0.0078, output_dtype="uint8")
  %w1: int8[128, 3, 3, 3] = ramp(-120, 15)
  %b1: int32[128] = ramp(-300, 50)
  %m1: fp32[128] = ramp(0.0007, 0.0001)
  %a: uint8[1, 128, 64, 66] = locket.conv_u8(x=%x, weight=%w1, bias=%b1, x_zero_point=117, multiplier=%m1, y_zero_point=11, strides=[2, 2], pad_type="same", output_dtype="uint8") "stem"
  %w2: int8[128, 1, 5, 5] = ramp(-120, 15)
  %b2: int32[128] = ramp(-300, 50)
  %m2: fp32[128] = ramp(0.0001, 0.0001)
  %b: uint8[1, 128, 64, 66] = locket.conv_u8(x=%a, weight=%w2, bias=%b2, x_zero_point=11, multiplier=%m2, pad_type="same", groups=128, output_dtype="uint8") "depthwise"
  %w3: int8[24, 128, 1, 1] = ramp(-120, 15)
  %b3: int32[24] = ramp(-300, 50)
  %m3: fp32[24] = ramp(0.0007, 0.0001)
  %y: fp32[1, 24, 64, 66] = locket.conv_u8(x=%b, weight=%w3, bias=%b3, x_zero_point=0, multiplier=%m3, output_dtype="fp32") "project"
}"#;

fn planned(text: &str, isa: Isa, threads: usize, depth_first: bool) -> Plan {
    let options = PlanOptions {
        isa,
        threads,
        lean: false,
        precision: locket_runtime::Precision::Float32,
        depth_first,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    };
    plan(&function(text), options).unwrap()
}

fn outputs(plan: Plan, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut session = Session::new(plan).unwrap();
    // A second prediction finds the strips of the first.
    predict(&mut session, inputs);
    predict(&mut session, inputs)
}

fn assert_same(text: &str, isa: Isa) {
    let inputs = [input(&function(text), 0)];
    let whole = planned(text, isa, 1, false);
    let whole_bytes = whole.arena_bytes + whole.scratch_bytes;
    let expected = outputs(whole, &inputs);
    for threads in [1, 2, 3] {
        let strips = planned(text, isa, threads, true);
        let last = strips.steps.last().unwrap();
        assert_eq!(last.kind, "locket.depth_first_3", "{text}");
        assert_eq!(last.origin.last().unwrap(), "project");
        if threads == 1 {
            let bytes = strips.arena_bytes + strips.scratch_bytes;
            assert!(bytes < whole_bytes * 3 / 4, "{bytes} of {whole_bytes}: {text}");
        }
        assert!(
            outputs(strips, &inputs) == expected,
            "{threads} threads, {isa}: {text}"
        );
    }
}

#[test]
fn strips_give_the_bits_of_whole_tensors() {
    for isa in Isa::available() {
        for (kernel, stride, height, pad, dilation) in [
            (3, 1, 56, "same", 1),
            (3, 2, 57, "same", 1),
            (5, 1, 50, "same", 1),
            (5, 2, 47, "valid", 1),
            (3, 3, 49, "valid", 1),
            (3, 1, 44, "same", 3),
            (3, 1, 21, "same", 1),
        ] {
            assert_same(&inverted_residual(kernel, stride, height, pad, dilation), isa);
        }
        assert_same(INTEGERS, isa);
    }
}

#[test]
fn what_somebody_else_reads_stays_whole() {
    let text = inverted_residual(3, 1, 56, "same", 1).replace("(y: %y)", "(y: %y, a: %a)");
    let plan = planned(&text, Isa::best(), 1, true);
    let kinds: Vec<&str> = plan.steps.iter().map(|step| &*step.kind).collect();
    // The second tensor is still nobody else's, and large enough.
    assert_eq!(kinds, ["locket.conv", "locket.depth_first_2"]);
}

#[test]
fn small_tensors_stay_whole() {
    let text = inverted_residual(3, 1, 9, "same", 1);
    let plan = planned(&text, Isa::best(), 1, true);
    assert_eq!(plan.steps.len(), 3);
}
