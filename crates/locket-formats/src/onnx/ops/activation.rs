//! Activation functions.

use locket_tensor::DType;

use super::{Lowered, arithmetic};
use crate::import::{Builder, Op, Refusal, Var, views};
use crate::onnx::node::Node;

fn same_type(builder: &mut Builder<'_>, node: &Node<'_>, op: Op) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

fn inner(builder: &mut Builder<'_>, node: &Node<'_>, op: Op, like: Var, what: &str) -> Result<Var, Refusal> {
    let (dtype, shape) = (builder.float_dtype(like)?, builder.shape(like)?);
    builder.push(op, &node.inner(what), dtype, &shape)
}

/// `max(x, 0)`; integers too.
pub(super) fn relu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    if builder.dtype(x)? == DType::Int32 {
        let shape = builder.shape(x)?;
        let op = Op::new("maximum").var("x", x).int("y", 0);
        return Ok(vec![builder.push(op, &node.output(0), DType::Int32, &shape)?]);
    }
    same_type(builder, node, Op::new("relu").var("x", x))
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    same_type(builder, node, Op::new("sigmoid").var("x", node.input(0)?))
}

/// The hyperbolic tangent.
pub(super) fn tanh(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    same_type(builder, node, Op::new("tanh").var("x", node.input(0)?))
}

/// `ln(1 + exp(x))`.
pub(super) fn softplus(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    same_type(builder, node, Op::new("softplus").var("x", node.input(0)?))
}

/// `x / (1 + |x|)`.
pub(super) fn softsign(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    same_type(builder, node, Op::new("softsign").var("x", node.input(0)?))
}

/// `x` where positive, else `alpha * x`.
pub(super) fn leaky_relu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    same_type(
        builder,
        node,
        Op::new("leaky_relu")
            .var("x", x)
            .float("alpha", node.float_or("alpha", 0.01)?, dtype),
    )
}

/// `x` where positive, else `alpha * (exp(x) - 1)`.
pub(super) fn elu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    same_type(
        builder,
        node,
        Op::new("elu")
            .var("x", x)
            .float("alpha", node.float_or("alpha", 1.0)?, dtype),
    )
}

/// `gamma * elu(x, alpha)`.
pub(super) fn selu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    // The defaults are those that ONNX states, rounded to single precision.
    let (alpha, gamma) = (
        node.float_or("alpha", 1.673_263_2)?,
        node.float_or("gamma", 1.050_701)?,
    );
    let op = Op::new("elu").var("x", x).float("alpha", alpha, dtype);
    let elu = inner(builder, node, op, x, "elu")?;
    same_type(
        builder,
        node,
        Op::new("mul").var("x", elu).float("y", gamma, dtype),
    )
}

/// `max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`, which for a positive alpha is `alpha * elu(x / alpha)`.
pub(super) fn celu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    let alpha = node.float_or("alpha", 1.0)?;
    if alpha <= 0.0 || alpha.is_nan() {
        return Err(Refusal::form(format!("alpha of {alpha}"), "use a positive alpha"));
    }
    let scaled = inner(
        builder,
        node,
        Op::new("real_div").var("x", x).float("y", alpha, dtype),
        x,
        "scaled",
    )?;
    let elu = inner(
        builder,
        node,
        Op::new("elu").var("x", scaled).float("alpha", 1.0, dtype),
        x,
        "elu",
    )?;
    same_type(
        builder,
        node,
        Op::new("mul").var("x", elu).float("y", alpha, dtype),
    )
}

/// `max(0, min(1, alpha * x + beta))`.
pub(super) fn hard_sigmoid(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    let op = Op::new("sigmoid_hard")
        .var("x", x)
        .float("alpha", node.float_or("alpha", 0.2)?, dtype)
        .float("beta", node.float_or("beta", 0.5)?, dtype);
    same_type(builder, node, op)
}

/// `x * max(0, min(1, x / 6 + 1/2))`.
pub(super) fn hard_swish(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    let op = Op::new("sigmoid_hard")
        .var("x", x)
        .float("alpha", 1.0 / 6.0, dtype)
        .float("beta", 0.5, dtype);
    let gate = inner(builder, node, op, x, "gate")?;
    same_type(builder, node, Op::new("mul").var("x", x).var("y", gate))
}

/// `x * sigmoid(alpha * x)`.
pub(super) fn swish(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.float_dtype(x)?;
    let alpha = node.float_or("alpha", 1.0)?;
    if alpha == 1.0 {
        return same_type(builder, node, Op::new("silu").var("x", x));
    }
    let scaled = inner(
        builder,
        node,
        Op::new("mul").var("x", x).float("y", alpha, dtype),
        x,
        "scaled",
    )?;
    let gate = inner(builder, node, Op::new("sigmoid").var("x", scaled), x, "gate")?;
    same_type(builder, node, Op::new("mul").var("x", x).var("y", gate))
}

/// `x * tanh(softplus(x))`.
pub(super) fn mish(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let softplus = inner(builder, node, Op::new("softplus").var("x", x), x, "softplus")?;
    let gate = inner(builder, node, Op::new("tanh").var("x", softplus), x, "gate")?;
    same_type(builder, node, Op::new("mul").var("x", x).var("y", gate))
}

/// The Gaussian error linear unit, exact or by the hyperbolic tangent.
pub(super) fn gelu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let mode = match node.text_or("approximate", "none")?.as_str() {
        "none" => "EXACT",
        "tanh" => "TANH_APPROXIMATION",
        other => return Err(node.broken("none or tanh as approximate", other)),
    };
    same_type(
        builder,
        node,
        Op::new("gelu").var("x", node.input(0)?).text("mode", mode),
    )
}

