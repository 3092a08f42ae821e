//! Softmax along the last axis, and its logarithm.

use crate::import::{Op, Refusal};
use crate::tflite::context::{Context, Node};

/// Lowers `SOFTMAX`: of `beta * x`.
pub(super) fn softmax(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let mut x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.float_dtype(x)?, cx.builder.shape(x)?);
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let beta = node.options().map_or(Ok(1.0), |options| options.f32(0, 0.0))?;
    if beta != 1.0 {
        let op = Op::new("mul").var("x", x).float("y", beta, dtype);
        x = cx.builder.push(op, &format!("{name}_scaled"), dtype, &shape)?;
    }
    let value = cx.builder.push(
        Op::new("softmax").var("x", x).int("axis", -1),
        &name,
        dtype,
        &shape,
    )?;
    cx.finish(result, value)
}

/// Lowers `LOG_SOFTMAX`: `x - log(sum(exp(x)))`.
pub(super) fn log_softmax(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.float_dtype(x)?, cx.builder.shape(x)?);
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let mut reduced = shape.clone();
    reduced.iter_mut().rev().take(1).for_each(|dim| *dim = 1);
    let op = Op::new("reduce_log_sum_exp")
        .var("x", x)
        .ints("axes", &[-1])
        .flag("keep_dims", true);
    let total = cx.builder.push(op, &format!("{name}_total"), dtype, &reduced)?;
    let value = cx
        .builder
        .push(Op::new("sub").var("x", x).var("y", total), &name, dtype, &shape)?;
    cx.finish(result, value)
}
