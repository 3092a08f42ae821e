//! Weights on their way into a float kernel: rows by output channel as they are stored, still compressed.

use std::borrow::Cow;

use half::f16;
use locket_kernels::{Blocks, WeightsF32};
use locket_tensor::{DType, Element, Tensor};

use crate::{Node, Weight, constant};

/// A weight `[N, C, taps...]` in the form in which a kernel keeps it.
pub(crate) struct Packing<'a> {
    n: usize,
    k: usize,
    taps: usize,
    form: Form<'a>,
}

enum Form<'a> {
    /// Bytes of float32, which may start anywhere.
    Dense(Cow<'a, [u8]>),
    F16(Cow<'a, [f16]>),
    Int8 {
        codes: Cow<'a, [i8]>,
        scale: Vec<f32>,
        zero_point: Option<Vec<i8>>,
    },
    Int4 {
        packed: Cow<'a, [u8]>,
        signed: bool,
        blocks: Blocks,
        scale: Vec<f32>,
        zero_point: Option<Vec<i8>>,
    },
    Lut {
        bits: usize,
        indices: Vec<u8>,
        tables: Vec<f32>,
        groups: usize,
    },
    Sparse(Vec<f32>),
}

/// The floats of a tensor as bytes, where they are if they are floats.
fn floats(tensor: &Tensor) -> Option<Cow<'_, [u8]>> {
    if tensor.dtype() == f32::DTYPE {
        return Some(Cow::Borrowed(tensor.bytes()));
    }
    Some(Cow::Owned(bytemuck::cast_slice(&tensor.to_f32()?).to_vec()))
}

impl<'a> Packing<'a> {
    /// Reads a weight of shape `[N, C, taps...]`; `None` if it is not a tensor of numbers. Compressed forms that no
    /// kernel keeps (a scale along the taps, a table for each pixel) are expanded.
    pub(crate) fn of(weight: &Weight<'a>, shape: &[usize]) -> Option<Self> {
        let (n, channels) = (*shape.first()?, *shape.get(1)?);
        let taps = shape[2..].iter().product();
        let form = match weight {
            Weight::Dense(tensor) if tensor.dtype() == DType::Float16 => Form::F16(tensor.values()),
            Weight::Dense(tensor) => Form::Dense(floats(tensor)?),
            Weight::Compressed(node) => match compressed(node, shape, channels, taps) {
                Some(form) => form,
                None => Form::Dense(Cow::Owned(floats(&weight.expand()?)?.into_owned())),
            },
        };
        Some(Self {
            n,
            k: channels * taps,
            taps,
            form,
        })
    }

    /// The weights as a kernel's constructor takes them.
    pub(crate) fn weights(&self) -> WeightsF32<'_> {
        let (n, k) = (self.n, self.k);
        let weights = match &self.form {
            Form::Dense(bytes) => WeightsF32::dense_bytes(n, k, bytes),
            Form::F16(values) => WeightsF32::f16(n, k, values),
            Form::Int8 {
                codes,
                scale,
                zero_point,
            } => WeightsF32::int8(n, k, codes, scale, zero_point.as_deref()),
            Form::Int4 {
                packed,
                signed,
                blocks,
                scale,
                zero_point,
            } => WeightsF32::int4(n, k, packed, *signed, *blocks, scale, zero_point.as_deref()),
            Form::Lut {
                bits,
                indices,
                tables,
                groups,
            } => WeightsF32::lut(n, k, *bits, indices, tables, *groups),
            Form::Sparse(values) => WeightsF32::sparse(n, k, values),
        };
        weights.channels_first(self.taps)
    }

    /// The dense values, `[N][C][taps]`, if they are stored so.
    pub(crate) fn dense(&self) -> Option<Cow<'_, [f32]>> {
        match &self.form {
            Form::Dense(bytes) => Some(match bytemuck::try_cast_slice(bytes) {
                Ok(values) => Cow::Borrowed(values),
                Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
            }),
            _ => None,
        }
    }
}

fn compressed<'a>(node: &Node<'a>, shape: &[usize], channels: usize, taps: usize) -> Option<Form<'a>> {
    let n = shape[0];
    match &*node.operation.kind {
        "constexpr_affine_dequantize" => affine(node, n),
        "constexpr_blockwise_shift_scale" => blockwise(node, n, channels),
        "constexpr_lut_to_dense" => lut(node, n * channels * taps, n),
        "constexpr_sparse_to_dense" => {
            let dense = Weight::Compressed(*node).expand()?;
            dense.to_f32().map(Form::Sparse)
        }
        "constexpr_cast" => {
            let source = node.tensor("source_val")?;
            (source.dtype() == DType::Float16).then(|| Form::F16(Cow::Borrowed(source.as_slice())))
        }
        _ => None,
    }
}

