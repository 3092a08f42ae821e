//! Elements added around a tensor.

use super::{Lowered, axis_of, constant_ints, optional_ints};
use crate::import::{Builder, Op, Refusal};
use crate::onnx::node::Node;

/// How many of the last axes MIL mirrors or repeats at the edge.
const EDGE_AXES: usize = 2;

/// Lowers `Pad`. MIL takes the paddings of the last axes, so leading axes without padding are left out.
pub(super) fn pad(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let attribute = node.ints("pads")?;
    let value = padding_value(builder, node, attribute.is_some())?;
    let given = match attribute {
        Some(pads) => pads,
        None => constant_ints(builder, node, 1, "the padding")?,
    };
    let axes = match optional_ints(builder, node, 3, "the padded axes")? {
        Some(axes) => axes
            .iter()
            .map(|&axis| axis_of(node, axis, shape.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    if given.len() != axes.len().saturating_mul(2) {
        return Err(node.broken(
            format!("two paddings for each of {} axes", axes.len()),
            given.len(),
        ));
    }
    let sizes: Result<Vec<usize>, _> = given.iter().map(|&pad| usize::try_from(pad)).collect();
    let sizes = sizes.map_err(|_| Refusal::form("negative padding", "slice the operand instead"))?;
    let (begins, ends) = sizes.split_at(axes.len());
    let mut pads = vec![(0usize, 0usize); shape.len()];
    for (&axis, (&begin, &end)) in axes.iter().zip(begins.iter().zip(ends)) {
        if let Some(pad) = pads.get_mut(axis) {
            *pad = (begin, end);
        }
    }
    let Some(first) = pads.iter().position(|&pad| pad != (0, 0)) else {
        return Ok(vec![x]);
    };
    let mode = match node.text_or("mode", "constant")?.as_str() {
        "constant" => "constant",
        "reflect" => "reflect",
        "edge" => "replicate",
        other => {
            return Err(Refusal::form(
                format!("padding mode {other}"),
                "use constant, reflect or edge",
            ));
        }
    };
    // The last two axes are always given for the modes that look at them.
    let first = if mode == "constant" {
        first
    } else {
        first.min(shape.len().saturating_sub(EDGE_AXES))
    };
    let tail = pads.get(first..).unwrap_or_default();
    if mode != "constant" && tail.len() > EDGE_AXES {
        return Err(Refusal::form(
            format!("mode {mode} on other axes than the last two"),
            "pad the last two axes",
        ));
    }
    let limit = |dim: usize| {
        if mode == "reflect" {
            dim.saturating_sub(1)
        } else {
            dim
        }
    };
    let too_wide = pads
        .iter()
        .zip(&shape)
        .any(|(&(begin, end), &dim)| begin.max(end) > limit(dim));
    if mode != "constant" && too_wide {
        return Err(Refusal::form(
            format!("mode {mode} wider than the operand"),
            "pad in several steps",
        ));
    }
    let dims: Option<Vec<usize>> = pads
        .iter()
        .zip(&shape)
        .map(|(&(begin, end), &dim)| dim.checked_add(begin)?.checked_add(end))
        .collect();
    let dims = dims.ok_or_else(|| node.broken("smaller paddings", format!("{pads:?}")))?;
    let flat: Vec<usize> = tail.iter().flat_map(|&(begin, end)| [begin, end]).collect();
    let op = Op::new("pad")
        .var("x", x)
        .ints("pad", &flat)
        .text("mode", mode)
        .float("constant_val", value, dtype);
    Ok(vec![builder.push(op, &node.output(0), dtype, &dims)?])
}

/// The constant to pad with: an attribute in old operator sets, an operand in new ones.
fn padding_value(builder: &Builder<'_>, node: &Node<'_>, old: bool) -> Result<f32, Refusal> {
    if old {
        return node.float_or("value", 0.0);
    }
    let Some(var) = node.optional(2) else {
        return Ok(0.0);
    };
    let Some(tensor) = builder.tensor(var) else {
        return Err(super::computed_operand(builder, var, "the padding value"));
    };
    match tensor.to_f32().as_deref() {
        Some(&[value]) => Ok(value),
        _ => Err(node.broken("one number as padding value", tensor.elems())),
    }
}
