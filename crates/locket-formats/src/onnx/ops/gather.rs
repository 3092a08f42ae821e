//! Elements picked by position.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::{Lowered, axis_of};
use crate::import::{Builder, Op, Refusal, Var, views};
use crate::onnx::fold::Folding;
use crate::onnx::node::Node;

/// Since when MIL picks from elements of this type.
fn since(builder: &Builder<'_>, x: Var) -> Result<Target, Refusal> {
    match builder.dtype(x)? {
        DType::Float16 | DType::Float32 | DType::Int32 => Ok(Target::Ios15),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Ok(Target::Ios17),
        other => Err(Refusal::element_type(builder.name(x), other)),
    }
}

/// Positions without negative ones, which MIL does not take since iOS 17: constants are changed here, computed
/// positions get `dim` added where they are negative.
fn positions(builder: &mut Builder<'_>, node: &Node<'_>, var: Var, dim: usize) -> Result<Var, Refusal> {
    let size = i64::try_from(dim).map_err(|_| node.broken("a smaller axis", dim))?;
    if let Some(values) = builder.tensor(var).and_then(Tensor::to_i64) {
        let found = from_front(&values, size);
        let found = found.ok_or_else(|| node.broken(format!("positions below {dim}"), "another"))?;
        let shape = builder.shape(var)?;
        let tensor = Tensor::from_slice(&shape, &found).map_err(|error| node.broken("positions", error))?;
        let name = builder.name(var).to_owned();
        return builder.constant(&name, tensor);
    }
    let dtype = builder.dtype(var)?;
    if dtype != DType::Int32 {
        return Err(Refusal::element_type(builder.name(var), dtype));
    }
    let shape = builder.shape(var)?;
    let op = Op::new("greater_equal").var("x", var).int("y", 0);
    let valid = builder.push(op, &node.inner("valid"), DType::Bool, &shape)?;
    let op = Op::new("add").var("x", var).int("y", dim);
    let wrapped = builder.push(op, &node.inner("wrapped"), DType::Int32, &shape)?;
    let op = Op::new("select")
        .var("cond", valid)
        .var("a", var)
        .var("b", wrapped);
    builder.push(op, &node.inner("positions"), DType::Int32, &shape)
}

/// Positions counted from the front; `None` if one is out of range.
fn from_front(values: &[i64], size: i64) -> Option<Vec<i32>> {
    let found = values.iter().map(|&value| {
        let value = if value < 0 {
            value.checked_add(size)?
        } else {
            value
        };
        (0..size)
            .contains(&value)
            .then(|| i32::try_from(value).ok())
            .flatten()
    });
    found.collect()
}

/// The shape of `x` with `axis` replaced by the axes of the positions.
fn picked_shape(x: &[usize], positions: &[usize], axis: usize) -> Vec<usize> {
    let (before, rest) = x.split_at(axis.min(x.len()));
    before
        .iter()
        .chain(positions)
        .chain(rest.iter().skip(1))
        .copied()
        .collect()
}

/// Lowers `Gather`.
pub(super) fn gather(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let (dtype, shape, since) = (builder.dtype(x)?, builder.shape(x)?, since(builder, x)?);
    let axis = axis_of(node, node.int_or("axis", 0)?, shape.len())?;
    let result = picked_shape(&shape, &builder.shape(indices)?, axis);
    let indices = positions(builder, node, indices, shape.get(axis).copied().unwrap_or(0))?;
    let op = Op::new("gather")
        .since(since)
        .var("x", x)
        .var("indices", indices)
        .int("axis", axis);
    Ok(vec![builder.push(op, &node.output(0), dtype, &result)?])
}

/// Picks from a constant.
pub(super) fn fold(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let (x, indices, node) = (folding.input(0)?, folding.input(1)?, folding.node);
    let axis = axis_of(node, node.int_or("axis", 0)?, x.shape().len())?;
    let shape = picked_shape(x.shape(), indices.shape(), axis);
    let dim = x
        .shape()
        .get(axis)
        .and_then(|&dim| i64::try_from(dim).ok())
        .unwrap_or(0);
    let Some(values) = indices.to_i64().filter(|_| folding.allows(&shape)) else {
        return Ok(None);
    };
    let found =
        from_front(&values, dim).ok_or_else(|| node.broken(format!("positions below {dim}"), "another"))?;
    let found: Option<Vec<usize>> = found
        .into_iter()
        .map(|value| usize::try_from(value).ok())
        .collect();
    Ok(found
        .and_then(|found| views::gathered(x, &found, axis, &shape))
        .map(|tensor| vec![tensor]))
}

/// Lowers `GatherElements`.
pub(super) fn elements(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let (dtype, shape, since) = (builder.dtype(x)?, builder.shape(x)?, since(builder, x)?);
    let axis = axis_of(node, node.int_or("axis", 0)?, shape.len())?;
    let result = builder.shape(indices)?;
    let fits = result.len() == shape.len()
        && result
            .iter()
            .zip(&shape)
            .enumerate()
            .all(|(index, (a, b))| index == axis || a == b);
    if !fits {
        return Err(Refusal::form(
            "positions for a part of the operand",
            "slice the operand first",
        ));
    }
    let indices = positions(builder, node, indices, shape.get(axis).copied().unwrap_or(0))?;
    let op = Op::new("gather_along_axis")
        .since(since)
        .var("x", x)
        .var("indices", indices)
        .int("axis", axis);
    Ok(vec![builder.push(op, &node.output(0), dtype, &result)?])
}

/// Lowers `GatherND` for positions known to be in range.
pub(super) fn nd(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    let (dtype, shape, since) = (builder.dtype(x)?, builder.shape(x)?, since(builder, x)?);
    let index_shape = builder.shape(indices)?;
    let batch = node.int_or("batch_dims", 0)?;
    let dims = usize::try_from(batch)
        .ok()
        .filter(|&dims| dims < index_shape.len() && dims < shape.len());
    let dims = dims.ok_or_else(|| node.broken("batch_dims within both operands", batch))?;
    let (&depth, outer) = index_shape
        .split_last()
        .ok_or_else(|| node.broken("positions of rank 1 or more", 0))?;
    let tail = shape.get(dims.saturating_add(depth)..);
    let tail = tail.ok_or_else(|| node.broken("positions of at most as many axes as the operand", depth))?;
    let values = builder.tensor(indices).and_then(Tensor::to_i64);
    if values.is_none_or(|values| values.iter().any(|&value| value < 0)) {
        return Err(Refusal::form(
            "positions that may be negative",
            "use constant positions of zero or more",
        ));
    }
    let result: Vec<usize> = outer.iter().chain(tail).copied().collect();
    let op = Op::new("gather_nd")
        .since(since.max(Target::Ios16))
        .var("x", x)
        .var("indices", indices)
        .int("batch_dims", dims);
    Ok(vec![builder.push(op, &node.output(0), dtype, &result)?])
}
