//! `batch_norm`: `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, per channel (axis 1).
//!
//! x: `[N, C, ...]`, rank 3 to 5, fp32 or fp16; mean, variance, gamma (1), beta (0): `[C]`, constant; epsilon 1e-5.
//! Since iOS 15. Normally folded into the convolution before it; what is left runs as a product and a sum.

use std::ops::Range;

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use crate::{
    Availability, Call, Layout, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
    Step,
    ops::{common::lines::elements, conv::store},
};

/// The operator `batch_norm`.
pub static BATCH_NORM: BatchNorm = BatchNorm;

/// See the module.
#[derive(Debug)]
pub struct BatchNorm;

/// The factor and the summand of each channel, computed in `f64` and rounded once.
///
/// # Errors
///
/// If a statistic is missing, not constant, or has another length than there are channels.
pub fn affine(node: &Node<'_>) -> Result<(Vec<f32>, Vec<f32>), OpError> {
    let (_, x) = node.ty("x")?;
    let channels = x
        .get(1)
        .copied()
        .ok_or_else(|| node.param_error("x", "expected [N, C, ...]"))?;
    let list = |param: &str, default: Option<f32>| {
        let values = node
            .floats(param)?
            .or_else(|| default.map(|value| vec![value; channels]))
            .unwrap_or_default();
        if values.len() == channels {
            return Ok(values);
        }
        Err(node.param_error(
            param,
            format_args!("expected {channels} numbers, found {}", values.len()),
        ))
    };
    let (mean, variance) = (list("mean", None)?, list("variance", None)?);
    let (gamma, beta) = (list("gamma", Some(1.0))?, list("beta", Some(0.0))?);
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    let factors = (0..channels).map(|c| f64::from(gamma[c]) / (f64::from(variance[c]) + epsilon).sqrt());
    let factors: Vec<f64> = factors.collect();
    let summands = (0..channels)
        .map(|c| (f64::from(beta[c]) - f64::from(mean[c]) * factors[c]) as f32)
        .collect();
    Ok((factors.iter().map(|&factor| factor as f32).collect(), summands))
}

impl Operator for BatchNorm {
    fn signature(&self) -> Signature {
        const PARAMS: [Param; 6] = [
            Param::required("x"),
            Param::constant("mean"),
            Param::constant("variance"),
            Param::attribute("gamma"),
            Param::attribute("beta"),
            Param::attribute("epsilon"),
        ];
        Signature {
            name: "batch_norm",
            params: &PARAMS,
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = node.ty("x")?;
        affine(node)?;
        Ok(vec![Type::tensor(dtype, shape)])
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (factors, summands) = affine(&call.node)?;
        let x = call.tensor("x")?;
        let inner: usize = x.shape[2..].iter().product();
        let values = x
            .to_tensor()
            .to_f32()
            .ok_or_else(|| call.node.error("expected numbers"))?;
        let channel = |index: usize| index / inner % factors.len();
        let result: Vec<f32> = values
            .iter()
            .enumerate()
            .map(|(at, x)| x * factors[channel(at)] + summands[channel(at)])
            .collect();
        store(&mut outputs[0], &result);
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, shape) = prepare.node.ty("x")?;
        if dtype != DType::Float32 {
            return Ok(None);
        }
        let (factors, summands) = affine(&prepare.node)?;
        let inner = match prepare.output_layout() {
            Layout::RowMajor => shape[2..].iter().product(),
            Layout::ChannelsLast => 1,
        };
        let held = factors.len() * 8;
        let elems = shape.iter().product();
        Ok(Some(
            Prepared::new(
                AffineStep {
                    factors,
                    summands,
                    inner,
                },
                elems,
                4,
            )
            .in_place(0)
            .weights(held),
        ))
    }

    fn samples(&self) -> Vec<String> {
        vec![
            "func f opset ios15 (%x: fp32[2, 3, 4, 5]) -> (y: %y) {
               %m: fp32[3] = ramp(-1.0, 0.5)
               %v: fp32[3] = ramp(0.5, 0.5)
               %g: fp32[3] = ramp(1.0, 0.1)
               %y: fp32[2, 3, 4, 5] = batch_norm(x=%x, mean=%m, variance=%v, gamma=%g, epsilon=1e-3)
             }"
            .to_owned(),
        ]
    }
}

#[derive(Debug)]
struct AffineStep {
    factors: Vec<f32>,
    summands: Vec<f32>,
    inner: usize,
}

impl Step for AffineStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let input: &[f32] = elements(inputs[0]);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        for (offset, y) in output.iter_mut().enumerate() {
            let index = units.start + offset;
            let channel = index / self.inner % self.factors.len();
            let x = if input.is_empty() { *y } else { input[index] };
            *y = x * self.factors[channel] + self.summands[channel];
        }
    }

    fn kernel(&self) -> &str {
        "f32_affine"
    }
}
