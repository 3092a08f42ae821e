//! Pooling over windows of pictures. Padding never counts: neither in a maximum nor in an average.

use super::convolution::picture;
use super::{activation, before, channels_first, finish_channels_last, is_same, size, window};
use crate::import::{Op, Refusal};
use crate::tflite::context::{Context, Node};

/// Lowers `AVERAGE_POOL_2D` and `MAX_POOL_2D`.
pub(super) fn pool(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let dtype = cx.builder.float_dtype(x)?;
    let [batch, height, width, channels] = picture(cx, x)?;
    let same = is_same(cx, node, 0)?;
    let rows = window(cx, same, height, size(cx, node, 4, 0)?, size(cx, node, 2, 0)?, 1)?;
    let columns = window(cx, same, width, size(cx, node, 3, 0)?, size(cx, node, 1, 0)?, 1)?;
    let activation = activation(node, 5)?;
    let x = channels_first(cx, x)?;
    let average = node.op == "AVERAGE_POOL_2D";
    let op = Op::new(if average { "avg_pool" } else { "max_pool" })
        .var("x", x)
        .ints("kernel_sizes", &[rows.size, columns.size])
        .ints("strides", &[rows.stride, columns.stride])
        .text("pad_type", "custom")
        .ints("pad", &[rows.pad.0, rows.pad.1, columns.pad.0, columns.pad.1])
        .flag("ceil_mode", false);
    let op = if average {
        op.flag("exclude_padding_from_average", true)
    } else {
        op
    };
    let name = format!("{}_channels_first", before(cx, node, activation)?);
    let result = cx
        .builder
        .push(op, &name, dtype, &[batch, channels, rows.output, columns.output])?;
    finish_channels_last(cx, node, result, activation)
}
