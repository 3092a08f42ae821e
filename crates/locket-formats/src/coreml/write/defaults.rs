//! Parameters that a program leaves out are written with the value that they stand for, as coremltools does.

use locket_mil::Target;
use locket_mil::{Arg, Function, Literal, Name, Operation};
use locket_tensor::{DType, Tensor};

use super::{FormatError, invalid, operator_of, place};
use crate::coreml::operators::{Default, Param};

/// Binds the defaults that every target has.
///
/// # Errors
/// When an operation leaves out a parameter that must be bound, or a shape is not known where a default needs it.
pub(super) fn bind(function: &mut Function) -> Result<(), FormatError> {
    bind_for(function, Target::Ios15)
}

/// Binds the defaults that `target` has.
///
/// # Errors
/// As [`bind`].
pub(super) fn bind_for(function: &mut Function, target: Target) -> Result<(), FormatError> {
    let mut operations = std::mem::take(&mut function.operations);
    for operation in &mut operations {
        bind_operation(function, operation, target)?;
    }
    function.operations = operations;
    Ok(())
}

fn bind_operation(
    function: &mut Function,
    operation: &mut Operation,
    target: Target,
) -> Result<(), FormatError> {
    let operator = operator_of(operation)?;
    let constexpr = operation.kind.starts_with("constexpr_");
    for param in &operator.params {
        if operation.arg(param.name).is_some() || constexpr || !param.exists(target) {
            continue;
        }
        let Some(literal) = default(function, operation, param)? else {
            continue;
        };
        let stem = operation
            .outputs
            .first()
            .map_or("", |output| &function.value(*output).name);
        let wish = format!("{stem}_{}", param.name);
        let value = function.add_constant(&wish, literal);
        operation.set_input(param.name, value);
    }
    let position = |name: &str| operator.params.iter().position(|param| param.name == name);
    operation
        .inputs
        .sort_by_key(|(name, _): &(Name, Arg)| position(name));
    Ok(())
}

/// The value that `param` stands for when it is not bound; `None` if that is nothing.
fn default(
    function: &Function,
    operation: &Operation,
    param: &Param,
) -> Result<Option<Literal>, FormatError> {
    let missing = |expected: &str| invalid(place(operation), expected, "none");
    let first = operation
        .inputs
        .first()
        .and_then(|(_, arg)| arg.values().first())
        .copied();
    let rank = || {
        let shape = first.and_then(|value| function.ty(value).shape());
        shape
            .map(<[usize]>::len)
            .ok_or_else(|| missing("a first input of known shape"))
    };
    let repeated = |value: i32, count: usize| Some(Literal::Tensor(Tensor::vector(&vec![value; count])));
    Ok(match param.default {
        // Parameters that a later target dropped or added are settled when the target is known.
        Default::Required if param.before.is_some() || param.since > operator_of(operation)?.since => None,
        Default::Required => return Err(missing(&format!("parameter `{}`", param.name))),
        Default::Absent => None,
        Default::Bool(value) => Some(value.into()),
        Default::Int(value) => Some(value.into()),
        Default::Float(value) => Some(value.into()),
        Default::Text(value) => Some(value.into()),
        Default::Like(value) => {
            let dtype = first.and_then(|first| function.ty(first).dtype());
            dtype.and_then(|dtype| scalar(value, dtype))
        }
        Default::Spatial(value) => repeated(value, rank()?.saturating_sub(2)),
        Default::Sides(value) => repeated(value, rank()?.saturating_sub(2).saturating_mul(2)),
        Default::Axes => {
            let axes: Vec<i32> = (0..rank()?).filter_map(|axis| i32::try_from(axis).ok()).collect();
            Some(Literal::Tensor(Tensor::vector(&axes)))
        }
        Default::Rows => {
            let weight = operation.input("weight").map(|weight| function.ty(weight));
            let rows = weight.and_then(|ty| Some((ty.dtype()?, *ty.shape()?.first()?)));
            let (dtype, rows) = rows.ok_or_else(|| missing("a weight of known shape"))?;
            let zeros = Tensor::zeros(dtype, &[rows]);
            Some(Literal::Tensor(zeros.map_err(|error| {
                invalid(place(operation), "a bias", error.to_string())
            })?))
        }
    })
}

/// A number as a scalar of `dtype`.
fn scalar(value: f32, dtype: DType) -> Option<Literal> {
    match dtype {
        DType::Float32 => Some(value.into()),
        DType::Float16 => Some(Tensor::scalar(super::precision::to_f16(value, true)).into()),
        // The only numbers that integer inputs have as defaults are 0 and 1.
        DType::Int32 => Some(i32::from(value != 0.0).into()),
        _ => None,
    }
}
