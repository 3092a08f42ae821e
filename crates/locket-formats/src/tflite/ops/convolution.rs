//! Convolutions over pictures.

use locket_tensor::{DType, Tensor};

use super::{activation, before, channels_first, finish_channels_last, is_same, size, window};
use crate::import::{Op, Refusal, Var};
use crate::tflite::context::{Context, Node};

/// The sizes of a picture with channels last.
pub(super) fn picture(cx: &Context<'_>, x: Var) -> Result<[usize; 4], Refusal> {
    let shape = cx.builder.shape(x)?;
    shape
        .as_slice()
        .try_into()
        .map_err(|_| cx.builder.invalid("an input of rank 4", format!("{shape:?}")))
}

/// A convolution: its weight as [filters, channels of a group, height, width].
struct Convolution {
    x: Var,
    weight: Var,
    groups: usize,
    strides: [usize; 2],
    dilations: [usize; 2],
    same: bool,
}

/// Lowers `CONV_2D`; its weight is [filters, height, width, channels of a group].
pub(super) fn conv(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (input, weight) = (cx.operand(node, 0)?, cx.operand(node, 1)?);
    let x = cx.real(input)?;
    let [.., channels] = picture(cx, x)?;
    let Some(weight) = cx.weight(weight, &[0, 3, 1, 2])? else {
        return Err(Refusal::form("a computed weight", "make the weight constant"));
    };
    let shape = cx.builder.shape(weight)?;
    let groups = match shape.as_slice() {
        [filters, per_group, ..] if channels.checked_rem(*per_group) == Some(0) => {
            let groups = channels.checked_div(*per_group).unwrap_or(0);
            Some(groups).filter(|&groups| filters.checked_rem(groups) == Some(0))
        }
        _ => None,
    };
    let groups = groups.ok_or_else(|| {
        cx.builder
            .invalid(format!("a weight for {channels} channels"), format!("{shape:?}"))
    })?;
    let convolution = Convolution {
        x,
        weight,
        groups,
        strides: [size(cx, node, 2, 0)?, size(cx, node, 1, 0)?],
        dilations: [size(cx, node, 5, 1)?, size(cx, node, 4, 1)?],
        same: is_same(cx, node, 0)?,
    };
    lower(cx, node, &convolution, 3)
}

/// Lowers `DEPTHWISE_CONV_2D`; its weight is [1, height, width, channels * multiplier].
pub(super) fn depthwise(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let (input, weight) = (cx.operand(node, 0)?, cx.operand(node, 1)?);
    let x = cx.real(input)?;
    let [.., channels] = picture(cx, x)?;
    let Some(weight) = cx.weight(weight, &[3, 0, 1, 2])? else {
        return Err(Refusal::form("a computed weight", "make the weight constant"));
    };
    let shape = cx.builder.shape(weight)?;
    if !matches!(shape.as_slice(), [filters, 1, ..] if filters.checked_rem(channels) == Some(0)) {
        return Err(cx
            .builder
            .invalid(format!("a weight for {channels} channels"), format!("{shape:?}")));
    }
    let convolution = Convolution {
        x,
        weight,
        groups: channels,
        strides: [size(cx, node, 2, 0)?, size(cx, node, 1, 0)?],
        dilations: [size(cx, node, 6, 1)?, size(cx, node, 5, 1)?],
        same: is_same(cx, node, 0)?,
    };
    lower(cx, node, &convolution, 4)
}

fn lower(
    cx: &mut Context<'_>,
    node: &Node<'_>,
    conv: &Convolution,
    activation_id: usize,
) -> Result<(), Refusal> {
    let [batch, height, width, _] = picture(cx, conv.x)?;
    let weight_shape = cx.builder.shape(conv.weight)?;
    let &[filters, _, kernel_height, kernel_width] = weight_shape.as_slice() else {
        return Err(cx
            .builder
            .invalid("a weight of rank 4", format!("{weight_shape:?}")));
    };
    let ([stride_y, stride_x], [dilation_y, dilation_x]) = (conv.strides, conv.dilations);
    let rows = window(cx, conv.same, height, kernel_height, stride_y, dilation_y)?;
    let columns = window(cx, conv.same, width, kernel_width, stride_x, dilation_x)?;
    let bias = bias(cx, node, filters)?;
    let dtype = cx.builder.float_dtype(conv.x)?;
    let x = channels_first(cx, conv.x)?;
    let mut op = Op::new("conv").var("x", x).var("weight", conv.weight);
    if let Some(bias) = bias {
        op = op.literal("bias", bias);
    }
    let op = op
        .ints("strides", &[rows.stride, columns.stride])
        .text("pad_type", "custom")
        .ints("pad", &[rows.pad.0, rows.pad.1, columns.pad.0, columns.pad.1])
        .ints("dilations", &conv.dilations)
        .int("groups", conv.groups);
    let activation = activation(node, activation_id)?;
    let name = format!("{}_channels_first", before(cx, node, activation)?);
    let shape = [batch, filters, rows.output, columns.output];
    let result = cx.builder.push(op, &name, dtype, &shape)?;
    finish_channels_last(cx, node, result, activation)
}

