//! Parts of tensors, and elements added around them.

use locket_tensor::{DType, Tensor};

use crate::import::{Op, Refusal, Var, shapes};
use crate::tflite::context::{Context, Node};

/// Lowers `PAD` and `PADV2`; the paddings must be constant.
pub(super) fn pad(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.float_dtype(x)?, cx.builder.shape(x)?);
    let given = cx.constant_ints(cx.operand(node, 1)?, "the padding")?;
    let pads: Option<Vec<usize>> = given.iter().map(|&pad| usize::try_from(pad).ok()).collect();
    let pads = pads.filter(|pads| pads.len() == shape.len().saturating_mul(2));
    let pads = pads.ok_or_else(|| {
        cx.builder.invalid(
            format!("two paddings for each axis of {shape:?}"),
            format!("{given:?}"),
        )
    })?;
    let value = match node.input(2) {
        None => 0.0,
        Some(index) => {
            let var = cx.real(index)?;
            let value = cx.builder.real_tensor(var).as_ref().and_then(Tensor::to_f32);
            match value.as_deref() {
                Some(&[value]) => value,
                _ => {
                    return Err(Refusal::data_dependent(
                        "the padding value is computed at run time",
                    ));
                }
            }
        }
    };
    let dims: Option<Vec<usize>> = shape
        .iter()
        .zip(pads.chunks_exact(2))
        .map(|(&dim, pair)| pair.iter().try_fold(dim, |dim, &pad| dim.checked_add(pad)))
        .collect();
    let dims = dims.ok_or_else(|| cx.builder.invalid("smaller paddings", format!("{pads:?}")))?;
    let result = cx.result(node, 0)?;
    // MIL takes the paddings of the last axes: leading axes without padding are left out.
    let first = pads
        .chunks_exact(2)
        .position(|pair| pair.iter().any(|&pad| pad != 0));
    let Some(first) = first else {
        return cx.finish(result, x);
    };
    let tail = pads.get(first.saturating_mul(2)..).unwrap_or_default();
    let op = Op::new("pad")
        .var("x", x)
        .ints("pad", tail)
        .text("mode", "constant")
        .float("constant_val", value, dtype);
    let name = cx.name(result)?;
    let value = cx.builder.push(op, &name, dtype, &dims)?;
    cx.finish(result, value)
}

/// What a slice takes of one axis.
#[derive(Debug, Clone, Copy)]
struct Range {
    begin: usize,
    end: usize,
    step: usize,
    squeeze: bool,
}

fn cut_out(cx: &mut Context<'_>, node: &Node<'_>, x: Var, ranges: &[Range]) -> Result<(), Refusal> {
    let dtype = match cx.builder.dtype(x)? {
        dtype @ (DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool) => dtype,
        other => return Err(Refusal::element_type("the operand", other)),
    };
    let counts = ranges
        .iter()
        .map(|range| range.end.saturating_sub(range.begin).div_ceil(range.step.max(1)));
    let dims: Vec<usize> = counts
        .clone()
        .zip(ranges)
        .filter(|(_, range)| !range.squeeze)
        .map(|(dim, _)| dim)
        .collect();
    if counts.clone().any(|count| count == 0) {
        return Err(Refusal::form(
            "a slice without elements",
            "convert the model with non-empty tensors",
        ));
    }
    let whole: Vec<usize> = counts.collect();
    let result = cx.result(node, 0)?;
    let list = |f: fn(&Range) -> usize| ranges.iter().map(f).collect::<Vec<usize>>();
    let op = Op::new("slice_by_index")
        .var("x", x)
        .ints("begin", &list(|range| range.begin))
        .ints("end", &list(|range| range.end))
        .ints("stride", &list(|range| range.step));
    let name = cx.name(result)?;
    let squeezed: Vec<usize> = ranges
        .iter()
        .enumerate()
        .filter(|(_, range)| range.squeeze)
        .map(|(axis, _)| axis)
        .collect();
    let first = if squeezed.is_empty() {
        name.clone()
    } else {
        format!("{name}_part")
    };
    let mut value = cx.builder.push(op, &first, dtype, &whole)?;
    if !squeezed.is_empty() {
        let op = Op::new("squeeze").var("x", value).ints("axes", &squeezed);
        value = cx.builder.push(op, &name, dtype, &dims)?;
    }
    cx.finish(result, value)
}

