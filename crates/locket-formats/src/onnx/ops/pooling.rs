//! Pooling over windows and over everything.

use super::Lowered;
use super::convolution::Windows;
use crate::import::{Builder, Op, Refusal, Var, shapes};
use crate::onnx::node::Node;

/// A pooling with its windows; `extra` elements past the end make the last window of `ceil_mode` fit.
struct Pooling {
    x: Var,
    kernel: Vec<usize>,
    windows: Windows,
    shape: Vec<usize>,
    extra: Vec<usize>,
}

fn read(builder: &Builder<'_>, node: &Node<'_>) -> Result<Pooling, Refusal> {
    let x = node.input(0)?;
    builder.float_dtype(x)?;
    let input = builder.shape(x)?;
    let [batch, channels, spatial @ ..] = input.as_slice() else {
        return Err(node.broken("an input of rank 3 or more", input.len()));
    };
    if !(1..=3).contains(&spatial.len()) {
        return Err(Refusal::form(
            "more than three spatial axes",
            "reshape to at most three",
        ));
    }
    let kernel = node
        .sizes("kernel_shape")?
        .ok_or_else(|| node.broken("attribute kernel_shape", "none"))?;
    let windows = Windows::read(node, spatial, &kernel)?;
    if windows
        .dilations
        .iter()
        .zip(&kernel)
        .any(|(&dilation, &size)| dilation != 1 && size != 1)
    {
        return Err(Refusal::form(
            "dilated pooling windows",
            "use windows without dilation",
        ));
    }
    let mut output = windows.output(node, spatial)?;
    let mut extra = vec![0; spatial.len()];
    if node.flag("ceil_mode", false)? {
        for (axis, (size, extra)) in output.iter_mut().zip(&mut extra).enumerate() {
            (*size, *extra) =
                ceiled(&windows, spatial, axis).ok_or_else(|| node.broken("smaller windows", axis))?;
        }
    }
    let shape = [*batch, *channels].into_iter().chain(output).collect();
    Ok(Pooling {
        x,
        kernel,
        windows,
        shape,
        extra,
    })
}

/// Size of the result with the quotient rounded up, and how far its last window reaches past the padding. A window
/// that would start in the padding at the end is dropped, as ONNX does.
fn ceiled(windows: &Windows, spatial: &[usize], axis: usize) -> Option<(usize, usize)> {
    let (size, extent, stride) = (
        *spatial.get(axis)?,
        *windows.extents.get(axis)?,
        *windows.strides.get(axis)?,
    );
    let (begin, end) = *windows.pads.get(axis)?;
    let mut count = shapes::window_count(size, (begin, end), extent, stride, true)?;
    if count.checked_sub(1)?.checked_mul(stride)? >= size.checked_add(begin)? {
        count = count.checked_sub(1)?;
    }
    let reach = count.checked_sub(1)?.checked_mul(stride)?.checked_add(extent)?;
    let padded = size.checked_add(begin)?.checked_add(end)?;
    Some((count, reach.saturating_sub(padded)))
}

fn op(kind: &'static str, pooling: &Pooling, pads: &[usize]) -> Op {
    Op::new(kind)
        .var("x", pooling.x)
        .ints("kernel_sizes", &pooling.kernel)
        .ints("strides", &pooling.windows.strides)
        .text("pad_type", "custom")
        .ints("pad", pads)
        .flag("ceil_mode", false)
}

fn longer_pads(pooling: &Pooling) -> Vec<usize> {
    let pads = pooling.windows.pads.iter().zip(&pooling.extra);
    pads.flat_map(|(&(begin, end), &extra)| [begin, end.saturating_add(extra)])
        .collect()
}

/// Lowers `MaxPool`. Padding never wins a maximum, so `ceil_mode` is padding at the end.
pub(super) fn max(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    if node.has_output(1) {
        return Err(Refusal::form(
            "the positions of the maxima as a second result",
            "use the first result only",
        ));
    }
    let pooling = read(builder, node)?;
    let dtype = builder.float_dtype(pooling.x)?;
    let op = op("max_pool", &pooling, &longer_pads(&pooling));
    Ok(vec![builder.push(op, &node.output(0), dtype, &pooling.shape)?])
}

/// Lowers `AveragePool`. Where padding does not count, `ceil_mode` is padding at the end; where it counts, only the
/// stated padding does, so a window that reaches further has no equivalent.
pub(super) fn average(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let pooling = read(builder, node)?;
    let dtype = builder.float_dtype(pooling.x)?;
    let count_padding = node.flag("count_include_pad", false)?;
    if count_padding && pooling.extra.iter().any(|&extra| extra > 0) {
        return Err(Refusal::form(
            "ceil_mode together with count_include_pad, where windows reach past the padding",
            "use explicit padding instead of ceil_mode",
        ));
    }
    let op =
        op("avg_pool", &pooling, &longer_pads(&pooling)).flag("exclude_padding_from_average", !count_padding);
    Ok(vec![builder.push(op, &node.output(0), dtype, &pooling.shape)?])
}

/// Lowers pooling over all spatial axes to a reduction.
pub(super) fn global(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, mut shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    if shape.len() < 3 {
        return Err(node.broken("an input of rank 3 or more", shape.len()));
    }
    let axes: Vec<usize> = (2..shape.len()).collect();
    shape.iter_mut().skip(2).for_each(|dim| *dim = 1);
    let kind = if node.op == "GlobalMaxPool" {
        "reduce_max"
    } else {
        "reduce_mean"
    };
    let op = Op::new(kind)
        .var("x", x)
        .ints("axes", &axes)
        .flag("keep_dims", true);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}
