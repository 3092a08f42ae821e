//! Tests of the lowering on models made in memory: what each form becomes, and that broken bytes are errors.

use expect_test::{Expect, expect};
use locket_mil::{text, verify};

use super::read_bytes;
use crate::ReadOptions;
use crate::limits::Limits;

/// A value in a table of a flatbuffer.
#[derive(Clone)]
enum Field {
    Byte(u8),
    Int(i32),
    Text(&'static str),
    Bytes(Vec<u8>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Floats(Vec<f32>),
    Table(Table),
    Tables(Vec<Table>),
}

/// The fields of a table by number.
type Table = Vec<(u16, Field)>;

/// Writes a flatbuffer front to back: a table, then what it refers to, so that all offsets point forward.
fn encode(root: &Table) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0];
    bytes.extend(b"TFL3");
    let at = table(&mut bytes, root);
    bytes[..4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
    bytes
}

fn table(bytes: &mut Vec<u8>, fields: &Table) -> usize {
    let slots = fields
        .iter()
        .map(|(id, _)| usize::from(*id) + 1)
        .max()
        .unwrap_or(0);
    let layout_bytes = u16::try_from(4 + 2 * slots).unwrap();
    let table_bytes = u16::try_from(4 + 4 * fields.len()).unwrap();
    let layout = bytes.len();
    bytes.extend(layout_bytes.to_le_bytes());
    bytes.extend(table_bytes.to_le_bytes());
    for slot in 0..slots {
        let position = fields.iter().position(|(id, _)| usize::from(*id) == slot);
        let inside = position.map_or(0, |position| u16::try_from(4 + 4 * position).unwrap());
        bytes.extend(inside.to_le_bytes());
    }
    let at = bytes.len();
    bytes.extend(i32::try_from(at - layout).unwrap().to_le_bytes());
    bytes.resize(at + usize::from(table_bytes), 0);
    for (position, (_, field)) in fields.iter().enumerate() {
        let slot = at + 4 + 4 * position;
        let value = match field {
            Field::Byte(value) => u32::from(*value),
            Field::Int(value) => u32::from_le_bytes(value.to_le_bytes()),
            _ => u32::try_from(target(bytes, field) - slot).unwrap(),
        };
        bytes[slot..slot + 4].copy_from_slice(&value.to_le_bytes());
    }
    at
}

fn target(bytes: &mut Vec<u8>, field: &Field) -> usize {
    if let Field::Table(fields) = field {
        return table(bytes, fields);
    }
    let at = bytes.len();
    let (length, payload): (usize, Vec<u8>) = match field {
        Field::Text(text) => (text.len(), text.as_bytes().to_vec()),
        Field::Bytes(values) => (values.len(), values.clone()),
        Field::Ints(values) => (
            values.len(),
            values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ),
        Field::Longs(values) => (
            values.len(),
            values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ),
        Field::Floats(values) => (
            values.len(),
            values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ),
        Field::Tables(tables) => (tables.len(), vec![0; 4 * tables.len()]),
        _ => unreachable!("scalars and tables are written by their table"),
    };
    bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
    bytes.extend(payload);
    if let Field::Tables(tables) = field {
        for (index, fields) in tables.iter().enumerate() {
            let slot = at + 4 + 4 * index;
            let offset = table(bytes, fields) - slot;
            bytes[slot..slot + 4].copy_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
        }
    }
    at
}

const FLOAT32: u8 = 0;
const INT32: u8 = 2;
const INT8: u8 = 9;

/// A model under construction.
#[derive(Default)]
struct Sample {
    codes: Vec<Table>,
    tensors: Vec<Table>,
    buffers: Vec<Table>,
    operators: Vec<Table>,
}

impl Sample {
    fn new() -> Self {
        // Buffer 0 is empty: it stands for tensors that are computed.
        Self {
            buffers: vec![Vec::new()],
            ..Self::default()
        }
    }

    fn tensor(mut self, name: &'static str, kind: u8, shape: &[i32], quantization: Option<Table>) -> Self {
        let mut table = vec![
            (0, Field::Ints(shape.to_vec())),
            (1, Field::Byte(kind)),
            (3, Field::Text(name)),
        ];
        table.extend(quantization.map(|table| (4, Field::Table(table))));
        self.tensors.push(table);
        self
    }

    fn constant(
        mut self,
        name: &'static str,
        kind: u8,
        shape: &[i32],
        data: Vec<u8>,
        quantization: Option<Table>,
    ) -> Self {
        self = self.tensor(name, kind, shape, quantization);
        let buffer = i32::try_from(self.buffers.len()).unwrap();
        self.tensors.last_mut().unwrap().push((2, Field::Int(buffer)));
        self.buffers.push(vec![(0, Field::Bytes(data))]);
        self
    }

    fn operator(mut self, code: i32, inputs: &[i32], outputs: &[i32], options: Table) -> Self {
        let index = i32::try_from(self.codes.len()).unwrap();
        self.codes.push(vec![
            (0, Field::Byte(u8::try_from(code.min(127)).unwrap())),
            (3, Field::Int(code)),
        ]);
        self.operators.push(vec![
            (0, Field::Int(index)),
            (1, Field::Ints(inputs.to_vec())),
            (2, Field::Ints(outputs.to_vec())),
            (4, Field::Table(options)),
        ]);
        self
    }

