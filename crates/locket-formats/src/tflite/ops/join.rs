//! Joining tensors.

use super::{activate, activation, before};
use crate::import::{Op, Refusal, Var, shapes};
use crate::tflite::context::{Context, Node};

fn operands(cx: &mut Context<'_>, node: &Node<'_>) -> Result<Vec<Var>, Refusal> {
    node.inputs().into_iter().map(|index| cx.real(index)).collect()
}

/// Lowers `CONCATENATION`.
pub(super) fn concatenation(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let values = operands(cx, node)?;
    let axis = node.options().map_or(Ok(0), |options| options.i32(0, 0))?;
    let &first = values
        .first()
        .ok_or_else(|| cx.builder.invalid("an input", "none"))?;
    let (dtype, mut shape) = (cx.builder.number_dtype(first)?, cx.builder.shape(first)?);
    let axis = shapes::axis(i64::from(axis), shape.len());
    let axis = axis.ok_or_else(|| cx.builder.invalid("an axis of the inputs", format!("{shape:?}")))?;
    let mut total = 0usize;
    for &var in &values {
        let part = cx.builder.shape(var)?;
        let fits = part.len() == shape.len()
            && part
                .iter()
                .zip(&shape)
                .enumerate()
                .all(|(index, (a, b))| index == axis || a == b);
        if !fits || cx.builder.dtype(var)? != dtype {
            return Err(cx.builder.invalid(
                format!("inputs that join with {dtype} {shape:?}"),
                format!("{part:?}"),
            ));
        }
        total = total.saturating_add(part.get(axis).copied().unwrap_or(0));
    }
    shape.iter_mut().skip(axis).take(1).for_each(|dim| *dim = total);
    let activation = activation(node, 1)?;
    if values.len() == 1 {
        return activate(cx, node, first, activation);
    }
    let name = before(cx, node, activation)?;
    let op = Op::new("concat")
        .vars("values", values)
        .int("axis", axis)
        .flag("interleave", false);
    let value = cx.builder.push(op, &name, dtype, &shape)?;
    activate(cx, node, value, activation)
}

/// Lowers `PACK`: tensors of one shape joined along a new axis.
pub(super) fn pack(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let values = operands(cx, node)?;
    let axis = node.options().map_or(Ok(0), |options| options.i32(1, 0))?;
    let &first = values
        .first()
        .ok_or_else(|| cx.builder.invalid("an input", "none"))?;
    let (dtype, shape) = (cx.builder.number_dtype(first)?, cx.builder.shape(first)?);
    let axis = shapes::axis(i64::from(axis), shape.len().saturating_add(1));
    let axis = axis.ok_or_else(|| cx.builder.invalid("an axis of the result", format!("{shape:?}")))?;
    for &var in &values {
        if cx.builder.shape(var)? != shape || cx.builder.dtype(var)? != dtype {
            let found = format!("{:?}", cx.builder.shape(var)?);
            return Err(cx.builder.invalid(format!("inputs of {dtype} {shape:?}"), found));
        }
    }
    let (before, after) = shape.split_at(axis);
    let wide: Vec<usize> = before
        .iter()
        .chain(&[values.len()])
        .chain(after)
        .copied()
        .collect();
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let op = Op::new("stack").vars("values", values).int("axis", axis);
    let value = cx.builder.push(op, &name, dtype, &wide)?;
    cx.finish(result, value)
}
