//! Picking elements by index. x: anything movable; indices: integers; y: the type of x. Negative indices count from the
//! end of the axis; an index outside the axis is an error when constants are folded (iOS 17's `validate_indices` asks for
//! that), and gives zeros at run time. All since iOS 15; `batch_dims` of `gather` since iOS 16.
//!
//! * `gather`: `y[.., i.., ..] = x[.., indices[i..], ..]` on `axis`, by default 0; the shape of `indices`, without its first
//!   `batch_dims` axes, takes the place of the axis; along those x and indices go together
//! * `gather_along_axis`: `y[i, j, k] = x[indices[i, j, k], j, k]` for axis 0; indices has the shape of y, and that of x but on `axis`
//! * `gather_nd`: the last axis of indices holds positions on the first axes of x (after `batch_dims` common ones)

use std::ops::Range;

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::common::{
    checks::{self, INDICES, MOVABLE},
    index::{around, for_each_index, position, strides},
    lines::{Operand, Source},
    numbers::{ints, load_ints},
    sample, sample_with,
};
use crate::{Availability, Call, Cost, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step};

/// The operator `gather`.
pub static GATHER: Gather = Gather;

/// The operator `gather_along_axis`.
pub static GATHER_ALONG_AXIS: GatherAlongAxis = GatherAlongAxis;

/// The operator `gather_nd`.
pub static GATHER_ND: GatherNd = GatherNd;

/// See the module.
#[derive(Debug)]
pub struct Gather;

/// See the module.
#[derive(Debug)]
pub struct GatherAlongAxis;

/// See the module.
#[derive(Debug)]
pub struct GatherNd;

/// A position on an axis of `dim`, from one that may count from the end.
fn wrap(node: &Node<'_>, index: i64, dim: usize) -> Result<usize, OpError> {
    let counted = if index < 0 {
        index.saturating_add_unsigned(dim as u64)
    } else {
        index
    };
    usize::try_from(counted)
        .ok()
        .filter(|&at| at < dim)
        .ok_or_else(|| {
            node.param_error(
                "indices",
                format_args!("expected positions on an axis of {dim}, found {index}"),
            )
        })
}

/// Reads only what it writes, and the indices.
fn cost(node: &Node<'_>) -> Cost {
    let written = node
        .operation
        .outputs
        .first()
        .map_or(0, |&id| node.function.ty(id).bytes());
    let read = node
        .operation
        .input("indices")
        .map_or(0, |id| node.function.ty(id).bytes());
    Cost {
        macs: 0,
        bytes: 2 * written as u64 + read as u64,
    }
}

fn batch_dims(node: &Node<'_>, x: &[usize], indices: &[usize]) -> Result<usize, OpError> {
    let batch = usize::try_from(node.int("batch_dims", 0)?).unwrap_or(usize::MAX);
    let same = x
        .get(..batch)
        .zip(indices.get(..batch))
        .is_some_and(|(a, b)| a == b);
    if same {
        return Ok(batch);
    }
    Err(node.param_error(
        "batch_dims",
        format_args!("expected a number of axes that {x:?} and {indices:?} have in common, found {batch}"),
    ))
}

/// Axis and number of batch axes of `gather`.
fn gather_axes(node: &Node<'_>, x: &[usize], indices: &[usize]) -> Result<(usize, usize), OpError> {
    let axis = node.axis("axis", 0, x.len())?;
    let batch = batch_dims(node, x, indices)?;
    if batch > axis {
        return Err(node.param_error(
            "batch_dims",
            format_args!("expected at most the axis {axis}, found {batch}"),
        ));
    }
    Ok((axis, batch))
}

