//! Functions of each element, of one or two tensors.

use locket_tensor::{DType, Tensor};

use super::{activate, activation, before};
use crate::import::{Op, Refusal, shapes};
use crate::tflite::context::{Context, Node};

/// What MIL adds to the operand of a logarithm by default: too small to change anything but the logarithm of zero.
const LOG_EPSILON: f32 = 1e-45;

/// Lowers `y = f(x)`.
pub(super) fn unary(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.float_dtype(x)?, cx.builder.shape(x)?);
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let alpha = |id: usize| node.options().map_or(Ok(0.0), |options| options.f32(id, 0.0));
    let op = match node.op {
        "ABS" => Op::new("abs"),
        "CEIL" => Op::new("ceil"),
        "COS" => Op::new("cos"),
        "ELU" => Op::new("elu").float("alpha", 1.0, dtype),
        "EXP" => Op::new("exp"),
        "FLOOR" => Op::new("floor"),
        "GELU" => {
            let approximate = node
                .options()
                .map_or(Ok(false), |options| options.flag(0, false))?;
            Op::new("gelu").text(
                "mode",
                if approximate {
                    "TANH_APPROXIMATION"
                } else {
                    "EXACT"
                },
            )
        }
        "HARD_SWISH" => {
            let op = Op::new("sigmoid_hard")
                .var("x", x)
                .float("alpha", 1.0 / 6.0, dtype)
                .float("beta", 0.5, dtype);
            let gate = cx.builder.push(op, &format!("{name}_gate"), dtype, &shape)?;
            Op::new("mul").var("y", gate)
        }
        "LEAKY_RELU" => Op::new("leaky_relu").float("alpha", alpha(0)?, dtype),
        "LOG" => Op::new("log").float("epsilon", LOG_EPSILON, dtype),
        "LOGISTIC" => Op::new("sigmoid"),
        "NEG" => Op::new("mul").float("y", -1.0, dtype),
        "RELU" => Op::new("relu"),
        "RELU_N1_TO_1" => Op::new("clip")
            .float("alpha", -1.0, dtype)
            .float("beta", 1.0, dtype),
        "RELU6" => Op::new("relu6"),
        "ROUND" => Op::new("round"),
        "RSQRT" => {
            // MIL's `rsqrt` adds an epsilon to its operand; a square root and a division do not.
            let root = cx.builder.push(
                Op::new("sqrt").var("x", x),
                &format!("{name}_root"),
                dtype,
                &shape,
            )?;
            let op = Op::new("real_div").float("x", 1.0, dtype).var("y", root);
            let inverse = cx.builder.push(op, &name, dtype, &shape)?;
            return cx.finish(result, inverse);
        }
        "SIN" => Op::new("sin"),
        "SQRT" => Op::new("sqrt"),
        "SQUARE" => Op::new("square"),
        "TANH" => Op::new("tanh"),
        other => {
            return Err(Refusal::form(
                format!("no rule for {other}"),
                "report this as a bug of Locket",
            ));
        }
    };
    let value = cx.builder.push(op.var("x", x), &name, dtype, &shape)?;
    cx.finish(result, value)
}

