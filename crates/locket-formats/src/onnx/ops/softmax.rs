//! Softmax and its logarithm.

use super::{Lowered, axis_of};
use crate::import::{Builder, Op, Refusal, Var, shapes};
use crate::onnx::node::Node;

/// Operator sets before this one flatten the operand to a matrix at the axis.
const ALONG_ONE_AXIS: i64 = 13;

/// Lowers `Softmax` and `LogSoftmax`. The logarithm is `x - log(sum(exp(x)))`, which does not lose small results.
pub(super) fn lower(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    if node.opset >= ALONG_ONE_AXIS {
        let axis = axis_of(node, node.int_or("axis", -1)?, shape.len())?;
        return Ok(vec![along(builder, node, x, axis, &node.output(0))?]);
    }
    let axis = axis_of(node, node.int_or("axis", 1)?, shape.len())?;
    let (outer, inner) = shape.split_at(axis);
    // Where all but one of the flattened axes have size 1, flattening changes nothing.
    let long: Vec<usize> = inner
        .iter()
        .enumerate()
        .filter(|(_, dim)| **dim != 1)
        .map(|(index, _)| index)
        .collect();
    if let [] | [_] = long.as_slice() {
        let axis = axis.saturating_add(long.first().copied().unwrap_or(0));
        return Ok(vec![along(builder, node, x, axis, &node.output(0))?]);
    }
    let rows = shapes::product(outer).zip(shapes::product(inner));
    let (rows, columns) = rows.ok_or_else(|| node.broken("fewer elements", "more"))?;
    let flat = super::reshape::reshape_to(builder, x, &[rows, columns], &node.inner("flat"))?;
    let result = along(builder, node, flat, 1, &node.inner("rows"))?;
    let op = Op::new("reshape").var("x", result).ints("shape", &shape);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

fn along(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    axis: usize,
    name: &str,
) -> Result<Var, Refusal> {
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    if node.op == "Softmax" {
        return builder.push(
            Op::new("softmax").var("x", x).int("axis", axis),
            name,
            dtype,
            &shape,
        );
    }
    let mut reduced = shape.clone();
    reduced.iter_mut().skip(axis).take(1).for_each(|dim| *dim = 1);
    let op = Op::new("reduce_log_sum_exp")
        .var("x", x)
        .ints("axes", &[axis])
        .flag("keep_dims", true);
    let total = builder.push(op, &format!("{name}_total"), dtype, &reduced)?;
    builder.push(Op::new("sub").var("x", x).var("y", total), name, dtype, &shape)
}
