//! Reductions along axes.

use locket_tensor::DType;

use crate::import::{Op, Refusal, shapes};
use crate::tflite::context::{Context, Node};

/// Axes of a tensor of `rank` axes, from the constant operand `index`.
pub(super) fn axes(cx: &Context<'_>, tensor: i32, rank: usize) -> Result<Vec<usize>, Refusal> {
    let given = cx.constant_ints(tensor, "the axes")?;
    if given.len() > rank {
        return Err(cx
            .builder
            .invalid(format!("at most {rank} axes"), given.len().to_string()));
    }
    let axes: Option<Vec<usize>> = given.iter().map(|&axis| shapes::axis(axis, rank)).collect();
    let mut axes = axes.ok_or_else(|| {
        cx.builder
            .invalid(format!("axes of a tensor of rank {rank}"), format!("{given:?}"))
    })?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let dims = shape.iter().enumerate();
    dims.filter(|(axis, _)| keep || !axes.contains(axis))
        .map(|(axis, &dim)| if axes.contains(&axis) { 1 } else { dim })
        .collect()
}

/// Lowers `MEAN`, `SUM` and their like.
pub(super) fn reduce(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.number_dtype(x)?, cx.builder.shape(x)?);
    let axes = axes(cx, cx.operand(node, 1)?, shape.len())?;
    let keep = node
        .options()
        .map_or(Ok(false), |options| options.flag(0, false))?;
    let kind = match node.op {
        "MEAN" => "reduce_mean",
        "REDUCE_MAX" => "reduce_max",
        "REDUCE_MIN" => "reduce_min",
        "REDUCE_PROD" => "reduce_prod",
        _ => "reduce_sum",
    };
    if kind == "reduce_mean" {
        cx.builder.float_dtype(x)?;
    }
    let result = cx.result(node, 0)?;
    if axes.is_empty() {
        return cx.finish(result, x);
    }
    let op = Op::new(kind)
        .var("x", x)
        .ints("axes", &axes)
        .flag("keep_dims", keep);
    let name = cx.name(result)?;
    let value = cx.builder.push(op, &name, dtype, &reduced(&shape, &axes, keep))?;
    cx.finish(result, value)
}

/// Lowers `ARG_MAX` and `ARG_MIN`.
pub(super) fn argument(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    cx.builder.number_dtype(x)?;
    let shape = cx.builder.shape(x)?;
    let axes = axes(cx, cx.operand(node, 1)?, shape.len())?;
    let &[axis] = axes.as_slice() else {
        return Err(cx.builder.invalid("one axis", axes.len().to_string()));
    };
    let result = cx.result(node, 0)?;
    let kind = if node.op == "ARG_MAX" {
        "reduce_argmax"
    } else {
        "reduce_argmin"
    };
    let op = Op::new(kind)
        .var("x", x)
        .int("axis", axis)
        .flag("keep_dims", false);
    let name = cx.name(result)?;
    let value = cx
        .builder
        .push(op, &name, DType::Int32, &reduced(&shape, &axes, false))?;
    cx.define(result, value)
}
