//! `shape`: the dimensions of x. x: any tensor; y: int32 `[rank(x)]`. Since iOS 15.

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    numbers::put_ints,
    sample,
};
use crate::{Availability, Call, Cost, Node, OpError, Operator, Param, Signature};

/// The operator `shape`.
pub static SHAPE: ShapeOf = ShapeOf;

/// See the module.
#[derive(Debug)]
pub struct ShapeOf;

impl Operator for ShapeOf {
    fn signature(&self) -> Signature {
        Signature {
            name: "shape",
            params: const { &[Param::required("x")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        if let Some(dim) = shape.iter().find(|&&dim| i32::try_from(dim).is_err()) {
            return Err(node.param_error(
                "x",
                format_args!("expected dimensions that fit int32, found {dim}"),
            ));
        }
        checks::results(node, DType::Int32, &[shape.len()])
    }

    /// Reads nothing of x.
    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: 4 * node.output_elems(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let shape = call.tensor("x")?.shape;
        put_ints(&mut outputs[0], shape.iter().map(|&dim| dim as i64));
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample("%x: fp32[2, 3, 4, 5]", "int32[4]", "shape(x=%x)"),
            sample("%x: bool[7]", "int32[1]", "shape(x=%x)"),
        ]
    }
}
