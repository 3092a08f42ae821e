//! Cutting tensors apart and joining them.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::{Lowered, axis_of, constant_ints, optional_ints};
use crate::import::{Builder, Op, Refusal, Var, views};
use crate::onnx::fold::Folding;
use crate::onnx::node::Node;

/// The part of one axis that a slice takes: `count` elements from `begin` on, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    begin: usize,
    step: i64,
    count: usize,
}

/// What a slice takes of each axis of `shape`.
fn ranges(
    node: &Node<'_>,
    shape: &[usize],
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Vec<Range>, Refusal> {
    let mut ranges: Vec<Range> = shape
        .iter()
        .map(|&dim| Range {
            begin: 0,
            step: 1,
            count: dim,
        })
        .collect();
    if ends.len() != starts.len()
        || [axes, steps]
            .iter()
            .flatten()
            .any(|list| list.len() != starts.len())
    {
        return Err(node.broken("starts, ends, axes and steps of one length", "others"));
    }
    for (index, (&start, &end)) in starts.iter().zip(ends).enumerate() {
        let axis = match axes {
            Some(axes) => axis_of(node, axes.get(index).copied().unwrap_or(0), shape.len())?,
            None => index,
        };
        let step = steps.and_then(|steps| steps.get(index)).copied().unwrap_or(1);
        let dim = shape
            .get(axis)
            .copied()
            .ok_or_else(|| node.broken("an axis of the operand", axis))?;
        let range = cut(dim, start, end, step).ok_or_else(|| node.broken("a step other than 0", step))?;
        if let Some(slot) = ranges.get_mut(axis) {
            *slot = range;
        }
    }
    Ok(ranges)
}

/// Clamps `start..end` by `step` to an axis of `dim` elements, as Python does; `None` for a step of zero.
fn cut(dim: usize, start: i64, end: i64, step: i64) -> Option<Range> {
    let size = i64::try_from(dim).ok()?;
    let from_front = |value: i64| {
        if value < 0 {
            value.saturating_add(size)
        } else {
            value
        }
    };
    let (start, end) = (from_front(start), from_front(end));
    let (begin, span) = if step > 0 {
        let (begin, end) = (start.clamp(0, size), end.clamp(0, size));
        (begin, end.saturating_sub(begin))
    } else {
        let last = size.saturating_sub(1);
        let (begin, end) = (start.clamp(-1, last), end.clamp(-1, last));
        (begin, begin.saturating_sub(end))
    };
    let stride = step.checked_abs().filter(|&stride| stride > 0)?;
    let count = span
        .max(0)
        .checked_add(stride.checked_sub(1)?)?
        .checked_div(stride)?;
    Some(Range {
        begin: usize::try_from(begin.max(0)).ok()?,
        step,
        count: usize::try_from(count).ok()?,
    })
}

/// Lowers `Slice`. A negative step is a `reverse` before a slice with the positive one.
pub(super) fn slice(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.dtype(x)?, builder.shape(x)?);
    let ranges = if let Some(starts) = node.ints("starts")? {
        let ends = node
            .ints("ends")?
            .ok_or_else(|| node.broken("attribute ends", "none"))?;
        ranges(node, &shape, &starts, &ends, node.ints("axes")?.as_deref(), None)?
    } else {
        let starts = constant_ints(builder, node, 1, "the start of the slice")?;
        let ends = constant_ints(builder, node, 2, "the end of the slice")?;
        let axes = optional_ints(builder, node, 3, "the axes of the slice")?;
        let steps = optional_ints(builder, node, 4, "the steps of the slice")?;
        ranges(node, &shape, &starts, &ends, axes.as_deref(), steps.as_deref())?
    };
    let result: Vec<usize> = ranges.iter().map(|range| range.count).collect();
    if result.contains(&0) {
        return Err(Refusal::form(
            "a slice without elements",
            "export the model with non-empty tensors",
        ));
    }
    let reversed: Vec<usize> = ranges
        .iter()
        .enumerate()
        .filter(|(_, range)| range.step < 0)
        .map(|(axis, _)| axis)
        .collect();
    let mut x = x;
    if !reversed.is_empty() {
        let whole = result == shape && ranges.iter().all(|range| range.step.abs() == 1);
        let name = if whole {
            node.output(0)
        } else {
            node.inner("reversed")
        };
        let op = Op::new("reverse")
            .since(since(dtype)?)
            .var("x", x)
            .ints("axes", &reversed);
        x = builder.push(op, &name, dtype, &shape)?;
    }
    let forward: Option<Vec<(usize, usize, usize)>> = ranges
        .iter()
        .zip(&shape)
        .map(|(range, &dim)| forward(*range, dim))
        .collect();
    let forward = forward.ok_or_else(|| node.broken("a slice in the operand", format!("{ranges:?}")))?;
    Ok(vec![cut_out(
        builder,
        x,
        &forward,
        dtype,
        &result,
        &node.output(0),
    )?])
}

