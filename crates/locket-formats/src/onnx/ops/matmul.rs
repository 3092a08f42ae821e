//! Matrix products. A product with a constant matrix becomes `linear`, whose weight is stored as [outputs, inputs].

use locket_tensor::{DType, Tensor};

use super::{Lowered, arithmetic};
use crate::import::{Builder, Op, QuantizedConstant, Refusal, Var, shapes, views};
use crate::onnx::node::Node;

/// Highest rank of the operand of `linear`.
const LINEAR_MAX_RANK: usize = 3;

/// Lowers `alpha * A * B + beta * C` for matrices.
pub(super) fn gemm(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let dtype = builder.number_dtype(a)?;
    let (trans_a, trans_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
    let (alpha, beta) = (node.float_or("alpha", 1.0)?, node.float_or("beta", 1.0)?);
    let (rows, inner) = matrix(builder, node, a, trans_a)?;
    let (b_inner, columns) = matrix(builder, node, b, trans_b)?;
    if inner != b_inner {
        return Err(node.broken(format!("a second matrix of {inner} rows"), b_inner));
    }
    if !dtype.is_float() && (alpha != 1.0 || beta != 1.0) {
        return Err(Refusal::form(
            "an integer product with alpha or beta",
            "use alpha = beta = 1",
        ));
    }
    let shape = [rows, columns];
    let addend = node.optional(2).filter(|_| beta != 0.0);
    let weight = if alpha == 1.0 {
        linear_weight(builder, node, b, trans_b)?
    } else {
        None
    };
    if let Some(weight) = weight.filter(|_| dtype.is_float()) {
        let a = if trans_a {
            transposed(builder, a, &node.inner("a"))?
        } else {
            a
        };
        let bias = match addend {
            Some(c) => bias_vector(builder, node, c, columns, beta)?,
            None => None,
        };
        let has_bias = bias.is_some();
        let op = Op::new("linear").var("x", a).var("weight", weight);
        let op = match bias {
            Some(bias) => op.literal("bias", bias),
            None => op,
        };
        let Some(c) = addend.filter(|_| !has_bias) else {
            return Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?]);
        };
        let product = builder.push(op, &node.inner("product"), dtype, &shape)?;
        return add_scaled(builder, node, product, c, beta, dtype);
    }
    let op = Op::new("matmul")
        .var("x", a)
        .var("y", b)
        .flag("transpose_x", trans_a)
        .flag("transpose_y", trans_b);
    let plain = alpha == 1.0 && addend.is_none();
    let name = if plain {
        node.output(0)
    } else {
        node.inner("product")
    };
    let mut product = builder.push(op, &name, dtype, &shape)?;
    if alpha != 1.0 {
        let name = if addend.is_none() {
            node.output(0)
        } else {
            node.inner("scaled")
        };
        let op = Op::new("mul").var("x", product).float("y", alpha, dtype);
        product = builder.push(op, &name, dtype, &shape)?;
    }
    match addend {
        Some(c) => add_scaled(builder, node, product, c, beta, dtype),
        None => Ok(vec![product]),
    }
}

fn add_scaled(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    product: Var,
    c: Var,
    beta: f32,
    dtype: DType,
) -> Lowered {
    let c = if beta == 1.0 {
        c
    } else {
        let shape = builder.shape(c)?;
        builder.push(
            Op::new("mul").var("x", c).float("y", beta, dtype),
            &node.inner("addend"),
            dtype,
            &shape,
        )?
    };
    Ok(vec![arithmetic::binary(
        builder,
        node,
        "add",
        product,
        c,
        &node.output(0),
    )?])
}

/// Rows and columns of a matrix, after transposition if asked.
fn matrix(
    builder: &Builder<'_>,
    node: &Node<'_>,
    var: Var,
    transpose: bool,
) -> Result<(usize, usize), Refusal> {
    match builder.shape(var)?.as_slice() {
        [rows, columns] if transpose => Ok((*columns, *rows)),
        [rows, columns] => Ok((*rows, *columns)),
        other => Err(node.broken("a matrix", format!("{other:?}"))),
    }
}

fn transposed(builder: &mut Builder<'_>, x: Var, name: &str) -> Result<Var, Refusal> {
    let (dtype, mut shape) = (builder.dtype(x)?, builder.shape(x)?);
    shape.reverse();
    builder.push(
        Op::new("transpose").var("x", x).ints("perm", &[1, 0]),
        name,
        dtype,
        &shape,
    )
}

