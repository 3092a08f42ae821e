//! Sums of products over named axes, of two tensors: a matrix product between two rearrangements.

use locket_tensor::DType;

use super::Lowered;
use super::reshape::reshape_to;
use crate::import::{Builder, Op, Refusal, Var, shapes};
use crate::onnx::node::Node;

/// The axes of an equation, sorted by what becomes of them.
struct Roles {
    /// In both operands and the result.
    batch: Vec<char>,
    /// In the first operand and the result.
    rows: Vec<char>,
    /// In both operands only: summed over.
    inner: Vec<char>,
    /// In the second operand and the result.
    columns: Vec<char>,
}

/// Lowers an equation of two operands in which no operand repeats an axis.
pub(super) fn lower(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let equation: String = node
        .text_or("equation", "")?
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    let unsupported = || Refusal::form(format!("equation {equation:?}"), "write it as matrix products");
    let Some((operands, result)) = equation.split_once("->") else {
        return Err(unsupported());
    };
    let Some((left, right)) = operands.split_once(',') else {
        return Err(unsupported());
    };
    let letters = |text: &str| text.chars().collect::<Vec<char>>();
    let (left, right, result) = (letters(left), letters(right), letters(result));
    let plain = |list: &[char]| {
        list.iter().enumerate().all(|(index, c)| {
            c.is_ascii_alphabetic() && !list.iter().skip(index.saturating_add(1)).any(|d| c == d)
        })
    };
    if ![&left, &right, &result].into_iter().all(|list| plain(list)) {
        return Err(unsupported());
    }
    let (a, b) = (node.input(0)?, node.input(1)?);
    let dtype = builder.float_dtype(a)?;
    let (a_shape, b_shape) = (builder.shape(a)?, builder.shape(b)?);
    let size = |c: char| {
        let of = |list: &[char], shape: &[usize]| {
            list.iter()
                .zip(shape)
                .find(|(d, _)| **d == c)
                .map(|(_, &dim)| dim)
        };
        of(&left, &a_shape).or_else(|| of(&right, &b_shape))
    };
    let agrees = |list: &[char], shape: &[usize]| {
        list.len() == shape.len() && list.iter().zip(shape).all(|(&c, &dim)| size(c) == Some(dim))
    };
    if !agrees(&left, &a_shape) || !agrees(&right, &b_shape) || builder.dtype(b)? != dtype {
        return Err(node.broken(
            format!("operands of {dtype} that fit {equation}"),
            format!("{a_shape:?} and {b_shape:?}"),
        ));
    }
    let roles = roles(&left, &right, &result).ok_or_else(unsupported)?;
    let sizes = |list: &[char]| list.iter().filter_map(|&c| size(c)).collect::<Vec<usize>>();
    let total =
        |list: &[char]| shapes::product(&sizes(list)).ok_or_else(|| node.broken("fewer elements", "more"));
    let (batch, rows, inner, columns) = (
        total(&roles.batch)?,
        total(&roles.rows)?,
        total(&roles.inner)?,
        total(&roles.columns)?,
    );
    let a = arranged(
        builder,
        node,
        a,
        &left,
        &[&roles.batch, &roles.rows, &roles.inner],
        &[batch, rows, inner],
        "left",
    )?;
    let b = arranged(
        builder,
        node,
        b,
        &right,
        &[&roles.batch, &roles.inner, &roles.columns],
        &[batch, inner, columns],
        "right",
    )?;
    let op = Op::new("matmul")
        .var("x", a)
        .var("y", b)
        .flag("transpose_x", false)
        .flag("transpose_y", false);
    let product = builder.push(op, &node.inner("product"), dtype, &[batch, rows, columns])?;
    // From the product's order of axes to that of the result.
    let order: Vec<char> = [&roles.batch[..], &roles.rows, &roles.columns].concat();
    let full = reshape_to(builder, product, &sizes(&order), &node.inner("axes"))?;
    Ok(vec![transposed(
        builder,
        node,
        full,
        &order,
        &result,
        dtype,
        &sizes(&result),
        &node.output(0),
    )?])
}

fn roles(left: &[char], right: &[char], result: &[char]) -> Option<Roles> {
    let mut roles = Roles {
        batch: Vec::new(),
        rows: Vec::new(),
        inner: Vec::new(),
        columns: Vec::new(),
    };
    for &c in left {
        match (right.contains(&c), result.contains(&c)) {
            (true, true) => roles.batch.push(c),
            (true, false) => roles.inner.push(c),
            (false, true) => roles.rows.push(c),
            (false, false) => return None,
        }
    }
    for &c in right.iter().filter(|c| !left.contains(c)) {
        if !result.contains(&c) {
            return None;
        }
        roles.columns.push(c);
    }
    result
        .iter()
        .all(|c| left.contains(c) || right.contains(c))
        .then_some(roles)
}

/// `x` with its axes in the order of `groups`, each group as one axis.
fn arranged(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    axes: &[char],
    groups: &[&Vec<char>],
    shape: &[usize],
    what: &str,
) -> Result<Var, Refusal> {
    let (dtype, old) = (builder.dtype(x)?, builder.shape(x)?);
    let wanted: Vec<char> = groups.iter().flat_map(|group| group.iter().copied()).collect();
    let size = |c: &char| axes.iter().zip(&old).find(|(d, _)| *d == c).map(|(_, &dim)| dim);
    let dims: Vec<usize> = wanted.iter().filter_map(size).collect();
    let x = transposed(
        builder,
        node,
        x,
        axes,
        &wanted,
        dtype,
        &dims,
        &node.inner(&format!("{what}_axes")),
    )?;
    reshape_to(builder, x, shape, &node.inner(what))
}

fn transposed(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    from: &[char],
    to: &[char],
    dtype: DType,
    shape: &[usize],
    name: &str,
) -> Result<Var, Refusal> {
    let order: Option<Vec<usize>> = to.iter().map(|c| from.iter().position(|d| c == d)).collect();
    let order = order.filter(|order| order.len() == from.len());
    let order =
        order.ok_or_else(|| node.broken("axes of the operands in the equation", format!("{to:?}")))?;
    if order.is_sorted() {
        return Ok(x);
    }
    builder.push(
        Op::new("transpose").var("x", x).ints("perm", &order),
        name,
        dtype,
        shape,
    )
}
