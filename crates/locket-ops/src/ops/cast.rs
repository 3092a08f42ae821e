//! `cast`: the same numbers in another type. x: fp16, fp32, int32, bool, since iOS 17 int8, uint8, int16, uint16, of
//! any shape; y: the type that `dtype` names, of the same shape. Since iOS 15.
//!
//! To a narrower float: to nearest, ties to even. To an integer: a float is cut towards zero, NaN gives 0, and
//! everything out of range saturates. To bool: everything but 0 is true. From bool: 0 and 1.

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks,
    numbers::{floats, ints, put_floats, put_ints},
    sample,
};
use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Signature};

/// The operator `cast`.
pub static CAST: Cast = Cast;

/// See the module.
#[derive(Debug)]
pub struct Cast;

const DTYPES: &[DType] = &[
    DType::Float16,
    DType::Float32,
    DType::Int32,
    DType::Bool,
    DType::Int8,
    DType::UInt8,
    DType::Int16,
    DType::UInt16,
];

impl Operator for Cast {
    fn signature(&self) -> Signature {
        Signature {
            name: "cast",
            params: const { &[Param::required("x"), Param::constant("dtype")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "x", DTYPES)?;
        checks::results(node, checks::dtype_named(node, "dtype", "", DTYPES)?, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let to = outputs[0].dtype;
        match (to, to.int_range()) {
            (DType::Bool, _) => {
                let truths = floats(x).into_iter().map(|x| i64::from(x != 0.0));
                put_ints(&mut outputs[0], truths);
            }
            (_, Some((low, high))) => {
                let cut = ints(x).into_iter().map(|x| x.clamp(low, high));
                put_ints(&mut outputs[0], cut);
            }
            _ => put_floats(&mut outputs[0], floats(x)),
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn samples(&self) -> Vec<String> {
        let pairs = DTYPES
            .iter()
            .flat_map(|from| DTYPES.iter().map(move |to| (from, to)));
        pairs
            .map(|(from, to)| {
                sample(
                    &format!("%x: {from}[2, 3, 4]"),
                    &format!("{to}[2, 3, 4]"),
                    &format!("cast(x=%x, dtype=\"{to}\")"),
                )
            })
            .collect()
    }
}
