//! `gelu`, the Gaussian error linear unit. x: fp16, fp32 of any shape; y: as x. Since iOS 15. By `mode`:
//!
//! * `EXACT`, the default: `x / 2 * (1 + erf(x / sqrt(2)))`
//! * `TANH_APPROXIMATION`: `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`
//! * `SIGMOID_APPROXIMATION`: `x / (1 + exp(-1.702 * x))`

use locket_kernels::UnaryF32;
use locket_mil::{Target, Type};
use locket_tensor::TensorMut;

use super::{
    common::{
        checks::{self, FLOATS},
        numbers::{floats, put_floats},
        sample,
    },
    maths::erf,
    unary::{self, Functions, Kernel},
};
use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature};

/// The operator `gelu`.
pub static GELU: Gelu = Gelu;

/// See the module.
#[derive(Debug)]
pub struct Gelu;

#[derive(Clone, Copy)]
enum Mode {
    Exact,
    Tanh,
    Sigmoid,
}

impl Mode {
    fn of(node: &Node<'_>) -> Result<Self, OpError> {
        match node.text("mode", "EXACT")? {
            "EXACT" => Ok(Self::Exact),
            "TANH_APPROXIMATION" => Ok(Self::Tanh),
            "SIGMOID_APPROXIMATION" => Ok(Self::Sigmoid),
            other => Err(node.param_error(
                "mode",
                format_args!("expected EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION, found {other:?}"),
            )),
        }
    }

    fn apply(self, x: f64) -> f64 {
        match self {
            Self::Exact => x / 2.0 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::Tanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                x / 2.0 * (1.0 + inner.tanh())
            }
            Self::Sigmoid => x / (1.0 + (-1.702 * x).exp()),
        }
    }
}

impl Operator for Gelu {
    fn signature(&self) -> Signature {
        Signature {
            name: "gelu",
            params: const { &[Param::required("x"), Param::attribute("mode")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        Mode::of(node)?;
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let mode = Mode::of(&call.node)?;
        let x = floats(call.tensor("x")?);
        put_floats(&mut outputs[0], x.into_iter().map(|x| mode.apply(x)));
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, shape) = prepare.node.ty("x")?;
        let (kernel, float): (_, fn(f64, [f64; 2]) -> f64) = match Mode::of(&prepare.node)? {
            Mode::Exact => (Kernel::of(UnaryF32::Gelu), |x, _| Mode::Exact.apply(x)),
            Mode::Tanh => (Kernel::of(UnaryF32::GeluTanh), |x, _| Mode::Tanh.apply(x)),
            // silu(1.702 x) / 1.702
            Mode::Sigmoid => (
                Kernel {
                    scale: 1.702,
                    gain: 1.0 / 1.702,
                    ..Kernel::of(UnaryF32::Silu)
                },
                |x, _| Mode::Sigmoid.apply(x),
            ),
        };
        let functions = Functions {
            float,
            int: |x| x,
            arguments: [0.0; 2],
        };
        Ok(unary::step(prepare, dtype, shape, kernel, functions))
    }

    fn samples(&self) -> Vec<String> {
        let modes = ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"];
        let explicit = modes.map(|mode| format!("gelu(x=%x, mode=\"{mode}\")"));
        let mut samples: Vec<String> = explicit
            .iter()
            .map(|call| sample("%x: fp32[2, 3, 5, 7]", "fp32[2, 3, 5, 7]", call))
            .collect();
        samples.push(sample("%x: fp16[37]", "fp16[37]", "gelu(x=%x)"));
        samples
    }
}
