//! `constexpr_affine_dequantize`: `y = scale * (quantized_data - zero_point)`, of constants. quantized_data: int8, uint8;
//! scale: fp16, fp32, a scalar or one value for each position on `axis`; zero_point: the type of the data, or fp32, a scalar or
//! such a vector; y: the type of scale, the shape of the data. The difference is exact in fp32, the product is rounded
//! to fp32, then to y's type. From iOS 16; since iOS 18 [`super::constexpr_blockwise_shift_scale`] is more general.

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    compressed::{Affine, put_floats32, stored},
    index::around,
    numbers::floats32,
    sample_with,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `constexpr_affine_dequantize`.
pub static CONSTEXPR_AFFINE_DEQUANTIZE: ConstexprAffineDequantize = ConstexprAffineDequantize;

/// See the module.
#[derive(Debug)]
pub struct ConstexprAffineDequantize;

const DATA: &[DType] = &[DType::Int8, DType::UInt8];

impl Operator for ConstexprAffineDequantize {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_affine_dequantize",
            params: const {
                &[
                    Param::required("quantized_data"),
                    Param::required("zero_point"),
                    Param::required("scale"),
                    Param::constant("axis"),
                ]
            },
            available: Availability::From(Target::Ios16),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (data, shape) = stored(node, "quantized_data", DATA)?;
        let (dtype, _) = stored(node, "scale", FLOATS)?;
        stored(node, "zero_point", &[data, DType::Float32])?;
        Affine::check(node, shape)?;
        checks::results(node, dtype, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let data = call.tensor("quantized_data")?;
        let (scale, zero_point) = (call.tensor("scale")?, call.tensor("zero_point")?);
        let affine = Affine::of(&call.node, data.shape, scale, Some(zero_point))?;
        let [_, length, inner] = affine.axis.map_or([1, 1, 1], |axis| around(data.shape, axis));
        let values = floats32(data).into_iter().enumerate().map(|(at, q)| {
            let place = at / inner % length;
            affine.scale[place] * (q - affine.zero_at(place))
        });
        put_floats32(&mut outputs[0], values);
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let of = |lines: &[&str], y: &str, args: &str| {
            sample_with(
                "%x: fp32[1]",
                lines,
                y,
                &format!("constexpr_affine_dequantize({args})"),
            )
        };
        vec![
            of(
                &[
                    "%q: int8[2, 3] = [-128, -1, 0, 1, 5, 127]",
                    "%z: int8[2] = [0, -3]",
                    "%s: fp32[2] = [0.1, 0.003]",
                ],
                "fp32[2, 3]",
                "quantized_data=%q, zero_point=%z, scale=%s, axis=0",
            ),
            of(
                &[
                    "%q: uint8[2, 3] = [0, 1, 2, 128, 254, 255]",
                    "%z: uint8[] = [128]",
                    "%s: fp16[] = [0.25]",
                ],
                "fp16[2, 3]",
                "quantized_data=%q, zero_point=%z, scale=%s, axis=0",
            ),
            of(
                &[
                    "%q: int8[2, 3] = [1, 2, 3, 4, 5, 6]",
                    "%z: fp32[] = [0.5]",
                    "%s: fp32[3] = [1.0, 2.0, 3.0]",
                ],
                "fp32[2, 3]",
                "quantized_data=%q, zero_point=%z, scale=%s, axis=-1",
            ),
        ]
    }
}
