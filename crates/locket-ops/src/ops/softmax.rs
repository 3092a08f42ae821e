//! `softmax`: `y = exp(x - max(x)) / sum(exp(x - max(x)))` along `axis`, by default the last. x: fp16, fp32 of rank 1 or
//! more; y: as x. Since iOS 15.

use std::ops::Range;

use locket_kernels::{Isa, UnaryF32, softmax_f32, unary_f32_in_place};
use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    block::block,
    checks::{self, FLOATS},
    index::around,
    numbers::{floats, put_floats},
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `softmax`.
pub static SOFTMAX: Softmax = Softmax;

/// See the module.
#[derive(Debug)]
pub struct Softmax;

impl Operator for Softmax {
    fn signature(&self) -> Signature {
        Signature {
            name: "softmax",
            params: const { &[Param::required("x"), Param::attribute("axis")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        node.axis("axis", -1, shape.len())?;
        checks::results(node, dtype, shape)
    }

    /// Three passes: the largest, the exponentials with their sum, the quotients.
    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 3 * node.output_elems(),
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let [outer, length, inner] = around(x.shape, call.node.axis("axis", -1, x.shape.len())?);
        let mut values = floats(x);
        for row in 0..outer * inner {
            let start = row / inner * length * inner + row % inner;
            let positions = || (0..length).map(|at| start + at * inner);
            let largest = positions().fold(f64::NEG_INFINITY, |max, at| max.max(values[at]));
            let mut sum = 0.0;
            for at in positions() {
                values[at] = (values[at] - largest).exp();
                sum += values[at];
            }
            for at in positions() {
                values[at] /= sum;
            }
        }
        put_floats(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        match node.ty("x") {
            Ok((DType::Float32, _)) => LayoutRule::Any,
            _ => LayoutRule::RowMajor,
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (dtype, shape) = node.ty("x")?;
        let axis = node.axis("axis", -1, shape.len())?;
        let Some([outer, length, inner]) = block(shape, prepare.output_layout(), &[axis]) else {
            return Ok(None);
        };
        if dtype != DType::Float32 || node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let step = SoftmaxStep {
            isa: prepare.isa,
            length,
            inner,
        };
        // The largest and the sum for each inner element.
        let scratch = if inner > 1 { 8 * inner } else { 0 };
        Ok(Some(
            Prepared::new(step, outer, 4 * length * inner).scratch(scratch),
        ))
    }

    fn samples(&self) -> Vec<String> {
        let of = |ty: &str, args: &str| sample(&format!("%x: {ty}"), ty, &format!("softmax(x=%x{args})"));
        vec![
            of("fp32[2, 10]", ", axis=-1"),
            of("fp32[2, 3, 4, 5]", ", axis=1"),
            of("fp32[1, 2, 7, 37]", ", axis=3"),
            of("fp32[3, 5, 4]", ", axis=0"),
            of("fp32[1, 11, 1, 1]", ", axis=1"),
            of("fp16[2, 10]", ""),
        ]
    }
}

#[derive(Debug)]
struct SoftmaxStep {
    isa: Isa,
    length: usize,
    /// Elements between neighbours on the axis.
    inner: usize,
}

impl SoftmaxStep {
    /// One row of `length` lines of `inner` elements.
    fn columns(&self, input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let (largest, sums) = scratch.split_at_mut(self.inner);
        let sums = &mut sums[..self.inner];
        largest.fill(f32::NEG_INFINITY);
        sums.fill(0.0);
        for line in input.chunks_exact(self.inner) {
            for (max, &x) in largest.iter_mut().zip(line) {
                *max = max.max(x);
            }
        }
        for (to, from) in output
            .chunks_exact_mut(self.inner)
            .zip(input.chunks_exact(self.inner))
        {
            for ((y, &x), &max) in to.iter_mut().zip(from).zip(&*largest) {
                *y = x - max;
            }
        }
        unary_f32_in_place(self.isa, UnaryF32::Exp, output);
        for line in output.chunks_exact(self.inner) {
            for (sum, &y) in sums.iter_mut().zip(line) {
                *sum += y;
            }
        }
        for line in output.chunks_exact_mut(self.inner) {
            for (y, &sum) in line.iter_mut().zip(&*sums) {
                *y /= sum;
            }
        }
    }
}

impl Step for SoftmaxStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let row = self.length * self.inner;
        if row == 0 {
            return;
        }
        let input: &[f32] = bytemuck::cast_slice(inputs[0]);
        let input = &input[units.start * row..units.end * row];
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        if self.inner == 1 {
            return softmax_f32(self.isa, self.length, input, output);
        }
        let scratch: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..8 * self.inner]);
        for (input, output) in input.chunks_exact(row).zip(output.chunks_exact_mut(row)) {
            self.columns(input, output, scratch);
        }
    }

    fn kernel(&self) -> &str {
        "f32_softmax"
    }
}
