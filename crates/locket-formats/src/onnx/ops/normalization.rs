//! Normalisations.

use locket_tensor::{DType, Tensor};

use super::{Lowered, arithmetic, axis_of};
use crate::import::{Builder, Op, Refusal, Var, shapes};
use crate::onnx::node::Node;

/// The epsilon that ONNX assumes.
const EPSILON: f32 = 1e-5;

/// Lowers `(x - mean) / sqrt(variance + epsilon) * scale + bias`, with one of each for every channel.
pub(super) fn batch(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    if node.flag("training_mode", false)? || (1..5).any(|index| node.has_output(index)) {
        return Err(Refusal::form(
            "batch normalisation in training mode",
            "export the model for inference",
        ));
    }
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let epsilon = node.float_or("epsilon", EPSILON)?;
    let channels = shape
        .get(1)
        .copied()
        .ok_or_else(|| node.broken("an input of rank 2 or more", shape.len()))?;
    let mut statistics = Vec::with_capacity(4);
    for index in 1..5 {
        let var = node.input(index)?;
        if builder.shape(var)? != [channels] {
            return Err(node.broken(
                format!("[{channels}] as input {index}"),
                format!("{:?}", builder.shape(var)?),
            ));
        }
        statistics.push(var);
    }
    let constants: Option<Vec<Tensor>> = statistics
        .iter()
        .map(|&var| builder.real_tensor(var).filter(|tensor| tensor.dtype() == dtype))
        .collect();
    if let Some([scale, bias, mean, variance]) = constants.as_deref()
        && (3..=5).contains(&shape.len())
    {
        let op = Op::new("batch_norm")
            .var("x", x)
            .literal("mean", mean.clone())
            .literal("variance", variance.clone())
            .literal("gamma", scale.clone())
            .literal("beta", bias.clone())
            .float("epsilon", epsilon, dtype);
        return Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?]);
    }
    let &[scale, bias, mean, variance] = statistics.as_slice() else {
        return Err(node.broken("four statistics", statistics.len()));
    };
    let wide = channel_shape(shape.len(), channels);
    let mut widened = |var, what: &str| {
        let var = super::cast::to(builder, var, dtype, &node.inner(&format!("{what}_cast")))?;
        let op = Op::new("reshape").var("x", var).ints("shape", &wide);
        builder.push(op, &node.inner(what), dtype, &wide)
    };
    let (scale, bias) = (widened(scale, "scale")?, widened(bias, "bias")?);
    let (mean, variance) = (widened(mean, "mean")?, widened(variance, "variance")?);
    let op = Op::new("rsqrt")
        .var("x", variance)
        .float("epsilon", epsilon, dtype);
    let deviation = builder.push(op, &node.inner("deviation"), dtype, &wide)?;
    let centred = arithmetic::binary(builder, node, "sub", x, mean, &node.inner("centred"))?;
    let factor = arithmetic::binary(builder, node, "mul", scale, deviation, &node.inner("factor"))?;
    let scaled = arithmetic::binary(builder, node, "mul", centred, factor, &node.inner("scaled"))?;
    Ok(vec![arithmetic::binary(
        builder,
        node,
        "add",
        scaled,
        bias,
        &node.output(0),
    )?])
}

/// `[1, channels, 1, ...]` of the given rank.
fn channel_shape(rank: usize, channels: usize) -> Vec<usize> {
    (0..rank)
        .map(|axis| if axis == 1 { channels } else { 1 })
        .collect()
}

/// Multiplies by a scale and adds a bias, both optional, giving the node's first result.
fn affine(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    scale: Option<Var>,
    bias: Option<Var>,
) -> Result<Var, Refusal> {
    let mut result = x;
    if let Some(scale) = scale {
        let name = if bias.is_some() {
            node.inner("scaled")
        } else {
            node.output(0)
        };
        result = arithmetic::binary(builder, node, "mul", result, scale, &name)?;
    }
    if let Some(bias) = bias {
        result = arithmetic::binary(builder, node, "add", result, bias, &node.output(0))?;
    }
    Ok(result)
}

