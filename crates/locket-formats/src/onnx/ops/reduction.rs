//! Reductions along axes, and other results along one axis.

use locket_tensor::{DType, Tensor};

use super::{Lowered, attribute_or_ints, axes_of, axis_of, constant_ints};
use crate::import::{Builder, Op, Refusal, shapes, views};
use crate::onnx::fold::{Folding, Numbers, from_numbers, numbers};
use crate::onnx::node::Node;

/// The axes to reduce; `None` when the node leaves its operand as it is.
fn axes(node: &Node<'_>, given: Option<Vec<i64>>, rank: usize) -> Result<Option<Vec<usize>>, Refusal> {
    match given.filter(|axes| !axes.is_empty()) {
        Some(given) => axes_of(node, &given, rank).map(Some),
        None if node.flag("noop_with_empty_axes", false)? => Ok(None),
        None => Ok(Some((0..rank).collect())),
    }
}

fn reduced_shape(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let dims = shape.iter().enumerate();
    dims.filter_map(|(axis, &dim)| match axes.contains(&axis) {
        false => Some(dim),
        true if keep => Some(1),
        true => None,
    })
    .collect()
}

/// Lowers `ReduceSum`, `ReduceMean` and their like.
pub(super) fn reduce(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let given = attribute_or_ints(builder, node, "axes", 1)?;
    let (dtype, shape) = (builder.number_dtype(x)?, builder.shape(x)?);
    let Some(axes) = axes(node, given, shape.len())? else {
        return Ok(vec![x]);
    };
    let (kind, float_only) = match node.op {
        "ReduceL1" => ("reduce_l1_norm", false),
        "ReduceL2" => ("reduce_l2_norm", true),
        "ReduceLogSum" => ("reduce_log_sum", true),
        "ReduceLogSumExp" => ("reduce_log_sum_exp", true),
        "ReduceMax" => ("reduce_max", false),
        "ReduceMean" => ("reduce_mean", true),
        "ReduceMin" => ("reduce_min", false),
        "ReduceProd" => ("reduce_prod", false),
        "ReduceSum" => ("reduce_sum", false),
        _ => ("reduce_sum_square", false),
    };
    if float_only {
        builder.float_dtype(x)?;
    }
    if shape.contains(&0) {
        return Err(Refusal::form(
            "a reduction over no elements",
            "export the model with non-empty tensors",
        ));
    }
    if axes.is_empty() {
        let kind = scalar_rule(node.op);
        return match kind {
            None => Ok(vec![x]),
            Some(op) => Ok(vec![builder.push(
                op.var("x", x),
                &node.output(0),
                dtype,
                &shape,
            )?]),
        };
    }
    let keep = node.flag("keepdims", true)?;
    let op = Op::new(kind)
        .var("x", x)
        .ints("axes", &axes)
        .flag("keep_dims", keep);
    Ok(vec![builder.push(
        op,
        &node.output(0),
        dtype,
        &reduced_shape(&shape, &axes, keep),
    )?])
}

/// What a reduction does to a single number; `None` for nothing.
fn scalar_rule(op: &str) -> Option<Op> {
    match op {
        "ReduceL1" | "ReduceL2" => Some(Op::new("abs")),
        "ReduceLogSum" => Some(Op::new("log")),
        "ReduceSumSquare" => Some(Op::new("square")),
        _ => None,
    }
}

