//! `split`: x cut into parts along `axis`. x: anything movable; the parts have the type of x. Either `split_sizes` says how long
//! each is, and they add up to the dimension, or `num_splits` how many equal ones there are; if both are given they agree. Since iOS 15.

use locket_mil::{Target, Type};
use locket_tensor::{Shape, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::around,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// The operator `split`.
pub static SPLIT: Split = Split;

/// See the module.
#[derive(Debug)]
pub struct Split;

/// The axis, and the length of each part.
fn parts(node: &Node<'_>, shape: &[usize]) -> Result<(usize, Vec<usize>), OpError> {
    let axis = node.axis("axis", 0, shape.len())?;
    let dim = shape[axis];
    let count = node.int("num_splits", 0)?;
    if !node.has("split_sizes") {
        let even = usize::try_from(count)
            .ok()
            .filter(|&count| count > 0 && dim.is_multiple_of(count));
        return even.map(|count| (axis, vec![dim / count; count])).ok_or_else(|| {
            node.param_error(
                "num_splits",
                format_args!("expected a number that divides axis {axis} of {shape:?}, found {count}"),
            )
        });
    }
    let sizes = node.sizes("split_sizes", &[])?;
    let total = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    let agrees = !node.has("num_splits") || i64::try_from(sizes.len()) == Ok(count);
    if sizes.is_empty() || total != Some(dim) || !agrees {
        return Err(node.param_error(
            "split_sizes",
            format_args!("expected sizes that add up to axis {axis} of {shape:?}, found {sizes:?}"),
        ));
    }
    Ok((axis, sizes))
}

impl Operator for Split {
    fn signature(&self) -> Signature {
        Signature {
            name: "split",
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("num_splits"),
                    Param::attribute("split_sizes"),
                    Param::constant("axis"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        let (axis, sizes) = parts(node, shape)?;
        sizes
            .into_iter()
            .map(|size| {
                let mut part = Shape::from(shape);
                part[axis] = size;
                checks::result(node, dtype, &part)
            })
            .collect()
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let (axis, sizes) = parts(&call.node, x.shape)?;
        let [outer, dim, inner] = around(x.shape, axis);
        let run = inner * x.dtype.bits() / 8;
        let mut start = 0;
        for (output, size) in outputs.iter_mut().zip(sizes) {
            for row in 0..outer {
                let from = (row * dim + start) * run;
                output.bytes[row * size * run..][..size * run]
                    .copy_from_slice(&x.bytes[from..][..size * run]);
            }
            start += size;
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        let (axis, sizes) = parts(&prepare.node, shape)?;
        let (before, rest) = sizes.split_at(prepare.output);
        let mut from = vec![0; shape.len()];
        from[axis] = before.iter().sum();
        let loops = (0..shape.len())
            .map(|at| Loop::along(if at == axis { rest[0] } else { shape[at] }, at, at))
            .collect();
        let mut pieces = Piece::whole(prepare, "x", loops);
        for piece in &mut pieces {
            piece.from.clone_from(&from);
        }
        Ok(copy::prepare(prepare, pieces, None))
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, parts: [&str; 2], args: &str| {
            let [a, b] = parts;
            format!(
                "func f opset ios15 (%x: {x}) -> (a: %a, b: %b) {{\n%a: {a}, %b: {b} = split(x=%x, {args})\n}}"
            )
        };
        vec![
            of(
                "fp32[2, 6, 4, 5]",
                ["fp32[2, 3, 4, 5]"; 2],
                "num_splits=2, axis=1",
            ),
            of(
                "fp32[2, 6, 4, 5]",
                ["fp32[2, 2, 4, 5]", "fp32[2, 4, 4, 5]"],
                "split_sizes=[2, 4], axis=-3",
            ),
            of(
                "int32[5]",
                ["int32[1]", "int32[4]"],
                "num_splits=2, split_sizes=[1, 4], axis=0",
            ),
            of(
                "uint8[1, 4, 3, 3]",
                ["uint8[1, 4, 3, 2]", "uint8[1, 4, 3, 1]"],
                "split_sizes=[2, 1], axis=3",
            ),
        ]
    }
}