/// A constant matrix as the weight of `linear`; `None` if it is computed. `ready` says that it is [outputs, inputs].
fn linear_weight(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    b: Var,
    ready: bool,
) -> Result<Option<Var>, Refusal> {
    if !builder.is_constant(b) {
        return Ok(None);
    }
    if ready {
        return Ok(Some(b));
    }
    let name = builder.name(b).to_owned();
    let failed = || node.broken("a matrix", "a constant that cannot be transposed");
    if let Some(constant) = builder.quantized_constant(b).cloned() {
        let data = views::transposed(&constant.data, &[1, 0]).ok_or_else(failed)?;
        let axis = if constant.scale.shape().is_empty() || constant.axis == 1 {
            0
        } else {
            1
        };
        return Ok(Some(builder.quantized(
            &name,
            QuantizedConstant {
                data,
                axis,
                ..constant
            },
        )));
    }
    let tensor = builder
        .tensor(b)
        .and_then(|tensor| views::transposed(tensor, &[1, 0]))
        .ok_or_else(failed)?;
    Ok(Some(builder.constant(&name, tensor)?))
}

/// `beta * C` as a bias of `columns` elements, if C is constant and the same in every row.
fn bias_vector(
    builder: &Builder<'_>,
    node: &Node<'_>,
    c: Var,
    columns: usize,
    beta: f32,
) -> Result<Option<Tensor>, Refusal> {
    let Some(tensor) = builder.real_tensor(c) else {
        return Ok(None);
    };
    let elems = tensor.elems();
    let row_like = tensor.shape().iter().rev().skip(1).all(|&dim| dim == 1);
    if !row_like || (elems != columns && elems != 1) {
        return Ok(None);
    }
    let broken = || {
        node.broken(
            format!("an addend of {columns} columns"),
            format!("{:?}", tensor.shape()),
        )
    };
    let flat = tensor
        .reshaped(&[elems])
        .map_err(|error| node.broken("an addend", error))?;
    let full = views::broadcast_to(&flat, &[columns]).ok_or_else(broken)?;
    if beta == 1.0 {
        return Ok(Some(full));
    }
    let values: Option<Vec<f32>> = full
        .to_f32()
        .map(|values| values.into_iter().map(|value| value * beta).collect());
    Ok(values.and_then(|values| views::floats(full.dtype(), &[columns], &values)))
}

/// Lowers a product of matrices, stacks of matrices, and vectors.
pub(super) fn matmul(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let dtype = builder.number_dtype(a)?;
    let (a_shape, b_shape) = (builder.shape(a)?, builder.shape(b)?);
    let shape = product_shape(node, &a_shape, &b_shape)?;
    if let ([.., _], [_, _], true) = (a_shape.as_slice(), b_shape.as_slice(), dtype.is_float())
        && (2..=LINEAR_MAX_RANK).contains(&a_shape.len())
        && let Some(weight) = linear_weight(builder, node, b, false)?
    {
        let op = Op::new("linear").var("x", a).var("weight", weight);
        return Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?]);
    }
    // A vector on the left is a row, one on the right a column; the axis added for it goes away again.
    let (mut x, mut y, mut wide) = (a, b, shape.clone());
    let mut extra = Vec::new();
    if let [columns] = b_shape.as_slice() {
        let op = Op::new("expand_dims").var("x", b).ints("axes", &[1]);
        y = builder.push(op, &node.inner("column"), dtype, &[*columns, 1])?;
        extra.push(wide.len());
        wide.push(1);
    }
    if let [rows] = a_shape.as_slice() {
        let op = Op::new("expand_dims").var("x", a).ints("axes", &[0]);
        x = builder.push(op, &node.inner("row"), dtype, &[1, *rows])?;
        let at = wide.len().saturating_sub(1);
        wide.insert(at, 1);
        extra
            .iter_mut()
            .for_each(|axis: &mut usize| *axis = axis.saturating_add(1));
        extra.insert(0, at);
    }
    let op = Op::new("matmul")
        .var("x", x)
        .var("y", y)
        .flag("transpose_x", false)
        .flag("transpose_y", false);
    if extra.is_empty() {
        return Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?]);
    }
    let product = builder.push(op, &node.inner("product"), dtype, &wide)?;
    let op = Op::new("squeeze").var("x", product).ints("axes", &extra);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

fn product_shape(node: &Node<'_>, a: &[usize], b: &[usize]) -> Result<Vec<usize>, Refusal> {
    let mismatch = || node.broken(format!("a right factor for {a:?}"), format!("{b:?}"));
    let (a_stack, rows, a_inner) = match a {
        [] => return Err(mismatch()),
        [inner] => (&[][..], None, *inner),
        [stack @ .., rows, inner] => (stack, Some(*rows), *inner),
    };
    let (b_stack, b_inner, columns) = match b {
        [] => return Err(mismatch()),
        [inner] => (&[][..], *inner, None),
        [stack @ .., inner, columns] => (stack, *inner, Some(*columns)),
    };
    let stack = shapes::broadcast(a_stack, b_stack)
        .filter(|_| a_inner == b_inner)
        .ok_or_else(mismatch)?;
    Ok(stack.into_iter().chain(rows).chain(columns).collect())
}
