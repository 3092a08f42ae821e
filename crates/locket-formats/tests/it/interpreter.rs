//! Runs a function through the operators' references, one operation after the other, and checks each of them first.

use locket_mil::{Function, Type, ValueId};
use locket_ops::{Node, evaluate, registry};
use locket_tensor::Tensor;

/// Why a function was not run to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An operator has no reference (yet).
    NoReference(String),
    /// An operation is not what its operator demands, or its types are wrong.
    Wrong(String),
}

/// Checks parameters and types of each operation and computes the results of the function.
pub(crate) fn run(function: &Function, inputs: &[Tensor]) -> Result<Vec<Tensor>, Stop> {
    let mut values: Vec<Option<Tensor>> = vec![None; function.values().len()];
    for (&id, tensor) in function.inputs.iter().zip(inputs) {
        let given = Type::tensor(tensor.dtype(), tensor.shape());
        if *function.ty(id) != given {
            return Err(Stop::Wrong(format!(
                "input is {}, given {given}",
                function.ty(id)
            )));
        }
        values[id.index()] = Some(tensor.clone());
    }
    for operation in &function.operations {
        if registry::get(&operation.kind).is_none() {
            return Err(Stop::NoReference(operation.kind.to_string()));
        }
        let node = Node::new(function, operation);
        let wrong = |error: &dyn std::fmt::Display| Stop::Wrong(format!("{}: {error}", operation.kind));
        let operator = registry::check(&node).map_err(|error| wrong(&error))?;
        let inferred = operator.infer(&node).map_err(|error| wrong(&error))?;
        let declared: Vec<Type> = operation
            .outputs
            .iter()
            .map(|&id| function.ty(id).clone())
            .collect();
        if inferred != declared {
            return Err(wrong(&format!("declared {declared:?}, inferred {inferred:?}")));
        }
        let known: Vec<(ValueId, &Tensor)> = operation
            .input_values()
            .filter_map(|id| values[id.index()].as_ref().map(|tensor| (id, tensor)))
            .collect();
        let results = evaluate(function, operation, &known).map_err(|error| wrong(&error))?;
        for (&id, tensor) in operation.outputs.iter().zip(results) {
            values[id.index()] = Some(tensor);
        }
    }
    let outputs = function
        .outputs
        .iter()
        .map(|output| values[output.value.index()].clone());
    outputs
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Stop::Wrong("a result has no value".to_owned()))
}

/// The tensor in the element type that the function takes: 64-bit types become 32-bit ones.
pub(crate) fn narrowed(tensor: &Tensor, ty: &Type) -> Tensor {
    let Some(dtype) = ty.dtype() else {
        return tensor.clone();
    };
    if tensor.dtype() == dtype {
        return tensor.clone();
    }
    if let Some(values) = tensor.to_i64() {
        let values: Vec<i32> = values
            .iter()
            .map(|&value| value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
            .collect();
        return Tensor::from_slice(tensor.shape(), &values).expect("the shape is its own");
    }
    Tensor::from_slice(tensor.shape(), &tensor.to_f32().expect("numbers")).expect("the shape is its own")
}

/// The largest excess of `|found - expected|` over `absolute + relative * |expected|`, 0 if there is none; `None` if
/// the shapes differ or one has a NaN where the other has none.
pub(crate) fn excess(found: &Tensor, expected: &Tensor, relative: f64, absolute: f64) -> Option<f64> {
    if found.shape() != expected.shape() {
        return None;
    }
    let numbers = |tensor: &Tensor| -> Vec<f64> {
        match tensor.to_i64() {
            Some(values) => values.into_iter().map(|value| value as f64).collect(),
            None => tensor
                .to_f32()
                .expect("numbers")
                .into_iter()
                .map(f64::from)
                .collect(),
        }
    };
    let mut worst = 0.0f64;
    for (found, expected) in numbers(found).into_iter().zip(numbers(expected)) {
        if found.is_nan() != expected.is_nan() {
            return None;
        }
        if found == expected || found.is_nan() {
            continue;
        }
        worst = worst.max((found - expected).abs() - (absolute + relative * expected.abs()));
    }
    Some(worst.max(0.0))
}
