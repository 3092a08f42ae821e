//! Functions of two numbers, applied element by element: `z[i] = f(x[i], y[i])`.
//!
//! Shapes broadcast as numpy's do: aligned at the last axis, a dimension of 1 repeats. x, y: the same type, fp16,
//! fp32, int32 (`logical_*`: bool; `equal` and `not_equal` take bool too, which MIL does not); z: that type, or bool for comparisons. All since iOS 15.
//!
//! * Floats are rounded once to the result's type. A NaN operand gives NaN, and in a comparison false (in `not_equal` true).
//! * int32 wraps. `real_div` of int32 is cut towards zero, `floor_div` rounds down, `mod` has the divisor's sign;
//!   division by zero gives 0. `pow` with a negative exponent is cut towards zero.

//!
//! Steps: vector kernels for arithmetic on fp32, else the reference's function over small pieces.

use std::fmt;

use locket_kernels::BinaryF32;
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::{
    binary_steps,
    common::{
        checks::{self, NUMBERS},
        index::{broadcast, broadcast_positions},
        numbers::{Numbers, floats, ints, put},
        sample, sample_with,
    },
};
use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature};

/// An operator that applies one function to pairs of elements.
pub struct Binary {
    pub(crate) name: &'static str,
    /// True if the result is a truth value.
    pub(crate) truth: bool,
    pub(crate) dtypes: &'static [DType],
    pub(crate) float: fn(f64, f64) -> f64,
    pub(crate) int: fn(i64, i64) -> i64,
    pub(crate) kernel: Option<BinaryF32>,
}

impl Binary {
    const fn arithmetic(name: &'static str, float: fn(f64, f64) -> f64, int: fn(i64, i64) -> i64) -> Self {
        Self {
            name,
            truth: false,
            dtypes: NUMBERS,
            float,
            int,
            kernel: None,
        }
    }

    const fn kernel(mut self, kernel: BinaryF32) -> Self {
        self.kernel = Some(kernel);
        self
    }

    const fn comparison(name: &'static str, float: fn(f64, f64) -> f64, int: fn(i64, i64) -> i64) -> Self {
        Self {
            truth: true,
            ..Self::arithmetic(name, float, int)
        }
    }

    const fn logical(name: &'static str, int: fn(i64, i64) -> i64) -> Self {
        Self {
            dtypes: const { &[DType::Bool] },
            ..Self::comparison(name, |x, _| x, int)
        }
    }
}

const fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

/// `x + y`
pub static ADD: Binary = Binary::arithmetic("add", |x, y| x + y, i64::wrapping_add).kernel(BinaryF32::Add);
/// `x - y`
pub static SUB: Binary = Binary::arithmetic("sub", |x, y| x - y, i64::wrapping_sub).kernel(BinaryF32::Sub);
/// `x * y`
pub static MUL: Binary = Binary::arithmetic("mul", |x, y| x * y, i64::wrapping_mul).kernel(BinaryF32::Mul);
/// `x / y`
pub static REAL_DIV: Binary =
    Binary::arithmetic("real_div", |x, y| x / y, |x, y| x.checked_div(y).unwrap_or(0)).kernel(BinaryF32::Div);
/// `floor(x / y)`
pub static FLOOR_DIV: Binary = Binary::arithmetic(
    "floor_div",
    |x, y| (x / y).floor(),
    |x, y| {
        let cut = x.checked_div(y).unwrap_or(0);
        let inexact = y != 0 && x.wrapping_rem(y) != 0;
        if inexact && (x < 0) != (y < 0) {
            cut - 1
        } else {
            cut
        }
    },
);
/// `x - floor(x / y) * y`
pub static MOD: Binary = Binary::arithmetic(
    "mod",
    |x, y| {
        let rest = x % y;
        if rest != 0.0 && (rest < 0.0) != (y < 0.0) {
            rest + y
        } else {
            rest
        }
    },
    |x, y| {
        let rest = x.checked_rem(y).unwrap_or(0);
        if rest != 0 && (rest < 0) != (y < 0) {
            rest + y
        } else {
            rest
        }
    },
);
/// `x` to the power of `y`
pub static POW: Binary = Binary::arithmetic("pow", f64::powf, int_power).kernel(BinaryF32::Pow);
/// The larger of `x` and `y`
pub static MAXIMUM: Binary = Binary::arithmetic(
    "maximum",
    |x, y| if x.is_nan() || x > y { x } else { y },
    i64::max,
)
.kernel(BinaryF32::Max);
/// The smaller of `x` and `y`
pub static MINIMUM: Binary = Binary::arithmetic(
    "minimum",
    |x, y| if x.is_nan() || x < y { x } else { y },
    i64::min,
)
.kernel(BinaryF32::Min);
/// True where `x == y`
pub static EQUAL: Binary = Binary {
    dtypes: checks::NUMBERS_AND_BOOL,
    ..Binary::comparison("equal", |x, y| truth(x == y), |x, y| i64::from(x == y))
};
/// True where `x != y`
pub static NOT_EQUAL: Binary = Binary {
    dtypes: checks::NUMBERS_AND_BOOL,
    ..Binary::comparison("not_equal", |x, y| truth(x != y), |x, y| i64::from(x != y))
};
/// True where `x < y`
pub static LESS: Binary = Binary::comparison("less", |x, y| truth(x < y), |x, y| i64::from(x < y));
/// True where `x <= y`
pub static LESS_EQUAL: Binary =
    Binary::comparison("less_equal", |x, y| truth(x <= y), |x, y| i64::from(x <= y));
