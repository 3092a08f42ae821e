//! Quantisation. Constants keep their codes: they become `constexpr_affine_dequantize`.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::{Lowered, axis_of};
use crate::import::{Builder, Op, QuantizedConstant, Refusal, Var, views};
use crate::onnx::node::Node;
use crate::onnx::tensor;

/// Scale and zero point as MIL takes them, with the axis they run along if they are vectors.
struct Parameters {
    scale: Tensor,
    zero_point: Tensor,
    axis: Option<usize>,
}

/// Reads scale and zero point of a quantisation of `shape` with codes of type `codes`; vectors run along `axis`.
fn parameters(
    builder: &Builder<'_>,
    node: &Node<'_>,
    (scale, zero_point): (Var, Option<Var>),
    axis: i64,
    shape: &[usize],
    codes: DType,
) -> Result<Parameters, Refusal> {
    let Some(scale) = builder.real_tensor(scale) else {
        return Err(super::computed_operand(builder, scale, "the scale"));
    };
    if !matches!(scale.dtype(), DType::Float32 | DType::Float16) {
        return Err(Refusal::element_type("the scale", scale.dtype()));
    }
    let zero_point = match zero_point {
        None => Tensor::zeros(codes, scale.shape()).map_err(|error| node.broken("a zero point", error))?,
        Some(var) => match builder.tensor(var) {
            Some(tensor) => tensor.clone(),
            None => return Err(super::computed_operand(builder, var, "the zero point")),
        },
    };
    if zero_point.shape() != scale.shape() && zero_point.elems() != scale.elems() {
        return Err(node.broken(
            format!("a zero point of {:?}", scale.shape()),
            format!("{:?}", zero_point.shape()),
        ));
    }
    if zero_point.dtype() != codes {
        return Err(node.broken(format!("a zero point of type {codes}"), zero_point.dtype()));
    }
    let (flat, axis) = if scale.elems() == 1 {
        (Vec::new(), None)
    } else {
        let axis = axis_of(node, axis, shape.len())?;
        let dim = shape.get(axis).copied().unwrap_or(0);
        if scale.shape() != [dim] {
            return Err(node.broken(
                format!("one scale, or {dim} of them"),
                format!("{:?}", scale.shape()),
            ));
        }
        (vec![dim], Some(axis))
    };
    let reshape = |tensor: &Tensor| {
        tensor
            .reshaped(&flat)
            .map_err(|error| node.broken("one scale", error))
    };
    Ok(Parameters {
        scale: reshape(&scale)?,
        zero_point: reshape(&zero_point)?,
        axis,
    })
}

/// The axis of vectors of scales, after checking that they are not given for blocks.
fn stated_axis(node: &Node<'_>) -> Result<i64, Refusal> {
    if node.int_or("block_size", 0)? != 0 {
        return Err(Refusal::form(
            "quantisation in blocks",
            "quantise per tensor or per channel",
        ));
    }
    node.int_or("axis", 1)
}

/// Lowers `QuantizeLinear`: `saturate(round(x / scale) + zero_point)`, rounding halves to even.
pub(super) fn quantize(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, scale, zero_point) = (node.input(0)?, node.input(1)?, node.optional(2));
    let from_zero_point = zero_point.and_then(|var| builder.tensor(var)).map(Tensor::dtype);
    let codes = match node.int_or("output_dtype", 0)? {
        0 => from_zero_point.unwrap_or(DType::UInt8),
        code => {
            let code = i32::try_from(code).map_err(|_| node.broken("an element type", code))?;
            tensor::dtype(code).ok_or_else(|| Refusal::element_type("the result", tensor::type_name(code)))?
        }
    };
    let axis = stated_axis(node)?;
    Ok(vec![to_codes(
        builder,
        node,
        x,
        (scale, zero_point),
        axis,
        codes,
    )?])
}

