//! Convolutions. Paddings are computed here and written out, so that a plan needs no padding rule.

use locket_tensor::DType;

use super::Lowered;
use crate::import::{Builder, Op, Refusal, Var, shapes};
use crate::onnx::node::Node;

/// Windows of a convolution or pooling, one entry for each spatial axis.
pub(super) struct Windows {
    /// Steps between windows.
    pub(super) strides: Vec<usize>,
    /// Steps between the elements of one window.
    pub(super) dilations: Vec<usize>,
    /// Elements added before and after.
    pub(super) pads: Vec<(usize, usize)>,
    /// Extents of a window, dilation included.
    pub(super) extents: Vec<usize>,
}

impl Windows {
    /// Reads strides, dilations and pads of a node with windows of `kernel` over `spatial`.
    pub(super) fn read(node: &Node<'_>, spatial: &[usize], kernel: &[usize]) -> Result<Self, Refusal> {
        let rank = spatial.len();
        if kernel.len() != rank || kernel.contains(&0) {
            return Err(node.broken(
                format!("{rank} kernel sizes of at least 1"),
                format!("{kernel:?}"),
            ));
        }
        let strides = steps(node, "strides", rank)?;
        let dilations = steps(node, "dilations", rank)?;
        let extents: Option<Vec<usize>> = kernel
            .iter()
            .zip(&dilations)
            .map(|(&size, &dilation)| shapes::dilated(size, dilation))
            .collect();
        let extents = extents.ok_or_else(|| node.broken("a smaller kernel", format!("{kernel:?}")))?;
        let pads = pads(node, spatial, &extents, &strides)?;
        Ok(Self {
            strides,
            dilations,
            pads,
            extents,
        })
    }

    /// MIL's order: begin and end of the first axis, then of the second, ...
    pub(super) fn flat_pads(&self) -> Vec<usize> {
        self.pads.iter().flat_map(|&(begin, end)| [begin, end]).collect()
    }

    /// Sizes of the result.
    pub(super) fn output(&self, node: &Node<'_>, spatial: &[usize]) -> Result<Vec<usize>, Refusal> {
        let mut sizes = Vec::with_capacity(spatial.len());
        let axes = spatial
            .iter()
            .zip(&self.pads)
            .zip(self.extents.iter().zip(&self.strides));
        for ((&size, &pads), (&extent, &stride)) in axes {
            let count = shapes::window_count(size, pads, extent, stride, false);
            sizes.push(count.ok_or_else(|| {
                node.broken(
                    format!("a window of at most {size} elements and padding {pads:?}"),
                    extent,
                )
            })?);
        }
        Ok(sizes)
    }
}

fn steps(node: &Node<'_>, name: &str, rank: usize) -> Result<Vec<usize>, Refusal> {
    let steps = node
        .sizes(name)?
        .filter(|steps| !steps.is_empty())
        .unwrap_or_else(|| vec![1; rank]);
    if steps.len() == rank && !steps.contains(&0) {
        return Ok(steps);
    }
    Err(node.broken(format!("{rank} {name} of at least 1"), format!("{steps:?}")))
}

fn pads(
    node: &Node<'_>,
    spatial: &[usize],
    extents: &[usize],
    strides: &[usize],
) -> Result<Vec<(usize, usize)>, Refusal> {
    let rank = spatial.len();
    let auto = node.text_or("auto_pad", "NOTSET")?;
    let lower = match auto.as_str() {
        "NOTSET" | "" => {
            let pads = node.ints("pads")?.filter(|pads| !pads.is_empty());
            return explicit_pads(node, pads.as_deref(), rank);
        }
        "VALID" => return Ok(vec![(0, 0); rank]),
        "SAME_UPPER" => false,
        "SAME_LOWER" => true,
        other => return Err(node.broken("NOTSET, VALID, SAME_UPPER or SAME_LOWER as auto_pad", other)),
    };
    let axes = spatial.iter().zip(extents.iter().zip(strides));
    let pads: Option<Vec<_>> = axes
        .map(|(&size, (&extent, &stride))| shapes::same_padding(size, extent, stride, lower))
        .collect();
    pads.ok_or_else(|| node.broken("smaller windows", format!("{extents:?}")))
}

fn explicit_pads(node: &Node<'_>, pads: Option<&[i64]>, rank: usize) -> Result<Vec<(usize, usize)>, Refusal> {
    let Some(pads) = pads else {
        return Ok(vec![(0, 0); rank]);
    };
    if pads.len() != rank.saturating_mul(2) {
        return Err(node.broken(format!("{} pads", rank.saturating_mul(2)), format!("{pads:?}")));
    }
    let sizes: Result<Vec<usize>, _> = pads.iter().map(|&pad| usize::try_from(pad)).collect();
    let sizes = sizes.map_err(|_| Refusal::form("negative padding", "slice the operand instead"))?;
    let (begin, end) = sizes.split_at(rank);
    Ok(begin.iter().copied().zip(end.iter().copied()).collect())
}

