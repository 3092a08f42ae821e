//! Functions of one number, applied to each element.

use locket_tensor::Tensor;

use super::Lowered;
use crate::import::{Builder, Op, Refusal};
use crate::onnx::fold::{Folding, Numbers, from_numbers, numbers};
use crate::onnx::node::Node;

/// What MIL adds to the operand of a logarithm by default: too small to change anything but the logarithm of zero.
const LOG_EPSILON: f32 = 1e-45;

/// Lowers `y = f(x)`.
pub(super) fn lower(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let shape = builder.shape(x)?;
    let integers = matches!(node.op, "Abs" | "Neg" | "Sign");
    let dtype = if integers {
        builder.number_dtype(x)?
    } else {
        builder.float_dtype(x)?
    };
    let op = match node.op {
        "Abs" => Op::new("abs").var("x", x),
        "Acos" => Op::new("acos").var("x", x),
        "Asin" => Op::new("asin").var("x", x),
        "Atan" => Op::new("atan").var("x", x),
        "Atanh" => Op::new("atanh").var("x", x),
        "Ceil" => Op::new("ceil").var("x", x),
        "Cos" => Op::new("cos").var("x", x),
        "Cosh" => Op::new("cosh").var("x", x),
        "Erf" => Op::new("erf").var("x", x),
        "Exp" => Op::new("exp").var("x", x),
        "Floor" => Op::new("floor").var("x", x),
        "Log" => Op::new("log").var("x", x).float("epsilon", LOG_EPSILON, dtype),
        "Neg" if dtype.is_float() => Op::new("mul").var("x", x).float("y", -1.0, dtype),
        "Neg" => Op::new("mul").var("x", x).int("y", -1),
        // MIL's `inverse` adds an epsilon to its operand; a division does not.
        "Reciprocal" => Op::new("real_div").float("x", 1.0, dtype).var("y", x),
        "Round" => Op::new("round").var("x", x),
        "Sign" => Op::new("sign").var("x", x),
        "Sin" => Op::new("sin").var("x", x),
        "Sinh" => Op::new("sinh").var("x", x),
        "Sqrt" => Op::new("sqrt").var("x", x),
        "Tan" => Op::new("tan").var("x", x),
        other => {
            return Err(Refusal::form(
                format!("no rule for {other}"),
                "report this as a bug of Locket",
            ));
        }
    };
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}

/// Computes the functions whose result is exact.
pub(super) fn fold(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let values = match numbers(x) {
        Some(Numbers::Ints(values)) => {
            let f: fn(i64) -> Option<i64> = match folding.node.op {
                "Abs" => i64::checked_abs,
                "Neg" => i64::checked_neg,
                "Sign" => |x| Some(x.signum()),
                _ => return Ok(None),
            };
            values
                .into_iter()
                .map(f)
                .collect::<Option<Vec<i64>>>()
                .map(Numbers::Ints)
        }
        Some(Numbers::Floats(values)) => {
            let f: fn(f32) -> f32 = match folding.node.op {
                "Abs" => f32::abs,
                "Ceil" => f32::ceil,
                "Floor" => f32::floor,
                "Neg" => |x| -x,
                "Round" => f32::round_ties_even,
                "Sign" => |x| {
                    if x > 0.0 {
                        1.0
                    } else if x < 0.0 {
                        -1.0
                    } else {
                        x
                    }
                },
                "Sqrt" => f32::sqrt,
                _ => return Ok(None),
            };
            Some(Numbers::Floats(values.into_iter().map(f).collect()))
        }
        None => None,
    };
    Ok(values
        .and_then(|values| from_numbers(x.dtype(), x.shape(), &values))
        .map(|tensor| vec![tensor]))
}
