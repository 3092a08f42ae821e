//! Operators that change the shape or repeat elements, and those that do nothing.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::{Lowered, attribute_or_ints, axes_of, constant_ints};
use crate::import::{Builder, Op, Refusal, Var, shapes, views};
use crate::onnx::fold::Folding;
use crate::onnx::node::Node;

/// More axes than any tensor has; keeps the search for each of them short.
const MAX_NEW_AXES: usize = 64;

/// The operand itself.
pub(super) fn identity(_: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    Ok(vec![node.input(0)?])
}

/// At inference the operand itself; its mask has no use then.
pub(super) fn dropout(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    if node.has_output(1) {
        return Err(Refusal::form(
            "the mask of Dropout as a second result",
            "use the first result only",
        ));
    }
    if let Some(training) = node.optional(2) {
        let flag = builder.tensor(training).and_then(Tensor::to_i64);
        if flag.as_deref() != Some(&[0]) {
            return Err(Refusal::form(
                "dropout in training mode",
                "export the model for inference",
            ));
        }
    }
    Ok(vec![node.input(0)?])
}

/// Since when MIL moves elements of this type around.
fn move_since(builder: &Builder<'_>, var: Var) -> Result<Target, Refusal> {
    match builder.dtype(var)? {
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool => Ok(Target::Ios15),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Ok(Target::Ios17),
        other => Err(Refusal::element_type(builder.name(var), other)),
    }
}

/// `x` under `shape`; `x` itself if it has that shape.
pub(super) fn reshape_to(
    builder: &mut Builder<'_>,
    x: Var,
    shape: &[usize],
    name: &str,
) -> Result<Var, Refusal> {
    if builder.shape(x)? == shape {
        return Ok(x);
    }
    if shape.contains(&0) {
        // In MIL, 0 in a shape means the operand's own size.
        return Err(Refusal::form(
            "a shape without elements",
            "export the model with non-empty tensors",
        ));
    }
    let (dtype, since) = (builder.dtype(x)?, move_since(builder, x)?);
    builder.push(
        Op::new("reshape").since(since).var("x", x).ints("shape", shape),
        name,
        dtype,
        shape,
    )
}

/// The shape of the result of `Reshape`, `Flatten`, `Squeeze` or `Unsqueeze`.
fn new_shape(node: &Node<'_>, shape: &[usize], second: Option<Vec<i64>>) -> Result<Vec<usize>, Refusal> {
    match node.op {
        "Flatten" => {
            let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
            let axis = node.int_or("axis", 1)?;
            let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
            let axis = usize::try_from(axis).ok().filter(|&axis| axis <= shape.len());
            let (outer, inner) = shape.split_at(axis.ok_or_else(|| node.broken("an axis", rank))?);
            let parts = shapes::product(outer).zip(shapes::product(inner));
            parts
                .map(|(outer, inner)| vec![outer, inner])
                .ok_or_else(|| node.broken("fewer elements", "more"))
        }
        "Squeeze" => squeezed(node, shape, second.as_deref()),
        "Unsqueeze" => unsqueezed(node, shape, &second.ok_or_else(|| node.broken("axes", "none"))?),
        _ => reshaped(
            node,
            shape,
            &second.ok_or_else(|| node.broken("a shape", "none"))?,
        ),
    }
}

/// Resolves 0 (the operand's own size) and -1 (whatever is left).
fn reshaped(node: &Node<'_>, shape: &[usize], wanted: &[i64]) -> Result<Vec<usize>, Refusal> {
    let allow_zero = node.flag("allowzero", false)?;
    let mut dims = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &dim) in wanted.iter().enumerate() {
        dims.push(match dim {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !allow_zero => *shape
                .get(axis)
                .ok_or_else(|| node.broken(format!("a rank above {axis}"), shape.len()))?,
            _ => usize::try_from(dim).map_err(|_| node.broken("sizes of zero or more and one -1", dim))?,
        });
    }
    let (elems, known) = (shapes::product(shape), shapes::product(&dims));
    let mismatch = || {
        node.broken(
            format!("a shape of as many elements as {shape:?}"),
            format!("{wanted:?}"),
        )
    };
    let (elems, known) = elems.zip(known).ok_or_else(mismatch)?;
    if let Some(dim) = open.and_then(|axis| dims.get_mut(axis)) {
        *dim = elems.checked_div(known).ok_or_else(mismatch)?;
    }
    if shapes::product(&dims) == Some(elems) {
        Ok(dims)
    } else {
        Err(mismatch())
    }
}

fn squeezed(node: &Node<'_>, shape: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, Refusal> {
    let Some(axes) = axes else {
        return Ok(shape.iter().copied().filter(|&dim| dim != 1).collect());
    };
    let axes = axes_of(node, axes, shape.len())?;
    if axes.iter().any(|&axis| shape.get(axis) != Some(&1)) {
        return Err(node.broken("axes of size 1", format!("axes {axes:?} of {shape:?}")));
    }
    let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(kept.map(|(_, &dim)| dim).collect())
}

