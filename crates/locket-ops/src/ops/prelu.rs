//! Activations with parameters for each channel. x: fp16, fp32 `[N, C, *D]`, rank 3 or more; alpha, beta: `[C]`,
//! constant; y: as x. Since iOS 15.
//!
//! * `prelu`: `x` where `x >= 0`, else `alpha[c] * x`
//! * `softplus_parametric`: `alpha[c] * log(1 + exp(beta[c] * x))`

use locket_mil::{Target, Type};
use locket_tensor::TensorMut;

use super::common::{
    checks::{self, FLOATS},
    index::around,
    numbers::{floats, put_floats},
    sample_with,
};
use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Signature};

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
