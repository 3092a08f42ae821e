//! Tensors made from numbers. All since iOS 15, `fill_like` since iOS 16.
//!
//! * `fill`: a tensor of `shape` (constant here) whose elements are `value`, fp16, fp32, int32 or bool, by default fp32 0
//! * `fill_like`: the same in the shape of `ref_tensor`
//! * `range_1d`: `start, start + step, ...` as far as they lie before `end`; all three constants of one type, fp16, fp32 or int32
//! * `one_hot`: `on_value` where the position on the new axis `axis` (by default the last) is the index, else `off_value`; indices:
//!   int32 of any shape; both values constants of one type, by default int32 1 and 0. A negative index counts from the end, and one
//!   that is out of range is nowhere on.

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, Tensor, TensorMut};

use super::common::{
    checks::{self, INDICES, MOVABLE, NUMBERS, NUMBERS_AND_BOOL},
    compressed::shape_param,
    index::around,
    numbers::{floats, ints, put_floats},
    sample, sample_with,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `fill`.
pub static FILL: Fill = Fill { like: false };

/// The operator `fill_like`.
pub static FILL_LIKE: Fill = Fill { like: true };

/// The operator `range_1d`.
pub static RANGE_1D: Range1d = Range1d;

/// The operator `one_hot`.
pub static ONE_HOT: OneHot = OneHot;

/// See the module.
#[derive(Debug)]
pub struct Fill {
    like: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Range1d;

/// See the module.
#[derive(Debug)]
pub struct OneHot;

/// One constant number; `default` if it is not bound.
fn scalar(node: &Node<'_>, param: &str, default: Tensor) -> Result<Tensor, OpError> {
    if !node.has(param) {
        return Ok(default);
    }
    let found = node
        .tensor(param)
        .ok_or_else(|| node.param_error(param, "must be a constant"))?;
    if found.elems() == 1 {
        return Ok(found.clone());
    }
    Err(node.param_error(
        param,
        format_args!("expected one number, found shape {:?}", found.shape()),
    ))
}

/// Repeats the bytes of one element.
fn repeat(value: &Tensor, output: &mut TensorMut<'_>) {
    let element = value.bytes();
    for slot in output.bytes.chunks_exact_mut(element.len().max(1)) {
        slot.copy_from_slice(element);
    }
}

impl Operator for Fill {
    fn signature(&self) -> Signature {
        let (name, params, available): (_, &[Param], _) = if self.like {
            (
                "fill_like",
                const { &[Param::required("ref_tensor"), Param::attribute("value")] },
                Target::Ios16,
            )
        } else {
            (
                "fill",
                const { &[Param::constant("shape"), Param::attribute("value")] },
                Target::Ios15,
            )
        };
        Signature {
            name,
            params,
            available: Availability::From(available),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let value = scalar(node, "value", Tensor::scalar(0.0f32))?;
        checks::expect_dtype(node, "value", value.dtype(), NUMBERS_AND_BOOL)?;
        let shape = if self.like {
            Shape::from(checks::tensor_of(node, "ref_tensor", MOVABLE)?.1)
        } else {
            shape_param(node, "shape")?
        };
        checks::results(node, value.dtype(), &shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        repeat(
            &scalar(&call.node, "value", Tensor::scalar(0.0f32))?,
            &mut outputs[0],
        );
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        if self.like {
            return vec![
                sample(
                    "%x: fp32[2, 3]",
                    "int32[2, 3]",
                    "fill_like(ref_tensor=%x, value=7)",
                ),
                sample("%x: bool[2]", "fp32[2]", "fill_like(ref_tensor=%x)"),
            ];
        }
        vec![
            sample("%x: fp32[1]", "fp32[2, 3]", "fill(shape=[2, 3], value=0.5)"),
            sample("%x: fp32[1]", "bool[4]", "fill(shape=[4], value=true)"),
        ]
    }
}

/// Start, end and step.
fn bounds(node: &Node<'_>) -> Result<(DType, [f64; 3]), OpError> {
    let (dtype, _) = checks::tensor_of(node, "start", NUMBERS)?;
    let mut bounds = [0.0; 3];
    for (bound, param) in bounds.iter_mut().zip(["start", "end", "step"]) {
        let value = scalar(node, param, Tensor::scalar(0.0f32))?;
        checks::expect_dtype(node, param, value.dtype(), &[dtype])?;
        *bound = floats(value.view())[0];
    }
    if bounds[2] == 0.0 || !bounds.iter().all(|bound| bound.is_finite()) {
        return Err(node.param_error(
            "step",
            format_args!("expected finite numbers and a step but 0, found {bounds:?}"),
        ));
    }
    Ok((dtype, bounds))
}

impl Operator for Range1d {
    fn signature(&self) -> Signature {
        Signature {
            name: "range_1d",
            params: const {
                &[
                    Param::constant("end"),
                    Param::constant("start"),
                    Param::constant("step"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, [start, end, step]) = bounds(node)?;
        // Too large a quotient saturates, and is then refused as too large a result.
        let count = ((end - start) / step).ceil().max(0.0) as usize;
        checks::results(node, dtype, &[count])
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (_, [start, _, step]) = bounds(&call.node)?;
        let count = outputs[0].elems();
        put_floats(&mut outputs[0], (0..count).map(|at| start + at as f64 * step));
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample("%x: fp32[1]", "int32[4]", "range_1d(end=10, start=2, step=2)"),
            sample(
                "%x: fp32[1]",
                "fp32[5]",
                "range_1d(end=0.25, start=1.5, step=-0.25)",
            ),
            sample("%x: fp32[1]", "int32[0]", "range_1d(end=1, start=2, step=1)"),
        ]
    }
}

/// The new axis, its length, and the two values.
fn one_hot(node: &Node<'_>, indices: &[usize]) -> Result<(usize, usize, [Tensor; 2]), OpError> {
    let axis = node.axis("axis", -1, indices.len() + 1)?;
    let size = node.int("one_hot_vector_size", 0)?;
    let size = usize::try_from(size).map_err(|_| {
        node.param_error(
            "one_hot_vector_size",
            format_args!("expected a size, found {size}"),
        )
    })?;
    let on = scalar(node, "on_value", Tensor::scalar(1i32))?;
    let off = match node.has("on_value") || node.has("off_value") {
        true => scalar(node, "off_value", zero_of(&on))?,
        false => Tensor::scalar(0i32),
    };
    checks::expect_dtype(node, "on_value", on.dtype(), NUMBERS_AND_BOOL)?;
    checks::expect_dtype(node, "off_value", off.dtype(), &[on.dtype()])?;
    Ok((axis, size, [on, off]))
}

fn zero_of(like: &Tensor) -> Tensor {
    Tensor::zeros(like.dtype(), &[]).expect("a scalar is not too large")
}

impl Operator for OneHot {
    fn signature(&self) -> Signature {
        Signature {
            name: "one_hot",
            params: const {
                &[
                    Param::required("indices"),
                    Param::constant("one_hot_vector_size"),
                    Param::attribute("axis"),
                    Param::attribute("on_value"),
                    Param::attribute("off_value"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, indices) = checks::tensor_of(node, "indices", INDICES)?;
        let (axis, size, [on, _]) = one_hot(node, indices)?;
        let mut shape = Shape::from(indices);
        shape.insert(axis, size);
        checks::results(node, on.dtype(), &shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let indices = call.tensor("indices")?;
        let (axis, size, [on, off]) = one_hot(&call.node, indices.shape)?;
        let output = &mut outputs[0];
        repeat(&off, output);
        let [_, _, inner] = around(output.shape, axis);
        let width = on.bytes().len();
        for (at, index) in ints(indices).into_iter().enumerate() {
            let index = if index < 0 { index + size as i64 } else { index };
            if let Some(index) = usize::try_from(index).ok().filter(|&index| index < size) {
                let place = (at / inner * size + index) * inner + at % inner;
                output.bytes[place * width..][..width].copy_from_slice(on.bytes());
            }
        }
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample(
                "%x: int32[2, 3]",
                "int32[2, 3, 4]",
                "one_hot(indices=%x, one_hot_vector_size=4)",
            ),
            sample_with(
                "%x: int32[2, 3]",
                &["%on: fp16[] = [0.5]", "%off: fp16[] = [-1.0]"],
                "fp16[2, 2, 3]",
                "one_hot(indices=%x, one_hot_vector_size=2, axis=1, on_value=%on, off_value=%off)",
            ),
        ]
    }
}
