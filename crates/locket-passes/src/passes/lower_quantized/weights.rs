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
    match &*node.operation.kind {
        "constexpr_affine_dequantize" => scaled(&node, "quantized_data", "zero_point"),
        "constexpr_blockwise_shift_scale" => scaled(&node, "data", "offset"),
        "constexpr_lut_to_dense" => looked_up(&node),
        "constexpr_sparse_to_dense" => spread(&node),
        _ => Err("its weight is compressed in another way"),
    }
}

/// Codes less a zero point, times a scale.
fn scaled(node: &Node<'_>, data: &str, zero: &str) -> Result<Codes, Reason> {
    let stored = node.tensor(data).ok_or("its weight is compressed twice")?;
    if !is_code(stored.dtype()) {
        return Err("its weight is not stored in 8 bits or fewer");
    }
    let shape = stored.shape().to_vec();
    let channels = *shape.first().ok_or("its weight is a single number")?;
    let per_channel = |param: &str| numbers(node, param, data, &shape);
    let zeros = match node.has(zero) {
        true => per_channel(zero).ok_or("its zero points are not one for each output channel")?,
        false => vec![0.0; channels],
    };
    if zeros.iter().any(|zero| zero.fract() != 0.0 || zero.abs() > 255.0) {
        return Err("its zero points are no codes");
    }
    let mut scale = per_channel("scale").ok_or("its scale is not one number for each output channel")?;
    let plain = stored.dtype() == DType::Int8 && zeros.iter().all(|&zero| zero == 0.0);
    if plain && scale.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
        let codes = stored.as_slice().to_vec();
        return Ok(Codes { codes, shape, scale });
    }
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

/// Types of codes that are 8-bit integers once their zero point is off.
fn is_code(dtype: DType) -> bool {
    matches!(dtype, DType::Int8 | DType::UInt8 | DType::Int4 | DType::UInt4)
}

/// The operation that makes an input.
fn source<'f>(node: &Node<'f>, param: &str) -> Option<Node<'f>> {
    match Weight::of(node.function, node.operation.input(param)?)? {
        Weight::Compressed(source) => Some(source),
        Weight::Dense(_) => None,
    }
}

/// Indices into tables of codes, one table for each group of output channels, each table with a scale.
fn looked_up(node: &Node<'_>) -> Result<Codes, Reason> {
    let table = source(node, "lut")
        .filter(|table| &*table.operation.kind == "constexpr_blockwise_shift_scale")
        .ok_or("its palette is of floats")?;
    let table = scaled(&table, "data", "offset")?;
    let indices = node.tensor("indices").ok_or("its weight is compressed twice")?;
    let shape = indices.shape().to_vec();
    let (groups, entries) = match table.shape.as_slice() {
        [groups, ones @ .., entries, 1] if ones.iter().all(|&dim| dim == 1) => (*groups, *entries),
        _ => return Err("its palettes are not one for each group of output channels"),
    };
    let channels = *shape.first().ok_or("its weight is a single number")?;
    if groups == 0 || !channels.is_multiple_of(groups) || entries != 1 << indices.dtype().bits() {
        return Err("its palettes do not fit its indices");
    }
    let picked = indices.codes();
    let run = (picked.len() / groups).max(1);
    let codes = picked.chunks(run).zip(table.codes.chunks(entries.max(1)));
    let codes = codes
        .flat_map(|(group, table)| group.iter().map(|&index| table[usize::from(index)]))
        .collect();
    let scale = (0..channels).map(|channel| table.scale[channel / (channels / groups)]);
    Ok(Codes {
        codes,
        shape,
        scale: scale.collect(),
    })
}

/// Codes that are zero but where a mask is set, times a scale.
fn spread(node: &Node<'_>) -> Result<Codes, Reason> {
    let values = source(node, "nonzero_data")
        .filter(|values| &*values.operation.kind == "constexpr_sparse_blockwise_shift_scale")
        .ok_or("its weight is sparse in floats")?;
    if values.has("offset") {
        return Err("its sparse codes have a zero point");
    }
    let same_mask = node.operation.input("mask") == values.operation.outputs.first().copied();
    let kept = values
        .tensor("nonzero_data")
        .ok_or("its weight is compressed twice")?;
    let mask = values
        .tensor("data_mask")
        .ok_or("its weight is compressed twice")?;
    if !same_mask || !is_code(kept.dtype()) || mask.dtype() != DType::UInt1 {
        return Err("its weight is sparse in another way");
    }
    let shape = mask.shape().to_vec();
    if shape.is_empty() {
        return Err("its weight is a single number");
    }
    let scale = numbers(&values, "scale", "data", &shape)
        .ok_or("its scale is not one number for each output channel")?;
    if scale.iter().any(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err("a scale of its weight is not positive and finite");
    }
    let mut kept = kept
        .to_i64()
        .ok_or("its weight is not stored in 8 bits or fewer")?
        .into_iter();
    let next = |set: u8| match set {
        0 => Some(0),
        _ => kept.next().and_then(|code| i8::try_from(code).ok()),
    };
    let codes: Option<Vec<i8>> = mask.codes().into_iter().map(next).collect();
    Ok(Codes {
        codes: codes.ok_or("its mask and its codes do not fit")?,
        shape,
        scale,
    })
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