/// Lowers normalisation over the last axes.
pub(super) fn layer(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let first = axis_of(node, node.int_or("axis", -1)?, shape.len())?;
    let axes: Vec<usize> = (first..shape.len()).collect();
    let normalized = shape.get(first..).unwrap_or_default();
    let epsilon = node.float_or("epsilon", EPSILON)?;
    let (scale, bias) = (node.input(1)?, node.optional(2));
    if node.has_output(1) || node.has_output(2) {
        return written_out(builder, node, &axes, epsilon);
    }
    let exact = |var: Var| {
        builder
            .real_tensor(var)
            .filter(|t| t.shape() == normalized && t.dtype() == dtype)
    };
    let gamma = exact(scale);
    let beta = bias.map(exact);
    let op = Op::new("layer_norm").var("x", x).ints("axes", &axes);
    if let (Some(gamma), Some(Some(_)) | None) = (gamma, &beta) {
        let op = op.literal("gamma", gamma);
        let op = match beta.flatten() {
            Some(beta) => op.literal("beta", beta),
            None => op,
        };
        let op = op.float("epsilon", epsilon, dtype);
        return Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?]);
    }
    let op = op.float("epsilon", epsilon, dtype);
    let plain = builder.push(op, &node.inner("normalized"), dtype, &shape)?;
    Ok(vec![affine(builder, node, plain, Some(scale), bias)?])
}

/// Normalisation over the last axes, step by step: gives the mean and the inverse deviation as well.
fn written_out(builder: &mut Builder<'_>, node: &Node<'_>, axes: &[usize], epsilon: f32) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let reduced: Vec<usize> = shape
        .iter()
        .enumerate()
        .map(|(axis, &dim)| if axes.contains(&axis) { 1 } else { dim })
        .collect();
    let op = Op::new("reduce_mean")
        .var("x", x)
        .ints("axes", axes)
        .flag("keep_dims", true);
    let mean = builder.push(op, &node.output(1), dtype, &reduced)?;
    let centred = arithmetic::binary(builder, node, "sub", x, mean, &node.inner("centred"))?;
    let square = builder.push(
        Op::new("square").var("x", centred),
        &node.inner("square"),
        dtype,
        &shape,
    )?;
    let op = Op::new("reduce_mean")
        .var("x", square)
        .ints("axes", axes)
        .flag("keep_dims", true);
    let variance = builder.push(op, &node.inner("variance"), dtype, &reduced)?;
    let op = Op::new("rsqrt")
        .var("x", variance)
        .float("epsilon", epsilon, dtype);
    let deviation = builder.push(op, &node.output(2), dtype, &reduced)?;
    let plain = arithmetic::binary(
        builder,
        node,
        "mul",
        centred,
        deviation,
        &node.inner("normalized"),
    )?;
    let y = affine(builder, node, plain, Some(node.input(1)?), node.optional(2))?;
    Ok(vec![y, mean, deviation])
}

/// Lowers `x / sqrt(mean(x^2) + epsilon) * scale` over the last axes.
pub(super) fn root_mean_square(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let first = axis_of(node, node.int_or("axis", -1)?, shape.len())?;
    let axes: Vec<usize> = (first..shape.len()).collect();
    let mut reduced = shape.clone();
    reduced.iter_mut().skip(first).for_each(|dim| *dim = 1);
    let square = builder.push(
        Op::new("square").var("x", x),
        &node.inner("square"),
        dtype,
        &shape,
    )?;
    let op = Op::new("reduce_mean")
        .var("x", square)
        .ints("axes", &axes)
        .flag("keep_dims", true);
    let mean = builder.push(op, &node.inner("mean"), dtype, &reduced)?;
    let op = Op::new("rsqrt")
        .var("x", mean)
        .float("epsilon", node.float_or("epsilon", EPSILON)?, dtype);
    let factor = builder.push(op, &node.inner("factor"), dtype, &reduced)?;
    let plain = arithmetic::binary(builder, node, "mul", x, factor, &node.inner("normalized"))?;
    Ok(vec![affine(builder, node, plain, Some(scale), None)?])
}

