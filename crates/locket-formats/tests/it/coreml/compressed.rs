//! Compressed weights in every form, written, judged by the checker, and expanded by coremltools to the values that
//! they stand for.

use std::path::Path;
use std::process::Command;

use locket_formats::coreml::{self, WriteOptions, WriteSummary};
use locket_formats::limits::Limits;
use locket_mil::{Function, Operation, Program, SourceFormat, Target, text};
use locket_tensor::Tensor;

use super::{check, contents};

/// Forms that iOS 16 has, the tables and the mask in the newer form.
pub(super) const IOS16: &str = r"
func main opset ios18 (%x: fp32[1, 8, 4, 4]) -> (y: %y) {
  %q: int8[8, 8, 1, 1] = ramp(-8, 1)
  %qz: int8[8] = ramp(-4, 1)
  %qs: fp32[8] = ramp(0.125, 0.125)
  %w1: fp32[8, 8, 1, 1] = constexpr_affine_dequantize(quantized_data=%q, zero_point=%qz, scale=%qs, axis=0)
  %y1: fp32[1, 8, 4, 4] = conv(x=%x, weight=%w1)
  %u: uint8[8, 8, 1, 1] = ramp(100, 7)
  %uz: uint8[] = [130]
  %us: fp32[] = [0.5]
  %w2: fp32[8, 8, 1, 1] = constexpr_affine_dequantize(quantized_data=%u, zero_point=%uz, scale=%us, axis=0)
  %y2: fp32[1, 8, 4, 4] = conv(x=%y1, weight=%w2)
  %i1: uint1[8, 8, 1, 1] = ramp(0, 3)
  %l1: fp32[1, 1, 1, 1, 2, 1] = [-1.5, 2.5]
  %w3: fp32[8, 8, 1, 1] = constexpr_lut_to_dense(indices=%i1, lut=%l1)
  %y3: fp32[1, 8, 4, 4] = conv(x=%y2, weight=%w3)
  %i2: uint2[8, 8, 1, 1] = ramp(0, 5)
  %l2: fp32[1, 1, 1, 1, 4, 1] = ramp(-1, 0.75)
  %w4: fp32[8, 8, 1, 1] = constexpr_lut_to_dense(indices=%i2, lut=%l2)
  %y4: fp32[1, 8, 4, 4] = conv(x=%y3, weight=%w4)
  %i4: uint4[8, 8, 1, 1] = ramp(0, 1)
  %l4: fp32[1, 1, 1, 1, 16, 1] = ramp(-1, 0.25)
  %w5: fp32[8, 8, 1, 1] = constexpr_lut_to_dense(indices=%i4, lut=%l4)
  %y5: fp32[1, 8, 4, 4] = conv(x=%y4, weight=%w5)
  %i6: uint6[3, 8, 1, 1] = ramp(0, 4)
  %l6: fp32[1, 1, 1, 1, 64, 1] = ramp(-2, 0.25)
  %w6: fp32[3, 8, 1, 1] = constexpr_lut_to_dense(indices=%i6, lut=%l6)
  %y6: fp32[1, 3, 4, 4] = conv(x=%y5, weight=%w6)
  %i8: uint8[5, 3, 1, 1] = ramp(0, 17)
  %l8: fp32[1, 1, 1, 1, 256, 1] = ramp(-2, 0.5)
  %w7: fp32[5, 3, 1, 1] = constexpr_lut_to_dense(indices=%i8, lut=%l8)
  %y7: fp32[1, 5, 4, 4] = conv(x=%y6, weight=%w7)
  %m: uint1[5, 5, 1, 1] = [1,0,0,1,0, 0,0,0,0,1, 1,1,0,0,0, 0,0,0,0,0, 0,0,1,0,1]
  %v: fp32[7] = ramp(1, 0.5)
  %w8: fp32[5, 5, 1, 1] = constexpr_sparse_to_dense(nonzero_data=%v, mask=%m)
  %y8: fp32[1, 5, 4, 4] = conv(x=%y7, weight=%w8)
  %y: fp32[1, 5, 4, 4] = relu(x=%y8)
}";