/// Lowers `SLICE`; begin and size must be constant.
pub(super) fn slice(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let shape = cx.builder.shape(x)?;
    let begins = cx.constant_ints(cx.operand(node, 1)?, "the begin of the slice")?;
    let sizes = cx.constant_ints(cx.operand(node, 2)?, "the size of the slice")?;
    let ranges: Option<Vec<Range>> = shape
        .iter()
        .zip(begins.iter().zip(&sizes))
        .map(|(&dim, (&begin, &size))| {
            let begin = usize::try_from(begin).ok()?;
            let end = if size == -1 {
                dim
            } else {
                begin.checked_add(usize::try_from(size).ok()?)?
            };
            (begin <= end && end <= dim).then_some(Range {
                begin,
                end,
                step: 1,
                squeeze: false,
            })
        })
        .collect();
    let complete = begins.len() == shape.len() && sizes.len() == shape.len();
    let ranges = ranges.filter(|_| complete);
    let ranges = ranges.ok_or_else(|| {
        cx.builder.invalid(
            format!("a part of {shape:?}"),
            format!("{begins:?} and {sizes:?}"),
        )
    })?;
    cut_out(cx, node, x, &ranges)
}

/// Lowers `STRIDED_SLICE` with positive steps and without new axes; begin, end and steps must be constant.
pub(super) fn strided_slice(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let shape = cx.builder.shape(x)?;
    let begins = cx.constant_ints(cx.operand(node, 1)?, "the begin of the slice")?;
    let ends = cx.constant_ints(cx.operand(node, 2)?, "the end of the slice")?;
    let steps = cx.constant_ints(cx.operand(node, 3)?, "the steps of the slice")?;
    let mask = |id: usize| node.options().map_or(Ok(0), |options| options.i32(id, 0));
    let (begin_mask, end_mask, shrink) = (mask(0)?, mask(1)?, mask(4)?);
    if mask(2)? != 0 || mask(3)? != 0 {
        return Err(Refusal::form(
            "an ellipsis or a new axis in a slice",
            "write the slice out",
        ));
    }
    if begins.len() > shape.len() || ends.len() != begins.len() || steps.len() != begins.len() {
        return Err(cx.builder.invalid(
            "begin, end and step for each axis",
            format!("{begins:?} for {shape:?}"),
        ));
    }
    let mut ranges = Vec::with_capacity(shape.len());
    for (axis, &dim) in shape.iter().enumerate() {
        let bit = u32::try_from(axis)
            .ok()
            .and_then(|axis| 1i32.checked_shl(axis))
            .unwrap_or(0);
        let given = begins.get(axis).zip(ends.get(axis)).zip(steps.get(axis));
        let Some(((&begin, &end), &step)) = given else {
            ranges.push(Range {
                begin: 0,
                end: dim,
                step: 1,
                squeeze: false,
            });
            continue;
        };
        let size = i64::try_from(dim).unwrap_or(i64::MAX);
        let clamp = |value: i64| {
            let value = if value < 0 {
                value.saturating_add(size)
            } else {
                value
            };
            usize::try_from(value.clamp(0, size)).unwrap_or(0)
        };
        let step = usize::try_from(step).ok().filter(|&step| step > 0);
        let step =
            step.ok_or_else(|| Refusal::form("a slice with a step below 1", "reverse the tensor first"))?;
        let squeeze = shrink & bit != 0;
        let begin = if begin_mask & bit != 0 && !squeeze {
            0
        } else {
            clamp(begin)
        };
        let end = if squeeze {
            begin.saturating_add(1).min(dim)
        } else if end_mask & bit != 0 {
            dim
        } else {
            clamp(end).max(begin)
        };
        ranges.push(Range {
            begin,
            end,
            step: if squeeze { 1 } else { step },
            squeeze,
        });
    }
    cut_out(cx, node, x, &ranges)
}

/// Lowers `SPLIT` (equal parts) and `SPLIT_V` (given parts).
pub(super) fn split(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let equal = node.op == "SPLIT";
    let (data, axis) = if equal { (1, 0) } else { (0, 2) };
    let x = cx.real(cx.operand(node, data)?)?;
    let (dtype, shape) = (cx.builder.number_dtype(x)?, cx.builder.shape(x)?);
    let given = cx.constant_ints(cx.operand(node, axis)?, "the axis")?;
    let axis = match given.as_slice() {
        [axis] => shapes::axis(*axis, shape.len()),
        _ => None,
    };
    let axis = axis.ok_or_else(|| {
        cx.builder
            .invalid(format!("an axis of {shape:?}"), format!("{given:?}"))
    })?;
    let dim = shape.get(axis).copied().unwrap_or(0);
    let parts = node.outputs().len();
    let sizes: Option<Vec<usize>> = if equal {
        dim.checked_div(parts)
            .filter(|size| size.checked_mul(parts) == Some(dim))
            .map(|size| vec![size; parts])
    } else {
        let given = cx.constant_ints(cx.operand(node, 1)?, "the sizes of the parts")?;
        given_sizes(&given, dim)
    };
    let sizes = sizes.filter(|sizes| sizes.len() == parts && !sizes.contains(&0));
    let sizes = sizes.ok_or_else(|| {
        cx.builder
            .invalid(format!("{parts} parts of {dim} elements"), "others")
    })?;
    if parts == 1 {
        return cx.finish(cx.result(node, 0)?, x);
    }
    let mut results = Vec::with_capacity(parts);
    for (&index, &size) in node.outputs().iter().zip(&sizes) {
        let mut part = shape.clone();
        part.iter_mut().skip(axis).take(1).for_each(|dim| *dim = size);
        results.push((cx.name(index)?, dtype, part));
    }
    let op = Op::new("split")
        .var("x", x)
        .ints("split_sizes", &sizes)
        .int("axis", axis);
    let values = cx.builder.push_many(op, &results)?;
    for (&index, value) in node.outputs().iter().zip(values) {
        cx.finish(index, value)?;
    }
    Ok(())
}