fn unsqueezed(node: &Node<'_>, shape: &[usize], axes: &[i64]) -> Result<Vec<usize>, Refusal> {
    if axes.len() > MAX_NEW_AXES {
        return Err(node.broken(format!("at most {MAX_NEW_AXES} new axes"), axes.len()));
    }
    let rank = shape.len().saturating_add(axes.len());
    let axes = axes_of(node, axes, rank)?;
    let mut old = shape.iter().copied();
    let dims = (0..rank).map(|axis| {
        if axes.contains(&axis) {
            1
        } else {
            old.next().unwrap_or(1)
        }
    });
    Ok(dims.collect())
}

/// Lowers `Reshape`; the new shape must be constant.
pub(super) fn reshape(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let wanted = match node.ints("shape")? {
        Some(shape) => shape,
        None => constant_ints(builder, node, 1, "the new shape")?,
    };
    let shape = new_shape(node, &builder.shape(x)?, Some(wanted))?;
    Ok(vec![reshape_to(builder, x, &shape, &node.output(0))?])
}

/// Lowers `Flatten`.
pub(super) fn flatten(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let shape = new_shape(node, &builder.shape(x)?, None)?;
    Ok(vec![reshape_to(builder, x, &shape, &node.output(0))?])
}

/// Lowers `Squeeze`.
pub(super) fn squeeze(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let axes = attribute_or_ints(builder, node, "axes", 1)?;
    let (dtype, old) = (builder.dtype(x)?, builder.shape(x)?);
    let shape = new_shape(node, &old, axes.clone())?;
    if shape == old {
        return Ok(vec![x]);
    }
    let axes = match axes {
        Some(axes) => axes_of(node, &axes, old.len())?,
        None => old
            .iter()
            .enumerate()
            .filter(|(_, dim)| **dim == 1)
            .map(|(axis, _)| axis)
            .collect(),
    };
    let op = Op::new("squeeze")
        .since(move_since(builder, x)?)
        .var("x", x)
        .ints("axes", &axes);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Lowers `Unsqueeze`.
pub(super) fn unsqueeze(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let axes = attribute_or_ints(builder, node, "axes", 1)?;
    let (dtype, old) = (builder.dtype(x)?, builder.shape(x)?);
    let shape = new_shape(node, &old, axes.clone())?;
    if shape == old {
        return Ok(vec![x]);
    }
    let axes = axes_of(node, &axes.unwrap_or_default(), shape.len())?;
    let op = Op::new("expand_dims")
        .since(move_since(builder, x)?)
        .var("x", x)
        .ints("axes", &axes);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Gives a constant another shape.
pub(super) fn fold_shape_only(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let node = folding.node;
    let attribute = if node.op == "Reshape" { "shape" } else { "axes" };
    let second = match node.ints(attribute)? {
        Some(values) => Some(values),
        None => folding.optional(1).and_then(Tensor::to_i64),
    };
    let shape = new_shape(node, x.shape(), second)?;
    Ok(x.reshaped(&shape).ok().map(|tensor| vec![tensor]))
}

fn permutation(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, Refusal> {
    let Some(order) = node.sizes("perm")?.filter(|order| !order.is_empty()) else {
        return Ok((0..rank).rev().collect());
    };
    let complete = order.len() == rank && (0..rank).all(|axis| order.contains(&axis));
    if complete {
        Ok(order)
    } else {
        Err(node.broken(format!("an order of {rank} axes"), format!("{order:?}")))
    }
}

/// Lowers `Transpose`.
pub(super) fn transpose(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.dtype(x)?, builder.shape(x)?);
    let order = permutation(node, shape.len())?;
    if order.is_sorted() {
        return Ok(vec![x]);
    }
    let dims: Option<Vec<usize>> = order.iter().map(|&axis| shape.get(axis).copied()).collect();
    let dims = dims.ok_or_else(|| node.broken("axes of the operand", format!("{order:?}")))?;
    let op = Op::new("transpose")
        .since(move_since(builder, x)?)
        .var("x", x)
        .ints("perm", &order);
    Ok(vec![builder.push(op, &node.output(0), dtype, &dims)?])
}

/// Transposes a constant.
pub(super) fn fold_transpose(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let order = permutation(folding.node, x.shape().len())?;
    Ok(views::transposed(x, &order).map(|tensor| vec![tensor]))
}

/// `x` repeated to `shape`, which it must broadcast to. MIL repeats whole axes only, which is what broadcasting does.
pub(super) fn expand_to(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    shape: &[usize],
    name: &str,
) -> Result<Var, Refusal> {
    let own = builder.shape(x)?;
    if own == shape {
        return Ok(x);
    }
    let missing = shape
        .len()
        .checked_sub(own.len())
        .ok_or_else(|| node.broken("a shape of a higher rank", shape.len()))?;
    let full: Vec<usize> = std::iter::repeat_n(1, missing).chain(own).collect();
    let x = reshape_to(builder, x, &full, &format!("{name}_ranked"))?;
    let reps: Option<Vec<usize>> = full
        .iter()
        .zip(shape)
        .map(|(&dim, &wanted)| {
            if dim == wanted {
                Some(1)
            } else {
                (dim == 1).then_some(wanted)
            }
        })
        .collect();
    let reps = reps.ok_or_else(|| {
        node.broken(
            format!("a shape that {full:?} broadcasts to"),
            format!("{shape:?}"),
        )
    })?;
    repeat(builder, x, &reps, shape, name)
}

fn repeat(
    builder: &mut Builder<'_>,
    x: Var,
    reps: &[usize],
    shape: &[usize],
    name: &str,
) -> Result<Var, Refusal> {
    let dtype = match builder.dtype(x)? {
        dtype @ (DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool) => dtype,
        other => return Err(Refusal::element_type(builder.name(x), other)),
    };
    if shape.contains(&0) {
        return Err(Refusal::form(
            "a result without elements",
            "export the model with non-empty tensors",
        ));
    }
    if reps.iter().all(|&reps| reps == 1) {
        return Ok(x);
    }
    builder.push(Op::new("tile").var("x", x).ints("reps", reps), name, dtype, shape)
}

/// Lowers `Expand`; the new shape must be constant.
pub(super) fn expand(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let wanted = constant_ints(builder, node, 1, "the new shape")?;
    let shape = expanded(node, &builder.shape(x)?, &wanted)?;
    Ok(vec![expand_to(builder, node, x, &shape, &node.output(0))?])
}

fn expanded(node: &Node<'_>, own: &[usize], wanted: &[i64]) -> Result<Vec<usize>, Refusal> {
    let sizes: Option<Vec<usize>> = wanted.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let shape = sizes.and_then(|sizes| shapes::broadcast(own, &sizes));
    shape.ok_or_else(|| {
        node.broken(
            format!("a shape that broadcasts with {own:?}"),
            format!("{wanted:?}"),
        )
    })
}

/// Expands a constant.
pub(super) fn fold_expand(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let wanted = folding
        .input(1)?
        .to_i64()
        .ok_or_else(|| folding.node.broken("integers as shape", "others"))?;
    let shape = expanded(folding.node, x.shape(), &wanted)?;
    let allowed = folding.allows(&shape);
    Ok(views::broadcast_to(x, if allowed { &shape } else { x.shape() })
        .filter(|_| allowed)
        .map(|tensor| vec![tensor]))
}

fn tiled(node: &Node<'_>, shape: &[usize], reps: &[i64]) -> Result<(Vec<usize>, Vec<usize>), Refusal> {
    let broken = || node.broken(format!("{} repetitions", shape.len()), format!("{reps:?}"));
    let counts: Option<Vec<usize>> = reps.iter().map(|&count| usize::try_from(count).ok()).collect();
    let counts = counts
        .filter(|counts| counts.len() == shape.len())
        .ok_or_else(broken)?;
    let dims: Option<Vec<usize>> = shape
        .iter()
        .zip(&counts)
        .map(|(&dim, &count)| dim.checked_mul(count))
        .collect();
    Ok((counts, dims.ok_or_else(broken)?))
}

/// Lowers `Tile`; the repetitions must be constant.
pub(super) fn tile(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let reps = constant_ints(builder, node, 1, "the number of repetitions")?;
    let (reps, shape) = tiled(node, &builder.shape(x)?, &reps)?;
    Ok(vec![repeat(builder, x, &reps, &shape, &node.output(0))?])
}

/// Repeats a constant: as an expansion of a new axis before each axis.
pub(super) fn fold_tile(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let reps = folding
        .input(1)?
        .to_i64()
        .ok_or_else(|| folding.node.broken("integers as repetitions", "others"))?;
    let (reps, shape) = tiled(folding.node, x.shape(), &reps)?;
    if !folding.allows(&shape) {
        return Ok(None);
    }
    let paired = |first: &[usize]| -> Vec<usize> {
        first
            .iter()
            .zip(x.shape())
            .flat_map(|(&first, &dim)| [first, dim])
            .collect()
    };
    let single = x.reshaped(&paired(&vec![1; reps.len()])).ok();
    let tensor = single
        .and_then(|x| views::broadcast_to(&x, &paired(&reps)))
        .and_then(|x| x.reshaped(&shape).ok());
    Ok(tensor.map(|tensor| vec![tensor]))
}
