//! Several tensors side by side. values: at least one, of one type, anything movable; y: that type. Since iOS 15.
//!
//! * `concat`: along `axis`; all other dimensions are the same. With `interleave` all shapes are the same and the results take
//!   turns: position `i * n + k` on the axis is position `i` of the k-th of `n`. Rank-0 values count as rank 1.
//! * `stack`: along a new axis `axis` (counted in the result); all shapes are the same

use locket_mil::{Arg, Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::around,
    sample, sample_with,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// The operator `concat`.
pub static CONCAT: Concat = Concat { stack: false };

/// The operator `stack`.
pub static STACK: Concat = Concat { stack: true };

/// Puts tensors side by side.
#[derive(Debug)]
pub struct Concat {
    /// Along a new axis.
    stack: bool,
}

/// Values as they are joined: along an axis that each of them has.
struct Parts {
    dtype: DType,
    axis: usize,
    interleave: bool,
    shapes: Vec<Shape>,
}

impl Concat {
    fn parts(&self, node: &Node<'_>) -> Result<Parts, OpError> {
        let types = node.tys("values")?;
        let (dtype, first) = types[0];
        checks::expect_dtype(node, "values", dtype, MOVABLE)?;
        let mut shapes: Vec<Shape> = types.iter().map(|(_, shape)| Shape::from(*shape)).collect();
        let grows = self.stack || first.is_empty();
        let axis = node.axis("axis", 0, first.len() + usize::from(grows))?;
        let interleave = node.flag("interleave", false)?;
        for (other, shape) in &types {
            let mut expected = Shape::from(first);
            if let (false, Some(dim)) = (interleave || grows, shape.get(axis)) {
                expected[axis] = *dim;
            }
            if *other != dtype || shape.len() != first.len() || expected[..] != **shape {
                return Err(node.param_error(
                    "values",
                    format_args!("expected tensors that fit {dtype}{first:?}, found {other}{shape:?}"),
                ));
            }
        }
        if grows {
            shapes.iter_mut().for_each(|shape| shape.insert(axis, 1));
        }
        Ok(Parts {
            dtype,
            axis,
            interleave,
            shapes,
        })
    }
}

impl Operator for Concat {
    fn signature(&self) -> Signature {
        let (name, params): (_, &[Param]) = if self.stack {
            (
                "stack",
                const { &[Param::required("values"), Param::constant("axis")] },
            )
        } else {
            (
                "concat",
                const {
                    &[
                        Param::required("values"),
                        Param::constant("axis"),
                        Param::attribute("interleave"),
                    ]
                },
            )
        };
        Signature {
            name,
            params,
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let Parts {
            dtype, axis, shapes, ..
        } = self.parts(node)?;
        let mut shape = shapes[0].clone();
        shape[axis] = shapes
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part[axis]));
        checks::results(node, dtype, &shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let parts = self.parts(&call.node)?;
        let values = call.tensors("values")?;
        let [_, total, inner] = around(outputs[0].shape, parts.axis);
        let run = inner * parts.dtype.bits() / 8;
        let mut start = 0;
        for (turn, (value, shape)) in values.iter().zip(&parts.shapes).enumerate() {
            let length = shape[parts.axis];
            for (row, bytes) in value.bytes.chunks_exact(run.max(1)).enumerate() {
                let (outer, at) = (row / length, row % length);
                let to = if parts.interleave {
                    at * values.len() + turn
                } else {
                    start + at
                };
                outputs[0].bytes[(outer * total + to) * run..][..run].copy_from_slice(bytes);
            }
            start += length;
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let parts = self.parts(&prepare.node)?;
        let values = prepare
            .node
            .operation
            .arg("values")
            .map(Arg::values)
            .unwrap_or_default();
        let mut pieces = Vec::with_capacity(values.len());
        let mut start = 0;
        for (turn, (&source, shape)) in values.iter().zip(&parts.shapes).enumerate() {
            // Axes of the value itself, which has none for an axis that is new.
            let own_rank = prepare.node.function.ty(source).shape().map_or(0, <[usize]>::len);
            let grows = own_rank < shape.len();
            let axes = (0..shape.len()).filter(|&to| !(grows && to == parts.axis));
            let mut loops: Vec<Loop> = axes
                .enumerate()
                .map(|(own, to)| Loop::along(shape[to], to, own))
                .collect();
            let mut to = vec![0; shape.len()];
            if parts.interleave {
                to[parts.axis] = turn;
                loops
                    .iter_mut()
                    .filter(|walk| walk.to_axis == parts.axis)
                    .for_each(|walk| walk.to_step = values.len());
            } else {
                to[parts.axis] = start;
            }
            start += shape[parts.axis];
            pieces.push(Piece {
                source,
                from: Vec::new(),
                to,
                loops,
            });
        }
        Ok(copy::prepare(prepare, pieces, None))
    }

    fn samples(&self) -> Vec<String> {
        if self.stack {
            return vec![
                sample(
                    "%a: fp32[2, 3], %b: fp32[2, 3]",
                    "fp32[2, 2, 3]",
                    "stack(values=(%a, %b), axis=0)",
                ),
                sample(
                    "%a: int32[4], %b: int32[4]",
                    "int32[4, 2]",
                    "stack(values=(%a, %b), axis=-1)",
                ),
                sample(
                    "%a: fp16[], %b: fp16[]",
                    "fp16[2]",
                    "stack(values=(%a, %b), axis=0)",
                ),
            ];
        }
        let channels = "concat(values=(%a, %b), axis=1)";
        vec![
            sample(
                "%a: fp32[2, 3, 4, 5], %b: fp32[2, 6, 4, 5]",
                "fp32[2, 9, 4, 5]",
                channels,
            ),
            sample(
                "%a: fp32[2, 3, 4, 5], %b: fp32[2, 3, 4, 2]",
                "fp32[2, 3, 4, 7]",
                "concat(values=(%a, %b), axis=-1)",
            ),
            sample(
                "%a: fp32[2, 3, 4], %b: fp32[2, 3, 4]",
                "fp32[2, 6, 4]",
                "concat(values=(%a, %b), axis=1, interleave=true)",
            ),
            sample_with(
                "%a: fp32[1, 2, 3, 3]",
                &["%b: fp32[1, 1, 3, 3] = ramp(0.0, 1.0)"],
                "fp32[1, 5, 3, 3]",
                "concat(values=(%a, %b, %a), axis=1)",
            ),
            sample(
                "%a: int32[], %b: int32[]",
                "int32[2]",
                "concat(values=(%a, %b), axis=0)",
            ),
            sample(
                "%a: fp16[1, 3], %b: fp16[2, 3]",
                "fp16[3, 3]",
                "concat(values=(%a, %b), axis=0)",
            ),
            sample(
                "%a: uint8[1, 3, 2, 2], %b: uint8[1, 2, 2, 2]",
                "uint8[1, 5, 2, 2]",
                channels,
            ),
        ]
    }
}
