//! Tests of the lowering on models made in memory: what each form becomes, and that broken bytes are errors.

use expect_test::{Expect, expect};
use locket_mil::{text, verify};
use prost::Message;

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetId, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::{Import, ReadOptions, read_bytes};
use crate::FormatError;
use crate::limits::Limits;

/// A model under construction; all its tensors are float32 unless said otherwise.
struct Sample {
    opset: i64,
    graph: GraphProto,
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim| match dim {
        -1 => DimensionProto {
            dim_value: None,
            dim_param: Some("N".to_owned()),
        },
        dim => DimensionProto {
            dim_value: Some(dim),
            dim_param: None,
        },
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let tensor_type = Some(TensorTypeProto {
        elem_type: Some(1),
        shape,
    });
    ValueInfoProto {
        name: Some(name.to_owned()),
        value_type: Some(TypeProto { tensor_type }),
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        kind: Some(2),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let ints = values.to_vec();
    AttributeProto {
        name: Some(name.to_owned()),
        ints,
        kind: Some(7),
        ..AttributeProto::default()
    }
}

fn text_attribute(name: &str, value: &'static str) -> AttributeProto {
    let s = Some(value.as_bytes().into());
    AttributeProto {
        name: Some(name.to_owned()),
        s,
        kind: Some(3),
        ..AttributeProto::default()
    }
}

impl Sample {
    fn new(inputs: &[(&str, &[i64])]) -> Self {
        let input = inputs.iter().map(|(name, dims)| value(name, dims)).collect();
        Self {
            opset: 13,
            graph: GraphProto {
                input,
                ..GraphProto::default()
            },
        }
    }

    fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(1),
            float_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn longs(mut self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(7),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn bytes(mut self, name: &str, dims: &[i64], values: &[i32]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(3),
            int32_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: list(inputs),
            output: list(outputs),
            op_type: Some(op.to_owned()),
            attribute: attributes.to_vec(),
            ..NodeProto::default()
        });
        self
    }

    fn encode(mut self, outputs: &[&str]) -> Vec<u8> {
        let output = |&name: &&str| ValueInfoProto {
            name: Some(name.to_owned()),
            value_type: None,
        };
        self.graph.output = outputs.iter().map(output).collect();
        let opset = OperatorSetId {
            domain: None,
            version: Some(self.opset),
        };
        let model = ModelProto {
            ir_version: Some(8),
            graph: Some(self.graph),
            opset_import: vec![opset],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    fn read(self, outputs: &[&str]) -> Result<Import, FormatError> {
        read_bytes(&self.encode(outputs), &ReadOptions::default(), &Limits::small())
    }

    /// Compares the program's text, and its findings, with what is expected.
    fn check(self, outputs: &[&str], expected: &Expect) {
        let import = self.read(outputs).unwrap();
        verify(import.program.main()).unwrap();
        let mut shown = text::print(import.program.main(), 64);
        for finding in &import.diagnostics {
            shown.push_str(&format!(
                "{} {:?} {}: {}\n",
                finding.code, finding.severity, finding.node, finding.message
            ));
        }
        expected.assert_eq(&shown);
    }
}

#[test]
fn convolution_padding_is_written_out() {
    let sample = Sample::new(&[("x", &[-1, 2, 5, 5])])
        .floats("w", &[2, 1, 3, 3], &[0.5; 18])
        .floats("b", &[2], &[1.0, 2.0]);
    let attributes = [
        int("group", 2),
        ints("strides", &[2, 2]),
        text_attribute("auto_pad", "SAME_UPPER"),
    ];
    sample.node("Conv", &["x", "w", "b"], &["y"], &attributes).check(&["y"], &expect![[r#"
        func main opset ios15 (%x: fp32[1, 2, 5, 5]) -> (y: %y) {
          %w: fp32[2, 1, 3, 3] = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
          %y: fp32[1, 2, 3, 3] = conv(x=%x, weight=%w, bias=[1.0, 2.0], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1], dilations=[1, 1], groups=2) "y"
        }
    "#]]);
}

#[test]
fn shape_arithmetic_of_exporters_folds() {
    Sample::new(&[("x", &[-1, 2, 4])])
        .longs("zero", &[], &[0])
        .longs("open", &[1], &[-1])
        .longs("axis", &[1], &[0])
        .node("Shape", &["x"], &["shape"], &[])
        .node("Gather", &["shape", "zero"], &["batch"], &[int("axis", 0)])
        .node("Unsqueeze", &["batch", "axis"], &["batch_list"], &[])
        .node("Concat", &["batch_list", "open"], &["target"], &[int("axis", 0)])
        .node("Reshape", &["x", "target"], &["y"], &[])
        .check(
            &["y"],
            &expect![[r#"
            func main opset ios15 (%x: fp32[1, 2, 4]) -> (y: %y) {
              %y: fp32[1, 8] = reshape(x=%x, shape=[1, 8]) "y"
            }
        "#]],
        );
}

#[test]
fn clip_becomes_the_narrowest_operator() {
    let kinds = |low: &[f32], high: &[f32]| {
        let mut sample = Sample::new(&[("x", &[1, 3])]);
        let mut inputs = vec!["x", "", ""];
        if !low.is_empty() {
            (sample, inputs[1]) = (sample.floats("low", &[], low), "low");
        }
        if !high.is_empty() {
            (sample, inputs[2]) = (sample.floats("high", &[], high), "high");
        }
        let import = sample.node("Clip", &inputs, &["y"], &[]).read(&["y"]).unwrap();
        let kinds: Vec<String> = import
            .program
            .main()
            .operations
            .iter()
            .map(|op| op.kind.to_string())
            .collect();
        kinds.join(" ")
    };
    assert_eq!(kinds(&[0.0], &[6.0]), "relu6");
    assert_eq!(kinds(&[0.0], &[]), "relu");
    assert_eq!(kinds(&[0.0], &[f32::MAX]), "relu");
    assert_eq!(kinds(&[-1.0], &[1.0]), "clip");
    assert_eq!(kinds(&[], &[1.0]), "minimum");
    assert_eq!(kinds(&[2.0], &[1.0]), "maximum minimum");
    assert_eq!(kinds(&[], &[]), "identity");
}

#[test]
fn quantised_weights_keep_their_codes() {
    Sample::new(&[("x", &[1, 2])])
        .bytes("codes", &[2, 3], &[1, 2, 3, 4, 5, 6])
        .floats("scales", &[3], &[0.5, 0.25, 0.125])
        .bytes("zeros", &[3], &[0, 0, 0])
        .node("DequantizeLinear", &["codes", "scales", "zeros"], &["w"], &[int("axis", 1)])
        .node("MatMul", &["x", "w"], &["y"], &[])
        .check(&["y"], &expect![[r#"
            func main opset ios16 (%x: fp32[1, 2]) -> (y: %y) {
              %w_quantized_data: int8[3, 2] = [1, 4, 2, 5, 3, 6]
              %w_zero_point: int8[3] = [0, 0, 0]
              %w: fp32[3, 2] = constexpr_affine_dequantize(quantized_data=%w_quantized_data, zero_point=%w_zero_point, scale=[0.5, 0.25, 0.125], axis=0) "w"
              %y: fp32[1, 3] = linear(x=%x, weight=%w) "y"
            }
        "#]]);
}

#[test]
fn gemm_folds_its_factors_into_constants() {
    let beta = AttributeProto {
        name: Some("beta".to_owned()),
        f: Some(0.5),
        kind: Some(1),
        ..AttributeProto::default()
    };
    Sample::new(&[("x", &[-1, 2])])
        .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .floats("c", &[1, 2], &[10.0, 20.0])
        .node("Gemm", &["x", "w", "c"], &["y"], &[beta])
        .check(
            &["y"],
            &expect![[r#"
            func main opset ios15 (%x: fp32[1, 2]) -> (y: %y) {
              %w: fp32[2, 2] = [1.0, 3.0, 2.0, 4.0]
              %y: fp32[1, 2] = linear(x=%x, weight=%w, bias=[5.0, 10.0]) "y"
            }
        "#]],
        );
}

#[test]
fn softmax_before_opset_13_flattens() {
    let mut sample = Sample::new(&[("x", &[2, 3, 4])]);
    sample.opset = 11;
    sample.node("Softmax", &["x"], &["y"], &[int("axis", 1)]).check(
        &["y"],
        &expect![[r#"
        func main opset ios15 (%x: fp32[2, 3, 4]) -> (y: %y) {
          %y_flat: fp32[2, 12] = reshape(x=%x, shape=[2, 12]) "y"
          %y_rows: fp32[2, 12] = softmax(x=%y_flat, axis=1) "y"
          %y: fp32[2, 3, 4] = reshape(x=%y_rows, shape=[2, 3, 4]) "y"
        }
    "#]],
    );
}

#[test]
fn what_cannot_be_lowered_stays_and_is_reported_once() {
    Sample::new(&[("x", &[1, 3])])
        .node("NonZero", &["x"], &["where"], &[])
        .node("Relu", &["where"], &["later"], &[])
        .node("MadeUp", &["later", "x"], &["end"], &[])
        .node("Identity", &["x"], &["same"], &[])
        .check(
            &["end", "same"],
            &expect![[r#"
            func main opset ios15 (%x: fp32[1, 3]) -> (end: %end, same: %same) {
              %where: ? = onnx.NonZero(values=(%x)) "where"
              %later: ? = onnx.Relu(values=(%where)) "later"
              %end: ? = onnx.MadeUp(values=(%later, %x)) "end"
              %same: fp32[1, 3] = identity(x=%x) "same"
            }
            LK1001 Error where: NonZero: no lowering to MIL
            LK1001 Error end: MadeUp: no lowering to MIL
        "#]],
        );
}

#[test]
fn open_dimensions_are_bound_or_reported() {
    let sample = || {
        Sample::new(&[("x", &[4, -1])])
            .node("Relu", &["x"], &["y"], &[])
            .encode(&["y"])
    };
    let shape_and_findings = |options: &ReadOptions| {
        let import = read_bytes(&sample(), options, &Limits::small()).unwrap();
        let main = import.program.main();
        (main.ty(main.inputs[0]).to_string(), import.diagnostics.len())
    };
    let mut options = ReadOptions::default();
    assert_eq!(shape_and_findings(&options), ("fp32[4, 1]".to_owned(), 1));
    options.symbols.insert("N".to_owned(), 7);
    assert_eq!(shape_and_findings(&options), ("fp32[4, 7]".to_owned(), 0));
    options.shapes.insert("x".to_owned(), vec![2, 2]);
    assert_eq!(shape_and_findings(&options), ("fp32[2, 2]".to_owned(), 0));
}

#[test]
fn contradictions_are_errors_with_a_place() {
    let relu = |name: &str| Sample::new(&[("x", &[1, 3])]).node("Relu", &[name], &["y"], &[]);
    let cases: [(Sample, &[&str], &str); 6] = [
        (
            relu("nowhere"),
            &["y"],
            "node y (Relu): expected inputs that are defined before the node, found \"nowhere\"",
        ),
        (
            relu("x"),
            &["z"],
            "the graph: expected a definition of each output, found none of \"z\"",
        ),
        (
            relu("x"),
            &[],
            "the graph: expected at least one output, found none",
        ),
        (
            relu("x").node("Relu", &["x"], &["y"], &[]),
            &["y"],
            "found \"y\" a second time",
        ),
        (
            relu("x").node("Concat", &["x", "y"], &["z"], &[]),
            &["z"],
            "node z (Concat): expected attribute axis, found none",
        ),
        (
            relu("x")
                .longs("s", &[2], &[2, 2])
                .node("Reshape", &["x", "s"], &["z"], &[]),
            &["z"],
            "node z (Reshape): expected a shape of as many elements as [1, 3], found [2, 2]",
        ),
    ];
    for (sample, outputs, expected) in cases {
        let message = sample.read(outputs).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// A model that uses operands and attributes of many kinds.
fn varied() -> Vec<u8> {
    Sample::new(&[("x", &[-1, 2, 6, 6])])
        .floats("w", &[4, 2, 3, 3], &[0.25; 72])
        .floats("slope", &[4, 1, 1], &[0.1; 4])
        .longs("target", &[2], &[0, -1])
        .longs("starts", &[1], &[1])
        .longs("ends", &[1], &[i64::MAX])
        .longs("pads", &[8], &[0, 0, 1, 1, 0, 0, 1, 1])
        .bytes("codes", &[64, 3], &[7; 192])
        .floats("scale", &[], &[0.5])
        .node(
            "Pad",
            &["x", "pads"],
            &["padded"],
            &[text_attribute("mode", "reflect")],
        )
        .node(
            "Conv",
            &["padded", "w"],
            &["conv"],
            &[ints("strides", &[2, 2]), ints("pads", &[0, 0, 1, 1])],
        )
        .node("PRelu", &["conv", "slope"], &["active"], &[])
        .node(
            "MaxPool",
            &["active"],
            &["pooled"],
            &[
                ints("kernel_shape", &[2, 2]),
                ints("strides", &[2, 2]),
                int("ceil_mode", 1),
            ],
        )
        .node(
            "Resize",
            &["pooled", "", "scales"],
            &["large"],
            &[text_attribute("mode", "nearest")],
        )
        .floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])
        .node("Reshape", &["large", "target"], &["flat"], &[])
        .node("DequantizeLinear", &["codes", "scale"], &["matrix"], &[])
        .node("MatMul", &["flat", "matrix"], &["product"], &[])
        .node("Slice", &["product", "starts", "ends", "starts"], &["part"], &[])
        .node("Split", &["part"], &["left", "right"], &[int("axis", 1)])
        .node("Softmax", &["left"], &["y"], &[])
        .encode(&["y", "right"])
}

/// Reads hostile bytes; whatever is read must be a well-formed program.
fn read_hostile(bytes: &[u8]) {
    if let Ok(import) = read_bytes(bytes, &ReadOptions::default(), &Limits::small()) {
        verify(import.program.main()).unwrap();
    }
}

#[test]
fn broken_bytes_never_panic() {
    let sample = varied();
    assert!(read_bytes(&sample, &ReadOptions::default(), &Limits::small()).is_ok());
    crate::mutation::each(&sample, 6000, read_hostile);
}

#[test]
fn the_sample_for_broken_bytes_is_lowered() {
    let import = read_bytes(&varied(), &ReadOptions::default(), &Limits::small()).unwrap();
    assert_eq!(
        import
            .diagnostics
            .iter()
            .filter(|finding| finding.code == "LK1001")
            .count(),
        0
    );
    assert!(
        import
            .program
            .main()
            .operations
            .iter()
            .all(|operation| !operation.kind.contains('.'))
    );
}