impl Operator for Gather {
    fn signature(&self) -> Signature {
        Signature {
            name: "gather",
            params: const {
                &[
                    Param::required("x"),
                    Param::required("indices"),
                    Param::attribute("axis"),
                    Param::attribute("batch_dims"),
                    Param::attribute("validate_indices"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, x) = checks::tensor_of(node, "x", MOVABLE)?;
        let (_, indices) = checks::tensor_of(node, "indices", INDICES)?;
        let (axis, batch) = gather_axes(node, x, indices)?;
        let shape: Shape = [&x[..axis], &indices[batch..], &x[axis + 1..]]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        checks::results(node, dtype, &shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        cost(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (x, indices) = (call.tensor("x")?, call.tensor("indices")?);
        let (axis, batch) = gather_axes(&call.node, x.shape, indices.shape)?;
        let [outer, dim, inner] = around(x.shape, axis);
        let batches: usize = x.shape[..batch].iter().product();
        let picks = ints(indices);
        let run = inner * x.dtype.bits() / 8;
        if batches == 0 || outer == 0 {
            return Ok(());
        }
        let (per_batch, outer_per_batch) = (picks.len() / batches, outer / batches);
        for row in 0..outer {
            let batch = row / outer_per_batch;
            for at in 0..per_batch {
                let from = row * dim + wrap(&call.node, picks[batch * per_batch + at], dim)?;
                outputs[0].bytes[(row * per_batch + at) * run..][..run]
                    .copy_from_slice(&x.bytes[from * run..][..run]);
            }
        }
        Ok(())
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let ((dtype, x), (index, indices)) = (node.ty("x")?, node.ty("indices")?);
        let (axis, batch) = gather_axes(node, x, indices)?;
        let [outer, dim, inner] = around(x, axis);
        let table = node.operation.input("x");
        let from = table.and_then(|id| Operand::anywhere(prepare, id));
        let (Some(from), Some(picks)) = (from, Operand::of(prepare, "indices")) else {
            return Ok(None);
        };
        if from.value.is_none() && picks.value.is_none() {
            return Ok(None);
        }
        let per_row: usize = indices[batch..].iter().product();
        let batches: usize = x[..batch].iter().product();
        let run = inner * dtype.bits() / 8;
        let held = from.source.held_bytes() + picks.source.held_bytes();
        let step = GatherStep {
            rows_per_batch: outer / batches.max(1),
            dim,
            per_row,
            run,
            index,
            x: from.source,
            picks: picks.source,
        };
        Ok(Some(Prepared::new(step, outer * per_row, run).weights(held)))
    }

    fn samples(&self) -> Vec<String> {
        let picks = "%i: int32[3] = [2, 0, -1]";
        vec![
            sample_with(
                "%x: fp32[4, 5]",
                &[picks],
                "fp32[3, 5]",
                "gather(x=%x, indices=%i, axis=0)",
            ),
            sample_with(
                "%x: fp32[2, 4, 3]",
                &[picks],
                "fp32[2, 3, 3]",
                "gather(x=%x, indices=%i, axis=-2)",
            ),
            sample(
                "%x: fp32[3, 5], %i: int32[2, 2]",
                "fp32[2, 2, 5]",
                "gather(x=%x, indices=%i, axis=0)",
            ),
            sample("%x: int32[4]", "int32[]", "gather(x=%x, indices=2)"),
            sample("%x: fp16[3, 2]", "fp16[3]", "gather(x=%x, indices=0, axis=1)"),
            sample(
                "%x: fp32[2, 4, 3], %i: int32[2, 2]",
                "fp32[2, 2, 3]",
                "gather(x=%x, indices=%i, axis=1, batch_dims=1)",
            ),
        ]
    }
}

impl Operator for GatherAlongAxis {
    fn signature(&self) -> Signature {
        Signature {
            name: "gather_along_axis",
            params: const {
                &[
                    Param::required("x"),
                    Param::required("indices"),
                    Param::attribute("axis"),
                    Param::attribute("validate_indices"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, x) = checks::tensor_of(node, "x", MOVABLE)?;
        let (_, indices) = checks::tensor_of(node, "indices", INDICES)?;
        let axis = node.axis("axis", 0, x.len())?;
        let fits = indices.len() == x.len() && (0..x.len()).all(|at| at == axis || x[at] == indices[at]);
        if !fits {
            return Err(node.param_error(
                "indices",
                format_args!("expected the shape {x:?} but on axis {axis}, found {indices:?}"),
            ));
        }
        checks::results(node, dtype, indices)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        cost(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (x, indices) = (call.tensor("x")?, call.tensor("indices")?);
        let axis = call.node.axis("axis", 0, x.shape.len())?;
        let picks = ints(indices);
        let (steps, width) = (strides(x.shape), x.dtype.bits() / 8);
        let mut failure = Ok(());
        for_each_index(indices.shape, |at, index| {
            match wrap(&call.node, picks[at], x.shape[axis]) {
                Ok(pick) => {
                    let from = position(index, &steps) - index[axis] * steps[axis] + pick * steps[axis];
                    outputs[0].bytes[at * width..][..width]
                        .copy_from_slice(&x.bytes[from * width..][..width]);
                }
                Err(error) => failure = Err(error),
            }
        });
        failure
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample(
                "%x: fp32[3, 4], %i: int32[2, 4]",
                "fp32[2, 4]",
                "gather_along_axis(x=%x, indices=%i)",
            ),
            sample(
                "%x: int32[2, 3, 2], %i: int32[2, 5, 2]",
                "int32[2, 5, 2]",
                "gather_along_axis(x=%x, indices=%i, axis=-2)",
            ),
        ]
    }
}

impl Operator for GatherNd {
    fn signature(&self) -> Signature {
        Signature {
            name: "gather_nd",
            params: const {
                &[
                    Param::required("x"),
                    Param::required("indices"),
                    Param::attribute("batch_dims"),
                    Param::attribute("validate_indices"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, x) = checks::tensor_of(node, "x", MOVABLE)?;
        let (_, indices) = checks::tensor_of(node, "indices", INDICES)?;
        let batch = batch_dims(node, x, indices)?;
        let depth = indices.last().copied().unwrap_or(usize::MAX);
        let Some(rest) = depth
            .checked_add(batch)
            .and_then(|from| x.get(from..))
            .filter(|_| batch < indices.len())
        else {
            return Err(node.param_error(
                "indices",
                format_args!(
                    "expected positions of at most {} numbers for {x:?}, found {indices:?}",
                    x.len()
                ),
            ));
        };
        let shape: Shape = [&indices[..indices.len() - 1], rest]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        checks::results(node, dtype, &shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        cost(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (x, indices) = (call.tensor("x")?, call.tensor("indices")?);
        let batch = batch_dims(&call.node, x.shape, indices.shape)?;
        let depth = indices.shape.last().copied().unwrap_or(0);
        let batches: usize = x.shape[..batch].iter().product();
        let steps = strides(x.shape);
        let run: usize = x.shape[batch + depth..].iter().product::<usize>() * x.dtype.bits() / 8;
        let picks = ints(indices);
        let rows: usize = indices.shape[..indices.shape.len() - 1].iter().product();
        for row in 0..rows {
            let batch_at = row / (rows / batches);
            let mut from = if batch == 0 {
                0
            } else {
                batch_at * steps[batch - 1]
            };
            for (at, &pick) in picks[row * depth..][..depth].iter().enumerate() {
                from += wrap(&call.node, pick, x.shape[batch + at])? * steps[batch + at];
            }
            let from = from * x.dtype.bits() / 8;
            outputs[0].bytes[row * run..][..run].copy_from_slice(&x.bytes[from..][..run]);
        }
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample(
                "%x: fp32[3, 4, 2], %i: int32[5, 2]",
                "fp32[5, 2]",
                "gather_nd(x=%x, indices=%i)",
            ),
            sample(
                "%x: fp32[3, 3], %i: int32[2, 2]",
                "fp32[2]",
                "gather_nd(x=%x, indices=%i)",
            ),
            sample(
                "%x: int32[2, 3, 3], %i: int32[2, 4, 1]",
                "int32[2, 4, 3]",
                "gather_nd(x=%x, indices=%i, batch_dims=1)",
            ),
        ]
    }
}

/// A unit is one picked run of `run` bytes.
#[derive(Debug)]
struct GatherStep {
    rows_per_batch: usize,
    /// Length of the axis that is picked from.
    dim: usize,
    per_row: usize,
    run: usize,
    index: DType,
    x: Source,
    picks: Source,
}

impl Step for GatherStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        if self.run == 0 {
            return;
        }
        let (x, picks) = (self.x.raw(inputs), self.picks.bytes(inputs));
        for (unit, slot) in units.zip(output.chunks_exact_mut(self.run)) {
            let (row, at) = (unit / self.per_row, unit % self.per_row);
            let place = row / self.rows_per_batch * self.per_row + at;
            let mut pick = [0];
            load_ints(self.index, picks, place, 1, &mut pick);
            let [pick] = pick;
            let pick = if pick < 0 {
                pick.saturating_add_unsigned(self.dim as u64)
            } else {
                pick
            };
            match usize::try_from(pick).ok().filter(|&pick| pick < self.dim) {
                Some(pick) => {
                    let from = (row * self.dim + pick) * self.run;
                    slot.copy_from_slice(&x[from..from + self.run]);
                }
                None => slot.fill(0),
            }
        }
    }

    fn kernel(&self) -> &str {
        "gather"
    }
}
