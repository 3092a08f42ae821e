//! `constexpr_cast`: a constant of fp16 as fp32, exactly. From iOS 16.

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks,
    compressed::{put_floats32, stored},
    numbers::floats32,
    sample_with,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `constexpr_cast`.
pub static CONSTEXPR_CAST: ConstexprCast = ConstexprCast;

/// See the module.
#[derive(Debug)]
pub struct ConstexprCast;

impl Operator for ConstexprCast {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_cast",
            params: const { &[Param::required("source_val"), Param::constant("output_dtype")] },
            available: Availability::From(Target::Ios16),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, shape) = stored(node, "source_val", &[DType::Float16])?;
        let dtype = checks::dtype_named(node, "output_dtype", "", &[DType::Float32])?;
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        put_floats32(&mut outputs[0], floats32(call.tensor("source_val")?));
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![sample_with(
            "%x: fp32[1]",
            &["%h: fp16[2, 2] = [0.1, -2.0, 65504.0, 0.00001]"],
            "fp32[2, 2]",
            "constexpr_cast(source_val=%h, output_dtype=\"fp32\")",
        )]
    }
}