/// Lowers normalisation of each channel of each sample over its spatial axes.
pub(super) fn instance(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let channels = match shape.as_slice() {
        [_, channels, _] | [_, channels, _, _] => *channels,
        [_, _, ..] => {
            return Err(Refusal::form(
                "instance normalisation of rank 5 or more",
                "reshape to rank 4",
            ));
        }
        _ => return Err(node.broken("an input of rank 3 or more", shape.len())),
    };
    let epsilon = node.float_or("epsilon", EPSILON)?;
    let (scale, bias) = (node.input(1)?, node.input(2)?);
    for var in [scale, bias] {
        if builder.shape(var)? != [channels] {
            return Err(node.broken(
                format!("a scale and a bias of [{channels}]"),
                format!("{:?}", builder.shape(var)?),
            ));
        }
    }
    let constant = |var| builder.real_tensor(var).filter(|tensor| tensor.dtype() == dtype);
    let op = Op::new("instance_norm").var("x", x);
    if let Some((gamma, beta)) = constant(scale).zip(constant(bias)) {
        let op = op
            .literal("gamma", gamma)
            .literal("beta", beta)
            .float("epsilon", epsilon, dtype);
        return Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?]);
    }
    let plain = builder.push(
        op.float("epsilon", epsilon, dtype),
        &node.inner("normalized"),
        dtype,
        &shape,
    )?;
    let wide = channel_shape(shape.len(), channels);
    let mut widened = |var, what: &str| {
        let op = Op::new("reshape").var("x", var).ints("shape", &wide);
        builder.push(op, &node.inner(what), dtype, &wide)
    };
    let (scale, bias) = (widened(scale, "scale")?, widened(bias, "bias")?);
    Ok(vec![affine(builder, node, plain, Some(scale), Some(bias))?])
}

/// Lowers local response normalisation over neighbouring channels.
pub(super) fn local_response(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape): (DType, Vec<usize>) = (builder.float_dtype(x)?, builder.shape(x)?);
    if !(3..=4).contains(&shape.len()) {
        return Err(Refusal::form(
            "local response normalisation of this rank",
            "reshape to rank 4",
        ));
    }
    let size = node
        .int("size")?
        .ok_or_else(|| node.broken("attribute size", "none"))?;
    if size.checked_rem(2) != Some(1) || size < 1 {
        return Err(Refusal::form("an even number of neighbours", "use an odd size"));
    }
    let op = Op::new("local_response_norm")
        .var("x", x)
        .int("size", size)
        .float("alpha", node.float_or("alpha", 1e-4)?, dtype)
        .float("beta", node.float_or("beta", 0.75)?, dtype)
        .float("k", node.float_or("bias", 1.0)?, dtype);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Lowers normalisation of groups of channels: each group is one row of a matrix, normalised as a whole.
pub(super) fn group(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, scale, bias) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let groups = node
        .int("num_groups")?
        .and_then(|groups| usize::try_from(groups).ok());
    let (batch, channels) = match shape.as_slice() {
        [batch, channels, ..] => (*batch, *channels),
        _ => return Err(node.broken("an input of rank 2 or more", shape.len())),
    };
    let groups = groups.filter(|&groups| channels.checked_rem(groups) == Some(0));
    let groups =
        groups.ok_or_else(|| node.broken(format!("groups that divide {channels} channels"), "others"))?;
    let elems = shapes::product(&shape)
        .and_then(|elems| elems.checked_div(batch))
        .and_then(|elems| elems.checked_div(groups));
    let elems = elems.ok_or_else(|| node.broken("an input with elements", format!("{shape:?}")))?;
    let rows = [batch, groups, elems];
    let flat = super::reshape::reshape_to(builder, x, &rows, &node.inner("groups"))?;
    let op = Op::new("layer_norm").var("x", flat).ints("axes", &[2]).float(
        "epsilon",
        node.float_or("epsilon", EPSILON)?,
        dtype,
    );
    let plain = builder.push(op, &node.inner("rows"), dtype, &rows)?;
    let plain = super::reshape::reshape_to(builder, plain, &shape, &node.inner("normalized"))?;
    let wide = channel_shape(shape.len(), channels);
    let mut widened = |var, what: &str| {
        // Before operator set 21 there was one scale for each group; then each channel of a group has it.
        let count = builder.shape(var)?.iter().product::<usize>();
        let var = if count == groups && count != channels {
            let each = channels.checked_div(groups).unwrap_or(1);
            let column = super::reshape::reshape_to(
                builder,
                var,
                &[groups, 1],
                &node.inner(&format!("{what}_column")),
            )?;
            super::reshape::expand_to(
                builder,
                node,
                column,
                &[groups, each],
                &node.inner(&format!("{what}_each")),
            )?
        } else if count == channels {
            var
        } else {
            return Err(node.broken(format!("{groups} or {channels} factors"), count));
        };
        super::reshape::reshape_to(builder, var, &wide, &node.inner(what))
    };
    let (scale, bias) = (widened(scale, "scale")?, widened(bias, "bias")?);
    Ok(vec![affine(builder, node, plain, Some(scale), Some(bias))?])
}
