//! `constexpr_sparse_to_dense`: the next of the nonzero values where a mask bit is set, else 0. nonzero_data: `[D]`, int8,
//! uint8, fp16, fp32, since iOS 18 int4, uint4; y: the type of the data. Two forms:
//!
//! * iOS 16: `mask` is uint8 `[ceil(elements / 8)]`, bits in row-major order from the lowest of each byte, padding bits 0;
//!   `shape` is the shape of y
//! * iOS 18: `mask` is uint1 with the shape of y; no `shape`

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut, packed};

use super::common::{
    checks,
    compressed::{CODES, shape_param, stored},
    numbers::codes,
    sample_with,
};
use crate::{Availability, Call, Node, OpError, Operator, Param, Signature};

/// The operator `constexpr_sparse_to_dense`.
pub static CONSTEXPR_SPARSE_TO_DENSE: ConstexprSparseToDense = ConstexprSparseToDense;

/// See the module.
#[derive(Debug)]
pub struct ConstexprSparseToDense;

fn dense_shape(node: &Node<'_>) -> Result<Shape, OpError> {
    let (dtype, mask) = checks::tensor_of(node, "mask", &[DType::UInt8, DType::UInt1])?;
    match (dtype, node.has("shape")) {
        (DType::UInt1, false) => Ok(mask.into()),
        (DType::UInt8, true) => {
            let shape = shape_param(node, "shape")?;
            let bytes = shape.iter().product::<usize>().div_ceil(8);
            if mask == [bytes] {
                return Ok(shape);
            }
            Err(node.param_error(
                "mask",
                format_args!("expected {bytes} bytes for {shape:?}, found shape {mask:?}"),
            ))
        }
        (_, true) => Err(node.param_error("mask", "expected packed uint8 beside shape, found uint1")),
        (_, false) => Err(node.param_error("shape", "is missing beside a mask of packed uint8")),
    }
}

impl Operator for ConstexprSparseToDense {
    fn signature(&self) -> Signature {
        Signature {
            name: "constexpr_sparse_to_dense",
            params: const {
                &[
                    Param::required("nonzero_data"),
                    Param::required("mask"),
                    Param::attribute("shape"),
                ]
            },
            available: Availability::From(Target::Ios16),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, nonzero) = stored(node, "nonzero_data", CODES)?;
        checks::expect_rank(node, "nonzero_data", nonzero, 1..=1)?;
        stored(node, "mask", &[DType::UInt8, DType::UInt1])?;
        checks::results(node, dtype, &dense_shape(node)?)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let (data, mask) = (call.tensor("nonzero_data")?, call.tensor("mask")?);
        let elems = outputs[0].elems();
        let bits = packed::unpack(mask.bytes, 1, mask.bytes.len() * 8);
        let (set, padding) = bits.split_at(elems.min(bits.len()));
        let expected = set.iter().filter(|&&bit| bit != 0).count();
        if expected != data.elems() || padding.contains(&1) {
            return Err(call.node.param_error(
                "mask",
                format_args!(
                    "expected {} bits set and no padding bit, found {expected} set",
                    data.elems()
                ),
            ));
        }
        let places = (0..elems).filter(|&at| set[at] != 0);
        if data.dtype.is_packed() {
            let mut dense = vec![0; elems];
            for (place, code) in places.zip(codes(data)) {
                dense[place] = code;
            }
            outputs[0]
                .bytes
                .copy_from_slice(&packed::pack(&dense, data.dtype.bits()));
            return Ok(());
        }
        let width = data.dtype.bits() / 8;
        for (place, value) in places.zip(data.bytes.chunks_exact(width)) {
            outputs[0].bytes[place * width..][..width].copy_from_slice(value);
        }
        Ok(())
    }

    fn samples(&self) -> Vec<String> {
        let of = |lines: &[&str], y: &str, args: &str| {
            sample_with(
                "%x: fp32[1]",
                lines,
                y,
                &format!("constexpr_sparse_to_dense({args})"),
            )
        };
        vec![
            of(
                &[
                    "%d: fp32[4] = [1.0, -2.0, 3.5, 4.0]",
                    "%m: uint8[2] = [137, 2]",
                    "%s: uint32[2] = [2, 5]",
                ],
                "fp32[2, 5]",
                "nonzero_data=%d, mask=%m, shape=%s",
            ),
            of(
                &[
                    "%d: fp16[3] = [1.0, -2.0, 3.5]",
                    "%m: uint1[2, 3] = [0, 1, 0, 1, 1, 0]",
                ],
                "fp16[2, 3]",
                "nonzero_data=%d, mask=%m",
            ),
            of(
                &["%d: int4[3] = [7, -8, 1]", "%m: uint1[5] = [1, 0, 0, 1, 1]"],
                "int4[5]",
                "nonzero_data=%d, mask=%m",
            ),
        ]
    }
}
