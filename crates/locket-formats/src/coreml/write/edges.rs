//! Inputs and outputs as the format can have them.
//!
//! Arrays at the interface are fp32, int32, fp16 (from iOS 16) or int8 (from iOS 26). An input or output of another
//! integer type, or a truth value, becomes int32 with a `cast` behind or before it. Each output is a value of its own,
//! the result of an operation: an input or a constant that is an output, or a value that is two, goes through `identity`.

use std::collections::BTreeSet;

use locket_mil::{Arg, Definition, Diagnostic, Function, Operation, Severity, Target, Type, ValueId};
use locket_tensor::DType;

use super::{FormatError, precision, unsupported};

/// An input or output has another type in the package than in the program.
const INTERFACE_TYPE: &str = "LK1111";

/// Makes the interface of a function one that the format can have.
///
/// # Errors
/// When an input or output has a type that no cast makes fit.
pub(super) fn fit(
    function: &mut Function,
    target: Target,
    notes: &mut Vec<Diagnostic>,
) -> Result<(), FormatError> {
    inputs(function, target, notes)?;
    outputs(function, target, notes)
}

/// The element type in which `dtype` stands at the interface; `None` if it cannot.
fn interface_type(dtype: DType, target: Target) -> Option<DType> {
    match dtype {
        DType::Float32 | DType::Float16 | DType::Int32 => Some(dtype),
        DType::Int8 if target >= Target::Ios26 => Some(dtype),
        DType::Bool | DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Some(DType::Int32),
        _ => None,
    }
}

fn checked(role: &str, name: &str, ty: &Type, target: Target) -> Result<(DType, DType), FormatError> {
    let dtype = ty.dtype();
    let fitting = dtype.and_then(|dtype| Some((dtype, interface_type(dtype, target)?)));
    fitting.ok_or_else(|| {
        let why = format!(
            "Core ML has no arrays of {} at the interface",
            dtype.map_or("this type", DType::name)
        );
        unsupported(
            format!("{role} {name}"),
            why,
            "cast it to fp32 or int32 in the model",
        )
    })
}

fn note(role: &str, name: &str, from: DType, to: DType) -> Diagnostic {
    let message = format!("the {role} is {from} in the program and {to} in the package");
    Diagnostic::new(INTERFACE_TYPE, Severity::Note, name, message)
        .why(format!(
            "Core ML has no arrays of {from} at the interface before iOS 26, or at all"
        ))
        .rewritten_to(format!("cast to {to}"))
        .help(format!("pass and take {to} where the package is used"))
}

fn inputs(function: &mut Function, target: Target, notes: &mut Vec<Diagnostic>) -> Result<(), FormatError> {
    let mut casts = Vec::new();
    for input in function.inputs.clone() {
        let name = function.value(input).name.clone();
        let (inside, outside) = checked("input", &name, function.ty(input), target)?;
        if inside != outside {
            casts.push((input, name, inside, outside));
        }
    }
    if casts.is_empty() {
        return Ok(());
    }
    let operations = std::mem::take(&mut function.operations);
    let mut replaced = Vec::new();
    for (input, name, inside, outside) in casts {
        notes.push(note("input", &name, inside, outside));
        if let Type::Tensor { shape, .. } = function.ty(input).clone() {
            function.set_type(
                input,
                Type::Tensor {
                    dtype: outside,
                    shape,
                },
            );
        }
        replaced.push((
            input,
            precision::cast(function, input, inside, &format!("{name}_to_{inside}")),
        ));
    }
    let current = |value: ValueId| {
        replaced
            .iter()
            .find(|(old, _)| *old == value)
            .map_or(value, |(_, new)| *new)
    };
    for mut operation in operations {
        for (_, arg) in &mut operation.inputs {
            arg.values_mut()
                .iter_mut()
                .for_each(|value| *value = current(*value));
        }
        function.operations.push(operation);
    }
    for output in &mut function.outputs {
        output.value = current(output.value);
    }
    Ok(())
}

fn outputs(function: &mut Function, target: Target, notes: &mut Vec<Diagnostic>) -> Result<(), FormatError> {
    let mut taken = BTreeSet::new();
    for position in 0..function.outputs.len() {
        let Some(output) = function.outputs.get(position).cloned() else {
            continue;
        };
        let (inside, outside) = checked("output", &output.name, function.ty(output.value), target)?;
        let computed = function.value(output.value).definition == Definition::Operation;
        let value = if inside != outside {
            notes.push(note("output", &output.name, inside, outside));
            precision::cast(
                function,
                output.value,
                outside,
                &format!("{}_to_{outside}", output.name),
            )
        } else if !computed || taken.contains(&output.value) {
            identity(function, output.value, &output.name)
        } else {
            output.value
        };
        taken.insert(value);
        if let Some(output) = function.outputs.get_mut(position) {
            output.value = value;
        }
    }
    Ok(())
}

fn identity(function: &mut Function, value: ValueId, name: &str) -> ValueId {
    let ty = function.ty(value).clone();
    let result = function.add_result(name, ty);
    function.operations.push(Operation {
        kind: "identity".into(),
        inputs: vec![("x".into(), Arg::One(value))],
        outputs: vec![result],
        origin: vec![name.to_owned()],
    });
    result
}