/// The bias as real numbers, if there is one.
pub(super) fn bias(cx: &mut Context<'_>, node: &Node<'_>, filters: usize) -> Result<Option<Tensor>, Refusal> {
    let Some(index) = node.input(2) else {
        return Ok(None);
    };
    let var = cx.real(index)?;
    let Some(tensor) = cx.builder.real_tensor(var) else {
        return Err(Refusal::form("a computed bias", "make the bias constant"));
    };
    if tensor.elems() != filters || tensor.dtype() != DType::Float32 {
        let found = format!("{} {:?}", tensor.dtype(), tensor.shape());
        return Err(cx.builder.invalid(format!("a bias of fp32 [{filters}]"), found));
    }
    let flat = tensor.reshaped(&[filters]);
    flat.map(Some)
        .map_err(|error| cx.builder.invalid("a bias", error.to_string()))
}

/// Lowers `TRANSPOSE_CONV`: operands are the size of the result, the weight [filters, height, width, channels], the
/// picture, and a bias.
pub(super) fn transpose(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let sizes = cx.constant_ints(cx.operand(node, 0)?, "the size of the result")?;
    let x = cx.real(cx.operand(node, 2)?)?;
    let [batch, height, width, channels] = picture(cx, x)?;
    let Some(weight) = cx.weight(cx.operand(node, 1)?, &[3, 0, 1, 2])? else {
        return Err(Refusal::form("a computed weight", "make the weight constant"));
    };
    let weight_shape = cx.builder.shape(weight)?;
    let &[inputs, filters, kernel_height, kernel_width] = weight_shape.as_slice() else {
        return Err(cx
            .builder
            .invalid("a weight of rank 4", format!("{weight_shape:?}")));
    };
    let sizes: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let (out_height, out_width) = match sizes.as_deref() {
        Some(&[n, h, w, c]) if n == batch && c == filters && inputs == channels => (h, w),
        _ => {
            return Err(cx.builder.invalid(
                format!("a result of {batch} x .. x {filters}"),
                format!("{sizes:?}"),
            ));
        }
    };
    if node.input(3).is_some() {
        return Err(Refusal::form(
            "a transposed convolution with a bias",
            "add the bias afterwards",
        ));
    }
    let same = is_same(cx, node, 0)?;
    let (stride_x, stride_y) = (size(cx, node, 1, 0)?, size(cx, node, 2, 0)?);
    let rows = window(cx, same, out_height, kernel_height, stride_y, 1)?;
    let columns = window(cx, same, out_width, kernel_width, stride_x, 1)?;
    if rows.output != height || columns.output != width {
        let found = format!("{height} x {width}");
        return Err(cx.builder.invalid(
            format!("a picture of {} x {}", rows.output, columns.output),
            found,
        ));
    }
    let dtype = cx.builder.float_dtype(x)?;
    let x = channels_first(cx, x)?;
    let op = Op::new("conv_transpose")
        .var("x", x)
        .var("weight", weight)
        .text("pad_type", "custom")
        .ints("pad", &[rows.pad.0, rows.pad.1, columns.pad.0, columns.pad.1])
        .ints("output_shape", &[batch, filters, out_height, out_width])
        .ints("strides", &[rows.stride, columns.stride])
        .ints("dilations", &[1, 1])
        .int("groups", 1);
    let activation = activation(node, 3)?;
    let name = format!("{}_channels_first", before(cx, node, activation)?);
    let result = cx
        .builder
        .push(op, &name, dtype, &[batch, filters, out_height, out_width])?;
    finish_channels_last(cx, node, result, activation)
}