/// Quantises `x` to the node's first result.
fn to_codes(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    parameters_of: (Var, Option<Var>),
    axis: i64,
    codes: DType,
) -> Result<Var, Refusal> {
    if !matches!(codes, DType::Int8 | DType::UInt8) {
        return Err(Refusal::element_type("the result", codes));
    }
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let Parameters {
        scale,
        zero_point,
        axis,
    } = parameters(builder, node, parameters_of, axis, &shape, codes)?;
    if scale.dtype() != dtype {
        return Err(node.broken(format!("a scale of type {dtype}"), scale.dtype()));
    }
    let op = Op::new("quantize").since(Target::Ios17).var("input", x);
    let op = with_axis(op.literal("zero_point", zero_point).literal("scale", scale), axis);
    builder.push(
        op.text("output_dtype", codes.name()),
        &node.output(0),
        codes,
        &shape,
    )
}

fn with_axis(op: Op, axis: Option<usize>) -> Op {
    match axis {
        Some(axis) => op.int("axis", axis),
        None => op,
    }
}

/// Lowers `DequantizeLinear`: `(x - zero_point) * scale`.
pub(super) fn dequantize(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, scale, zero_point) = (node.input(0)?, node.input(1)?, node.optional(2));
    let axis = stated_axis(node)?;
    let wanted = i32::try_from(node.int_or("output_dtype", 0)?)
        .ok()
        .filter(|&code| code != 0);
    let found = builder.dtype(scale)?;
    if wanted.is_some_and(|code| tensor::dtype(code) != Some(found)) {
        return Err(Refusal::form(
            "a result of another type than the scale",
            "cast the scale to the type of the result",
        ));
    }
    Ok(vec![to_real(
        builder,
        node,
        x,
        (scale, zero_point),
        axis,
        &node.output(0),
    )?])
}

/// The real numbers that the codes `x` stand for.
fn to_real(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    parameters_of: (Var, Option<Var>),
    axis: i64,
    name: &str,
) -> Result<Var, Refusal> {
    let shape = builder.shape(x)?;
    let constant = builder.tensor(x).cloned();
    let codes = constant
        .as_ref()
        .map_or_else(|| builder.dtype(x), |tensor| Ok(tensor.dtype()))?;
    let Parameters {
        scale,
        zero_point,
        axis,
    } = parameters(builder, node, parameters_of, axis, &shape, codes)?;
    match (constant, codes) {
        (Some(data), DType::Int8 | DType::UInt8) if !shape.is_empty() => {
            let constant = QuantizedConstant {
                data,
                scale,
                zero_point,
                axis: axis.unwrap_or(0),
            };
            Ok(builder.quantized(name, constant))
        }
        (Some(data), _) => {
            let real = views::dequantized(&data, &scale, &zero_point, axis.unwrap_or(0));
            let real = real.ok_or_else(|| Refusal::element_type(builder.name(x), codes))?;
            builder.constant(name, real)
        }
        (None, DType::Int8 | DType::UInt8) => {
            let dtype = scale.dtype();
            let op = Op::new("dequantize").since(Target::Ios17).var("input", x);
            let op = with_axis(op.literal("zero_point", zero_point).literal("scale", scale), axis);
            builder.push(op, name, dtype, &shape)
        }
        (None, DType::Int32) if axis.is_none() => wide(builder, node, x, &scale, &zero_point, name),
        (None, _) => Err(Refusal::element_type(builder.name(x), codes)),
    }
}

/// Dequantisation of 32-bit codes, which MIL has no operator for: a cast and a product.
fn wide(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    scale: &Tensor,
    zero_point: &Tensor,
    name: &str,
) -> Result<Var, Refusal> {
    if zero_point.bytes().iter().any(|&byte| byte != 0) {
        return Err(Refusal::form(
            "32-bit codes with a zero point",
            "use a zero point of 0",
        ));
    }
    let (dtype, shape) = (scale.dtype(), builder.shape(x)?);
    let real = super::cast::to(builder, x, dtype, &node.inner("real"))?;
    builder.push(
        Op::new("mul").var("x", real).literal("y", scale.clone()),
        name,
        dtype,
        &shape,
    )
}

