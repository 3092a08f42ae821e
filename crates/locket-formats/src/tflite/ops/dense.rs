//! Matrix products.

use super::convolution::bias;
use super::{activate, activation, before};
use crate::import::{Builder, Op, Refusal, Var, shapes};
use crate::tflite::context::{Context, Node};

/// `x` under another shape; `x` itself if it has that shape.
pub(super) fn reshape_to(
    builder: &mut Builder<'_>,
    x: Var,
    shape: &[usize],
    name: &str,
) -> Result<Var, Refusal> {
    if builder.shape(x)? == shape {
        return Ok(x);
    }
    let dtype = builder.dtype(x)?;
    builder.push(
        Op::new("reshape").var("x", x).ints("shape", shape),
        name,
        dtype,
        shape,
    )
}

/// Lowers `FULLY_CONNECTED`: all axes but the last are rows; the weight is [outputs, inputs].
pub(super) fn fully_connected(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let options = node.options();
    let (format, keep) = match options {
        Some(options) => (options.i8(1, 0)?, options.flag(2, false)?),
        None => (0, false),
    };
    if format != 0 {
        return Err(Refusal::form(
            "a shuffled weight",
            "convert with the default weight format",
        ));
    }
    let x = cx.real(cx.operand(node, 0)?)?;
    let (dtype, shape) = (cx.builder.float_dtype(x)?, cx.builder.shape(x)?);
    let Some(weight) = cx.weight(cx.operand(node, 1)?, &[0, 1])? else {
        return Err(Refusal::form("a computed weight", "make the weight constant"));
    };
    let weight_shape = cx.builder.shape(weight)?;
    let &[outputs, inputs] = weight_shape.as_slice() else {
        return Err(cx
            .builder
            .invalid("a weight of rank 2", format!("{weight_shape:?}")));
    };
    let rows = shapes::product(&shape).filter(|elems| elems.checked_rem(inputs) == Some(0));
    let rows = rows.and_then(|elems| elems.checked_div(inputs));
    let rows = rows.ok_or_else(|| {
        cx.builder
            .invalid(format!("rows of {inputs} elements"), format!("{shape:?}"))
    })?;
    let bias = bias(cx, node, outputs)?;
    let activation = activation(node, 0)?;
    let name = before(cx, node, activation)?;
    let x = reshape_to(&mut cx.builder, x, &[rows, inputs], &format!("{name}_rows"))?;
    let mut op = Op::new("linear").var("x", x).var("weight", weight);
    if let Some(bias) = bias {
        op = op.literal("bias", bias);
    }
    let mut result_shape = vec![rows, outputs];
    if keep {
        result_shape = shape
            .iter()
            .copied()
            .take(shape.len().saturating_sub(1))
            .chain([outputs])
            .collect();
    }
    let flat = result_shape.len() == 2;
    let product = cx.builder.push(
        op,
        if flat {
            name.clone()
        } else {
            format!("{name}_flat")
        }
        .as_str(),
        dtype,
        &[rows, outputs],
    )?;
    let result = reshape_to(&mut cx.builder, product, &result_shape, &name)?;
    activate(cx, node, result, activation)
}

/// Lowers `BATCH_MATMUL`.
pub(super) fn batch_matmul(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (x, y) = (cx.real(cx.operand(node, 0)?)?, cx.real(cx.operand(node, 1)?)?);
    let dtype = cx.builder.float_dtype(x)?;
    let (adj_x, adj_y) = match node.options() {
        Some(options) => (options.flag(0, false)?, options.flag(1, false)?),
        None => (false, false),
    };
    let (a, b) = (cx.builder.shape(x)?, cx.builder.shape(y)?);
    let split = |shape: &[usize], swap: bool| match shape {
        [stack @ .., rows, columns] if swap => Some((stack.to_vec(), *columns, *rows)),
        [stack @ .., rows, columns] => Some((stack.to_vec(), *rows, *columns)),
        _ => None,
    };
    let shape = split(&a, adj_x).zip(split(&b, adj_y)).and_then(
        |((stack, rows, inner), (other, b_inner, columns))| {
            let stack = shapes::broadcast(&stack, &other).filter(|_| inner == b_inner)?;
            Some(stack.into_iter().chain([rows, columns]).collect::<Vec<usize>>())
        },
    );
    let shape = shape.ok_or_else(|| {
        cx.builder
            .invalid(format!("a right factor for {a:?}"), format!("{b:?}"))
    })?;
    let result = cx.result(node, 0)?;
    let op = Op::new("matmul")
        .var("x", x)
        .var("y", y)
        .flag("transpose_x", adj_x)
        .flag("transpose_y", adj_y);
    let name = cx.name(result)?;
    let product = cx.builder.push(op, &name, dtype, &shape)?;
    cx.finish(result, product)
}