/// `x` where it is more than alpha, else 0. (MIL's own operator keeps `x` where it equals alpha.)
pub(super) fn thresholded_relu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let op = Op::new("greater")
        .var("x", x)
        .float("y", node.float_or("alpha", 1.0)?, dtype);
    let above = builder.push(op, &node.inner("above"), DType::Bool, &shape)?;
    same_type(
        builder,
        node,
        Op::new("select")
            .var("cond", above)
            .var("a", x)
            .float("b", 0.0, dtype),
    )
}

/// `x` where positive, else `slope * x`, with one slope for each channel or any other broadcast of slopes.
pub(super) fn prelu(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, slope) = (node.input(0)?, node.input(1)?);
    let dtype = builder.float_dtype(x)?;
    let (shape, slopes) = (builder.shape(x)?, builder.shape(slope)?);
    if let Some(tensor) = builder.tensor(slope).cloned() {
        let channels = shape.get(1).copied();
        let by_channel = matches!(slopes.as_slice(), [c, 1, 1] | [1, c, 1, 1] if Some(*c) == channels);
        if tensor.elems() == 1
            && let Some(&[alpha]) = tensor.to_f32().as_deref()
        {
            return same_type(
                builder,
                node,
                Op::new("leaky_relu").var("x", x).float("alpha", alpha, dtype),
            );
        }
        if shape.len() == 4 && by_channel && tensor.dtype() == dtype {
            let alpha = tensor
                .reshaped(&[tensor.elems()])
                .map_err(|error| node.broken("slopes", error))?;
            return same_type(
                builder,
                node,
                Op::new("prelu").var("x", x).literal("alpha", alpha),
            );
        }
    }
    let positive = inner(builder, node, Op::new("relu").var("x", x), x, "positive")?;
    let negative = inner(
        builder,
        node,
        Op::new("minimum").var("x", x).float("y", 0.0, dtype),
        x,
        "negative",
    )?;
    let sloped = arithmetic::binary(builder, node, "mul", negative, slope, &node.inner("sloped"))?;
    Ok(vec![arithmetic::binary(
        builder,
        node,
        "add",
        positive,
        sloped,
        &node.output(0),
    )?])
}

/// A bound of `Clip`.
enum Bound {
    Absent,
    Constant(f32),
    Computed(Var),
}

fn bound(builder: &Builder<'_>, node: &Node<'_>, name: &str, index: usize) -> Result<Bound, Refusal> {
    if node.opset < 11 {
        return Ok(match node.attribute(name) {
            None => Bound::Absent,
            Some(_) => Bound::Constant(node.float_or(name, 0.0)?),
        });
    }
    let Some(var) = node.optional(index) else {
        return Ok(Bound::Absent);
    };
    let value = builder
        .tensor(var)
        .filter(|tensor| tensor.elems() == 1 && tensor.dtype().is_float());
    match value.and_then(locket_tensor::Tensor::to_f32).as_deref() {
        Some(&[value]) => Ok(Bound::Constant(value)),
        _ => Ok(Bound::Computed(var)),
    }
}

/// `min(max(x, low), high)`: `relu6` for 0 and 6, `relu` for 0 and nothing, `clip` for two numbers.
pub(super) fn clip(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let dtype = builder.number_dtype(x)?;
    // Both ends of the range of floats mean no bound: older exporters write them out.
    let low = match bound(builder, node, "min", 1)? {
        Bound::Constant(low) if low <= f32::MIN => Bound::Absent,
        low => low,
    };
    let high = match bound(builder, node, "max", 2)? {
        Bound::Constant(high) if high >= f32::MAX => Bound::Absent,
        high => high,
    };
    match (low, high) {
        (Bound::Constant(0.0), Bound::Constant(6.0)) => {
            same_type(builder, node, Op::new("relu6").var("x", x))
        }
        (Bound::Constant(0.0), Bound::Absent) => same_type(builder, node, Op::new("relu").var("x", x)),
        (Bound::Constant(low), Bound::Constant(high)) if low < high && dtype.is_float() => {
            let op = Op::new("clip")
                .var("x", x)
                .float("alpha", low, dtype)
                .float("beta", high, dtype);
            same_type(builder, node, op)
        }
        (low, high) => {
            let name = if matches!(high, Bound::Absent) {
                node.output(0)
            } else {
                node.inner("low")
            };
            let raised = bounded(builder, node, "maximum", x, low, &name)?;
            Ok(vec![bounded(
                builder,
                node,
                "minimum",
                raised,
                high,
                &node.output(0),
            )?])
        }
    }
}

fn bounded(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    kind: &'static str,
    x: Var,
    bound: Bound,
    name: &str,
) -> Result<Var, Refusal> {
    match bound {
        Bound::Absent => Ok(x),
        Bound::Constant(value) => {
            let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
            builder.push(
                Op::new(kind).var("x", x).float("y", value, dtype),
                name,
                dtype,
                &shape,
            )
        }
        Bound::Computed(var) => {
            let scalar = builder.tensor(var).filter(|tensor| tensor.elems() == 1).cloned();
            let var = match scalar.and_then(|tensor| views::broadcast_to(&tensor.reshaped(&[]).ok()?, &[])) {
                Some(scalar) => builder.constant(&format!("{name}_bound"), scalar)?,
                None => var,
            };
            arithmetic::binary(builder, node, kind, x, var, name)
        }
    }
}
