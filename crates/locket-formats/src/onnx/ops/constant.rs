//! Constants, and results that follow from shapes alone.

use locket_tensor::{DType, Tensor};

use super::Lowered;
use crate::import::{Builder, Op, Refusal, mil_dtype, shapes, views};
use crate::onnx::fold::{Folding, MAX_RESULT_ELEMS, Numbers, from_ints, numbers};
use crate::onnx::node::Node;

/// Takes the value of a `Constant`, from whichever attribute holds it.
pub(super) fn constant(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let tensor = if let Some(tensor) = node.tensor("value")? {
        tensor
    } else if node.attribute("value_float").is_some() {
        Tensor::scalar(node.float_or("value_float", 0.0)?)
    } else if let Some(values) = node.floats("value_floats") {
        Tensor::vector(&values)
    } else if let Some(value) = node.int("value_int")? {
        Tensor::scalar(value)
    } else if let Some(values) = node.ints("value_ints")? {
        Tensor::vector(&values)
    } else if node.attribute("sparse_value").is_some() {
        return Err(Refusal::form(
            "a sparse constant",
            "export the model with dense constants",
        ));
    } else if node
        .attribute("value_string")
        .or(node.attribute("value_strings"))
        .is_some()
    {
        return Err(Refusal::element_type("the constant", "string"));
    } else {
        return Err(node.broken("a value", "none"));
    };
    Ok(vec![builder.constant(&node.output(0), tensor)?])
}

/// Makes a tensor of one value; a small one is a constant, a large one a `fill`.
pub(super) fn of_shape(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let dims = super::constant_ints(builder, node, 0, "the shape")?;
    let shape = super::super::tensor::shape(&dims, &node.label, builder.limits())?;
    let value = node.tensor("value")?.unwrap_or_else(|| Tensor::scalar(0.0f32));
    if value.elems() != 1 {
        return Err(node.broken("one value", value.elems()));
    }
    let elems = shapes::product(&shape).unwrap_or(usize::MAX);
    let scalar = value
        .reshaped(&[])
        .map_err(|error| node.broken("one value", error))?;
    if elems <= MAX_RESULT_ELEMS
        && let Some(tensor) = views::broadcast_to(&scalar, &shape)
    {
        return Ok(vec![builder.constant(&node.output(0), tensor)?]);
    }
    let dtype = mil_dtype(value.dtype());
    if !matches!(
        dtype,
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool
    ) {
        return Err(Refusal::element_type("the result", value.dtype()));
    }
    let value = builder.constant(&node.inner("value"), scalar)?;
    let op = Op::new("fill").ints("shape", &shape).var("value", value);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// The shape of the operand, or a part of it, as a constant.
pub(super) fn shape(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let shape = builder.shape(node.input(0)?)?;
    let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let bound = |value: i64| {
        let from_front = if value < 0 {
            value.saturating_add(rank)
        } else {
            value
        };
        usize::try_from(from_front.clamp(0, rank)).unwrap_or(0)
    };
    let start = bound(node.int_or("start", 0)?);
    let end = bound(node.int_or("end", rank)?);
    let part = shape.get(start..end.max(start)).unwrap_or_default();
    let dims: Result<Vec<i64>, _> = part.iter().map(|&dim| i64::try_from(dim)).collect();
    let dims = dims.map_err(|error| node.broken("dimensions of 63 bits", error))?;
    Ok(vec![builder.constant(&node.output(0), Tensor::vector(&dims))?])
}

/// The number of elements of the operand as a constant.
pub(super) fn size(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let shape = builder.shape(node.input(0)?)?;
    let elems = shapes::product(&shape).and_then(|elems| i64::try_from(elems).ok());
    let elems = elems.ok_or_else(|| node.broken("an element count of 63 bits", "more"))?;
    Ok(vec![builder.constant(&node.output(0), Tensor::scalar(elems))?])
}

/// A sequence of numbers is lowered only by folding: its length depends on its operands.
pub(super) fn range(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    for index in 0..3 {
        let var = node.input(index)?;
        if !builder.is_constant(var) {
            return Err(super::computed_operand(builder, var, "a bound of the sequence"));
        }
    }
    Err(Refusal::form(
        "a sequence too long to compute while reading",
        "give it as a constant",
    ))
}

/// Computes `start, start + delta, ...` up to, not including, `limit`.
pub(super) fn fold_range(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let (start, limit, delta) = (folding.input(0)?, folding.input(1)?, folding.input(2)?);
    let dtype = start.dtype();
    let tensor = match (numbers(start), numbers(limit), numbers(delta)) {
        (Some(Numbers::Ints(start)), Some(Numbers::Ints(limit)), Some(Numbers::Ints(delta))) => {
            integers(folding, first(&start), first(&limit), first(&delta))
                .and_then(|values| from_ints(dtype, &[values.len()], &values))
        }
        (Some(Numbers::Floats(start)), Some(Numbers::Floats(limit)), Some(Numbers::Floats(delta))) => {
            floats(folding, first(&start), first(&limit), first(&delta))
                .and_then(|values| views::floats(dtype, &[values.len()], &values))
        }
        _ => None,
    };
    Ok(tensor.map(|tensor| vec![tensor]))
}

fn first<T: Copy>(values: &[T]) -> Option<T> {
    if let [value] = values { Some(*value) } else { None }
}

fn integers(
    folding: &Folding<'_>,
    start: Option<i64>,
    limit: Option<i64>,
    delta: Option<i64>,
) -> Option<Vec<i64>> {
    let (start, limit, delta) = (start?, limit?, delta?);
    let mut values = Vec::new();
    let mut next = start;
    while delta != 0 && if delta > 0 { next < limit } else { next > limit } {
        if values.len() >= folding.max_elems {
            return None;
        }
        values.push(next);
        next = next.checked_add(delta)?;
    }
    (delta != 0).then_some(values)
}

fn floats(
    folding: &Folding<'_>,
    start: Option<f32>,
    limit: Option<f32>,
    delta: Option<f32>,
) -> Option<Vec<f32>> {
    let (start, limit, delta) = (start?, limit?, delta?);
    let count = ((f64::from(limit) - f64::from(start)) / f64::from(delta)).ceil();
    let max = u32::try_from(folding.max_elems).unwrap_or(u32::MAX);
    if count > f64::from(max) || count.is_nan() {
        return None;
    }
    let indices = (0..max).take_while(|&index| f64::from(index) < count);
    #[expect(
        clippy::as_conversions,
        reason = "a sum in double precision, rounded to the nearest float"
    )]
    let values = indices
        .map(|index| (f64::from(start) + f64::from(index) * f64::from(delta)) as f32)
        .collect();
    Some(values)
}
