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

/// Reads inputs 1 and 2 of a quantisation of `shape` with codes of type `codes`.
fn parameters(
    builder: &Builder<'_>,
    node: &Node<'_>,
    shape: &[usize],
    codes: DType,
) -> Result<Parameters, Refusal> {
    if node.int_or("block_size", 0)? != 0 {
        return Err(Refusal::form(
            "quantisation in blocks",
            "quantise per tensor or per channel",
        ));
    }
    let scale_var = node.input(1)?;
    let Some(scale) = builder.real_tensor(scale_var) else {
        return Err(super::computed_operand(builder, scale_var, "the scale"));
    };
    if !matches!(scale.dtype(), DType::Float32 | DType::Float16) {
        return Err(Refusal::element_type("the scale", scale.dtype()));
    }
    let zero_point = match node.optional(2) {
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
        let axis = axis_of(node, node.int_or("axis", 1)?, shape.len())?;
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

/// Lowers `QuantizeLinear`: `saturate(round(x / scale) + zero_point)`, rounding halves to even.
pub(super) fn quantize(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let from_zero_point = node
        .optional(2)
        .and_then(|var| builder.tensor(var))
        .map(Tensor::dtype);
    let codes = match node.int_or("output_dtype", 0)? {
        0 => from_zero_point.unwrap_or(DType::UInt8),
        code => {
            let code = i32::try_from(code).map_err(|_| node.broken("an element type", code))?;
            tensor::dtype(code).ok_or_else(|| Refusal::element_type("the result", tensor::type_name(code)))?
        }
    };
    if !matches!(codes, DType::Int8 | DType::UInt8) {
        return Err(Refusal::element_type("the result", codes));
    }
    let Parameters {
        scale,
        zero_point,
        axis,
    } = parameters(builder, node, &shape, codes)?;
    if scale.dtype() != dtype {
        return Err(node.broken(format!("a scale of type {dtype}"), scale.dtype()));
    }
    let op = Op::new("quantize")
        .since(Target::Ios17)
        .var("input", x)
        .literal("zero_point", zero_point)
        .literal("scale", scale);
    let op = match axis {
        Some(axis) => op.int("axis", axis),
        None => op,
    };
    let op = op.text("output_dtype", codes.name());
    Ok(vec![builder.push(op, &node.output(0), codes, &shape)?])
}

/// Lowers `DequantizeLinear`: `(x - zero_point) * scale`.
pub(super) fn dequantize(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let shape = builder.shape(x)?;
    let constant = builder.tensor(x).cloned();
    let codes = constant
        .as_ref()
        .map_or_else(|| builder.dtype(x), |tensor| Ok(tensor.dtype()))?;
    let parameters = parameters(builder, node, &shape, codes)?;
    let Parameters {
        scale,
        zero_point,
        axis,
    } = parameters;
    let name = node.output(0);
    match (constant, codes) {
        (Some(data), DType::Int8 | DType::UInt8) if !shape.is_empty() => {
            let constant = QuantizedConstant {
                data,
                scale,
                zero_point,
                axis: axis.unwrap_or(0),
            };
            Ok(vec![builder.quantized(&name, constant)])
        }
        (Some(data), _) => {
            let real = views::dequantized(&data, &scale, &zero_point, axis.unwrap_or(0));
            let real = real.ok_or_else(|| Refusal::element_type(builder.name(x), codes))?;
            Ok(vec![builder.constant(&name, real)?])
        }
        (None, DType::Int8 | DType::UInt8) => {
            let dtype = scale.dtype();
            let op = Op::new("dequantize")
                .since(Target::Ios17)
                .var("input", x)
                .literal("zero_point", zero_point)
                .literal("scale", scale);
            let op = match axis {
                Some(axis) => op.int("axis", axis),
                None => op,
            };
            Ok(vec![builder.push(op, &name, dtype, &shape)?])
        }
        (None, DType::Int32) if axis.is_none() => wide(builder, node, x, &scale, &zero_point),
        (None, _) => Err(Refusal::element_type(builder.name(x), codes)),
    }
}

/// Dequantisation of 32-bit codes, which MIL has no operator for: a cast and a product.
fn wide(builder: &mut Builder<'_>, node: &Node<'_>, x: Var, scale: &Tensor, zero_point: &Tensor) -> Lowered {
    if zero_point.bytes().iter().any(|&byte| byte != 0) {
        return Err(Refusal::form(
            "32-bit codes with a zero point",
            "use a zero point of 0",
        ));
    }
    let (dtype, shape) = (scale.dtype(), builder.shape(x)?);
    let real = super::cast::to(builder, x, dtype, &node.inner("real"))?;
    let op = Op::new("mul").var("x", real).literal("y", scale.clone());
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}
