//! Weights in compressed form, and the operations that expand them.

use locket_mil::{Arg, Function, Name, Operation, Target, Type, ValueId};
use locket_tensor::{DType, Tensor};

use super::float_tensor;

/// A weight in compressed form. Elements are in the order of the weight.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Encoded {
    /// Codes times the scale of their output channel.
    Int8 { codes: Vec<i8>, scale: Vec<f32> },
}

impl Encoded {
    /// The values that the weight has from now on, in float32.
    pub(crate) fn dense(&self) -> Vec<f32> {
        match self {
            Self::Int8 { codes, scale } => {
                let columns = codes.len() / scale.len().max(1);
                let rows = codes.chunks_exact(columns.max(1)).zip(scale);
                rows.flat_map(|(row, scale)| row.iter().map(move |&code| f32::from(code) * scale))
                    .collect()
            }
        }
    }

    /// The oldest target that has the form.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Int8 { .. } => Target::Ios16,
        }
    }
}

/// Adds the constants of a compressed weight, and gives the operations that expand it to a tensor of this type and shape, and the value
/// that holds it.
pub(crate) fn store(
    function: &mut Function,
    name: &str,
    encoded: &Encoded,
    dtype: DType,
    shape: &[usize],
) -> (Vec<Operation>, ValueId) {
    let result = function.add_result(&format!("{name}_expanded"), Type::tensor(dtype, shape));
    let mut put = |part: &str, tensor: Tensor| function.add_constant(&format!("{name}_{part}"), tensor);
    let operation = match encoded {
        Encoded::Int8 { codes, scale } => {
            let data = put(
                "codes",
                tensor_of(DType::Int8, shape, bytemuck::cast_slice(codes)),
            );
            let scale = put("scale", float_tensor(dtype, &[scale.len()], scale));
            let zero_point = put("zero", Tensor::scalar(0i8));
            let axis = put("axis", Tensor::scalar(0i32));
            constexpr(
                "constexpr_affine_dequantize",
                &[
                    ("quantized_data", data),
                    ("zero_point", zero_point),
                    ("scale", scale),
                    ("axis", axis),
                ],
                result,
            )
        }
    };
    (vec![operation], result)
}

fn tensor_of(dtype: DType, shape: &[usize], bytes: &[u8]) -> Tensor {
    Tensor::from_bytes(dtype, shape, bytes).expect("there is a code for each element")
}

fn constexpr(kind: &str, inputs: &[(&str, ValueId)], result: ValueId) -> Operation {
    let bind = |&(param, id): &(&str, ValueId)| (Name::from(param), Arg::One(id));
    Operation {
        kind: kind.into(),
        inputs: inputs.iter().map(bind).collect(),
        outputs: vec![result],
        origin: Vec::new(),
    }
}
