//! `select`: `a` where the condition is true, else `b`. cond: bool; a, b: the same type, fp16, fp32, int32, bool; all
//! three broadcast to one shape. Since iOS 15.

use std::ops::Range;

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    index::{broadcast, broadcast_positions},
    lines::{Lines, Operand, Source},
    sample, sample_with,
};
use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

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

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, shape) = prepare.node.output_ty(prepare.output)?;
        let operands = ["cond", "a", "b"].map(|param| Operand::of(prepare, param));
        let [Some(cond), Some(a), Some(b)] = operands else {
            return Ok(None);
        };
        let operands = [cond, a, b];
        if operands.iter().all(|operand| operand.value.is_none()) {
            return Ok(None);
        }
        let strides = operands
            .each_ref()
            .map(|operand| operand.strides_under(shape.len()));
        let width = dtype.bits() / 8;
        let step = SelectStep {
            lines: Lines::new(shape, prepare.output_layout(), strides),
            width,
            sources: operands.map(|operand| operand.source),
        };
        let held = step.sources.iter().map(Source::held_bytes).sum();
        let elems = step.lines.elems();
        Ok(Some(Prepared::new(step, elems, width).grain(64).weights(held)))
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

#[derive(Debug)]
struct SelectStep {
    lines: Lines<3>,
    width: usize,
    sources: [Source; 3],
}

impl SelectStep {
    fn select<T: Pod>(&self, units: Range<usize>, [cond, a, b]: [&[u8]; 3], output: &mut [u8]) {
        let (a, b): (&[T], &[T]) = (cast_slice(a), cast_slice(b));
        let output: &mut [T] = cast_slice_mut(output);
        let (_, [step_cond, step_a, step_b]) = self.lines.inner();
        self.lines.for_each(units, 1, |run, [from_cond, from_a, from_b]| {
            for (at, slot) in output[run].iter_mut().enumerate() {
                *slot = if cond[from_cond + at * step_cond] != 0 {
                    a[from_a + at * step_a]
                } else {
                    b[from_b + at * step_b]
                };
            }
        });
    }
}

impl Step for SelectStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let operands = self.sources.each_ref().map(|source| source.bytes(inputs));
        match self.width {
            1 => self.select::<u8>(units, operands, output),
            2 => self.select::<u16>(units, operands, output),
            4 => self.select::<u32>(units, operands, output),
            _ => self.select::<u64>(units, operands, output),
        }
    }

    fn kernel(&self) -> &str {
        "scalar_select"
    }
}
