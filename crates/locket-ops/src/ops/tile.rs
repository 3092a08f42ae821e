//! Moving x about itself. x: anything movable; y: the type of x. Both since iOS 15.
//!
//! * `tile`: x repeated `reps[a]` times along each axis `a`
//! * `reverse`: x backwards along `axes`, by default all

use locket_mil::{Target, Type};
use locket_tensor::{Shape, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::{move_elements, position, strides},
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// The operator `tile`.
pub static TILE: Tile = Tile;

/// The operator `reverse`.
pub static REVERSE: Reverse = Reverse;

/// See the module.
#[derive(Debug)]
pub struct Tile;

/// See the module.
#[derive(Debug)]
pub struct Reverse;

fn repetitions(node: &Node<'_>, shape: &[usize]) -> Result<Vec<usize>, OpError> {
    let reps = node.sizes("reps", &[])?;
    if reps.len() == shape.len() && !reps.contains(&0) {
        return Ok(reps);
    }
    Err(node.param_error(
        "reps",
        format_args!("expected a number of 1 or more for each axis of {shape:?}, found {reps:?}"),
    ))
}

impl Operator for Tile {
    fn signature(&self) -> Signature {
        Signature {
            name: "tile",
            params: const { &[Param::required("x"), Param::constant("reps")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        let reps = repetitions(node, shape)?;
        let tiled: Shape = shape
            .iter()
            .zip(reps)
            .map(|(dim, reps)| dim.saturating_mul(reps))
            .collect();
        checks::results(node, dtype, &tiled)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let steps = strides(x.shape);
        move_elements(x, &mut outputs[0], |index| {
            let place: Shape = index.iter().zip(x.shape).map(|(at, dim)| at % dim).collect();
            Some(position(&place, &steps))
        });
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        let reps = repetitions(&prepare.node, shape)?;
        let loops = (0..shape.len()).flat_map(|axis| {
            let again = Loop {
                count: reps[axis],
                to_axis: axis,
                to_step: shape[axis],
                from_axis: None,
                from_step: 0,
            };
            [again, Loop::along(shape[axis], axis, axis)]
        });
        let pieces = Piece::whole(prepare, "x", loops.collect());
        Ok(copy::prepare(prepare, pieces, None))
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, y: &str, reps: &str| {
            sample(&format!("%x: {x}"), y, &format!("tile(x=%x, reps={reps})"))
        };
        vec![
            of("fp32[2, 3, 4, 5]", "fp32[2, 6, 12, 5]", "[1, 2, 3, 1]"),
            of("fp32[1, 3]", "fp32[4, 6]", "[4, 2]"),
            of("int32[2]", "int32[6]", "[3]"),
            of("uint8[1, 3, 1, 2]", "uint8[1, 3, 5, 2]", "[1, 1, 5, 1]"),
        ]
    }
}

impl Operator for Reverse {
    fn signature(&self) -> Signature {
        Signature {
            name: "reverse",
            params: const { &[Param::required("x"), Param::attribute("axes")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        node.axes("axes", shape.len())?;
        checks::results(node, dtype, shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let axes = call.node.axes("axes", x.shape.len())?;
        let steps = strides(x.shape);
        move_elements(x, &mut outputs[0], |index| {
            let place: Shape = index
                .iter()
                .enumerate()
                .map(|(axis, &at)| {
                    if axes.contains(&axis) {
                        x.shape[axis] - 1 - at
                    } else {
                        at
                    }
                })
                .collect();
            Some(position(&place, &steps))
        });
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        let axes = prepare.node.axes("axes", shape.len())?;
        let backwards = |axis: usize| axes.contains(&axis);
        let loops = (0..shape.len())
            .map(|axis| Loop {
                from_step: if backwards(axis) { -1 } else { 1 },
                ..Loop::along(shape[axis], axis, axis)
            })
            .collect();
        let mut pieces = Piece::whole(prepare, "x", loops);
        for piece in &mut pieces {
            let dims = shape.iter().enumerate();
            piece.from = dims
                .map(|(axis, dim)| if backwards(axis) { dim.saturating_sub(1) } else { 0 })
                .collect();
        }
        Ok(copy::prepare(prepare, pieces, None))
    }

    fn samples(&self) -> Vec<String> {
        let of = |ty: &str, args: &str| sample(&format!("%x: {ty}"), ty, &format!("reverse(x=%x{args})"));
        vec![
            of("fp32[2, 3, 4, 5]", ", axes=[-1]"),
            of("fp32[2, 3, 4, 5]", ", axes=[1, 2]"),
            of("fp16[3, 4]", ""),
            of("bool[5]", ", axes=[0]"),
        ]
    }
}