/// Quantises `x` with the parameters in operands 6 and 7, as both integer products do.
fn finish(builder: &mut Builder<'_>, node: &Node<'_>, x: Var) -> Lowered {
    let (scale, zero_point) = (node.input(6)?, node.input(7)?);
    let codes = builder.tensor(zero_point).map(Tensor::dtype);
    let codes = codes.ok_or_else(|| super::computed_operand(builder, zero_point, "the zero point"))?;
    Ok(vec![to_codes(
        builder,
        node,
        x,
        (scale, Some(zero_point)),
        0,
        codes,
    )?])
}

/// Lowers `QLinearConv` by what it means: dequantise, convolution, quantise.
pub(super) fn conv(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x_scale, w_scale) = (node.input(1)?, node.input(4)?);
    let x = to_real(
        builder,
        node,
        node.input(0)?,
        (x_scale, node.optional(2)),
        1,
        &node.inner("x"),
    )?;
    let weight_name = builder.name(node.input(3)?).to_owned();
    let w = to_real(
        builder,
        node,
        node.input(3)?,
        (w_scale, node.optional(5)),
        0,
        &weight_name,
    )?;
    let bias = match node.optional(8) {
        None => None,
        Some(var) => Some(real_bias(builder, node, var, x_scale, w_scale)?),
    };
    let names = [node.inner("exact")];
    let step = node.step("Conv", vec![Some(x), Some(w), bias], &names);
    let exact = super::convolution::conv(builder, &step)?;
    let &exact = exact.first().ok_or(Refusal::Downstream)?;
    finish(builder, node, exact)
}

/// The bias of an integer convolution: its codes have the product of both scales.
fn real_bias(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    bias: Var,
    x_scale: Var,
    w_scale: Var,
) -> Result<Var, Refusal> {
    let Some(codes) = builder.tensor(bias).cloned() else {
        return Err(super::computed_operand(builder, bias, "the bias"));
    };
    let floats = |var: Var| builder.real_tensor(var).as_ref().and_then(Tensor::to_f32);
    let Some((x_scale, w_scale)) = floats(x_scale).zip(floats(w_scale)) else {
        return Err(node.broken("numbers as scales", "others"));
    };
    let &[x_scale] = x_scale.as_slice() else {
        return Err(node.broken("one scale of the input", x_scale.len()));
    };
    let scales: Vec<f32> = w_scale.into_iter().map(|scale| scale * x_scale).collect();
    let scale = if scales.len() == 1 {
        Tensor::scalar(scales.first().copied().unwrap_or(1.0))
    } else {
        Tensor::vector(&scales)
    };
    if scales.len() != 1 && codes.shape() != [scales.len()] {
        return Err(node.broken(
            format!("a bias of {} elements", scales.len()),
            format!("{:?}", codes.shape()),
        ));
    }
    let zeros = Tensor::zeros(codes.dtype(), scale.shape()).map_err(|error| node.broken("a bias", error))?;
    let real = views::dequantized(&codes, &scale, &zeros, 0);
    let real = real.ok_or_else(|| Refusal::element_type(builder.name(bias), codes.dtype()))?;
    let name = builder.name(bias).to_owned();
    builder.constant(&name, real)
}

/// Lowers `QLinearMatMul` by what it means: dequantise, product, quantise.
pub(super) fn matmul(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let a = to_real(
        builder,
        node,
        node.input(0)?,
        (node.input(1)?, node.optional(2)),
        -2,
        &node.inner("a"),
    )?;
    let b = to_real(
        builder,
        node,
        node.input(3)?,
        (node.input(4)?, node.optional(5)),
        -1,
        &node.inner("b"),
    )?;
    let names = [node.inner("exact")];
    let step = node.step("MatMul", vec![Some(a), Some(b)], &names);
    let exact = super::matmul::matmul(builder, &step)?;
    let &exact = exact.first().ok_or(Refusal::Downstream)?;
    finish(builder, node, exact)
}