/// Lowers the functions of two tensors with broadcasting, and the activation inside some of them.
pub(super) fn binary(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (x, y) = (cx.real(cx.operand(node, 0)?)?, cx.real(cx.operand(node, 1)?)?);
    let (dtype, other) = (cx.builder.number_dtype(x)?, cx.builder.number_dtype(y)?);
    if dtype != other {
        return Err(cx
            .builder
            .invalid(format!("a second operand of type {dtype}"), other.to_string()));
    }
    let (a, b) = (cx.builder.shape(x)?, cx.builder.shape(y)?);
    let shape = shapes::broadcast(&a, &b);
    let shape = shape.ok_or_else(|| {
        cx.builder
            .invalid(format!("a shape that broadcasts with {a:?}"), format!("{b:?}"))
    })?;
    let (kind, fused) = match node.op {
        "ADD" => ("add", true),
        "DIV" => ("real_div", true),
        "MAXIMUM" => ("maximum", false),
        "MINIMUM" => ("minimum", false),
        "MUL" => ("mul", true),
        "POW" => ("pow", false),
        "SUB" => ("sub", true),
        _ => ("sub", false),
    };
    if kind == "real_div" && !dtype.is_float() {
        return Err(Refusal::form("a division of integers", "cast to float32 first"));
    }
    let activation = if fused {
        activation(node, 0)?
    } else {
        super::Activation::None
    };
    let name = before(cx, node, activation)?;
    let squared = node.op == "SQUARED_DIFFERENCE";
    let first = if squared {
        format!("{name}_difference")
    } else {
        name.clone()
    };
    let mut value = cx
        .builder
        .push(Op::new(kind).var("x", x).var("y", y), &first, dtype, &shape)?;
    if squared {
        value = cx
            .builder
            .push(Op::new("square").var("x", value), &name, dtype, &shape)?;
    }
    activate(cx, node, value, activation)
}

/// Lowers comparisons.
pub(super) fn compare(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (x, y) = (cx.real(cx.operand(node, 0)?)?, cx.real(cx.operand(node, 1)?)?);
    cx.builder.number_dtype(x)?;
    cx.builder.number_dtype(y)?;
    let (a, b) = (cx.builder.shape(x)?, cx.builder.shape(y)?);
    let shape = shapes::broadcast(&a, &b);
    let shape = shape.ok_or_else(|| {
        cx.builder
            .invalid(format!("a shape that broadcasts with {a:?}"), format!("{b:?}"))
    })?;
    let kind = match node.op {
        "EQUAL" => "equal",
        "GREATER" => "greater",
        "GREATER_EQUAL" => "greater_equal",
        "LESS" => "less",
        "LESS_EQUAL" => "less_equal",
        _ => "not_equal",
    };
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let value = cx
        .builder
        .push(Op::new(kind).var("x", x).var("y", y), &name, DType::Bool, &shape)?;
    cx.define(result, value)
}

/// Lowers `PRELU`: `relu(x) + slope * min(x, 0)`, whatever the slopes broadcast over.
pub(super) fn prelu(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (x, slope) = (cx.real(cx.operand(node, 0)?)?, cx.real(cx.operand(node, 1)?)?);
    let (dtype, shape, slopes) = (
        cx.builder.float_dtype(x)?,
        cx.builder.shape(x)?,
        cx.builder.shape(slope)?,
    );
    if shapes::broadcast(&shape, &slopes).as_ref() != Some(&shape) {
        return Err(cx.builder.invalid(
            format!("slopes that broadcast to {shape:?}"),
            format!("{slopes:?}"),
        ));
    }
    let result = cx.result(node, 0)?;
    let name = cx.name(result)?;
    let single = cx.builder.real_tensor(slope).filter(|tensor| tensor.elems() == 1);
    let value = if let Some(&[alpha]) = single.as_ref().and_then(Tensor::to_f32).as_deref() {
        cx.builder.push(
            Op::new("leaky_relu").var("x", x).float("alpha", alpha, dtype),
            &name,
            dtype,
            &shape,
        )?
    } else {
        let positive = cx.builder.push(
            Op::new("relu").var("x", x),
            &format!("{name}_positive"),
            dtype,
            &shape,
        )?;
        let op = Op::new("minimum").var("x", x).float("y", 0.0, dtype);
        let negative = cx.builder.push(op, &format!("{name}_negative"), dtype, &shape)?;
        let op = Op::new("mul").var("x", negative).var("y", slope);
        let sloped = cx.builder.push(op, &format!("{name}_sloped"), dtype, &shape)?;
        cx.builder.push(
            Op::new("add").var("x", positive).var("y", sloped),
            &name,
            dtype,
            &shape,
        )?
    };
    cx.finish(result, value)
}
