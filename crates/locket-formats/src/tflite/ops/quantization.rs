//! Changes between stored integers and real numbers, and casts.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use crate::import::{Op, Refusal, mil_dtype};
use crate::tflite::context::{Context, Node};
use crate::tflite::schema;

/// Lowers `QUANTIZE`, also from one scale to another.
pub(super) fn quantize(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    cx.builder.float_dtype(x)?;
    let result = cx.result(node, 0)?;
    cx.finish(result, x)
}

/// Lowers `DEQUANTIZE`: the real numbers of its operand; of half-precision constants, single-precision ones.
pub(super) fn dequantize(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (operand, result) = (cx.operand(node, 0)?, cx.result(node, 0)?);
    let half = cx
        .constant(operand)?
        .filter(|tensor| tensor.dtype() == DType::Float16);
    if let Some(tensor) = half {
        let single = Tensor::from_slice(tensor.shape(), &tensor.to_f32().unwrap_or_default());
        let single = single.map_err(|error| cx.builder.invalid("a constant", error.to_string()))?;
        let name = cx.name(result)?;
        let var = cx.builder.constant(&name, single)?;
        return cx.define(result, var);
    }
    let x = cx.real(operand)?;
    if cx.builder.dtype(x)? != DType::Float32 {
        return Err(Refusal::element_type("the operand", cx.builder.dtype(x)?));
    }
    cx.define(result, x)
}

/// Lowers `CAST` between plain numbers.
pub(super) fn cast(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.stored(cx.operand(node, 0)?)?;
    let result = cx.result(node, 0)?;
    let info = cx.info(result)?;
    let wanted = schema::dtype(info.element_type).map(mil_dtype);
    let wanted =
        wanted.ok_or_else(|| Refusal::element_type(&info.name, schema::type_name(info.element_type)))?;
    let (found, shape) = (cx.builder.dtype(x)?, cx.builder.shape(x)?);
    if found == wanted {
        return cx.define(result, x);
    }
    let mut since = Target::Ios15;
    for dtype in [found, wanted] {
        since = since.max(match dtype {
            DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool => Target::Ios15,
            DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Target::Ios17,
            other => return Err(Refusal::element_type(&info.name, other)),
        });
    }
    let op = Op::new("cast")
        .since(since)
        .var("x", x)
        .text("dtype", wanted.name());
    let value = cx.builder.push(op, &info.name, wanted, &shape)?;
    cx.define(result, value)
}
