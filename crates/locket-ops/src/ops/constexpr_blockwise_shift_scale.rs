//! Quantised constants with a scale for each block. From iOS 18.
//!
//! * `constexpr_blockwise_shift_scale`: `y = scale[block] * (data - offset[block])`. data: int4, uint4, int8, uint8, fp16, fp32;
//!   scale: fp16, fp32 of the same rank, each dimension dividing the data's: the quotient is the size of a block on that axis;
//!   offset: the shape of scale, the type of data or a float, by default 0; y: the type of scale, the shape of data.
//! * `constexpr_sparse_blockwise_shift_scale`: the same where a mask of uint1 is set. nonzero_data: those codes in row-major
//!   order; results: the mask, and the values in that order. The shape of the data is that of the mask.
//!
//! Difference and product are each rounded to fp32, the result then to y's type.

use locket_mil::{Target, Type};
use locket_tensor::{DType, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    compressed::{Blocks, CODES, put_floats32, sparse_types, stored},
    index::for_each_index,
    numbers::{codes, floats32},
    sample_with,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `constexpr_blockwise_shift_scale`.
pub static CONSTEXPR_BLOCKWISE_SHIFT_SCALE: ShiftScale = ShiftScale;

/// The operator `constexpr_sparse_blockwise_shift_scale`.
pub static CONSTEXPR_SPARSE_BLOCKWISE_SHIFT_SCALE: SparseShiftScale = SparseShiftScale;

/// See the module.
#[derive(Debug)]
pub struct ShiftScale;

/// See the module.
#[derive(Debug)]
pub struct SparseShiftScale;

/// The type of `scale`, and the blocks it makes of a tensor of codes.
fn blocks(node: &Node<'_>, data: DType, shape: &[usize]) -> Result<(DType, Blocks), OpError> {
    let (dtype, scale) = checks::tensor_of(node, "scale", FLOATS)?;
    let blocks = Blocks::new(shape, scale).ok_or_else(|| {
        node.param_error(
            "scale",
            format_args!("expected dimensions that divide {shape:?}, found {scale:?}"),
        )
    })?;
    if node.has("offset") {
        checks::tensor_of(node, "offset", &[data, DType::Float16, DType::Float32])?;
        checks::expect_optional_shape(node, "offset", scale)?;
    }
    Ok((dtype, blocks))
}

fn expect_stored(node: &Node<'_>) -> Result<(), OpError> {
    stored(node, "scale", FLOATS)?;
    match node.has("offset") {
        true => stored(node, "offset", CODES).map(|_| ()),
        false => Ok(()),
    }
}

impl Operator for ShiftScale {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_blockwise_shift_scale",
            params: const {
                &[
                    Param::required("data"),
                    Param::required("scale"),
                    Param::optional("offset"),
                ]
            },
            available: Availability::From(Target::Ios18),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (data, shape) = stored(node, "data", CODES)?;
        expect_stored(node)?;
        checks::results(node, blocks(node, data, shape)?.0, shape)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let data = call.tensor("data")?;
        let (_, blocks) = blocks(&call.node, data.dtype, data.shape)?;
        let scale = floats32(call.tensor("scale")?);
        let offset = call.optional("offset")?.map(floats32);
        let mut values = floats32(data);
        for_each_index(data.shape, |at, index| {
            let block = blocks.value_at(index);
            values[at] = scale[block] * (values[at] - offset.as_ref().map_or(0.0, |offset| offset[block]));
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
                &format!("constexpr_blockwise_shift_scale({args})"),
            )
        };
        vec![
            of(
                &[
                    "%q: int4[2, 6] = [-8, -1, 0, 1, 5, 7, 1, 2, 3, -4, -5, -6]",
                    "%s: fp32[2, 3] = [0.1, 0.2, 0.3, 1.0, 2.0, 3.0]",
                ],
                "fp32[2, 6]",
                "data=%q, scale=%s",
            ),
            of(
                &[
                    "%q: uint4[4, 2] = [0, 1, 2, 3, 12, 13, 14, 15]",
                    "%s: fp16[2, 1] = [0.5, 0.25]",
                    "%o: uint4[2, 1] = [8, 3]",
                ],
                "fp16[4, 2]",
                "data=%q, scale=%s, offset=%o",
            ),
            of(
                &[
                    "%q: int8[3] = [-128, 0, 127]",
                    "%s: fp32[3] = [0.1, 0.2, 0.3]",
                    "%o: fp32[3] = [0.5, 0.0, -0.5]",
                ],
                "fp32[3]",
                "data=%q, scale=%s, offset=%o",
            ),
        ]
    }
}

impl Operator for SparseShiftScale {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_sparse_blockwise_shift_scale",
            params: const {
                &[
                    Param::required("data_mask"),
                    Param::required("nonzero_data"),
                    Param::required("scale"),
                    Param::optional("offset"),
                ]
            },
            available: Availability::From(Target::Ios18),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (_, mask) = stored(node, "data_mask", &[DType::UInt1])?;
        let (data, nonzero) = stored(node, "nonzero_data", CODES)?;
        checks::expect_rank(node, "nonzero_data", nonzero, 1..=1)?;
        expect_stored(node)?;
        sparse_types(node, mask, blocks(node, data, mask)?.0, nonzero[0])
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (mask, data) = (call.tensor("data_mask")?, call.tensor("nonzero_data")?);
        let (_, blocks) = blocks(&call.node, data.dtype, mask.shape)?;
        let scale = floats32(call.tensor("scale")?);
        let offset = call.optional("offset")?.map(floats32);
        let mut nonzero = floats32(data).into_iter();
        let mut values = Vec::with_capacity(nonzero.len());
        let set = codes(mask);
        for_each_index(mask.shape, |at, index| {
            if set[at] != 0
                && let Some(q) = nonzero.next()
            {
                let block = blocks.value_at(index);
                values.push(scale[block] * (q - offset.as_ref().map_or(0.0, |offset| offset[block])));
            }
        });
        let expected = set.iter().filter(|&&bit| bit != 0).count();
        if expected != data.elems() {
            return Err(call.node.param_error(
                "nonzero_data",
                format_args!(
                    "expected {expected} values as the mask has, found {}",
                    data.elems()
                ),
            ));
        }
        outputs[0].bytes.copy_from_slice(mask.bytes);
        put_floats32(&mut outputs[1], values);
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        vec![
            "func f opset ios18 (%x: fp32[1]) -> (m: %m, y: %y) {\n\
             %mask: uint1[2, 4] = [1, 0, 0, 1, 0, 1, 1, 1]\n%q: int8[5] = [1, -2, 3, 4, -5]\n\
             %s: fp32[2, 1] = [0.5, 0.25]\n%o: int8[2, 1] = [1, 2]\n\
             %m: uint1[2, 4], %y: fp32[5] = constexpr_sparse_blockwise_shift_scale(data_mask=%mask, nonzero_data=%q, \
             scale=%s, offset=%o)\n}"
                .to_owned(),
        ]
    }
}
