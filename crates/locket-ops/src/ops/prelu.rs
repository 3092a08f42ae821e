//! Activations with parameters for each channel. x: fp16, fp32 `[N, C, *D]`, rank 3 or more; alpha, beta: `[C]`,
//! constant; y: as x. Since iOS 15.
//!
//! * `prelu`: `x` where `x >= 0`, else `alpha[c] * x`; MIL itself takes different alphas only at rank 4
//! * `softplus_parametric`: `alpha[c] * log(1 + exp(beta[c] * x))`

use std::{fmt, ops::Range};

use locket_kernels::{Isa, UnaryF32, unary_f32_in_place};
use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    index::around,
    lines::{Lines, elements, physical_strides},
    numbers::{floats, load_floats, put_floats, store_floats},
    sample_with,
};
use crate::{
    Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `prelu`.
pub static PRELU: PerChannel = PerChannel {
    name: "prelu",
    params: const { &[Param::required("x"), Param::constant("alpha")] },
    function: |x, alpha, _| if x < 0.0 { alpha * x } else { x },
};

/// The operator `softplus_parametric`.
pub static SOFTPLUS_PARAMETRIC: PerChannel = PerChannel {
    name: "softplus_parametric",
    params: const {
        &[
            Param::required("x"),
            Param::constant("alpha"),
            Param::constant("beta"),
        ]
    },
    function: |x, alpha, beta| {
        let x = beta * x;
        alpha * (x.max(0.0) + (-x.abs()).exp().ln_1p())
    },
};

/// An activation with parameters for each channel.
#[derive(Debug)]
pub struct PerChannel {
    name: &'static str,
    params: &'static [Param],
    function: fn(f64, f64, f64) -> f64,
}

impl Operator for PerChannel {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: self.params,
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        checks::expect_rank(node, "x", shape, 3..=usize::MAX)?;
        for param in &self.params[1..] {
            checks::tensor_of(node, param.name, FLOATS)?;
            checks::expect_optional_shape(node, param.name, &shape[1..2])?;
        }
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let alpha = floats(call.tensor("alpha")?);
        let beta = call
            .optional("beta")?
            .map_or_else(|| vec![0.0; alpha.len()], floats);
        let [_, channels, inner] = around(x.shape, 1);
        let values = floats(x).into_iter().enumerate().map(|(position, x)| {
            let channel = position / inner % channels;
            (self.function)(x, alpha[channel], beta[channel])
        });
        put_floats(&mut outputs[0], values);
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (dtype, shape) = node.ty("x")?;
        if node.dynamic_inputs(&[]).len() != 1 {
            return Ok(None);
        }
        let alpha = node.floats("alpha")?.unwrap_or_default();
        let beta = match self.params.len() {
            3 => node.floats("beta")?.unwrap_or_default(),
            _ => vec![0.0; alpha.len()],
        };
        let layout = prepare.output_layout();
        let channel: Shape = (0..shape.len()).map(|axis| usize::from(axis == 1)).collect();
        let lines = Lines::new(shape, layout, [physical_strides(shape, layout), channel]);
        if dtype == DType::Float32 && self.params.len() == 2 {
            let held = 4 * alpha.len();
            let step = PreluStep {
                isa: prepare.isa,
                lines,
                alpha,
            };
            let prepared = Prepared::new(step, shape.iter().product(), 4);
            return Ok(Some(prepared.grain(64).weights(held).in_place(0)));
        }
        let step = ChannelStep {
            dtype,
            function: self.function,
            lines,
            numbers: alpha
                .into_iter()
                .zip(beta)
                .map(|(a, b)| [f64::from(a), f64::from(b)])
                .collect(),
        };
        let held = 16 * step.numbers.len();
        let prepared = Prepared::new(step, shape.iter().product(), dtype.bits() / 8);
        Ok(Some(prepared.grain(64).weights(held).in_place(0)))
    }

    fn samples(&self) -> Vec<String> {
        let bound: String = self.params[1..]
            .iter()
            .map(|param| format!(", {0}=%{0}", param.name))
            .collect();
        let call = format!("{}(x=%x{bound})", self.name);
        ["fp32[2, 3, 4, 5]", "fp32[2, 3, 7]", "fp16[1, 3, 4]"]
            .map(|ty| {
                sample_with(
                    &format!("%x: {ty}"),
                    &[
                        "%alpha: fp32[3] = [0.25, -0.5, 2.0]",
                        "%beta: fp32[3] = [1.0, 0.5, 3.0]",
                    ],
                    ty,
                    &call,
                )
            })
            .into()
    }
}

/// `prelu` on fp32.
#[derive(Debug)]
struct PreluStep {
    isa: Isa,
    /// Operands: x, and the channel.
    lines: Lines<2>,
    alpha: Vec<f32>,
}

impl Step for PreluStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let input: &[f32] = elements(inputs[0]);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        let (_, [_, step]) = self.lines.inner();
        self.lines.for_each(units, 1, |run, [start, channel]| {
            let output = &mut output[run];
            // Without an input the step runs in place.
            if !input.is_empty() {
                output.copy_from_slice(&input[start..][..output.len()]);
            }
            if step == 0 {
                let alpha = self.alpha[channel];
                return unary_f32_in_place(self.isa, UnaryF32::LeakyRelu { alpha }, output);
            }
            let alphas = self.alpha[channel..].iter().step_by(step);
            for (y, &alpha) in output.iter_mut().zip(alphas) {
                *y = if *y < 0.0 { alpha * *y } else { *y };
            }
        });
    }

    fn kernel(&self) -> &str {
        "f32_prelu"
    }
}

struct ChannelStep {
    dtype: DType,
    function: fn(f64, f64, f64) -> f64,
    /// Operands: x, and the channel.
    lines: Lines<2>,
    numbers: Vec<[f64; 2]>,
}

impl fmt::Debug for ChannelStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChannelStep").field(&self.lines).finish()
    }
}

impl Step for ChannelStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        const PIECE: usize = 256;
        let width = self.dtype.bits() / 8;
        let (_, [_, step]) = self.lines.inner();
        self.lines.for_each(units, 1, |run, [start, channel]| {
            let output = &mut output[run.start * width..run.end * width];
            for (piece, output) in output.chunks_mut(PIECE * width).enumerate() {
                let mut values = [0.0; PIECE];
                let values = &mut values[..output.len() / width];
                match inputs[0].is_empty() {
                    true => load_floats(self.dtype, output, 0, 1, values),
                    false => load_floats(self.dtype, inputs[0], start + piece * PIECE, 1, values),
                }
                for (at, value) in values.iter_mut().enumerate() {
                    let [alpha, beta] = self.numbers[channel + (piece * PIECE + at) * step];
                    *value = (self.function)(*value, alpha, beta);
                }
                store_floats(self.dtype, values, output);
            }
        });
    }

    fn kernel(&self) -> &str {
        "scalar_per_channel"
    }
}