/// 8-bit codes as `i8`, and what to subtract from a `u8` code to get there.
fn signed_codes(tensor: &Tensor) -> Option<(Cow<'_, [i8]>, i64)> {
    match tensor.dtype() {
        DType::Int8 => Some((Cow::Borrowed(tensor.as_slice()), 0)),
        DType::UInt8 => Some((
            tensor
                .as_slice::<u8>()
                .iter()
                .map(|&code| (code ^ 0x80) as i8)
                .collect(),
            128,
        )),
        _ => None,
    }
}

fn zero_points(tensor: Option<&Tensor>, shift: i64, count: usize) -> Option<Option<Vec<i8>>> {
    let values = match tensor {
        Some(tensor) => tensor.to_i64()?,
        None => vec![0],
    };
    if shift == 0 && values.iter().all(|&value| value == 0) {
        return Some(None);
    }
    let shifted: Vec<i8> = values
        .iter()
        .map(|&value| i8::try_from(value - shift))
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Some(if shifted.len() == 1 {
        vec![shifted[0]; count]
    } else {
        shifted
    }))
}

fn affine<'a>(node: &Node<'a>, n: usize) -> Option<Form<'a>> {
    let (codes, shift) = signed_codes(node.tensor("quantized_data")?)?;
    let scale = node.tensor("scale")?.to_f32()?;
    let per_row = scale.len() == n && node.axis("axis", 0, taps_rank(node)?).ok()? == 0;
    if scale.len() != 1 && !per_row {
        return None;
    }
    let points = node.tensor("zero_point");
    let scale = if points.is_some_and(|points| points.elems() == n) && scale.len() == 1 {
        vec![scale[0]; n]
    } else {
        scale
    };
    let zero_point = zero_points(points, shift, scale.len())?;
    zero_point
        .as_ref()
        .is_none_or(|points| points.len() == scale.len())
        .then_some(Form::Int8 {
            codes,
            scale,
            zero_point,
        })
}

fn taps_rank(node: &Node<'_>) -> Option<usize> {
    node.output_ty(0).ok().map(|(_, shape)| shape.len())
}

fn blockwise<'a>(node: &Node<'a>, n: usize, channels: usize) -> Option<Form<'a>> {
    let data = node.tensor("data")?;
    let scale_tensor = node.tensor("scale")?;
    let scale = scale_tensor.to_f32()?;
    let dims = scale_tensor.shape();
    let rows = *dims.first()?;
    let blocks = *dims.get(1)?;
    if rows != n && rows != 1
        || dims[2..].iter().any(|&dim| dim != 1)
        || blocks == 0
        || !channels.is_multiple_of(blocks)
    {
        return None;
    }
    let scale: Vec<f32> = if rows == n {
        scale
    } else {
        (0..n).flat_map(|_| scale.clone()).collect()
    };
    let offset = node.tensor("offset");
    match data.dtype() {
        DType::Int8 | DType::UInt8 if blocks == 1 => {
            let (codes, shift) = signed_codes(data)?;
            let zero_point = zero_points(offset, shift, n)?;
            let zero_point = zero_point.filter(|points| points.iter().any(|&point| point != 0));
            zero_point
                .as_ref()
                .is_none_or(|points| points.len() == n)
                .then_some(Form::Int8 {
                    codes,
                    scale,
                    zero_point,
                })
        }
        DType::Int4 | DType::UInt4 => {
            let zero_point = zero_points(offset, 0, n * blocks)?;
            let blocks = Blocks {
                channels,
                size: channels / blocks,
            };
            let signed = data.dtype() == DType::Int4;
            let fits = zero_point
                .as_ref()
                .is_none_or(|points| points.len() == scale.len());
            fits.then_some(Form::Int4 {
                packed: Cow::Borrowed(data.bytes()),
                signed,
                blocks,
                scale,
                zero_point,
            })
        }
        _ => None,
    }
}

fn lut<'a>(node: &Node<'a>, elems: usize, n: usize) -> Option<Form<'a>> {
    let table = constant::fold(node.function, node.operation.input("lut")?)?;
    let tables = table.to_f32()?;
    let indices = node.tensor("indices")?;
    if let Some(shape) = node.tensor("shape") {
        // The form of iOS 16: one table, indices packed into bytes.
        let bits = table.elems().checked_ilog2()? as usize;
        let codes = locket_tensor::packed::unpack(indices.bytes(), bits, elems);
        let fits = shape.elems() > 0 && table.elems() == 1 << bits;
        return fits.then_some(Form::Lut {
            bits,
            indices: codes,
            tables,
            groups: 1,
        });
    }
    // The form of iOS 18: `[groups per axis..., 2^bits, 1]`; kernels keep groups of output channels.
    let bits = indices.dtype().bits();
    let dims = table.shape();
    let (&vector, dims) = dims.split_last()?;
    let (&entries, groups) = dims.split_last()?;
    let &rows = groups.first()?;
    let plain = vector == 1
        && entries == 1 << bits
        && groups[1..].iter().all(|&count| count == 1)
        && n.is_multiple_of(rows);
    plain.then(|| Form::Lut {
        bits,
        indices: indices.codes(),
        tables,
        groups: rows,
    })
}