    fn encode(self, inputs: &[i32], outputs: &[i32]) -> Vec<u8> {
        let graph = vec![
            (0, Field::Tables(self.tensors)),
            (1, Field::Ints(inputs.to_vec())),
            (2, Field::Ints(outputs.to_vec())),
            (3, Field::Tables(self.operators)),
        ];
        let root = vec![
            (0, Field::Int(3)),
            (1, Field::Tables(self.codes)),
            (2, Field::Tables(vec![graph])),
            (4, Field::Tables(self.buffers)),
        ];
        encode(&root)
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn integers(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn scales(scale: &[f32], zero_point: &[i64], axis: i32) -> Option<Table> {
    let zeros = Field::Longs(zero_point.to_vec());
    Some(vec![
        (2, Field::Floats(scale.to_vec())),
        (3, zeros),
        (6, Field::Int(axis)),
    ])
}

fn check(bytes: &[u8], expected: &Expect) {
    let import = read_bytes(bytes, &ReadOptions::default(), &Limits::small()).unwrap();
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

fn float_convolution() -> Vec<u8> {
    Sample::new()
        .tensor("x", FLOAT32, &[1, 4, 4, 1], None)
        .constant("w", FLOAT32, &[2, 1, 1, 1], floats(&[1.0, 2.0]), None)
        .constant("b", FLOAT32, &[2], floats(&[0.5, 0.25]), None)
        .tensor("y", FLOAT32, &[1, 2, 2, 2], None)
        .operator(
            3,
            &[0, 1, 2],
            &[3],
            vec![(1, Field::Int(2)), (2, Field::Int(2)), (3, Field::Byte(3))],
        )
        .encode(&[0], &[3])
}

#[test]
fn convolution_runs_with_channels_first() {
    check(
        &float_convolution(),
        &expect![[r#"
        func main opset ios15 (%x: fp32[1, 4, 4, 1]) -> (y: %y) {
          %x_channels_first: fp32[1, 1, 4, 4] = transpose(x=%x, perm=[0, 3, 1, 2]) "y"
          %w: fp32[2, 1, 1, 1] = [1.0, 2.0]
          %y_linear_channels_first: fp32[1, 2, 2, 2] = conv(x=%x_channels_first, weight=%w, bias=[0.5, 0.25], strides=[2, 2], pad_type="custom", pad=[0, 0, 0, 0], dilations=[1, 1], groups=1) "y"
          %y_linear: fp32[1, 2, 2, 2] = transpose(x=%y_linear_channels_first, perm=[0, 2, 3, 1]) "y"
          %y: fp32[1, 2, 2, 2] = relu6(x=%y_linear) "y"
        }
    "#]],
    );
}

/// A quantised model: a depthwise convolution with one scale per channel, a reshape of its codes, a dense layer.
fn integer_model() -> Vec<u8> {
    Sample::new()
        .tensor("x", INT8, &[1, 3, 3, 2], scales(&[0.5], &[-128], 0))
        .constant(
            "w",
            INT8,
            &[1, 3, 3, 2],
            (0..18).collect(),
            scales(&[0.1, 0.2], &[0, 0], 3),
        )
        .constant(
            "b",
            INT32,
            &[2],
            integers(&[10, -10]),
            scales(&[0.05, 0.1], &[0, 0], 0),
        )
        .tensor("d", INT8, &[1, 1, 1, 2], scales(&[0.25], &[3], 0))
        .constant("shape", INT32, &[2], integers(&[-1, 2]), None)
        .tensor("f", INT8, &[1, 2], scales(&[0.25], &[3], 0))
        .constant("v", INT8, &[3, 2], (1..7).collect(), scales(&[0.3], &[0], 0))
        .tensor("y", INT8, &[1, 3], scales(&[0.75], &[0], 0))
        .operator(
            4,
            &[0, 1, 2],
            &[3],
            vec![
                (0, Field::Byte(1)),
                (1, Field::Int(1)),
                (2, Field::Int(1)),
                (3, Field::Int(1)),
            ],
        )
        .operator(22, &[3, 4], &[5], Vec::new())
        .operator(9, &[5, 6, -1], &[7], vec![(0, Field::Byte(1))])
        .encode(&[0], &[7])
}

#[test]
fn integers_are_lowered_by_what_they_mean() {
    check(
        &integer_model(),
        &expect![[r#"
        func main opset ios17 (%x: int8[1, 3, 3, 2]) -> (y: %y) {
          %x_real_zero_point: int8[] = [-128]
          %x_real: fp32[1, 3, 3, 2] = dequantize(input=%x, zero_point=%x_real_zero_point, scale=0.5) "d"
          %x_real_channels_first: fp32[1, 2, 3, 3] = transpose(x=%x_real, perm=[0, 3, 1, 2]) "d"
          %w_quantized_data: int8[2, 1, 3, 3] = [0, 2, 4, 6, 8, 10, 12, 14, 16, 1, 3, 5, 7, 9, 11, 13, 15, 17]
          %w_zero_point: int8[2] = [0, 0]
          %w: fp32[2, 1, 3, 3] = constexpr_affine_dequantize(quantized_data=%w_quantized_data, zero_point=%w_zero_point, scale=[0.1, 0.2], axis=0) "w"
          %d_exact_channels_first: fp32[1, 2, 1, 1] = conv(x=%x_real_channels_first, weight=%w, bias=[0.5, -1.0], strides=[1, 1], pad_type="custom", pad=[0, 0, 0, 0], dilations=[1, 1], groups=2) "d"
          %d_exact: fp32[1, 1, 1, 2] = transpose(x=%d_exact_channels_first, perm=[0, 2, 3, 1]) "d"
          %d_zero_point: int8[] = [3]
          %d: int8[1, 1, 1, 2] = quantize(input=%d_exact, zero_point=%d_zero_point, scale=0.25, output_dtype="int8") "d"
          %f: int8[1, 2] = reshape(x=%d, shape=[1, 2]) "f"
          %f_real_zero_point: int8[] = [3]
          %f_real: fp32[1, 2] = dequantize(input=%f, zero_point=%f_real_zero_point, scale=0.25) "y"
          %v_quantized_data: int8[3, 2] = [1, 2, 3, 4, 5, 6]
          %v_zero_point: int8[] = [0]
          %v: fp32[3, 2] = constexpr_affine_dequantize(quantized_data=%v_quantized_data, zero_point=%v_zero_point, scale=0.3, axis=0) "v"
          %y_exact_linear: fp32[1, 3] = linear(x=%f_real, weight=%v) "y"
          %y_exact: fp32[1, 3] = relu(x=%y_exact_linear) "y"
          %y_zero_point: int8[] = [0]
          %y: int8[1, 3] = quantize(input=%y_exact, zero_point=%y_zero_point, scale=0.75, output_dtype="int8") "y"
        }
        LK1009 Note d: 3 integer results are computed as dequantise, float operator, quantise
    "#]],
    );
}

#[test]
fn operators_without_lowering_stay_with_their_stated_types() {
    let bytes = Sample::new()
        .tensor("x", FLOAT32, &[1, 3], None)
        .tensor("h", FLOAT32, &[1, 4], None)
        .tensor("y", FLOAT32, &[1, 4], None)
        .operator(27, &[0], &[1], Vec::new())
        .operator(19, &[1], &[2], Vec::new())
        .encode(&[0], &[2]);
    check(
        &bytes,
        &expect![[r#"
        func main opset ios15 (%x: fp32[1, 3]) -> (y: %y) {
          %h: fp32[1, 4] = tflite.SVDF(values=(%x)) "h"
          %y: fp32[1, 4] = relu(x=%h) "y"
        }
        LK1001 Error h: SVDF: no lowering to MIL
    "#]],
    );
}

#[test]
fn contradictions_are_errors_with_a_place() {
    let relu = |input: i32, output: i32| {
        let sample = Sample::new()
            .tensor("x", FLOAT32, &[2], None)
            .tensor("y", FLOAT32, &[2], None);
        sample.operator(19, &[input], &[output], Vec::new())
    };
    let weight = |length: usize| {
        Sample::new()
            .tensor("x", FLOAT32, &[1, 2], None)
            .constant("w", FLOAT32, &[3, 2], vec![0; length], None)
            .tensor("y", FLOAT32, &[1, 3], None)
            .operator(9, &[0, 1], &[2], Vec::new())
            .encode(&[0], &[2])
    };
    let cases = [
        (
            relu(9, 1).encode(&[0], &[1]),
            "operator 0: expected inputs that are tensors, found 9",
        ),
        (
            relu(0, 1).encode(&[0], &[7]),
            "the sub-graph: expected inputs and outputs that are tensors, found 7",
        ),
        (
            relu(0, 0).encode(&[0], &[0]),
            "x: expected one definition of each tensor, found tensor 0 a second time",
        ),
        (
            relu(1, 1).encode(&[0], &[1]),
            "y: expected inputs that are computed before, found tensor y",
        ),
        (
            relu(0, 1).encode(&[0], &[]),
            "the sub-graph: expected at least one output, found none",
        ),
        (
            weight(20),
            "y: expected contents that fit tensor w, found shape [3, 2] of fp32 needs 24 bytes, found 20",
        ),
        (
            b"....TFL2".to_vec(),
            "byte 4: expected the identifier TFL3, found \"TFL2\"",
        ),
        (b"..".to_vec(), "byte 4: expected the identifier TFL3, found \"\""),
    ];
    for (bytes, expected) in cases {
        let message = read_bytes(&bytes, &ReadOptions::default(), &Limits::small())
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn broken_bytes_never_panic() {
    for sample in [float_convolution(), integer_model()] {
        crate::mutation::each(&sample, 5000, |bytes| {
            if let Ok(import) = read_bytes(bytes, &ReadOptions::default(), &Limits::small()) {
                verify(import.program.main()).unwrap();
            }
        });
    }
}