/// The parts of a convolution that both directions share.
struct Operands {
    x: Var,
    weight: Var,
    dtype: DType,
    batch: usize,
    channels: usize,
    spatial: Vec<usize>,
    weight_shape: Vec<usize>,
    groups: usize,
}

fn operands(builder: &Builder<'_>, node: &Node<'_>) -> Result<Operands, Refusal> {
    let (x, weight) = (node.input(0)?, node.input(1)?);
    let dtype = builder.float_dtype(x)?;
    if builder.dtype(weight)? != dtype {
        return Err(node.broken(format!("a weight of type {dtype}"), builder.dtype(weight)?));
    }
    let (shape, weight_shape) = (builder.shape(x)?, builder.shape(weight)?);
    let [batch, channels, spatial @ ..] = shape.as_slice() else {
        return Err(node.broken("an input of rank 3 or more", shape.len()));
    };
    if weight_shape.len() != shape.len() || spatial.is_empty() {
        return Err(node.broken(
            format!("a weight of rank {}", shape.len()),
            format!("{weight_shape:?}"),
        ));
    }
    if spatial.len() > 3 {
        return Err(Refusal::form(
            "more than three spatial axes",
            "reshape to at most three",
        ));
    }
    if let Some(kernel) = node.sizes("kernel_shape")?
        && weight_shape.get(2..) != Some(kernel.as_slice())
    {
        return Err(node.broken(
            format!("kernel_shape {kernel:?}"),
            format!("a weight of {weight_shape:?}"),
        ));
    }
    let groups = node.int_or("group", 1)?;
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| node.broken("a group of at least 1", "less"))?;
    let (batch, channels, spatial) = (*batch, *channels, spatial.to_vec());
    Ok(Operands {
        x,
        weight,
        dtype,
        batch,
        channels,
        spatial,
        weight_shape,
        groups,
    })
}

/// Lowers a convolution of one to three spatial axes.
pub(super) fn conv(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let Operands {
        x,
        weight,
        dtype,
        batch,
        channels,
        spatial,
        weight_shape,
        groups,
    } = operands(builder, node)?;
    let (filters, kernel) = match weight_shape.as_slice() {
        [filters, per_group, kernel @ ..]
            if per_group.checked_mul(groups) == Some(channels) && filters.checked_rem(groups) == Some(0) =>
        {
            (*filters, kernel)
        }
        _ => {
            let expected = format!("a weight for {channels} channels in {groups} groups");
            return Err(node.broken(expected, format!("{weight_shape:?}")));
        }
    };
    let windows = Windows::read(node, &spatial, kernel)?;
    if !builder.is_constant(weight) && windows.dilations.iter().any(|&dilation| dilation != 1) {
        return Err(Refusal::form(
            "a dilated convolution with a computed weight",
            "make the weight constant",
        ));
    }
    let shape: Vec<usize> = [batch, filters]
        .into_iter()
        .chain(windows.output(node, &spatial)?)
        .collect();
    let op = Op::new("conv").var("x", x).var("weight", weight);
    let (op, late_bias) = with_bias(builder, node, op, filters, dtype)?;
    let op = op
        .ints("strides", &windows.strides)
        .text("pad_type", "custom")
        .ints("pad", &windows.flat_pads())
        .ints("dilations", &windows.dilations)
        .int("groups", groups);
    finish(builder, node, op, late_bias, dtype, &shape)
}

/// Binds a constant bias to `op`; a computed one is given back, to be added afterwards.
fn with_bias(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    op: Op,
    filters: usize,
    dtype: DType,
) -> Result<(Op, Option<Var>), Refusal> {
    let Some(bias) = node.optional(2) else {
        return Ok((op, None));
    };
    if builder.shape(bias)? != [filters] || builder.dtype(bias)? != dtype {
        return Err(node.broken(
            format!("a bias of {dtype} [{filters}]"),
            format!("{:?}", builder.shape(bias)?),
        ));
    }
    match builder.real_tensor(bias) {
        Some(tensor) => Ok((op.literal("bias", tensor), None)),
        None => Ok((op, Some(bias))),
    }
}

fn finish(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    op: Op,
    late_bias: Option<Var>,
    dtype: DType,
    shape: &[usize],
) -> Lowered {
    let Some(bias) = late_bias else {
        return Ok(vec![builder.push(op, &node.output(0), dtype, shape)?]);
    };
    let product = builder.push(op, &node.inner("product"), dtype, shape)?;
    let mut wide = vec![1; shape.len()];
    for (dim, &channels) in wide.iter_mut().skip(1).zip(shape.iter().skip(1).take(1)) {
        *dim = channels;
    }
    let op = Op::new("reshape").var("x", bias).ints("shape", &wide);
    let bias = builder.push(op, &node.inner("bias"), dtype, &wide)?;
    let op = Op::new("add").var("x", product).var("y", bias);
    Ok(vec![builder.push(op, &node.output(0), dtype, shape)?])
}

