//! `transpose`: `y[i0, i1, ...] = x[...]` with axis `a` of y being axis `perm[a]` of x. x: anything movable (the narrow
//! integers since iOS 17); y: the type of x. Since iOS 15.

use locket_mil::{Target, Type};
use locket_tensor::{Shape, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::{move_elements, position, strides},
    order::same_order,
    sample,
};
use crate::{
    Availability, Call, Cost, Layout, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared,
    Signature,
};

/// The operator `transpose`.
pub static TRANSPOSE: Transpose = Transpose;

/// See the module.
#[derive(Debug)]
pub struct Transpose;

/// Which axis of x each axis of the result is.
fn permutation(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, OpError> {
    let perm = node.axes("perm", rank)?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        return Ok(perm);
    }
    Err(node.param_error(
        "perm",
        format_args!("expected each axis of rank {rank} once, found {perm:?}"),
    ))
}

impl Operator for Transpose {
    fn signature(&self) -> Signature {
        Signature {
            name: "transpose",
            params: const { &[Param::required("x"), Param::constant("perm")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        let perm = permutation(node, shape.len())?;
        let moved: Shape = perm.into_iter().map(|axis| shape[axis]).collect();
        checks::results(node, dtype, &moved)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let own = strides(x.shape);
        let perm = permutation(&call.node, x.shape.len())?;
        let steps: Shape = perm.into_iter().map(|axis| own[axis]).collect();
        move_elements(x, &mut outputs[0], |index| Some(position(index, &steps)));
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn alias(&self, node: &Node<'_>, input: Layout) -> Option<Layout> {
        let (_, shape) = node.ty("x").ok()?;
        let perm = permutation(node, shape.len()).ok()?;
        let own = strides(shape);
        let moved: Vec<(usize, usize)> = perm.into_iter().map(|axis| (shape[axis], own[axis])).collect();
        let axes: Vec<(usize, usize)> = shape.iter().copied().zip(own).collect();
        same_order(&axes, input, &moved)
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        let perm = permutation(&prepare.node, shape.len())?;
        let axes = perm.into_iter().enumerate();
        let loops = axes
            .map(|(to, from)| Loop::along(shape[from], to, from))
            .collect();
        Ok(copy::prepare(prepare, Piece::whole(prepare, "x", loops), None))
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, y: &str, perm: &str| {
            sample(&format!("%x: {x}"), y, &format!("transpose(x=%x, perm={perm})"))
        };
        vec![
            of("fp32[2, 7, 9, 3]", "fp32[2, 3, 7, 9]", "[0, 3, 1, 2]"),
            of("fp32[2, 3, 7, 9]", "fp32[2, 7, 9, 3]", "[0, 2, 3, 1]"),
            of("fp32[2, 3, 4]", "fp32[4, 2, 3]", "[-1, 0, 1]"),
            of("fp32[2, 17, 33]", "fp32[2, 33, 17]", "[0, 2, 1]"),
            of("fp32[1, 6, 2, 8]", "fp32[1, 2, 6, 8]", "[0, 2, 1, 3]"),
            of("int32[3, 2]", "int32[2, 3]", "[1, 0]"),
            of("fp16[3, 2, 4]", "fp16[2, 3, 4]", "[1, 0, 2]"),
            of("uint8[1, 5, 4, 3]", "uint8[1, 3, 5, 4]", "[0, 3, 1, 2]"),
            of("fp32[2, 3, 2, 2, 3]", "fp32[2, 2, 3, 2, 3]", "[0, 2, 1, 3, 4]"),
        ]
    }
}
