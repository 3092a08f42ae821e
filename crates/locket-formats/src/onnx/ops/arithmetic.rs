//! Functions of two numbers with broadcasting, and their chains over many operands.

use locket_tensor::{DType, Tensor};

use super::Lowered;
use crate::import::{Builder, Op, Refusal, Var, shapes, views};
use crate::onnx::fold::{Folding, Numbers, from_numbers, numbers};
use crate::onnx::node::Node;

/// Lowers addition, subtraction, multiplication, division, remainder, maximum and minimum.
pub(super) fn lower(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let inputs = node.all_inputs()?;
    let (&first, rest) = inputs
        .split_first()
        .ok_or_else(|| node.broken("an input", "none"))?;
    builder.number_dtype(first)?;
    let mut result = first;
    for (index, &operand) in rest.iter().enumerate() {
        let last = index.saturating_add(1) == rest.len();
        let name = if last {
            node.output(0)
        } else {
            node.inner(&format!("part_{index}"))
        };
        result = pair(builder, node, result, operand, &name)?;
    }
    Ok(vec![result])
}

fn pair(builder: &mut Builder<'_>, node: &Node<'_>, x: Var, y: Var, name: &str) -> Result<Var, Refusal> {
    let dtype = builder.number_dtype(x)?;
    let kind = match node.op {
        "Add" | "Sum" | "Mean" => "add",
        "Sub" => "sub",
        "Mul" => "mul",
        "Div" if dtype.is_float() => "real_div",
        "Div" => return integer_division(builder, node, x, y, name),
        "Max" => "maximum",
        "Min" => "minimum",
        "Mod" if node.flag("fmod", false)? => {
            return Err(Refusal::form(
                "remainder with the sign of the dividend (fmod = 1)",
                "use fmod = 0",
            ));
        }
        "Mod" => "mod",
        other => {
            return Err(Refusal::form(
                format!("no rule for {other}"),
                "report this as a bug of Locket",
            ));
        }
    };
    binary(builder, node, kind, x, y, name)
}

/// Appends the elementwise operator `kind` of two values of one type.
pub(super) fn binary(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    kind: &'static str,
    x: Var,
    y: Var,
    name: &str,
) -> Result<Var, Refusal> {
    let (dtype, other) = (builder.number_dtype(x)?, builder.number_dtype(y)?);
    if dtype != other {
        return Err(node.broken(format!("a second operand of type {dtype}"), other));
    }
    let shape = broadcast(builder, node, x, y)?;
    builder.push(Op::new(kind).var("x", x).var("y", y), name, dtype, &shape)
}

/// The shape that two values broadcast to.
pub(super) fn broadcast(
    builder: &Builder<'_>,
    node: &Node<'_>,
    x: Var,
    y: Var,
) -> Result<Vec<usize>, Refusal> {
    let (a, b) = (builder.shape(x)?, builder.shape(y)?);
    shapes::broadcast(&a, &b)
        .ok_or_else(|| node.broken(format!("a shape that broadcasts with {a:?}"), format!("{b:?}")))
}

/// ONNX divides integers toward zero, MIL's `floor_div` downward: `sign(x) * sign(y) * (|x| div |y|)`.
fn integer_division(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    y: Var,
    name: &str,
) -> Result<Var, Refusal> {
    let mut part = |kind: &'static str, of: Var, what: &str| {
        let shape = builder.shape(of)?;
        builder.push(
            Op::new(kind).var("x", of),
            &format!("{name}_{what}"),
            DType::Int32,
            &shape,
        )
    };
    let (x_sign, x_size) = (part("sign", x, "x_sign")?, part("abs", x, "x_size")?);
    let (y_sign, y_size) = (part("sign", y, "y_sign")?, part("abs", y, "y_size")?);
    let sign = binary(builder, node, "mul", x_sign, y_sign, &format!("{name}_sign"))?;
    let size = binary(
        builder,
        node,
        "floor_div",
        x_size,
        y_size,
        &format!("{name}_size"),
    )?;
    binary(builder, node, "mul", sign, size, name)
}

