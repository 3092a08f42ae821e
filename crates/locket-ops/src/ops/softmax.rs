//! `softmax`: `y = exp(x - max(x)) / sum(exp(x - max(x)))` along `axis`, by default the last. x: fp16, fp32 of rank 1 or
//! more; y: as x. Since iOS 15.

use locket_mil::{Target, Type};
use locket_tensor::TensorMut;

use super::common::{
    checks::{self, FLOATS},
    index::around,
    numbers::{floats, put_floats},
    sample,
};
use crate::{Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Signature};

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

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
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