/// Computes sums, products and extremes of constants.
pub(super) fn fold(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let node = folding.node;
    let given = match node.ints("axes")? {
        Some(axes) => Some(axes),
        None => match folding.optional(1) {
            Some(axes) => Some(
                axes.to_i64()
                    .ok_or_else(|| node.broken("integers as axes", axes.dtype()))?,
            ),
            None => None,
        },
    };
    let Some(axes) = axes(node, given, x.shape().len())? else {
        return Ok(Some(vec![x.clone()]));
    };
    let keep = node.flag("keepdims", true)?;
    let shape = reduced_shape(x.shape(), &axes, keep);
    // With the reduced axes last, each result is one run of elements.
    let order: Vec<usize> = (0..x.shape().len())
        .filter(|axis| !axes.contains(axis))
        .chain(axes.clone())
        .collect();
    let run: Option<Vec<usize>> = axes.iter().map(|&axis| x.shape().get(axis).copied()).collect();
    let run = run.as_deref().and_then(shapes::product).filter(|&run| run > 0);
    let Some((run, moved)) = run.zip(views::transposed(x, &order)) else {
        return Ok(None);
    };
    let values = match numbers(&moved) {
        Some(Numbers::Ints(values)) => {
            let f: fn(i64, i64) -> Option<i64> = match node.op {
                "ReduceMax" => |a, b| Some(a.max(b)),
                "ReduceMin" => |a, b| Some(a.min(b)),
                "ReduceProd" => i64::checked_mul,
                _ => i64::checked_add,
            };
            let reduced = values.chunks(run).map(|run| {
                let (&first, rest) = run.split_first()?;
                rest.iter().try_fold(first, |a, &b| f(a, b))
            });
            reduced.collect::<Option<Vec<i64>>>().map(Numbers::Ints)
        }
        Some(Numbers::Floats(values)) => {
            let f: fn(f32, f32) -> f32 = match node.op {
                "ReduceMax" => f32::max,
                "ReduceMin" => f32::min,
                "ReduceProd" => |a, b| a * b,
                _ => |a, b| a + b,
            };
            let reduced = values.chunks(run).map(|run| run.iter().copied().reduce(f));
            reduced.collect::<Option<Vec<f32>>>().map(Numbers::Floats)
        }
        None => None,
    };
    Ok(values
        .and_then(|values| from_numbers(x.dtype(), &shape, &values))
        .map(|tensor| vec![tensor]))
}

/// Lowers `ArgMax` and `ArgMin`.
pub(super) fn argument(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    builder.number_dtype(x)?;
    let shape = builder.shape(x)?;
    if node.flag("select_last_index", false)? {
        return Err(Refusal::form(
            "the last of several equal extremes",
            "use select_last_index = 0",
        ));
    }
    let axis = axis_of(node, node.int_or("axis", 0)?, shape.len())?;
    let keep = node.flag("keepdims", true)?;
    let kind = if node.op == "ArgMax" {
        "reduce_argmax"
    } else {
        "reduce_argmin"
    };
    let op = Op::new(kind)
        .var("x", x)
        .int("axis", axis)
        .flag("keep_dims", keep);
    Ok(vec![builder.push(
        op,
        &node.output(0),
        DType::Int32,
        &reduced_shape(&shape, &[axis], keep),
    )?])
}

/// Lowers sums of all elements up to each one.
pub(super) fn cumulative_sum(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.number_dtype(x)?, builder.shape(x)?);
    let axis = match constant_ints(builder, node, 1, "the axis")?.as_slice() {
        [axis] => axis_of(node, *axis, shape.len())?,
        other => return Err(node.broken("one axis", other.len())),
    };
    let op = Op::new("cumsum")
        .var("x", x)
        .int("axis", axis)
        .flag("exclusive", node.flag("exclusive", false)?)
        .flag("reverse", node.flag("reverse", false)?);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Lowers the largest or smallest elements along one axis, with their positions.
pub(super) fn top_k(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, mut shape) = (builder.number_dtype(x)?, builder.shape(x)?);
    let count = match node.int("k")? {
        Some(count) => count,
        None => match constant_ints(builder, node, 1, "k")?.as_slice() {
            [count] => *count,
            other => return Err(node.broken("one k", other.len())),
        },
    };
    let axis = axis_of(node, node.int_or("axis", -1)?, shape.len())?;
    let dim = shape.get_mut(axis).ok_or_else(|| node.broken("an axis", axis))?;
    match usize::try_from(count) {
        Ok(count) if count <= *dim => *dim = count,
        _ => return Err(node.broken(format!("k of at most {dim}"), count)),
    }
    let op = Op::new("topk")
        .var("x", x)
        .int("k", count)
        .int("axis", axis)
        .flag("ascending", !node.flag("largest", true)?);
    builder.push_many(
        op,
        &[
            (node.output(0), dtype, shape.clone()),
            (node.output(1), DType::Int32, shape),
        ],
    )
}
