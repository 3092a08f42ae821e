//! Elements written by position.

use locket_tensor::{DType, Tensor};

use super::{Lowered, axis_of};
use crate::import::{Builder, Op, Refusal, Var, views};
use crate::onnx::node::Node;

/// MIL's name for how a written element and the one before it combine.
fn mode(node: &Node<'_>) -> Result<&'static str, Refusal> {
    match node.text_or("reduction", "none")?.as_str() {
        "none" => Ok("update"),
        "add" => Ok("add"),
        "mul" => Ok("mul"),
        "max" => Ok("max"),
        "min" => Ok("min"),
        other => Err(node.broken("none, add, mul, max or min as reduction", other)),
    }
}

/// Positions as constants without negative ones; `dims` are the sizes they point into, repeated along the last axis.
fn positions(builder: &mut Builder<'_>, node: &Node<'_>, var: Var, dims: &[usize]) -> Result<Var, Refusal> {
    let Some(values) = builder.tensor(var).and_then(Tensor::to_i64) else {
        return Err(super::computed_operand(
            builder,
            var,
            "the positions that are written to",
        ));
    };
    let found: Option<Vec<i32>> = values
        .iter()
        .zip(dims.iter().cycle())
        .map(|(&value, &dim)| {
            let size = i64::try_from(dim).ok()?;
            let value = if value < 0 {
                value.checked_add(size)?
            } else {
                value
            };
            (0..size)
                .contains(&value)
                .then(|| i32::try_from(value).ok())
                .flatten()
        })
        .collect();
    let found = found.ok_or_else(|| node.broken(format!("positions within {dims:?}"), "others"))?;
    let shape = builder.shape(var)?;
    let tensor = Tensor::from_slice(&shape, &found).map_err(|error| node.broken("positions", error))?;
    let name = builder.name(var).to_owned();
    builder.constant(&name, tensor)
}

/// Lowers `ScatterND`; the positions must be constant.
pub(super) fn nd(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (data, indices, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let (dtype, shape) = (builder.number_dtype(data)?, builder.shape(data)?);
    let index_shape = builder.shape(indices)?;
    let (&depth, outer) = index_shape
        .split_last()
        .ok_or_else(|| node.broken("positions of rank 1 or more", 0))?;
    let (Some(dims), Some(tail)) = (shape.get(..depth), shape.get(depth..)) else {
        return Err(node.broken("positions of at most as many axes as the data", depth));
    };
    let expected: Vec<usize> = outer.iter().chain(tail).copied().collect();
    if builder.shape(updates)? != expected || builder.dtype(updates)? != dtype {
        return Err(node.broken(
            format!("updates of {dtype} {expected:?}"),
            format!("{:?}", builder.shape(updates)?),
        ));
    }
    let indices = positions(builder, node, indices, dims)?;
    let op = Op::new("scatter_nd")
        .var("data", data)
        .var("indices", indices)
        .var("updates", updates);
    Ok(vec![builder.push(
        op.text("mode", mode(node)?),
        &node.output(0),
        dtype,
        &shape,
    )?])
}

/// Lowers `ScatterElements`; the positions must be constant.
pub(super) fn elements(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (data, indices, updates) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let (dtype, shape) = (builder.number_dtype(data)?, builder.shape(data)?);
    let axis = axis_of(node, node.int_or("axis", 0)?, shape.len())?;
    let index_shape = builder.shape(indices)?;
    if builder.shape(updates)? != index_shape || builder.dtype(updates)? != dtype {
        return Err(node.broken(
            format!("updates of {dtype} {index_shape:?}"),
            format!("{:?}", builder.shape(updates)?),
        ));
    }
    let fits = index_shape.len() == shape.len()
        && index_shape
            .iter()
            .zip(&shape)
            .enumerate()
            .all(|(index, (a, b))| index == axis || a == b);
    if !fits {
        return Err(Refusal::form(
            "positions for a part of the data",
            "pad the positions to the whole",
        ));
    }
    let dim = shape.get(axis).copied().unwrap_or(0);
    let indices = positions(builder, node, indices, &[dim])?;
    let op = Op::new("scatter_along_axis")
        .var("data", data)
        .var("indices", indices)
        .var("updates", updates);
    let op = op.int("axis", axis).text("mode", mode(node)?);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Lowers `OneHot`: a comparison of the positions with `0, 1, ...` along a new axis, then a choice of two values.
pub(super) fn one_hot(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (indices, values) = (node.input(0)?, node.input(2)?);
    let given = node.input(1)?;
    let Some(depth) = builder.tensor(given) else {
        return Err(super::computed_operand(builder, given, "the depth"));
    };
    // The depth may be given as any kind of number.
    let depth = super::cast::converted(depth, DType::Int64)
        .as_ref()
        .and_then(Tensor::to_i64);
    let depth = match depth.as_deref() {
        Some(&[depth]) => depth,
        other => return Err(node.broken("one depth", format!("{other:?}"))),
    };
    let size = i32::try_from(depth)
        .ok()
        .filter(|&depth| depth > 0)
        .ok_or_else(|| node.broken("a depth above 0", depth))?;
    let Some(pair) = builder
        .tensor(values)
        .filter(|tensor| tensor.elems() == 2)
        .cloned()
    else {
        return Err(super::computed_operand(
            builder,
            values,
            "the values for on and off",
        ));
    };
    let dtype = match builder.dtype(values)? {
        dtype @ (DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool) => dtype,
        other => return Err(Refusal::element_type("the result", other)),
    };
    let found = builder.dtype(indices)?;
    let indices = if found == DType::Int32 {
        indices
    } else {
        super::cast::to(builder, indices, DType::Int32, &node.inner("indices"))?
    };
    let shape = builder.shape(indices)?;
    let axis = axis_of(node, node.int_or("axis", -1)?, shape.len().saturating_add(1))?;
    let (before, after) = shape.split_at(axis);
    let wide: Vec<usize> = before.iter().chain(&[1]).chain(after).copied().collect();
    let depth = usize::try_from(size).unwrap_or(0);
    let result: Vec<usize> = before.iter().chain(&[depth]).chain(after).copied().collect();
    let column: Vec<usize> = (0..wide.len())
        .map(|index| if index == axis { depth } else { 1 })
        .collect();
    // A negative position counts from the end.
    let op = Op::new("mod").var("x", indices).int("y", size);
    let valid = in_range(builder, node, indices, size, &shape)?;
    let wrapped = builder.push(op, &node.inner("wrapped"), DType::Int32, &shape)?;
    let op = Op::new("select")
        .var("cond", valid)
        .var("a", wrapped)
        .int("b", -1);
    let wrapped = builder.push(op, &node.inner("positions"), DType::Int32, &shape)?;
    let wrapped = super::reshape::reshape_to(builder, wrapped, &wide, &node.inner("column"))?;
    let steps: Vec<i32> = (0..size).collect();
    let steps = Tensor::from_slice(&column, &steps).map_err(|error| node.broken("a depth", error))?;
    let op = Op::new("equal").var("x", wrapped).literal("y", steps);
    let hot = builder.push(op, &node.inner("hot"), DType::Bool, &result)?;
    let part = |index: isize| views::strided(&pair, &[], &[], index);
    let (off, on) = part(0)
        .zip(part(1))
        .ok_or_else(|| node.broken("two values", pair.elems()))?;
    let (off, on) = (
        builder.constant(&node.inner("off"), off)?,
        builder.constant(&node.inner("on"), on)?,
    );
    let on = super::reshape::expand_to(builder, node, on, &result, &node.inner("ones"))?;
    let op = Op::new("select").var("cond", hot).var("a", on).var("b", off);
    Ok(vec![builder.push(op, &node.output(0), dtype, &result)?])
}

/// Where positions lie in `-size..size`.
fn in_range(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    size: i32,
    shape: &[usize],
) -> Result<Var, Refusal> {
    let op = Op::new("less").var("x", x).int("y", size);
    let below = builder.push(op, &node.inner("below"), DType::Bool, shape)?;
    let op = Op::new("greater_equal")
        .var("x", x)
        .int("y", i64::from(size).saturating_neg());
    let above = builder.push(op, &node.inner("above"), DType::Bool, shape)?;
    builder.push(
        Op::new("logical_and").var("x", below).var("y", above),
        &node.inner("valid"),
        DType::Bool,
        shape,
    )
}
