//! `local_response_norm`: `y[c] = x[c] / (k + alpha / size * sum(x[j]^2))^beta`, the sum over the `size` channels around `c` that exist:
//! from `c - (size - 1) / 2`, rounded down, on. x: fp16, fp32 `[N, C, *D]`, rank 3 or 4; y: as x; alpha 1e-4, beta 0.75, k 1. Since iOS 15.

use std::ops::Range;

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    index::around,
    numbers::{floats, put_floats},
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `local_response_norm`.
pub static LOCAL_RESPONSE_NORM: LocalResponseNorm = LocalResponseNorm;

/// See the module.
#[derive(Debug)]
pub struct LocalResponseNorm;

#[derive(Clone, Copy, Debug)]
struct Numbers {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl Numbers {
    fn of(node: &Node<'_>) -> Result<Self, OpError> {
        let size = node.int("size", 0)?;
        let size = usize::try_from(size).ok().filter(|&size| size > 0);
        Ok(Self {
            size: size
                .ok_or_else(|| node.param_error("size", "expected a number of channels of 1 or more"))?,
            alpha: f64::from(node.float("alpha", 1e-4)?),
            beta: f64::from(node.float("beta", 0.75)?),
            k: f64::from(node.float("k", 1.0)?),
        })
    }

    /// Channels that count for one.
    fn window(&self, channel: usize, channels: usize) -> Range<usize> {
        let before = (self.size - 1) / 2;
        let first = channel.saturating_sub(before);
        first..channel.saturating_add(self.size - before).min(channels)
    }

    fn apply(&self, x: f64, squares: f64) -> f64 {
        x / (self.k + self.alpha / self.size as f64 * squares).powf(self.beta)
    }
}

impl Operator for LocalResponseNorm {
    fn signature(&self) -> Signature {
        Signature {
            name: "local_response_norm",
            params: const {
                &[
                    Param::required("x"),
                    Param::constant("size"),
                    Param::attribute("alpha"),
                    Param::attribute("beta"),
                    Param::attribute("k"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        checks::expect_rank(node, "x", shape, 3..=4)?;
        Numbers::of(node)?;
        checks::results(node, dtype, shape)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        let size = Numbers::of(node).map_or(1, |numbers| numbers.size as u64);
        Cost {
            macs: node.output_elems().saturating_mul(size),
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let numbers = Numbers::of(&call.node)?;
        let [_, channels, pixels] = around(x.shape, 1);
        let values = floats(x);
        let normed = values.iter().enumerate().map(|(at, &x)| {
            let channel = at / pixels % channels;
            let first = at - channel * pixels;
            let window = numbers.window(channel, channels);
            let squares = window.map(|c| values[first + c * pixels].powi(2)).sum();
            numbers.apply(x, squares)
        });
        put_floats(&mut outputs[0], normed);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        match node.ty("x") {
            Ok((DType::Float32, _)) => LayoutRule::ChannelsLast,
            _ => LayoutRule::RowMajor,
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, shape) = prepare.node.ty("x")?;
        if dtype != DType::Float32 || prepare.node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let step = PixelStep {
            numbers: Numbers::of(&prepare.node)?,
            channels: shape[1],
        };
        let pixels = shape[0] * shape[2..].iter().product::<usize>();
        Ok(Some(Prepared::new(step, pixels, 4 * shape[1])))
    }

    fn samples(&self) -> Vec<String> {
        vec![
            sample(
                "%x: fp32[2, 7, 3, 4]",
                "fp32[2, 7, 3, 4]",
                "local_response_norm(x=%x, size=3, alpha=0.5, beta=0.6, k=2.0)",
            ),
            sample(
                "%x: fp32[1, 5, 9]",
                "fp32[1, 5, 9]",
                "local_response_norm(x=%x, size=4)",
            ),
            sample(
                "%x: fp16[1, 5, 2, 2]",
                "fp16[1, 5, 2, 2]",
                "local_response_norm(x=%x, size=5, alpha=1.0)",
            ),
        ]
    }
}

/// A unit is a pixel, channels last.
#[derive(Debug)]
struct PixelStep {
    numbers: Numbers,
    channels: usize,
}

impl Step for PixelStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        if self.channels == 0 {
            return;
        }
        let input: &[f32] = bytemuck::cast_slice(inputs[0]);
        let input = input[units.start * self.channels..].chunks_exact(self.channels);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        for (from, to) in input.zip(output.chunks_exact_mut(self.channels)) {
            for (channel, y) in to.iter_mut().enumerate() {
                let window = &from[self.numbers.window(channel, self.channels)];
                let squares = window.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                *y = self.numbers.apply(f64::from(from[channel]), squares) as f32;
            }
        }
    }

    fn kernel(&self) -> &str {
        "f32_local_response_norm"
    }
}