/// Sizes of parts with -1 for the one that takes what is left.
fn given_sizes(given: &[i64], dim: usize) -> Option<Vec<usize>> {
    let known = given.iter().filter(|&&size| size != -1);
    let total = known
        .clone()
        .try_fold(0usize, |sum, &size| sum.checked_add(usize::try_from(size).ok()?))?;
    let open = given.len().checked_sub(known.count())?;
    let left = dim
        .checked_sub(total)
        .filter(|&left| if open == 0 { left == 0 } else { open == 1 })?;
    given
        .iter()
        .map(|&size| {
            if size == -1 {
                Some(left)
            } else {
                usize::try_from(size).ok()
            }
        })
        .collect()
}

/// Lowers `UNPACK`: the entries of one axis as tensors without it.
pub(super) fn unpack(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.number_dtype(x)?, cx.builder.shape(x)?);
    let axis = node.options().map_or(Ok(0), |options| options.i32(1, 0))?;
    let axis = shapes::axis(i64::from(axis), shape.len());
    let axis = axis.ok_or_else(|| cx.builder.invalid("an axis of the operand", format!("{shape:?}")))?;
    let parts = node.outputs().len();
    if shape.get(axis) != Some(&parts) {
        return Err(cx
            .builder
            .invalid(format!("{parts} entries of axis {axis}"), format!("{shape:?}")));
    }
    let dims: Vec<usize> = shape
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != axis)
        .map(|(_, &dim)| dim)
        .collect();
    let mut single = shape.clone();
    single.iter_mut().skip(axis).take(1).for_each(|dim| *dim = 1);
    let mut results = Vec::with_capacity(parts);
    for &index in node.outputs() {
        results.push((format!("{}_entry", cx.name(index)?), dtype, single.clone()));
    }
    let values = if parts == 1 {
        vec![x]
    } else {
        let op = Op::new("split")
            .var("x", x)
            .int("num_splits", parts)
            .int("axis", axis);
        cx.builder.push_many(op, &results)?
    };
    for (&index, value) in node.outputs().iter().zip(values) {
        let op = Op::new("squeeze").var("x", value).ints("axes", &[axis]);
        let name = cx.name(index)?;
        let value = cx.builder.push(op, &name, dtype, &dims)?;
        cx.finish(index, value)?;
    }
    Ok(())
}

/// Lowers `GATHER` without batch axes.
pub(super) fn gather(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.number_dtype(x)?, cx.builder.shape(x)?);
    let indices = cx.stored(cx.operand(node, 1)?)?;
    if cx.builder.dtype(indices)? != DType::Int32 {
        return Err(Refusal::element_type("the positions", cx.builder.dtype(indices)?));
    }
    let (axis, batch) = match node.options() {
        Some(options) => (options.i32(0, 0)?, options.i32(1, 0)?),
        None => (0, 0),
    };
    if batch != 0 {
        return Err(Refusal::form(
            "batch axes of positions",
            "use positions without batch axes",
        ));
    }
    let axis = shapes::axis(i64::from(axis), shape.len());
    let axis = axis.ok_or_else(|| cx.builder.invalid("an axis of the operand", format!("{shape:?}")))?;
    let (before, rest) = shape.split_at(axis);
    let picked = cx.builder.shape(indices)?;
    let dims: Vec<usize> = before
        .iter()
        .chain(&picked)
        .chain(rest.iter().skip(1))
        .copied()
        .collect();
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let op = Op::new("gather")
        .var("x", x)
        .var("indices", indices)
        .int("axis", axis);
    let value = cx.builder.push(op, &name, dtype, &dims)?;
    cx.finish(result, value)
}