/// True where `x > y`
pub static GREATER: Binary = Binary::comparison("greater", |x, y| truth(x > y), |x, y| i64::from(x > y));
/// True where `x >= y`
pub static GREATER_EQUAL: Binary =
    Binary::comparison("greater_equal", |x, y| truth(x >= y), |x, y| i64::from(x >= y));
/// True where `x` and `y` are
pub static LOGICAL_AND: Binary = Binary::logical("logical_and", |x, y| x & y);
/// True where `x` or `y` is
pub static LOGICAL_OR: Binary = Binary::logical("logical_or", |x, y| x | y);
/// True where one of `x` and `y` is
pub static LOGICAL_XOR: Binary = Binary::logical("logical_xor", |x, y| x ^ y);

fn int_power(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (_, 0..) => base.wrapping_pow(u32::try_from(exponent).unwrap_or(u32::MAX)),
        (1, _) => 1,
        (-1, _) => 1 - 2 * (exponent & 1),
        _ => 0,
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Binary").field(&self.name).finish()
    }
}

impl Operator for Binary {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: const { &[Param::required("x"), Param::required("y")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, x) = checks::tensor_of(node, "x", self.dtypes)?;
        let (_, y) = checks::tensor_of(node, "y", &[dtype])?;
        let shape = broadcast(x, y).ok_or_else(|| {
            node.param_error(
                "y",
                format_args!("expected a shape that broadcasts with {x:?}, found {y:?}"),
            )
        })?;
        let result = if self.truth { DType::Bool } else { dtype };
        checks::results(node, result, &shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (x, y) = (call.tensor("x")?, call.tensor("y")?);
        let from_x = broadcast_positions(x.shape, outputs[0].shape);
        let from_y = broadcast_positions(y.shape, outputs[0].shape);
        let pairs = from_x.into_iter().zip(from_y);
        let values = if x.dtype.is_float() {
            let (x, y) = (floats(x), floats(y));
            Numbers::Floats(pairs.map(|(i, j)| (self.float)(x[i], y[j])).collect())
        } else {
            let (x, y) = (ints(x), ints(y));
            Numbers::Ints(pairs.map(|(i, j)| (self.int)(x[i], y[j])).collect())
        };
        put(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        Ok(binary_steps::prepare(self, prepare))
    }

    fn samples(&self) -> Vec<String> {
        let name = self.name;
        let mut samples = Vec::new();
        for dtype in self.dtypes {
            let result = if self.truth { DType::Bool } else { *dtype };
            for (x, y, z) in SHAPES {
                let inputs = format!("%x: {dtype}{x}, %y_: {dtype}{y}");
                samples.push(sample(
                    &inputs,
                    &format!("{result}{z}"),
                    &format!("{name}(x=%x, y=%y_)"),
                ));
            }
            let data = if *dtype == DType::Bool {
                "[true, false, true]"
            } else {
                "[1, 2, 3]"
            };
            for (shape, call) in [
                ("[3, 1, 1]", "x=%x, y=%c"),
                ("[1, 3, 1, 1]", "x=%c, y=%x"),
                ("[3]", "x=%x, y=%c"),
            ] {
                let x = if shape == "[3]" {
                    "[2, 4, 5, 3]"
                } else {
                    "[2, 3, 4, 5]"
                };
                samples.push(sample_with(
                    &format!("%x: {dtype}{x}"),
                    &[&format!("%c: {dtype}{shape} = {data}")],
                    &format!("{result}{x}"),
                    &format!("{name}({call})"),
                ));
            }
        }
        samples
    }
}

/// Shapes of x, y and z: equal, a scalar on either side, a row, a column, channels, both ways at once, of other rank.
const SHAPES: [(&str, &str, &str); 10] = [
    ("[2, 3, 4, 5]", "[2, 3, 4, 5]", "[2, 3, 4, 5]"),
    ("[2, 3, 4, 5]", "[]", "[2, 3, 4, 5]"),
    ("[1]", "[2, 3, 4]", "[2, 3, 4]"),
    ("[2, 3, 4, 5]", "[5]", "[2, 3, 4, 5]"),
    ("[2, 3, 4, 5]", "[2, 3, 4, 1]", "[2, 3, 4, 5]"),
    ("[2, 3, 4, 5]", "[2, 3, 1, 1]", "[2, 3, 4, 5]"),
    ("[1, 3, 1, 1]", "[2, 3, 4, 5]", "[2, 3, 4, 5]"),
    ("[2, 1, 4]", "[3, 1]", "[2, 3, 4]"),
    ("[4, 1, 6]", "[2, 1, 5, 1]", "[2, 4, 5, 6]"),
    ("[]", "[]", "[]"),
];

#[cfg(test)]
mod tests {
    use super::{FLOOR_DIV, MOD, POW};

    #[test]
    fn integer_division_rounds_down_and_never_traps() {
        for (x, y, quotient, rest) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, -2, -3, 0),
            (5, 0, 0, 0),
        ] {
            assert_eq!(
                ((FLOOR_DIV.int)(x, y), (MOD.int)(x, y)),
                (quotient, rest),
                "{x} {y}"
            );
            if y != 0 {
                let (x, y) = (x as f64, y as f64);
                assert_eq!((MOD.float)(x, y), rest as f64, "{x} {y}");
            }
        }
    }

    #[test]
    fn integer_powers_are_cut_towards_zero() {
        for (x, y, expected) in [
            (2, 10, 1024),
            (3, 0, 1),
            (2, -1, 0),
            (-1, -3, -1),
            (-1, -2, 1),
            (1, -9, 1),
        ] {
            assert_eq!((POW.int)(x, y), expected, "{x}^{y}");
        }
    }
}
