//! `relu`: `y = max(x, 0)`, NaN stays NaN. x: fp16, fp32 of any shape; y: as x. Since iOS 15.

use locket_mil::{Target, Type};
use locket_tensor::TensorMut;

use crate::{Availability, Call, LayoutRule, Node, OpError, Operator, Param, Signature};

/// The operator `relu`.
pub static RELU: Relu = Relu;

/// See the module.
#[derive(Debug)]
pub struct Relu;

impl Operator for Relu {
    fn signature(&self) -> Signature {
        Signature {
            name: "relu",
            params: const { &[Param::required("x")] },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = node.ty("x")?;
        Ok(vec![Type::tensor(dtype, shape)])
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        for (y, &x) in outputs[0]
            .as_mut_slice::<f32>()
            .iter_mut()
            .zip(x.as_slice::<f32>())
        {
            *y = if x < 0.0 { 0.0 } else { x };
        }
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn samples(&self) -> Vec<String> {
        vec!["func f opset ios15 (%x: fp32[2, 3]) -> (y: %y) {\n%y: fp32[2, 3] = relu(x=%x)\n}".to_owned()]
    }
}
