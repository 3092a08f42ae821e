//! Running functions through references, and comparing what they give.

use locket_mil::{Function, Operation, Type, ValueId, text};
use locket_ops::{Node, evaluate, registry};
use locket_tensor::{DType, Tensor};

/// Largest difference that a rewrite of floats may make, relative to the largest result: sums change their order and folded
/// constants are rounded once more, each a few units of 2^-24, over some hundred terms.
pub(crate) const FLOAT_TOLERANCE: f32 = 1e-5;

/// The same where values were rounded to fp16 before the rewrite (2^-11 each) and are not afterwards.
pub(crate) const HALF_TOLERANCE: f32 = 4e-3;

/// The same for floats that an integer layer gives, whose bias was rounded to the accumulator's scale.
pub(crate) const ACCUMULATOR_TOLERANCE: f32 = 2e-3;

/// Reproducible values for the inputs: floats in -4..4, codes over their whole range.
pub(crate) fn inputs(function: &Function, seed: u64) -> Vec<(ValueId, Tensor)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as u32
    };
    let mut tensor = |ty: &Type| {
        let (dtype, shape, elems) = (ty.dtype().unwrap(), ty.shape().unwrap(), ty.elems());
        let mut float = || (next() % 8193) as f32 / 1024.0 - 4.0;
        let made = match dtype {
            DType::Float32 => Tensor::from_slice(shape, &(0..elems).map(|_| float()).collect::<Vec<f32>>()),
            DType::Float16 => {
                let values: Vec<half::f16> = (0..elems).map(|_| half::f16::from_f32(float())).collect();
                Tensor::from_slice(shape, &values)
            }
            DType::Int32 => {
                let values: Vec<i32> = (0..elems).map(|_| (next() % 7) as i32).collect();
                Tensor::from_slice(shape, &values)
            }
            _ => {
                let codes: Vec<u8> = (0..elems).map(|_| next() as u8).collect();
                Tensor::from_codes(dtype, shape, &codes)
            }
        };
        made.unwrap()
    };
    let ids = function.inputs.clone();
    ids.into_iter().map(|id| (id, tensor(function.ty(id)))).collect()
}

/// The results of a function, each operation computed by its reference.
pub(crate) fn run(function: &Function, inputs: &[(ValueId, Tensor)]) -> Vec<Tensor> {
    let values = run_all(function, inputs);
    let outputs = function.outputs.iter();
    outputs
        .map(|output| match function.const_tensor(output.value) {
            Some(tensor) => tensor.clone(),
            None => values[output.value.index()].clone().unwrap(),
        })
        .collect()
}

/// The values that inputs and operations have; `None` for constants.
pub(crate) fn run_all(function: &Function, inputs: &[(ValueId, Tensor)]) -> Vec<Option<Tensor>> {
    let mut values: Vec<Option<Tensor>> = vec![None; function.values().len()];
    for (id, tensor) in inputs {
        values[id.index()] = Some(tensor.clone());
    }
    for operation in &function.operations {
        let known: Vec<(ValueId, &Tensor)> = operation
            .input_values()
            .filter_map(|id| values[id.index()].as_ref().map(|tensor| (id, tensor)))
            .collect();
        let results = evaluate(function, operation, &known).unwrap_or_else(|error| panic!("{error}"));
        for (id, tensor) in operation.outputs.iter().zip(results) {
            values[id.index()] = Some(tensor);
        }
    }
    values
}

/// Verifies the function, and that every operation is one of the registry with the types that it infers.
pub(crate) fn check_types(function: &Function) {
    locket_mil::verify(function).unwrap_or_else(|error| panic!("{error}\n{}", text::print(function, 8)));
    for operation in &function.operations {
        let node = Node::new(function, operation);
        let inferred = registry::check(&node).and_then(|operator| operator.infer(&node));
        let declared: Vec<Type> = operation
            .outputs
            .iter()
            .map(|&id| function.ty(id).clone())
            .collect();
        let inferred = inferred.unwrap_or_else(|error| panic!("{error}\n{}", text::print(function, 8)));
        assert_eq!(inferred, declared, "{}", text::print(function, 8));
    }
}

/// How far results may lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tolerance {
    /// Relative to the largest magnitude of the expected result.
    Relative(f32),
    /// Absolute.
    Absolute(f32),
}

/// One step of the scale on which output `index` of `function` is quantised; `None` if it is not.
pub(crate) fn step_of(function: &Function, index: usize) -> Option<f32> {
    let value = function.outputs[index].value;
    let producer = function
        .operations
        .iter()
        .find(|operation| operation.outputs.contains(&value))?;
    let scale = |operation: &Operation| {
        let tensor = operation
            .input("scale")
            .and_then(|id| function.const_tensor(id))?;
        tensor.to_f32()?.first().copied()
    };
    match &*producer.kind {
        "quantize" => Some(1.0),
        "dequantize" => scale(producer),
        _ => None,
    }
}

/// Panics unless the results are equal within the tolerance.
pub(crate) fn assert_close(expected: &Tensor, found: &Tensor, tolerance: Tolerance, context: &str) {
    assert_eq!(
        (expected.dtype(), expected.shape()),
        (found.dtype(), found.shape()),
        "{context}"
    );
    let (expected, found) = (expected.to_f32().unwrap(), found.to_f32().unwrap());
    let largest = expected
        .iter()
        .fold(0f32, |largest, value| largest.max(value.abs()));
    let allowed = match tolerance {
        Tolerance::Relative(share) => largest.max(f32::MIN_POSITIVE) * share,
        Tolerance::Absolute(value) => value,
    };
    for (at, (a, b)) in expected.iter().zip(&found).enumerate() {
        let same = a == b || a.is_nan() && b.is_nan();
        assert!(
            same || (a - b).abs() <= allowed,
            "{context}: element {at}: expected {a}, found {b}, allowed difference {allowed}"
        );
    }
}
