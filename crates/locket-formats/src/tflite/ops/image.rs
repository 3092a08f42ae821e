//! Resizing of pictures, and rearrangements of their channels and space.

use super::convolution::picture;
use super::{Activation, before, channels_first, finish_channels_last, size};
use crate::import::{Op, Refusal};
use crate::tflite::context::{Context, Node};

/// Lowers `RESIZE_BILINEAR` and `RESIZE_NEAREST_NEIGHBOR`; the new size must be constant.
pub(super) fn resize(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let dtype = cx.builder.float_dtype(x)?;
    let [batch, height, width, channels] = picture(cx, x)?;
    let given = cx.constant_ints(cx.operand(node, 1)?, "the new size")?;
    let sizes: Option<Vec<usize>> = given
        .iter()
        .map(|&size| usize::try_from(size).ok().filter(|&size| size > 0))
        .collect();
    let Some(&[new_height, new_width]) = sizes.as_deref() else {
        return Err(cx.builder.invalid("a new height and width", format!("{given:?}")));
    };
    let linear = node.op == "RESIZE_BILINEAR";
    let first = if linear { 2 } else { 0 };
    let flag = |id: usize| {
        node.options()
            .map_or(Ok(false), |options| options.flag(id, false))
    };
    let (align_corners, half_pixel) = (flag(first)?, flag(first.saturating_add(1))?);
    let op = if linear {
        let mode = match (align_corners, half_pixel) {
            (true, _) => "STRICT_ALIGN_CORNERS",
            (false, true) => "UNALIGN_CORNERS",
            (false, false) => "DEFAULT",
        };
        Op::new("resize_bilinear")
            .int("target_size_height", new_height)
            .int("target_size_width", new_width)
            .text("sampling_mode", mode)
    } else {
        // With half pixels, a whole scale picks the same elements as without.
        let whole = new_height.checked_rem(height) == Some(0) && new_width.checked_rem(width) == Some(0);
        if align_corners || (half_pixel && !whole) {
            return Err(Refusal::form(
                "nearest elements with aligned corners or half pixels",
                "use a whole scale",
            ));
        }
        Op::new("resize_nearest_neighbor")
            .int("target_size_height", new_height)
            .int("target_size_width", new_width)
    };
    let x = channels_first(cx, x)?;
    let name = format!("{}_channels_first", before(cx, node, Activation::None)?);
    let value = cx.builder.push(
        op.var("x", x),
        &name,
        dtype,
        &[batch, channels, new_height, new_width],
    )?;
    finish_channels_last(cx, node, value, Activation::None)
}

/// Lowers `DEPTH_TO_SPACE`.
pub(super) fn depth_to_space(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let dtype = cx.builder.float_dtype(x)?;
    let [batch, height, width, channels] = picture(cx, x)?;
    let block = size(cx, node, 0, 0)?;
    let area = block
        .checked_mul(block)
        .filter(|&area| area > 1 && channels.checked_rem(area) == Some(0));
    let area = area.ok_or_else(|| {
        cx.builder.invalid(
            format!("a block that divides {channels} channels"),
            block.to_string(),
        )
    })?;
    let shape = [
        batch,
        channels.checked_div(area).unwrap_or(0),
        height.saturating_mul(block),
        width.saturating_mul(block),
    ];
    rearrange(
        cx,
        node,
        Op::new("depth_to_space").int("block_size", block),
        x,
        dtype,
        &shape,
    )
}

/// Lowers `SPACE_TO_DEPTH`.
pub(super) fn space_to_depth(cx: &mut Context<'_>, node: &Node<'_>) -> Result<(), Refusal> {
    let x = cx.real(cx.operand(node, 0)?)?;
    let dtype = cx.builder.float_dtype(x)?;
    let [batch, height, width, channels] = picture(cx, x)?;
    let block = size(cx, node, 0, 0)?;
    let divides = |dim: usize| block > 1 && dim.checked_rem(block) == Some(0);
    if !divides(height) || !divides(width) {
        return Err(cx.builder.invalid(
            format!("a block that divides {height} x {width}"),
            block.to_string(),
        ));
    }
    let shape = [
        batch,
        channels.saturating_mul(block).saturating_mul(block),
        height.checked_div(block).unwrap_or(0),
        width.checked_div(block).unwrap_or(0),
    ];
    rearrange(
        cx,
        node,
        Op::new("space_to_depth").int("block_size", block),
        x,
        dtype,
        &shape,
    )
}

fn rearrange(
    cx: &mut Context<'_>,
    node: &Node<'_>,
    op: Op,
    x: crate::import::Var,
    dtype: locket_tensor::DType,
    shape: &[usize],
) -> Result<(), Refusal> {
    let x = channels_first(cx, x)?;
    let name = format!("{}_channels_first", before(cx, node, Activation::None)?);
    let value = cx.builder.push(op.var("x", x), &name, dtype, shape)?;
    finish_channels_last(cx, node, value, Activation::None)
}
