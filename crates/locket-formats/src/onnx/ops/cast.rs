//! Changes of the element type.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::Lowered;
use crate::import::{Builder, Op, Refusal, Var, mil_dtype, views};
use crate::onnx::fold::{Folding, Numbers, from_ints, numbers};
use crate::onnx::node::Node;
use crate::onnx::tensor;

/// Lowers a cast to the type of attribute `to`.
pub(super) fn lower(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let dtype = mil_dtype(target(node)?);
    let x = node.input(0)?;
    Ok(vec![to(builder, x, dtype, &node.output(0))?])
}

/// Lowers a cast to the type of the second operand.
pub(super) fn like(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let dtype = builder.dtype(node.input(1)?)?;
    let x = node.input(0)?;
    Ok(vec![to(builder, x, dtype, &node.output(0))?])
}

fn target(node: &Node<'_>) -> Result<DType, Refusal> {
    let code = node
        .int("to")?
        .ok_or_else(|| node.broken("attribute to", "none"))?;
    let code = i32::try_from(code).map_err(|_| node.broken("an element type", code))?;
    // A cast to bf16 is there for its rounding, which fp32 in its place would not do.
    let dtype = tensor::dtype(code).filter(|&dtype| dtype != DType::BFloat16);
    dtype.ok_or_else(|| Refusal::element_type("the result", tensor::type_name(code)))
}

/// `x` in element type `dtype`; `x` itself if it has that type.
pub(super) fn to(builder: &mut Builder<'_>, x: Var, dtype: DType, name: &str) -> Result<Var, Refusal> {
    let found = builder.dtype(x)?;
    if found == dtype {
        return Ok(x);
    }
    let since = |dtype| match dtype {
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool => Some(Target::Ios15),
        DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16 => Some(Target::Ios17),
        _ => None,
    };
    let since = match (since(found), since(dtype)) {
        (Some(a), Some(b)) => a.max(b),
        (None, _) => return Err(Refusal::element_type(builder.name(x), found)),
        (_, None) => return Err(Refusal::element_type("the result", dtype)),
    };
    let shape = builder.shape(x)?;
    let op = Op::new("cast")
        .since(since)
        .var("x", x)
        .text("dtype", dtype.name());
    builder.push(op, name, dtype, &shape)
}

/// Casts a constant, where every value fits the new type.
pub(super) fn fold(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let dtype = target(folding.node)?;
    Ok(converted(x, dtype).map(|tensor| vec![tensor]))
}

/// `tensor` in element type `dtype`; `None` if a value does not fit.
pub(super) fn converted(tensor: &Tensor, dtype: DType) -> Option<Tensor> {
    if tensor.dtype() == dtype {
        return Some(tensor.clone());
    }
    match numbers(tensor)? {
        Numbers::Ints(values) if dtype.is_float() => {
            // Rounded to the nearest float, as a cast at run time would.
            let floats: Vec<f32> = values.into_iter().map(nearest).collect();
            views::floats(dtype, tensor.shape(), &floats)
        }
        Numbers::Ints(values) => from_ints(dtype, tensor.shape(), &values),
        Numbers::Floats(values) if dtype.is_float() => views::floats(dtype, tensor.shape(), &values),
        Numbers::Floats(values) if dtype == DType::Bool => {
            let ints: Vec<i64> = values.into_iter().map(|value| i64::from(value != 0.0)).collect();
            from_ints(dtype, tensor.shape(), &ints)
        }
        Numbers::Floats(values) => {
            let ints: Option<Vec<i64>> = values.into_iter().map(truncated).collect();
            from_ints(dtype, tensor.shape(), &ints?)
        }
    }
}

/// The nearest `f32`.
#[expect(
    clippy::as_conversions,
    reason = "no other conversion rounds a 64-bit integer to the nearest float"
)]
fn nearest(value: i64) -> f32 {
    value as f32
}

/// The value without its fraction; `None` outside of 64 bits.
fn truncated(value: f32) -> Option<i64> {
    #[expect(
        clippy::as_conversions,
        reason = "the range is checked, and `as` drops the fraction"
    )]
    let in_range = (value > -9.2e18 && value < 9.2e18).then_some(value as i64);
    in_range
}
