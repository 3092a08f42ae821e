//! Normalisations over pixels or whole images. x: fp16, fp32; y: as x. Since iOS 15; since iOS 17 the parameters may have
//! another float type.
//!
//! * `instance_norm`: x `[N, C, *D]`, rank 3 or 4; `(x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c]`, mean and variance over
//!   the pixels of each channel of each image; gamma, beta: constants `[C]`, by default 1 and 0; epsilon 1e-5
//! * `l2_norm`: rank 3 or more; `x / sqrt(sum(x^2) + epsilon)`, the sum over the last three axes; epsilon 1e-6

use std::ops::Range;

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    block::block,
    checks::{self, FLOATS},
    index::around,
    normalise::{Normalise, Place},
    numbers::{floats, put_floats},
    sample, sample_with,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `instance_norm`.
pub static INSTANCE_NORM: InstanceNorm = InstanceNorm;

/// The operator `l2_norm`.
pub static L2_NORM: L2Norm = L2Norm;

/// See the module.
#[derive(Debug)]
pub struct InstanceNorm;

/// See the module.
#[derive(Debug)]
pub struct L2Norm;

fn any_if_fp32(node: &Node<'_>, ranks: std::ops::RangeInclusive<usize>) -> LayoutRule {
    match node.ty("x") {
        Ok((DType::Float32, shape)) if ranks.contains(&shape.len()) => LayoutRule::Any,
        _ => LayoutRule::RowMajor,
    }
}

/// Two passes for the statistics, one to scale and shift.
fn cost(node: &Node<'_>) -> Cost {
    Cost {
        macs: 3 * node.output_elems(),
        bytes: node.traffic_bytes(),
    }
}

impl Operator for InstanceNorm {
    fn signature(&self) -> Signature {
        Signature {
            name: "instance_norm",
            params: const {
                &[
                    Param::required("x"),
                    Param::attribute("gamma"),
                    Param::attribute("beta"),
                    Param::attribute("epsilon"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        checks::expect_rank(node, "x", shape, 3..=4)?;
        for param in ["gamma", "beta"] {
            checks::expect_optional_shape(node, param, &shape[1..2])?;
        }
        node.float("epsilon", 1e-5)?;
        checks::results(node, dtype, shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        cost(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let epsilon = f64::from(call.node.float("epsilon", 1e-5)?);
        let [_, channels, pixels] = around(x.shape, 1);
        let mut gain = vec![1.0; channels];
        let mut shift = vec![0.0; channels];
        for (param, values) in [("gamma", &mut gain), ("beta", &mut shift)] {
            if let Some(given) = call.optional(param)? {
                *values = floats(given);
            }
        }
        let mut values = floats(x);
        for (plane, values) in values.chunks_exact_mut(pixels.max(1)).enumerate() {
            let mean = values.iter().sum::<f64>() / pixels as f64;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / pixels as f64;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for x in values {
                *x = (*x - mean) * scale * gain[plane % channels] + shift[plane % channels];
            }
        }
        put_floats(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        any_if_fp32(node, 3..=4)
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (dtype, shape) = node.ty("x")?;
        let pixels: Vec<usize> = (2..shape.len()).collect();
        let Some(block) = block(shape, prepare.output_layout(), &pixels) else {
            return Ok(None);
        };
        if dtype != DType::Float32 || node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let step = Normalise {
            isa: prepare.isa,
            block,
            epsilon: node.float("epsilon", 1e-5)?,
            gamma: node.floats("gamma")?.unwrap_or_default(),
            beta: node.floats("beta")?.unwrap_or_default(),
            place: Place::Channel(shape[1]),
        };
        Ok(Some(step.prepare()))
    }

    fn samples(&self) -> Vec<String> {
        let gamma = "%gamma: fp32[3] = [1.0, 0.5, -2.0]";
        let beta = "%beta: fp32[3] = [0.0, 1.0, -1.0]";
        let call = "instance_norm(x=%x, gamma=%gamma, beta=%beta, epsilon=0.001)";
        vec![
            sample_with("%x: fp32[2, 3, 4, 5]", &[gamma, beta], "fp32[2, 3, 4, 5]", call),
            sample_with("%x: fp32[2, 3, 37]", &[gamma, beta], "fp32[2, 3, 37]", call),
            sample_with("%x: fp16[1, 3, 2, 2]", &[gamma, beta], "fp16[1, 3, 2, 2]", call),
            sample("%x: fp32[2, 1, 4, 5]", "fp32[2, 1, 4, 5]", "instance_norm(x=%x)"),
        ]
    }
}

impl Operator for L2Norm {
    fn signature(&self) -> Signature {
        Signature {
            name: "l2_norm",
            params: const { &[Param::required("x"), Param::attribute("epsilon")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        checks::expect_rank(node, "x", shape, 3..=usize::MAX)?;
        node.float("epsilon", 1e-6)?;
        checks::results(node, dtype, shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        cost(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let epsilon = f64::from(call.node.float("epsilon", 1e-6)?);
        let group: usize = x.shape[x.shape.len() - 3..].iter().product();
        let mut values = floats(x);
        for values in values.chunks_exact_mut(group.max(1)) {
            let norm = (values.iter().map(|x| x * x).sum::<f64>() + epsilon).sqrt();
            values.iter_mut().for_each(|x| *x /= norm);
        }
        put_floats(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        any_if_fp32(node, 3..=4)
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (dtype, shape) = node.ty("x")?;
        if dtype != DType::Float32 || node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        // The last three axes lie together in either layout up to rank 4, in whatever order.
        let group: usize = shape[shape.len() - 3..].iter().product();
        let groups = shape[..shape.len() - 3].iter().product();
        let epsilon = f64::from(node.float("epsilon", 1e-6)?);
        Ok(Some(Prepared::new(L2Step { group, epsilon }, groups, 4 * group)))
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample(
                "%x: fp32[2, 3, 4, 5]",
                "fp32[2, 3, 4, 5]",
                "l2_norm(x=%x, epsilon=0.001)",
            ),
            sample("%x: fp32[3, 4, 5]", "fp32[3, 4, 5]", "l2_norm(x=%x)"),
            sample("%x: fp32[2, 2, 3, 4, 2]", "fp32[2, 2, 3, 4, 2]", "l2_norm(x=%x)"),
            sample("%x: fp16[3, 2, 2]", "fp16[3, 2, 2]", "l2_norm(x=%x)"),
        ]
    }
}

#[derive(Debug)]
struct L2Step {
    group: usize,
    epsilon: f64,
}

impl Step for L2Step {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        if self.group == 0 {
            return;
        }
        let input: &[f32] = bytemuck::cast_slice(inputs[0]);
        let input = input[units.start * self.group..].chunks_exact(self.group);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        for (from, to) in input.zip(output.chunks_exact_mut(self.group)) {
            let squares: f64 = from.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let scale = (1.0 / (squares + self.epsilon).sqrt()) as f32;
            for (y, &x) in to.iter_mut().zip(from) {
                *y = x * scale;
            }
        }
    }

    fn kernel(&self) -> &str {
        "f32_l2_norm"
    }
}