/// Begin, end and step of a range on an axis of `dim` elements that was reversed if the step is negative.
fn forward(range: Range, dim: usize) -> Option<(usize, usize, usize)> {
    let step = usize::try_from(range.step.unsigned_abs()).ok()?;
    let begin = if range.step < 0 {
        dim.checked_sub(1)?.checked_sub(range.begin)?
    } else {
        range.begin
    };
    let reach = range.count.checked_sub(1)?.checked_mul(step)?.checked_add(1)?;
    Some((begin, begin.checked_add(reach)?, step))
}

/// Since when MIL slices elements of this type.
fn since(dtype: DType) -> Result<Target, Refusal> {
    match dtype {
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool => Ok(Target::Ios15),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Ok(Target::Ios17),
        other => Err(Refusal::element_type("the operand", other)),
    }
}

fn cut_out(
    builder: &mut Builder<'_>,
    x: Var,
    ranges: &[(usize, usize, usize)],
    dtype: DType,
    shape: &[usize],
    name: &str,
) -> Result<Var, Refusal> {
    if builder.shape(x)? == shape {
        return Ok(x);
    }
    let list = |f: fn(&(usize, usize, usize)) -> usize| ranges.iter().map(f).collect::<Vec<usize>>();
    let op = Op::new("slice_by_index")
        .since(since(dtype)?)
        .var("x", x)
        .ints("begin", &list(|range| range.0))
        .ints("end", &list(|range| range.1))
        .ints("stride", &list(|range| range.2));
    builder.push(op, name, dtype, shape)
}

/// Slices a constant.
pub(super) fn fold_slice(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let (x, node) = (folding.input(0)?, folding.node);
    let ints = |index: usize| folding.optional(index).and_then(Tensor::to_i64);
    let ranges = if let Some(starts) = node.ints("starts")? {
        let ends = node
            .ints("ends")?
            .ok_or_else(|| node.broken("attribute ends", "none"))?;
        ranges(
            node,
            x.shape(),
            &starts,
            &ends,
            node.ints("axes")?.as_deref(),
            None,
        )?
    } else {
        let (Some(starts), Some(ends)) = (ints(1), ints(2)) else {
            return Err(node.broken("starts and ends", "none"));
        };
        ranges(
            node,
            x.shape(),
            &starts,
            &ends,
            ints(3).as_deref(),
            ints(4).as_deref(),
        )?
    };
    Ok(fold_ranges(x, &ranges).map(|tensor| vec![tensor]))
}

fn fold_ranges(x: &Tensor, ranges: &[Range]) -> Option<Tensor> {
    let shape: Vec<usize> = ranges.iter().map(|range| range.count).collect();
    let dense = views::steps(x.shape())?;
    let mut offset = 0isize;
    let mut steps = Vec::with_capacity(ranges.len());
    for (range, step) in ranges.iter().zip(dense) {
        offset = offset.checked_add(isize::try_from(range.begin).ok()?.checked_mul(step)?)?;
        steps.push(step.checked_mul(isize::try_from(range.step).ok()?)?);
    }
    views::strided(x, &shape, &steps, offset)
}

/// Sizes of the parts of `Split` along an axis of `dim` elements.
fn split_sizes(node: &Node<'_>, dim: usize, given: Option<Vec<i64>>) -> Result<Vec<usize>, Refusal> {
    let broken =
        |found: &dyn std::fmt::Debug| node.broken(format!("parts of {dim} elements"), format!("{found:?}"));
    let parts = node.outputs.len();
    if let Some(given) = given {
        let sizes: Option<Vec<usize>> = given.iter().map(|&size| usize::try_from(size).ok()).collect();
        let total = sizes
            .as_ref()
            .and_then(|sizes| sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)));
        return sizes
            .filter(|sizes| total == Some(dim) && sizes.len() == parts)
            .ok_or_else(|| broken(&given));
    }
    if node
        .int("num_outputs")?
        .is_some_and(|count| usize::try_from(count) != Ok(parts))
    {
        return Err(broken(&"another num_outputs"));
    }
    // All parts are as long as the first; the last takes what is left.
    let size = dim.div_ceil(parts.max(1));
    let mut left = dim;
    let sizes = (0..parts).map(|_| {
        let part = size.min(left);
        left = left.saturating_sub(part);
        part
    });
    Ok(sizes.collect())
}

/// Lowers `Split`.
pub(super) fn split(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.dtype(x)?, builder.shape(x)?);
    let axis = axis_of(node, node.int_or("axis", 0)?, shape.len())?;
    let given = super::attribute_or_ints(builder, node, "split", 1)?;
    let dim = shape.get(axis).copied().unwrap_or(0);
    let sizes = split_sizes(node, dim, given)?;
    if sizes.contains(&0) {
        return Err(Refusal::form(
            "a part without elements",
            "export the model with non-empty tensors",
        ));
    }
    if sizes.len() == 1 {
        return Ok(vec![x]);
    }
    if !matches!(
        dtype,
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool
    ) {
        return Err(Refusal::element_type(builder.name(x), dtype));
    }
    let results: Vec<(String, DType, Vec<usize>)> = sizes
        .iter()
        .enumerate()
        .map(|(index, &size)| {
            let mut part = shape.clone();
            part.iter_mut().skip(axis).take(1).for_each(|dim| *dim = size);
            (node.output(index), dtype, part)
        })
        .collect();
    builder.push_many(
        Op::new("split")
            .var("x", x)
            .ints("split_sizes", &sizes)
            .int("axis", axis),
        &results,
    )
}

