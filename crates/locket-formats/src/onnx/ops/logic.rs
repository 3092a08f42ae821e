//! Comparisons, truth values, and choices between values.

use locket_tensor::{DType, Tensor};

use super::{Lowered, arithmetic};
use crate::import::{Builder, Op, Refusal, Var, shapes, views};
use crate::onnx::fold::{Folding, Numbers, from_ints, numbers};
use crate::onnx::node::Node;

/// Lowers a comparison. MIL compares no truth values for equality; two are equal if their exclusive or is false.
pub(super) fn compare(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, y) = (node.input(0)?, node.input(1)?);
    let shape = arithmetic::broadcast(builder, node, x, y)?;
    if builder.dtype(x)? == DType::Bool && node.op == "Equal" {
        let op = Op::new("logical_xor").var("x", x).var("y", y);
        let differs = builder.push(op, &node.inner("differs"), DType::Bool, &shape)?;
        let op = Op::new("logical_not").var("x", differs);
        return Ok(vec![builder.push(op, &node.output(0), DType::Bool, &shape)?]);
    }
    builder.number_dtype(x)?;
    let kind = match node.op {
        "Equal" => "equal",
        "Greater" => "greater",
        "GreaterOrEqual" => "greater_equal",
        "Less" => "less",
        _ => "less_equal",
    };
    let op = Op::new(kind).var("x", x).var("y", y);
    Ok(vec![builder.push(op, &node.output(0), DType::Bool, &shape)?])
}

/// Lowers `And`, `Or` and `Xor`.
pub(super) fn connective(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, y) = (node.input(0)?, node.input(1)?);
    for var in [x, y] {
        require_bool(builder, node, var)?;
    }
    let shape = arithmetic::broadcast(builder, node, x, y)?;
    let kind = match node.op {
        "And" => "logical_and",
        "Or" => "logical_or",
        _ => "logical_xor",
    };
    let op = Op::new(kind).var("x", x).var("y", y);
    Ok(vec![builder.push(op, &node.output(0), DType::Bool, &shape)?])
}

/// Lowers `Not`.
pub(super) fn not(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    require_bool(builder, node, x)?;
    let shape = builder.shape(x)?;
    Ok(vec![builder.push(
        Op::new("logical_not").var("x", x),
        &node.output(0),
        DType::Bool,
        &shape,
    )?])
}

fn require_bool(builder: &Builder<'_>, node: &Node<'_>, var: Var) -> Result<(), Refusal> {
    match builder.dtype(var)? {
        DType::Bool => Ok(()),
        other => Err(node.broken("truth values", other)),
    }
}

/// Lowers `IsNaN`: only a NaN differs from itself.
pub(super) fn is_nan(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    builder.float_dtype(x)?;
    let shape = builder.shape(x)?;
    let op = Op::new("not_equal").var("x", x).var("y", x);
    Ok(vec![builder.push(op, &node.output(0), DType::Bool, &shape)?])
}

/// Lowers `IsInf`: the absolute value, or the value itself where only one sign counts, is infinite.
pub(super) fn is_infinite(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let (positive, negative) = (
        node.flag("detect_positive", true)?,
        node.flag("detect_negative", true)?,
    );
    let (x, bound) = match (positive, negative) {
        (true, true) => (
            builder.push(Op::new("abs").var("x", x), &node.inner("size"), dtype, &shape)?,
            f32::INFINITY,
        ),
        (true, false) => (x, f32::INFINITY),
        (false, true) => (x, f32::NEG_INFINITY),
        (false, false) => return Err(Refusal::form("a test for no infinity", "use a constant")),
    };
    let op = Op::new("equal").var("x", x).float("y", bound, dtype);
    Ok(vec![builder.push(op, &node.output(0), DType::Bool, &shape)?])
}

