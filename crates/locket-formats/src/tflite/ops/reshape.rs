//! Operators that change the shape or the order of axes. Integers stay integers where their scale stays the same.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use crate::import::{Op, Refusal, Var, shapes};
use crate::tflite::context::{Context, Node};

/// The operand of an operator that moves elements: as stored if the result stores the same codes, else as numbers.
fn movable(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(Var, bool), Refusal> {
    let (operand, result) = (cx.operand(node, 0)?, cx.result(node, 0)?);
    let same = cx.same_codes(operand, result)?;
    Ok((
        if same {
            cx.stored(operand)?
        } else {
            cx.real(operand)?
        },
        same,
    ))
}

fn finish(cx: &mut Context<'_>, node: &Node<'_>, value: Var, same: bool) -> Result<(), Refusal> {
    let result = cx.result(node, 0)?;
    if same {
        cx.define(result, value)
    } else {
        cx.finish(result, value)
    }
}

fn name(cx: &Context<'_>, node: &Node<'_>, same: bool) -> Result<String, Refusal> {
    let result = cx.result(node, 0)?;
    if same {
        Ok(cx.info(result)?.name.clone())
    } else {
        cx.name(result)
    }
}

/// Since when MIL moves elements of this type.
pub(super) fn move_since(dtype: DType) -> Result<Target, Refusal> {
    match dtype {
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool => Ok(Target::Ios15),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Ok(Target::Ios17),
        other => Err(Refusal::element_type("the operand", other)),
    }
}

/// Lowers `RESHAPE`, `SQUEEZE` and `EXPAND_DIMS`.
pub(super) fn reshape(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (x, same) = movable(cx, node)?;
    let (dtype, old) = (cx.builder.dtype(x)?, cx.builder.shape(x)?);
    let shape = match node.op {
        "RESHAPE" => reshaped(cx, node, &old)?,
        "SQUEEZE" => squeezed(cx, node, &old)?,
        _ => expanded(cx, node, &old)?,
    };
    if shape == old {
        return finish(cx, node, x, same);
    }
    let op = Op::new("reshape")
        .since(move_since(dtype)?)
        .var("x", x)
        .ints("shape", &shape);
    let name = name(cx, node, same)?;
    let value = cx.builder.push(op, &name, dtype, &shape)?;
    finish(cx, node, value, same)
}

/// The new shape, from an operand, the options, or the stated shape of the result.
fn reshaped(cx: &Context<'_>, node: &Node<'_>, old: &[usize]) -> Result<Vec<usize>, Refusal> {
    let from_options = node.options().map_or(Ok(None), |options| options.i32s(0))?;
    let wanted: Vec<i64> = match (node.input(1), from_options) {
        (Some(index), options) => match (cx.constant_ints(index, "the new shape"), options) {
            (Err(Refusal::Foreign(_)), Some(options)) => options.into_iter().map(i64::from).collect(),
            (found, _) => found?,
        },
        (None, Some(options)) => options.into_iter().map(i64::from).collect(),
        (None, None) => return Err(cx.builder.invalid("a new shape", "none")),
    };
    let mismatch = || {
        cx.builder.invalid(
            format!("a shape of as many elements as {old:?}"),
            format!("{wanted:?}"),
        )
    };
    let elems = shapes::product(old).ok_or_else(mismatch)?;
    let open = wanted.iter().filter(|&&dim| dim == -1).count();
    let dims: Option<Vec<usize>> = wanted
        .iter()
        .map(|&dim| {
            if dim == -1 {
                Some(1)
            } else {
                usize::try_from(dim).ok()
            }
        })
        .collect();
    let mut dims = dims.filter(|_| open <= 1).ok_or_else(mismatch)?;
    let known = shapes::product(&dims).ok_or_else(mismatch)?;
    let left = elems
        .checked_div(known)
        .filter(|left| left.checked_mul(known) == Some(elems))
        .ok_or_else(mismatch)?;
    if let Some((_, dim)) = wanted.iter().zip(&mut dims).find(|(wanted, _)| **wanted == -1) {
        *dim = left;
    } else if left != 1 {
        // A caller's batch takes the place of the 1 that the converter wrote for it.
        match dims.first_mut() {
            Some(first) if *first == 1 && old.first() == Some(&left) => *first = left,
            _ => return Err(mismatch()),
        }
    }
    Ok(dims)
}

fn squeezed(cx: &Context<'_>, node: &Node<'_>, old: &[usize]) -> Result<Vec<usize>, Refusal> {
    let given = node
        .options()
        .map_or(Ok(None), |options| options.i32s(0))?
        .unwrap_or_default();
    if given.is_empty() {
        return Ok(old.iter().copied().filter(|&dim| dim != 1).collect());
    }
    let axes: Option<Vec<usize>> = given
        .iter()
        .map(|&axis| shapes::axis(i64::from(axis), old.len()))
        .collect();
    let axes =
        axes.filter(|axes| axes.iter().all(|&axis| old.get(axis) == Some(&1)) && axes.len() <= old.len());
    let axes = axes.ok_or_else(|| {
        cx.builder
            .invalid("axes of size 1", format!("{given:?} of {old:?}"))
    })?;
    Ok(old
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis))
        .map(|(_, &dim)| dim)
        .collect())
}

fn expanded(cx: &Context<'_>, node: &Node<'_>, old: &[usize]) -> Result<Vec<usize>, Refusal> {
    let given = cx.constant_ints(cx.operand(node, 1)?, "the new axis")?;
    let rank = old.len().saturating_add(1);
    let axis = match given.as_slice() {
        [axis] => shapes::axis(*axis, rank),
        _ => None,
    };
    let axis = axis.ok_or_else(|| {
        cx.builder.invalid(
            format!("an axis of a tensor of rank {rank}"),
            format!("{given:?}"),
        )
    })?;
    let (before, after) = old.split_at(axis);
    Ok(before.iter().chain(&[1]).chain(after).copied().collect())
}

/// Lowers `TRANSPOSE`; the order must be constant.
pub(super) fn transpose(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (x, same) = movable(cx, node)?;
    let rank = cx.builder.shape(x)?.len();
    let given = cx.constant_ints(cx.operand(node, 1)?, "the order of the axes")?;
    let order: Option<Vec<usize>> = given.iter().map(|&axis| shapes::axis(axis, rank)).collect();
    let complete = |order: &Vec<usize>| order.len() == rank && (0..rank).all(|axis| order.contains(&axis));
    let order = order.filter(complete);
    let order = order.ok_or_else(|| {
        cx.builder
            .invalid(format!("an order of {rank} axes"), format!("{given:?}"))
    })?;
    let name = name(cx, node, same)?;
    let value = if order.is_sorted() {
        x
    } else {
        cx.transpose(x, &order, &name)?
    };
    finish(cx, node, value, same)
}

/// Lowers `SHAPE` to a constant.
pub(super) fn shape(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.stored(cx.operand(node, 0)?)?;
    let dims: Result<Vec<i32>, _> = cx.builder.shape(x)?.into_iter().map(i32::try_from).collect();
    let dims = dims.map_err(|error| cx.builder.invalid("dimensions of 31 bits", error.to_string()))?;
    let result = cx.result(node, 0)?;
    let name = cx.info(result)?.name.clone();
    let var = cx.builder.constant(&name, Tensor::vector(&dims))?;
    cx.define(result, var)
}
