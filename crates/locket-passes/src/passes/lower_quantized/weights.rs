//! Weights of layers as symmetric int8 codes.

use locket_mil::{Function, Operation};
use locket_ops::{Node, Weight};
use locket_tensor::{DType, Tensor};

use super::Reason;

/// Symmetric int8 codes with a scale for each output channel.
pub(super) struct Codes {
    /// Shape `[O, ...]`.
    pub(super) codes: Vec<i8>,
    /// Shape of the codes.
    pub(super) shape: Vec<usize>,
    /// Positive and finite, one for each output channel.
    pub(super) scale: Vec<f32>,
}

/// The int8 weight of a layer, if that is how it is stored.
pub(super) fn of(function: &Function, layer: &Operation) -> Result<Codes, Reason> {
    let weight = layer
        .input("weight")
        .and_then(|id| Weight::of(function, id))
        .ok_or("its weight is not constant")?;
    let Weight::Compressed(node) = weight else {
        return Err("its weight is not quantised");
    };
    let (data, zero) = match &*node.operation.kind {
        "constexpr_affine_dequantize" => ("quantized_data", "zero_point"),
        "constexpr_blockwise_shift_scale" => ("data", "offset"),
        _ => return Err("its weight is compressed in another way"),
    };
    let stored = node.tensor(data).ok_or("its weight is compressed twice")?;
    if !matches!(stored.dtype(), DType::Int8 | DType::UInt8) {
        return Err("its weight is not stored in 8 bits");
    }
    let shape = stored.shape().to_vec();
    let channels = *shape.first().ok_or("its weight is a single number")?;
    let per_channel = |param: &str| numbers(&node, param, data, &shape);
    let zeros = match node.has(zero) {
        true => per_channel(zero).ok_or("its zero points are not one for each output channel")?,
        false => vec![0.0; channels],
    };
    if zeros.iter().any(|zero| zero.fract() != 0.0 || zero.abs() > 255.0) {
        return Err("its zero points are no codes");
    }
    let mut scale = per_channel("scale").ok_or("its scale is not one number for each output channel")?;
    let values = stored.to_i64().ok_or("its weight is not stored in 8 bits")?;
    let mut codes = Vec::with_capacity(values.len());
    let run = (values.len() / channels.max(1)).max(1);
    for (channel, row) in values.chunks(run).enumerate() {
        if !scale[channel].is_finite() || scale[channel] < 0.0 {
            return Err("a scale of its weight is negative or not finite");
        }
        if scale[channel] == 0.0 {
            // Every weight of the channel is 0, whatever its codes.
            scale[channel] = 1.0;
            codes.extend(row.iter().map(|_| 0i8));
            continue;
        }
        let shifted = row.iter().map(|&code| i8::try_from(code - zeros[channel] as i64));
        codes.extend(
            shifted
                .collect::<Result<Vec<i8>, _>>()
                .map_err(|_| "its weight less its zero point needs more than 8 bits")?,
        );
    }
    Ok(Codes { codes, shape, scale })
}

/// One number for each output channel, from a constant of one number, one for each channel, or one for each block of a whole channel.
fn numbers(node: &Node<'_>, param: &str, data: &str, shape: &[usize]) -> Option<Vec<f32>> {
    let tensor = node.tensor(param)?;
    let values = tensor.to_f32()?;
    let channels = shape[0];
    let blockwise = data == "data";
    let along_channels = if blockwise {
        tensor.shape().first() == Some(&channels)
    } else {
        node.axis("axis", 0, shape.len()).is_ok_and(|axis| axis == 0)
    };
    match values.as_slice() {
        [one] => Some(vec![*one; channels]),
        many => (many.len() == channels && along_channels).then_some(values),
    }
}

impl Codes {
    /// The codes as a tensor.
    pub(super) fn tensor(&self) -> Result<Tensor, Reason> {
        Tensor::from_slice(&self.shape, &self.codes).map_err(|_| "its weight is too large")
    }
}