/// Splits a constant.
pub(super) fn fold_split(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let (x, node) = (folding.input(0)?, folding.node);
    let axis = axis_of(node, node.int_or("axis", 0)?, x.shape().len())?;
    let given = match node.ints("split")? {
        Some(sizes) => Some(sizes),
        None => folding.optional(1).and_then(Tensor::to_i64),
    };
    let sizes = split_sizes(node, x.shape().get(axis).copied().unwrap_or(0), given)?;
    let mut begin = 0usize;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let whole = x.shape().iter().enumerate();
        let ranges: Vec<Range> = whole
            .map(|(index, &dim)| match index == axis {
                true => Range {
                    begin,
                    step: 1,
                    count: size,
                },
                false => Range {
                    begin: 0,
                    step: 1,
                    count: dim,
                },
            })
            .collect();
        let Some(part) = fold_ranges(x, &ranges) else {
            return Ok(None);
        };
        parts.push(part);
        begin = begin.saturating_add(size);
    }
    Ok(Some(parts))
}

fn joined_shape(node: &Node<'_>, parts: &[Vec<usize>]) -> Result<(usize, Vec<usize>), Refusal> {
    let first = parts.first().ok_or_else(|| node.broken("an input", "none"))?;
    let default = if node.opset < 4 { Some(1) } else { None };
    let axis = node
        .int("axis")?
        .or(default)
        .ok_or_else(|| node.broken("attribute axis", "none"))?;
    let axis = axis_of(node, axis, first.len())?;
    let mut shape = first.clone();
    let mut total = 0usize;
    for part in parts {
        let fits = part.len() == first.len()
            && part
                .iter()
                .zip(first)
                .enumerate()
                .all(|(index, (a, b))| index == axis || a == b);
        let size = part.get(axis).copied().filter(|_| fits);
        let size =
            size.ok_or_else(|| node.broken(format!("shapes that join with {first:?}"), format!("{part:?}")))?;
        total = total
            .checked_add(size)
            .ok_or_else(|| node.broken("fewer elements", "more"))?;
    }
    shape.iter_mut().skip(axis).take(1).for_each(|dim| *dim = total);
    Ok((axis, shape))
}

/// Lowers `Concat`; operands without elements are left out.
pub(super) fn concat(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let inputs = node.all_inputs()?;
    let mut parts = Vec::with_capacity(inputs.len());
    for &var in &inputs {
        parts.push(builder.shape(var)?);
    }
    let (axis, shape) = joined_shape(node, &parts)?;
    let filled = inputs.iter().zip(&parts).filter(|(_, shape)| !shape.contains(&0));
    let values: Vec<Var> = filled.map(|(&var, _)| var).collect();
    let &first = values.first().ok_or_else(|| {
        Refusal::form(
            "a result without elements",
            "export the model with non-empty tensors",
        )
    })?;
    let dtype = builder.dtype(first)?;
    for &var in &values {
        if builder.dtype(var)? != dtype {
            return Err(node.broken(format!("inputs of type {dtype}"), builder.dtype(var)?));
        }
    }
    if values.len() == 1 {
        return Ok(vec![first]);
    }
    let op = Op::new("concat")
        .since(since(dtype)?)
        .vars("values", values)
        .int("axis", axis)
        .flag("interleave", false);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Joins constants.
pub(super) fn fold_concat(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let mut tensors = Vec::with_capacity(folding.inputs.len());
    for index in 0..folding.inputs.len() {
        tensors.push(folding.input(index)?);
    }
    let parts: Vec<Vec<usize>> = tensors.iter().map(|tensor| tensor.shape().to_vec()).collect();
    let (axis, shape) = joined_shape(folding.node, &parts)?;
    if !folding.allows(&shape)
        || tensors
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.dtype() != b.dtype()))
    {
        return Ok(None);
    }
    Ok(views::joined(&tensors, axis, &shape).map(|tensor| vec![tensor]))
}

#[cfg(test)]
mod tests {
    use super::{Range, cut};

    #[test]
    fn ranges_are_cut_as_in_python() {
        let range = |begin, step, count| Some(Range { begin, step, count });
        let cases = [
            ((5, 0, 3, 1), range(0, 1, 3)),
            ((5, -3, i64::MAX, 1), range(2, 1, 3)),
            ((5, 1, 4, 2), range(1, 2, 2)),
            ((5, -1, i64::MIN, -1), range(4, -1, 5)),
            ((5, 10, 0, -3), range(4, -3, 2)),
            ((5, 4, 2, 1), range(4, 1, 0)),
            ((0, 0, 3, 1), range(0, 1, 0)),
            ((5, 0, 3, 0), None),
        ];
        for ((dim, start, end, step), expected) in cases {
            assert_eq!(cut(dim, start, end, step), expected, "{dim} {start} {end} {step}");
        }
    }
}
