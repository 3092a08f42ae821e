//! `select`: `a` where the condition is true, else `b`. cond: bool; a, b: the same type, fp16, fp32, int32, bool; all
//! three broadcast to one shape. Since iOS 15.

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    index::{broadcast, broadcast_positions},
    sample, sample_with,
};
use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Signature};

/// The operator `select`.
pub static SELECT: Select = Select;

/// See the module.
#[derive(Debug)]
pub struct Select;

impl Operator for Select {
    fn signature(&self) -> Signature {
        Signature {
            name: "select",
            params: const {
                &[
                    Param::required("cond"),
                    Param::required("a"),
                    Param::required("b"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, cond) = checks::tensor_of(node, "cond", &[DType::Bool])?;
        let (dtype, a) = checks::tensor_of(node, "a", MOVABLE)?;
        let (_, b) = checks::tensor_of(node, "b", &[dtype])?;
        let misfit = |param, found| {
            node.param_error(
                param,
                format_args!("expected shapes that broadcast, found {found:?} with cond of {cond:?}"),
            )
        };
        let shape = broadcast(cond, a).ok_or_else(|| misfit("a", a))?;
        let shape = broadcast(&shape, b).ok_or_else(|| misfit("b", b))?;
        checks::results(node, dtype, &shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (cond, a, b) = (call.tensor("cond")?, call.tensor("a")?, call.tensor("b")?);
        let output = &mut outputs[0];
        let [from_cond, from_a, from_b] =
            [cond.shape, a.shape, b.shape].map(|shape| broadcast_positions(shape, output.shape));
        let width = a.dtype.bits() / 8;
        for (at, slot) in output.bytes.chunks_exact_mut(width).enumerate() {
            let (from, position) = if cond.bytes[from_cond[at]] != 0 {
                (a.bytes, from_a[at])
            } else {
                (b.bytes, from_b[at])
            };
            slot.copy_from_slice(&from[position * width..][..width]);
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn samples(&self) -> Vec<String> {
        let call = "select(cond=%c, a=%a, b=%b)";
        vec![
            sample(
                "%c: bool[2, 3, 4, 5], %a: fp32[2, 3, 4, 5], %b: fp32[2, 3, 4, 5]",
                "fp32[2, 3, 4, 5]",
                call,
            ),
            sample(
                "%c: bool[2, 1, 4], %a: fp16[3, 1], %b: fp16[]",
                "fp16[2, 3, 4]",
                call,
            ),
            sample("%c: bool[4], %a: int32[4], %b: int32[4]", "int32[4]", call),
            sample_with(
                "%c: bool[1, 1, 4, 4], %a: fp32[1, 2, 4, 4]",
                &["%b: fp32[] = [-10000.0]"],
                "fp32[1, 2, 4, 4]",
                call,
            ),
        ]
    }
}
