//! `reduce_argmax`, `reduce_argmin`: where along an axis the largest or smallest element stands; of equal ones the
//! first. x: fp16, fp32, int32 of rank 1 or more; y: int32 (since iOS 17 the type that `output_dtype` names, int32 or uint16);
//! the axis (by default the last) is removed, or kept with dimension 1 if `keep_dims`. Since iOS 15.
//!
//! A NaN is never chosen over a number.

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::{
    common::{
        checks::{self, NUMBERS},
        numbers::{floats, put_ints},
        sample,
    },
    reduce::for_each_group,
};
use crate::{Availability, Call, Cost, Node, OpError, Operator, Param, Signature};

/// The operator `reduce_argmax`.
pub static REDUCE_ARGMAX: ReduceArg = ReduceArg {
    name: "reduce_argmax",
    before: |a, b| a > b,
};

/// The operator `reduce_argmin`.
pub static REDUCE_ARGMIN: ReduceArg = ReduceArg {
    name: "reduce_argmin",
    before: |a, b| a < b,
};

/// The position of an extreme element.
#[derive(Debug)]
pub struct ReduceArg {
    name: &'static str,
    before: fn(f64, f64) -> bool,
}

impl Operator for ReduceArg {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("axis"),
                    Param::attribute("keep_dims"),
                    Param::attribute("output_dtype"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "x", NUMBERS)?;
        let axis = node.axis("axis", -1, shape.len())?;
        if shape[axis] == 0 {
            return Err(node.param_error("x", format_args!("axis {axis} of {shape:?} has no element")));
        }
        let dtype = checks::dtype_named(node, "output_dtype", "int32", &[DType::Int32, DType::UInt16])?;
        let mut reduced = Shape::from(shape);
        if node.flag("keep_dims", false)? {
            reduced[axis] = 1;
        } else {
            reduced.remove(axis);
        }
        checks::results(node, dtype, &reduced)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: node
                .ty("x")
                .map_or(0, |(_, shape)| shape.iter().product::<usize>() as u64),
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let axis = call.node.axis("axis", -1, x.shape.len())?;
        let mut results = Vec::new();
        for_each_group(&floats(x), x.shape, &[axis], |group| {
            let mut best = 0;
            for (at, &value) in group.iter().enumerate() {
                if (self.before)(value, group[best]) || (group[best].is_nan() && !value.is_nan()) {
                    best = at;
                }
            }
            results.push(best as i64);
        });
        put_ints(&mut outputs[0], results);
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let name = self.name;
        vec![
            sample("%x: fp32[2, 10]", "int32[2]", &format!("{name}(x=%x)")),
            sample(
                "%x: fp32[2, 3, 4, 5]",
                "int32[2, 1, 4, 5]",
                &format!("{name}(x=%x, axis=1, keep_dims=true)"),
            ),
            sample("%x: int32[4, 3]", "int32[3]", &format!("{name}(x=%x, axis=-2)")),
            sample(
                "%x: fp16[4, 3]",
                "uint16[4]",
                &format!("{name}(x=%x, output_dtype=\"uint16\")"),
            ),
        ]
    }
}