/// Forms that need iOS 18.
pub(super) const IOS18: &str = r"
func main opset ios18 (%x: fp32[1, 8, 4, 4]) -> (y: %y) {
  %b: int4[8, 8, 1, 1] = ramp(-8, 1)
  %bs: fp32[8, 2, 1, 1] = ramp(0.25, 0.25)
  %w1: fp32[8, 8, 1, 1] = constexpr_blockwise_shift_scale(data=%b, scale=%bs)
  %y1: fp32[1, 8, 4, 4] = conv(x=%x, weight=%w1)
  %c: uint4[8, 8, 1, 1] = ramp(0, 1)
  %co: uint4[8, 1, 1, 1] = ramp(0, 2)
  %cs: fp32[8, 1, 1, 1] = ramp(0.5, 0.25)
  %w2: fp32[8, 8, 1, 1] = constexpr_blockwise_shift_scale(data=%c, scale=%cs, offset=%co)
  %y2: fp32[1, 8, 4, 4] = conv(x=%y1, weight=%w2)
  %d: int8[8, 8, 1, 1] = ramp(-120, 15)
  %ds: fp32[2, 4, 1, 1] = ramp(0.5, 0.25)
  %w3: fp32[8, 8, 1, 1] = constexpr_blockwise_shift_scale(data=%d, scale=%ds)
  %y3: fp32[1, 8, 4, 4] = conv(x=%y2, weight=%w3)
  %i3: uint3[8, 8, 1, 1] = ramp(0, 3)
  %l3: fp32[1, 1, 1, 1, 8, 1] = ramp(-2, 0.5)
  %w4: fp32[8, 8, 1, 1] = constexpr_lut_to_dense(indices=%i3, lut=%l3)
  %y4: fp32[1, 8, 4, 4] = conv(x=%y3, weight=%w4)
  %ig: uint2[8, 8, 1, 1] = ramp(0, 1)
  %lg: fp32[2, 1, 1, 1, 4, 1] = ramp(-2, 0.5)
  %w5: fp32[8, 8, 1, 1] = constexpr_lut_to_dense(indices=%ig, lut=%lg)
  %y5: fp32[1, 8, 4, 4] = conv(x=%y4, weight=%w5)
  %lq: int8[1, 1, 1, 1, 16, 1] = ramp(-120, 16)
  %lqs: fp32[1, 1, 1, 1, 1, 1] = [0.0625]
  %lf: fp32[1, 1, 1, 1, 16, 1] = constexpr_blockwise_shift_scale(data=%lq, scale=%lqs)
  %i4: uint4[8, 8, 1, 1] = ramp(0, 1)
  %w6: fp32[8, 8, 1, 1] = constexpr_lut_to_dense(indices=%i4, lut=%lf)
  %y6: fp32[1, 8, 4, 4] = conv(x=%y5, weight=%w6)
  %m: uint1[5, 8, 1, 1] = [1,0,0,1,0,0,0,0, 0,1,1,1,0,0,0,0, 0,0,0,0,0,0,1,0, 1,0,0,0,0,0,0,0, 0,0,0,0,0,0,1,1]
  %n: int8[9] = ramp(-5, 1)
  %ns: fp32[5, 1, 1, 1] = ramp(0.5, 0.5)
  %sm: uint1[5, 8, 1, 1], %sv: fp32[9] = constexpr_sparse_blockwise_shift_scale(data_mask=%m, nonzero_data=%n, scale=%ns)
  %w7: fp32[5, 8, 1, 1] = constexpr_sparse_to_dense(nonzero_data=%sv, mask=%sm)
  %y7: fp32[1, 5, 4, 4] = conv(x=%y6, weight=%w7)
  %p: uint1[5, 5, 1, 1] = [1,0,0,1,0, 0,0,0,0,1, 1,1,0,0,0, 0,0,0,0,0, 0,0,1,0,1]
  %pi: uint2[7] = [0, 1, 2, 3, 0, 1, 2]
  %pl: fp32[1, 1, 1, 1, 4, 1] = ramp(1, 0.5)
  %pm: uint1[5, 5, 1, 1], %pv: fp32[7] = constexpr_lut_to_sparse(indices_mask=%p, indices_nonzero_data=%pi, lut=%pl)
  %w8: fp32[5, 5, 1, 1] = constexpr_sparse_to_dense(nonzero_data=%pv, mask=%pm)
  %y8: fp32[1, 5, 4, 4] = conv(x=%y7, weight=%w8)
  %y: fp32[1, 5, 4, 4] = relu(x=%y8)
}";

