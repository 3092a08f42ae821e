//! Functions that break the rules of their operators, as a damaged or hostile file may: nothing panics, the rules of the
//! representation hold afterwards, and the lints see what is wrong.

use locket_mil::{Arg, Definition, Function, Program, SourceFormat, Target, Type, ValueId, text, verify};
use locket_ops::registry;
use locket_passes::{LintOptions, lint_with, lower, simplify};
use locket_tensor::{DType, Tensor};

use crate::random::{Random, float_graph, quantized_graph};

/// Values that may be read at `position`: inputs, constants, and results of earlier operations.
fn readable(function: &Function, position: usize) -> Vec<ValueId> {
    let defined = function.operations[..position]
        .iter()
        .flat_map(|operation| &operation.outputs);
    let given = (0..function.values().len())
        .map(ValueId::from_index)
        .filter(|&id| function.value(id).definition != Definition::Operation);
    given.chain(defined.copied()).collect()
}

fn odd_type(random: &mut Random) -> Type {
    let dtypes = [
        DType::Float32,
        DType::Float16,
        DType::Int32,
        DType::UInt8,
        DType::Int8,
        DType::Bool,
        DType::UInt4,
    ];
    let dtype = dtypes[random.below(dtypes.len())];
    let rank = random.below(7);
    let shape: Vec<usize> = (0..rank).map(|_| random.below(4)).collect();
    match random.below(12) {
        0 => Type::Unknown,
        1 => Type::Text,
        _ => Type::tensor(dtype, &shape),
    }
}

fn odd_constant(random: &mut Random) -> Tensor {
    let rank = random.below(3);
    let shape: Vec<usize> = (0..rank).map(|_| random.below(5)).collect();
    let count: usize = shape.iter().product();
    if random.below(2) == 0 {
        let odd = [0, 1, -1, 2, 7, i32::MAX, i32::MIN];
        let values: Vec<i32> = (0..count).map(|_| odd[random.below(odd.len())]).collect();
        Tensor::from_slice(&shape, &values).unwrap()
    } else {
        let odd = [0.0, -1.5, f32::NAN, f32::INFINITY, 1e30, -1e-30, 3.0];
        let values: Vec<f32> = (0..count).map(|_| odd[random.below(odd.len())]).collect();
        Tensor::from_slice(&shape, &values).unwrap()
    }
}

/// Damages one thing in a function; the rules of the representation still hold.
fn damage(function: &mut Function, random: &mut Random) {
    if function.operations.is_empty() {
        return;
    }
    let position = random.below(function.operations.len());
    match random.below(6) {
        0 => {
            let kinds = registry::OPERATORS;
            let kind = kinds[random.below(kinds.len())].signature().name;
            function.operations[position].kind = kind.into();
        }
        1 => {
            let Some(&id) = function.operations[position].outputs.first() else {
                return;
            };
            let ty = odd_type(random);
            function.set_type(id, ty);
        }
        2 => {
            let inputs = &mut function.operations[position].inputs;
            if !inputs.is_empty() {
                inputs.remove(random.below(inputs.len()));
            }
        }
        3 => {
            let constant = function.add_constant("odd", odd_constant(random));
            rebind(function, position, random, constant.into());
        }
        4 => {
            let values = readable(function, position);
            let value = values[random.below(values.len())];
            rebind(function, position, random, value.into());
        }
        _ => {
            let values = readable(function, position);
            let many: Vec<ValueId> = (0..random.below(3))
                .map(|_| values[random.below(values.len())])
                .collect();
            rebind(function, position, random, Arg::Many(many));
        }
    }
}

fn rebind(function: &mut Function, position: usize, random: &mut Random, arg: Arg) {
    let inputs = &mut function.operations[position].inputs;
    if !inputs.is_empty() {
        let param = random.below(inputs.len());
        inputs[param].1 = arg;
    }
}

fn survive(original: &Function, context: &str) {
    let run = || {
        let mut function = original.clone();
        simplify(&mut function);
        verify(&function).unwrap_or_else(|error| panic!("{error}"));
        lower(&mut function);
        verify(&function).unwrap_or_else(|error| panic!("{error}"));
        let program = Program::new(original.clone(), SourceFormat::Memory);
        let options = LintOptions {
            target: Target::Ios16,
            half: true,
        };
        lint_with(&program, options);
    };
    // The panic itself has been told by then; what led to it has not.
    assert!(
        std::panic::catch_unwind(run).is_ok(),
        "{context}:\n{}",
        text::print(original, 8)
    );
}

fn damaged(original: &Function, seed: u64, name: &str) {
    let mut random = Random::new(seed);
    let mut function = original.clone();
    for _ in 0..1 + random.below(3) {
        damage(&mut function, &mut random);
    }
    survive(&function, &format!("{name}, seed {seed}"));
}

#[test]
fn damaged_graphs_are_survived() {
    for seed in 0..250 {
        damaged(&float_graph(seed), seed, "float graph");
        damaged(&quantized_graph(seed), seed, "quantised graph");
    }
}

#[test]
fn damaged_files_are_survived() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders {
        let mut paths: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            let content = std::fs::read_to_string(&path).unwrap();
            let function = text::parse(content.split("---\n").next().unwrap()).unwrap();
            for seed in 0..25 {
                damaged(&function, seed, &path.display().to_string());
            }
        }
    }
}

#[test]
fn operations_that_break_rules_stay_as_they_are() {
    let source = "func main opset ios16 (%x: fp32[1, 2, 3, 3]) -> (y: %y) {
  %w: fp32[2, 2, 1, 1] = [0.5, 1.0, -0.25, 0.75]
  %h: fp32[1, 2, 4, 4] = conv(x=%x, weight=%w) \"conv\"
  %y: fp32[1, 2, 4, 4] = relu(x=%h) \"relu\"
}";
    let mut function = text::parse(source).unwrap();
    simplify(&mut function);
    lower(&mut function);
    let kinds: Vec<&str> = function
        .operations
        .iter()
        .map(|operation| &*operation.kind)
        .collect();
    assert_eq!(kinds, ["conv", "relu"]);
}