/// Lowers the mean of the operands: their sum times the reciprocal of their number.
pub(super) fn mean(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let inputs = node.all_inputs()?;
    let (&first, rest) = inputs
        .split_first()
        .ok_or_else(|| node.broken("an input", "none"))?;
    let dtype = builder.float_dtype(first)?;
    let mut sum = first;
    for &operand in rest {
        sum = binary(builder, node, "add", sum, operand, &node.inner("sum"))?;
    }
    let count = u16::try_from(inputs.len()).map_err(|_| node.broken("fewer operands", inputs.len()))?;
    let shape = builder.shape(sum)?;
    let op = Op::new("real_div")
        .var("x", sum)
        .float("y", f32::from(count), dtype);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Lowers a power; the exponent is brought to the type of the base.
pub(super) fn pow(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let (x, y) = (node.input(0)?, node.input(1)?);
    let dtype = builder.number_dtype(x)?;
    let exponent = builder.dtype(y)?;
    let y = if exponent == dtype {
        y
    } else if dtype.is_float() {
        super::cast::to(builder, y, dtype, &node.inner("exponent"))?
    } else {
        return Err(Refusal::form(
            "an integer to the power of a fraction",
            "cast the base to float32",
        ));
    };
    Ok(vec![binary(builder, node, "pow", x, y, &node.output(0))?])
}

/// Computes a power of numbers of one type.
pub(super) fn fold_pow(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let (x, y) = (folding.input(0)?, folding.input(1)?);
    let y = if y.dtype() == x.dtype() {
        Some(y.clone())
    } else {
        super::cast::converted(y, x.dtype())
    };
    let Some(y) = y.filter(|_| x.dtype().is_float()) else {
        return Ok(None);
    };
    Ok(fold_pair(folding, x, &y)?.map(|tensor| vec![tensor]))
}

/// Computes the operators that exporters use on shapes.
pub(super) fn fold(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let mut result = folding.input(0)?.clone();
    if folding.node.op == "Mod" && folding.node.flag("fmod", false)? {
        return Ok(None);
    }
    for index in 1..folding.inputs.len() {
        match fold_pair(folding, &result, folding.input(index)?)? {
            Some(next) => result = next,
            None => return Ok(None),
        }
    }
    Ok(Some(vec![result]))
}

fn fold_pair(folding: &Folding<'_>, x: &Tensor, y: &Tensor) -> Result<Option<Tensor>, Refusal> {
    if x.dtype() != y.dtype() {
        return Err(folding
            .node
            .broken(format!("a second operand of type {}", x.dtype()), y.dtype()));
    }
    let shape = shapes::broadcast(x.shape(), y.shape());
    let shape = shape.ok_or_else(|| {
        folding.node.broken(
            format!("a shape that broadcasts with {:?}", x.shape()),
            format!("{:?}", y.shape()),
        )
    })?;
    if !folding.allows(&shape) {
        return Ok(None);
    }
    let Some((a, b)) = views::broadcast_to(x, &shape).zip(views::broadcast_to(y, &shape)) else {
        return Ok(None);
    };
    let values = match numbers(&a).zip(numbers(&b)) {
        Some((Numbers::Ints(a), Numbers::Ints(b))) => {
            let Some(f) = integer_rule(folding.node.op) else {
                return Ok(None);
            };
            a.into_iter()
                .zip(b)
                .map(|(a, b)| f(a, b))
                .collect::<Option<Vec<i64>>>()
                .map(Numbers::Ints)
        }
        Some((Numbers::Floats(a), Numbers::Floats(b))) => {
            let Some(f) = float_rule(folding.node.op) else {
                return Ok(None);
            };
            Some(Numbers::Floats(
                a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect(),
            ))
        }
        _ => None,
    };
    Ok(values.and_then(|values| from_numbers(x.dtype(), &shape, &values)))
}

/// Rules on integers; `None` where the result is not defined, so that the node is lowered and not folded.
fn integer_rule(op: &str) -> Option<fn(i64, i64) -> Option<i64>> {
    Some(match op {
        "Add" | "Sum" => i64::checked_add,
        "Sub" => i64::checked_sub,
        "Mul" => i64::checked_mul,
        "Div" => i64::checked_div,
        "Mod" => |a, b| {
            let remainder = a.checked_rem(b)?;
            if remainder != 0 && (remainder < 0) != (b < 0) {
                remainder.checked_add(b)
            } else {
                Some(remainder)
            }
        },
        "Max" => |a, b| Some(a.max(b)),
        "Min" => |a, b| Some(a.min(b)),
        _ => return None,
    })
}

fn float_rule(op: &str) -> Option<fn(f32, f32) -> f32> {
    Some(match op {
        "Add" | "Sum" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Max" => f32::max,
        "Min" => f32::min,
        "Pow" => f32::powf,
        _ => return None,
    })
}