fn program(source: &str) -> Program {
    Program::new(text::parse(source).unwrap(), SourceFormat::Memory)
}

fn write(source: &Program, path: &Path, target: Option<Target>) -> WriteSummary {
    let options = WriteOptions {
        target,
        ..WriteOptions::default()
    };
    let summary = coreml::write(source, path, &options).unwrap();
    let first = contents(path);
    coreml::write(source, path, &options).unwrap();
    assert!(first == contents(path), "a second writing gave other bytes");
    summary
}

/// Compares what coremltools makes of the constexpr operations of a package with what they stand for.
fn check_values(package: &Path, function: &Function) {
    let Some(python) = std::env::var_os("LOCKET_CT_PYTHON") else {
        eprintln!("skipped: LOCKET_CT_PYTHON names no interpreter with coremltools");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/coreml/materialize.py");
    let output = Command::new(python).arg(script).arg(package).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["compact"], true);
    let mut compared = 0;
    for operation in &function.operations {
        let name = &function.value(operation.outputs[0]).name;
        if !operation.kind.starts_with("constexpr_") || !name.starts_with('w') {
            continue;
        }
        let values = found[name]
            .as_array()
            .unwrap_or_else(|| panic!("{name} is not in {found}"));
        let values: Vec<f32> = values
            .iter()
            .map(|value| value.as_f64().unwrap() as f32)
            .collect();
        assert_eq!(values, dense(function, operation), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 8);
}

fn producer(function: &Function, operation: &Operation, param: &str) -> Option<Operation> {
    let value = operation.input(param)?;
    function
        .operations
        .iter()
        .find(|other| other.outputs.contains(&value))
        .cloned()
}

/// The dense values of an operation, by the definition of its operator.
fn dense(function: &Function, operation: &Operation) -> Vec<f32> {
    let constant = |param: &str| function.const_tensor(operation.input(param).unwrap());
    let numbers = |tensor: &Tensor| tensor.to_f32().unwrap();
    match &*operation.kind {
        "constexpr_affine_dequantize" => {
            let data = constant("quantized_data").unwrap();
            let (scale, zero) = (
                numbers(constant("scale").unwrap()),
                numbers(constant("zero_point").unwrap()),
            );
            let row = data.elems() / data.shape()[0];
            let pick = |list: &[f32], index: usize| list[(index / row) % list.len()];
            let real = |(index, q): (usize, &f32)| pick(&scale, index) * (q - pick(&zero, index));
            numbers(data).iter().enumerate().map(real).collect()
        }
        "constexpr_blockwise_shift_scale" => {
            let (data, scale) = (constant("data").unwrap(), constant("scale").unwrap());
            let offset = operation
                .input("offset")
                .map(|id| numbers(function.const_tensor(id).unwrap()));
            let scales = numbers(scale);
            let real = |(index, q): (usize, &f32)| {
                let block = block_of(index, data.shape(), scale.shape());
                scales[block] * (q - offset.as_ref().map_or(0.0, |offset| offset[block]))
            };
            numbers(data).iter().enumerate().map(real).collect()
        }
        "constexpr_lut_to_dense" => {
            let indices = constant("indices").unwrap();
            let (table, shape) = match producer(function, operation, "lut") {
                Some(inner) => (dense(function, &inner), vec![1; indices.shape().len()]),
                None => {
                    let lut = constant("lut").unwrap();
                    (numbers(lut), lut.shape()[..indices.shape().len()].to_vec())
                }
            };
            let entries = 1 << indices.dtype().bits();
            let real = |(index, code): (usize, &f32)| {
                table[block_of(index, indices.shape(), &shape) * entries + *code as usize]
            };
            numbers(indices).iter().enumerate().map(real).collect()
        }
        "constexpr_sparse_to_dense" => match producer(function, operation, "nonzero_data") {
            None => scatter(
                &numbers(constant("mask").unwrap()),
                &numbers(constant("nonzero_data").unwrap()),
            ),
            Some(inner) => sparse(function, &inner),
        },
        other => panic!("{other}"),
    }
}

/// The dense values of an operation that gives a mask and values.
fn sparse(function: &Function, operation: &Operation) -> Vec<f32> {
    let numbers = |param: &str| {
        let tensor = function.const_tensor(operation.input(param).unwrap()).unwrap();
        (tensor.to_f32().unwrap(), tensor.shape().to_vec())
    };
    if &*operation.kind == "constexpr_lut_to_sparse" {
        let table = numbers("lut").0;
        let values: Vec<f32> = numbers("indices_nonzero_data")
            .0
            .iter()
            .map(|code| table[*code as usize])
            .collect();
        return scatter(&numbers("indices_mask").0, &values);
    }
    let ((mask, shape), (scale, blocks)) = (numbers("data_mask"), numbers("scale"));
    let dense = scatter(&mask, &numbers("nonzero_data").0);
    dense
        .iter()
        .enumerate()
        .map(|(index, q)| q * scale[block_of(index, &shape, &blocks)])
        .collect()
}

fn scatter(mask: &[f32], values: &[f32]) -> Vec<f32> {
    let mut values = values.iter();
    mask.iter()
        .map(|bit| if *bit == 1.0 { *values.next().unwrap() } else { 0.0 })
        .collect()
}

/// The block that an element of a tensor of `shape` lies in, for as many equal blocks per axis as `blocks` says.
fn block_of(index: usize, shape: &[usize], blocks: &[usize]) -> usize {
    let mut rest = index;
    let mut position = vec![0; shape.len()];
    for (axis, size) in shape.iter().enumerate().rev() {
        position[axis] = rest % size;
        rest /= size;
    }
    (0..shape.len()).fold(0, |block, axis| {
        block * blocks[axis] + position[axis] * blocks[axis] / shape[axis]
    })
}

#[test]
fn forms_of_ios_16_are_written_for_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(IOS16);
    for (target, expected) in [(None, Target::Ios16), (Some(Target::Ios18), Target::Ios18)] {
        let path = folder.path().join(format!("{expected}.mlpackage"));
        assert_eq!(write(&program, &path, target).target, expected);
        let read = coreml::read(&path, &Limits::default()).unwrap();
        let again = folder.path().join("again.mlpackage");
        coreml::write(
            &read,
            &again,
            &WriteOptions {
                target: Some(expected),
                ..WriteOptions::default()
            },
        )
        .unwrap();
        assert!(
            contents(&path) == contents(&again),
            "{expected}: reading and writing changed the package"
        );
        // From either form back to the other: the same package as if written directly.
        let other = if expected == Target::Ios16 {
            Target::Ios18
        } else {
            Target::Ios16
        };
        let options = WriteOptions {
            target: Some(other),
            ..WriteOptions::default()
        };
        coreml::write(&read, &again, &options).unwrap();
        let direct = folder.path().join("direct.mlpackage");
        coreml::write(&program, &direct, &options).unwrap();
        assert!(
            contents(&direct) == contents(&again),
            "{expected} to {other} is not the same as {other}"
        );
    }
}

#[test]
fn forms_of_ios_18_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(IOS18);
    let path = folder.path().join("m.mlpackage");
    assert_eq!(write(&program, &path, None).target, Target::Ios18);
    let options = WriteOptions {
        target: Some(Target::Ios17),
        ..WriteOptions::default()
    };
    let error = coreml::write(&program, &path, &options).unwrap_err().to_string();
    assert!(
        error.contains("constexpr_blockwise_shift_scale) needs ios18"),
        "{error}"
    );
    assert!(error.contains("write for ios18 or later"), "{error}");
}

#[test]
#[ignore = "slow: starts coremltools twice for each package, 40 s"]
fn the_checker_and_coremltools_agree() {
    let folder = tempfile::tempdir().unwrap();
    for (source, target) in [
        (IOS16, Target::Ios16),
        (IOS16, Target::Ios18),
        (IOS18, Target::Ios18),
    ] {
        let program = program(source);
        let path = folder.path().join("m.mlpackage");
        write(&program, &path, Some(target));
        check(&path);
        check_values(&path, program.main());
    }
}