/// Lowers a transposed convolution. `output_padding` lengthens the result at its end, as less padding there does.
pub(super) fn transpose(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let Operands {
        x,
        weight,
        dtype,
        batch,
        channels,
        spatial,
        weight_shape,
        groups,
    } = operands(builder, node)?;
    let (filters, kernel) = match weight_shape.as_slice() {
        [inputs, per_group, kernel @ ..]
            if *inputs == channels && channels.checked_rem(groups) == Some(0) =>
        {
            (per_group.saturating_mul(groups), kernel)
        }
        _ => {
            return Err(node.broken(
                format!("a weight for {channels} channels"),
                format!("{weight_shape:?}"),
            ));
        }
    };
    if !builder.is_constant(weight) {
        return Err(Refusal::form(
            "a transposed convolution with a computed weight",
            "make the weight constant",
        ));
    }
    let rank = spatial.len();
    if kernel.contains(&0) || spatial.contains(&0) {
        return Err(node.broken("sizes of at least 1", format!("{weight_shape:?} on {spatial:?}")));
    }
    let (strides, dilations) = (steps(node, "strides", rank)?, steps(node, "dilations", rank)?);
    let full: Option<Vec<usize>> = spatial
        .iter()
        .zip(&strides)
        .zip(kernel.iter().zip(&dilations))
        .map(|((&size, &stride), (&kernel, &dilation))| {
            size.checked_sub(1)?
                .checked_mul(stride)?
                .checked_add(shapes::dilated(kernel, dilation)?)
        })
        .collect();
    let full = full.ok_or_else(|| node.broken("a smaller result", format!("strides {strides:?}")))?;
    let (pads, output) = transposed_pads(node, &spatial, &strides, &full)?;
    let shape: Vec<usize> = [batch, filters].into_iter().chain(output).collect();
    let op = Op::new("conv_transpose").var("x", x).var("weight", weight);
    let (op, late_bias) = with_bias(builder, node, op, filters, dtype)?;
    let op = op
        .text("pad_type", "custom")
        .ints("pad", &pads)
        .ints("strides", &strides)
        .ints("dilations", &dilations)
        .int("groups", groups);
    finish(builder, node, op, late_bias, dtype, &shape)
}

/// Paddings (in MIL's order) and sizes of a transposed convolution that gives `full` without padding.
fn transposed_pads(
    node: &Node<'_>,
    spatial: &[usize],
    strides: &[usize],
    full: &[usize],
) -> Result<(Vec<usize>, Vec<usize>), Refusal> {
    let rank = full.len();
    let extra = node
        .sizes("output_padding")?
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| vec![0; rank]);
    let auto = node.text_or("auto_pad", "NOTSET")?;
    let same = matches!(auto.as_str(), "SAME_UPPER" | "SAME_LOWER");
    let explicit = explicit_pads(
        node,
        node.ints("pads")?.filter(|pads| !pads.is_empty()).as_deref(),
        rank,
    )?;
    let wanted = match node.sizes("output_shape")?.filter(|list| !list.is_empty()) {
        Some(sizes) => Some(
            sizes
                .get(sizes.len().saturating_sub(rank)..)
                .unwrap_or_default()
                .to_vec(),
        ),
        None if same => Some(
            spatial
                .iter()
                .zip(strides)
                .map(|(&size, &stride)| size.saturating_mul(stride))
                .collect(),
        ),
        None => None,
    };
    let too_long = || Refusal::form("a result longer than the windows reach", "reduce output_padding");
    let (mut pads, mut output) = (Vec::new(), Vec::new());
    for (axis, &reach) in full.iter().enumerate() {
        let extra = extra.get(axis).copied().unwrap_or(0);
        let (begin, end) = match &wanted {
            Some(sizes) => {
                let size = sizes
                    .get(axis)
                    .copied()
                    .ok_or_else(|| node.broken("one output size per axis", "fewer"))?;
                let total = reach
                    .checked_add(extra)
                    .and_then(|reach| reach.checked_sub(size))
                    .ok_or_else(too_long)?;
                let half = total.checked_div(2).unwrap_or(0);
                let rest = total.saturating_sub(half);
                // ONNX gives the odd element to the end for SAME_UPPER, and to the beginning otherwise.
                if auto == "SAME_UPPER" {
                    (half, rest)
                } else {
                    (rest, half)
                }
            }
            None if auto == "VALID" => (0, 0),
            None => explicit.get(axis).copied().unwrap_or((0, 0)),
        };
        let end = end.checked_sub(extra).ok_or_else(too_long)?;
        let size = reach
            .checked_sub(begin)
            .and_then(|rest| rest.checked_sub(end))
            .filter(|&size| size > 0);
        output.push(
            size.ok_or_else(|| node.broken("padding smaller than the result", format!("{begin} and {end}")))?,
        );
        pads.extend([begin, end]);
    }
    Ok((pads, output))
}