/// Lowers `Where`. MIL takes the shape of the result from the two choices, so they are repeated to the full shape
/// when only the condition has it.
pub(super) fn select(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (condition, mut a, b) = (node.input(0)?, node.input(1)?, node.input(2)?);
    require_bool(builder, node, condition)?;
    let dtype = builder.dtype(a)?;
    if !matches!(
        dtype,
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool
    ) {
        return Err(Refusal::element_type(builder.name(a), dtype));
    }
    if builder.dtype(b)? != dtype {
        return Err(node.broken(format!("a third operand of type {dtype}"), builder.dtype(b)?));
    }
    let choices = arithmetic::broadcast(builder, node, a, b)?;
    let wanted = builder.shape(condition)?;
    let shape = shapes::broadcast(&choices, &wanted).ok_or_else(|| {
        node.broken(
            format!("a condition that broadcasts with {choices:?}"),
            format!("{wanted:?}"),
        )
    })?;
    if shape != choices {
        a = super::reshape::expand_to(builder, node, a, &shape, &node.inner("choice"))?;
    }
    let op = Op::new("select").var("cond", condition).var("a", a).var("b", b);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Computes comparisons and connectives.
pub(super) fn fold(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    if folding.node.op == "Not" {
        let values = x.to_i64().map(|values| {
            values
                .into_iter()
                .map(|value| i64::from(value == 0))
                .collect::<Vec<_>>()
        });
        return Ok(values
            .and_then(|values| from_ints(DType::Bool, x.shape(), &values))
            .map(|tensor| vec![tensor]));
    }
    let y = folding.input(1)?;
    let Some(shape) = shapes::broadcast(x.shape(), y.shape()).filter(|shape| folding.allows(shape)) else {
        return Ok(None);
    };
    let Some((a, b)) = views::broadcast_to(x, &shape).zip(views::broadcast_to(y, &shape)) else {
        return Ok(None);
    };
    let op = folding.node.op;
    let values: Option<Vec<bool>> = match numbers(&a).zip(numbers(&b)) {
        Some((Numbers::Ints(a), Numbers::Ints(b))) => {
            a.iter().zip(&b).map(|(a, b)| compared(op, a, b)).collect()
        }
        Some((Numbers::Floats(a), Numbers::Floats(b))) => {
            a.iter().zip(&b).map(|(a, b)| compared(op, a, b)).collect()
        }
        _ => None,
    };
    let values: Option<Vec<i64>> = values.map(|values| values.into_iter().map(i64::from).collect());
    Ok(values
        .and_then(|values| from_ints(DType::Bool, &shape, &values))
        .map(|tensor| vec![tensor]))
}

fn compared<T: PartialOrd + Default>(op: &str, a: &T, b: &T) -> Option<bool> {
    let truth = |value: &T| *value != T::default();
    Some(match op {
        "Equal" => a == b,
        "Greater" => a > b,
        "GreaterOrEqual" => a >= b,
        "Less" => a < b,
        "LessOrEqual" => a <= b,
        "And" => truth(a) && truth(b),
        "Or" => truth(a) || truth(b),
        "Xor" => truth(a) != truth(b),
        _ => return None,
    })
}

/// Computes `Where` on numbers.
pub(super) fn fold_select(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let (condition, a, b) = (folding.input(0)?, folding.input(1)?, folding.input(2)?);
    let shape =
        shapes::broadcast(a.shape(), b.shape()).and_then(|ab| shapes::broadcast(&ab, condition.shape()));
    let Some(shape) = shape.filter(|shape| folding.allows(shape)) else {
        return Ok(None);
    };
    let full = |tensor: &Tensor| views::broadcast_to(tensor, &shape);
    let Some(((condition, a), b)) = full(condition).zip(full(a)).zip(full(b)) else {
        return Ok(None);
    };
    let chosen = condition
        .to_i64()
        .zip(numbers(&a))
        .zip(numbers(&b))
        .and_then(|((condition, a), b)| {
            let values = match (a, b) {
                (Numbers::Ints(a), Numbers::Ints(b)) => Numbers::Ints(choose(&condition, &a, &b)),
                (Numbers::Floats(a), Numbers::Floats(b)) => Numbers::Floats(choose(&condition, &a, &b)),
                _ => return None,
            };
            crate::onnx::fold::from_numbers(folding.input(1).ok()?.dtype(), &shape, &values)
        });
    Ok(chosen.map(|tensor| vec![tensor]))
}

fn choose<T: Copy>(condition: &[i64], a: &[T], b: &[T]) -> Vec<T> {
    condition
        .iter()
        .zip(a.iter().zip(b))
        .map(|(&condition, (&a, &b))| if condition != 0 { a } else { b })
        .collect()
}
