//! Rearrangements of channels and space, and triangles of matrices.

use locket_mil::Target;
use locket_tensor::{DType, Tensor};

use super::{Lowered, constant_ints};
use crate::import::{Builder, Op, Refusal};
use crate::onnx::fold::{Folding, Numbers, from_numbers, numbers};
use crate::onnx::node::Node;

fn block(node: &Node<'_>) -> Result<usize, Refusal> {
    let size = node
        .int("blocksize")?
        .ok_or_else(|| node.broken("attribute blocksize", "none"))?;
    usize::try_from(size)
        .ok()
        .filter(|&size| size > 0)
        .ok_or_else(|| node.broken("a block size above 0", size))
}

/// Lowers `DepthToSpace`: blocks outermost in the channels (DCR) are MIL's `depth_to_space`, blocks innermost (CRD)
/// its `pixel_shuffle`.
pub(super) fn depth_to_space(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape, size) = (builder.float_dtype(x)?, builder.shape(x)?, block(node)?);
    let &[batch, channels, height, width] = shape.as_slice() else {
        return Err(node.broken("an input of rank 4", shape.len()));
    };
    let area = size
        .checked_mul(size)
        .filter(|&area| channels.checked_rem(area) == Some(0));
    let area = area.ok_or_else(|| node.broken(format!("channels that {size} x {size} divides"), channels))?;
    let (op, parameter) = match node.text_or("mode", "DCR")?.as_str() {
        "DCR" => ("depth_to_space", "block_size"),
        "CRD" => ("pixel_shuffle", "upscale_factor"),
        other => return Err(node.broken("DCR or CRD as mode", other)),
    };
    if size == 1 {
        return Ok(vec![x]);
    }
    let result = [
        batch,
        channels.checked_div(area).unwrap_or(0),
        height.saturating_mul(size),
        width.saturating_mul(size),
    ];
    Ok(vec![builder.push(
        Op::new(op).var("x", x).int(parameter, size),
        &node.output(0),
        dtype,
        &result,
    )?])
}

/// Lowers `SpaceToDepth`, in the same two orders as `DepthToSpace`.
pub(super) fn space_to_depth(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape, size) = (builder.float_dtype(x)?, builder.shape(x)?, block(node)?);
    let &[batch, channels, height, width] = shape.as_slice() else {
        return Err(node.broken("an input of rank 4", shape.len()));
    };
    if height.checked_rem(size) != Some(0) || width.checked_rem(size) != Some(0) {
        return Err(node.broken(
            format!("a height and width that {size} divides"),
            format!("{height} and {width}"),
        ));
    }
    if size == 1 {
        return Ok(vec![x]);
    }
    let depth = channels.saturating_mul(size).saturating_mul(size);
    let result = [
        batch,
        depth,
        height.checked_div(size).unwrap_or(0),
        width.checked_div(size).unwrap_or(0),
    ];
    let op = match node.text_or("mode", "DCR")?.as_str() {
        "DCR" => Op::new("space_to_depth").var("x", x).int("block_size", size),
        "CRD" => Op::new("pixel_unshuffle")
            .since(Target::Ios16)
            .var("x", x)
            .int("downscale_factor", size),
        other => return Err(node.broken("DCR or CRD as mode", other)),
    };
    Ok(vec![builder.push(op, &node.output(0), dtype, &result)?])
}

/// Cuts a triangle out of a constant.
pub(super) fn fold_triangle(folding: &Folding<'_>) -> Result<Option<Vec<Tensor>>, Refusal> {
    let x = folding.input(0)?;
    let offset = match folding.optional(1).and_then(Tensor::to_i64).as_deref() {
        None => 0,
        Some(&[offset]) => offset,
        Some(other) => return Err(folding.node.broken("one diagonal", other.len())),
    };
    let (&[.., rows, columns], Some(values)) = (x.shape(), numbers(x)) else {
        return Ok(None);
    };
    let upper = folding.node.flag("upper", true)?;
    let keep = |index: usize| {
        let column = index
            .checked_rem(columns)
            .and_then(|column| i64::try_from(column).ok())
            .unwrap_or(0);
        let row = index
            .checked_div(columns)
            .and_then(|row| row.checked_rem(rows))
            .and_then(|row| i64::try_from(row).ok());
        let above = column.saturating_sub(row.unwrap_or(0));
        if upper { above >= offset } else { above <= offset }
    };
    let values = match values {
        Numbers::Ints(values) => Numbers::Ints(masked(values, keep)),
        Numbers::Floats(values) => Numbers::Floats(masked(values, keep)),
    };
    Ok(from_numbers(x.dtype(), x.shape(), &values).map(|tensor| vec![tensor]))
}

fn masked<T: Default>(values: Vec<T>, keep: impl Fn(usize) -> bool) -> Vec<T> {
    let indexed = values.into_iter().enumerate();
    indexed
        .map(|(index, value)| if keep(index) { value } else { T::default() })
        .collect()
}

/// Lowers `Trilu`: the upper or lower triangle through the main diagonal is a band of the matrix.
pub(super) fn triangle(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.dtype(x)?, builder.shape(x)?);
    if !matches!(
        dtype,
        DType::Float16 | DType::Float32 | DType::Int32 | DType::Bool
    ) {
        return Err(Refusal::element_type(builder.name(x), dtype));
    }
    if shape.len() < 2 || shape.contains(&0) {
        return Err(Refusal::form(
            "a triangle of no matrix",
            "export the model with non-empty matrices",
        ));
    }
    let offset = match node.optional(1) {
        None => 0,
        Some(_) => match constant_ints(builder, node, 1, "the diagonal")?.as_slice() {
            [offset] => *offset,
            other => return Err(node.broken("one diagonal", other.len())),
        },
    };
    // A negative bound of a band means all of that side; a band that leaves out the main diagonal has no form.
    let (lower, upper) = if node.flag("upper", true)? {
        if offset > 0 {
            return Err(Refusal::form(
                "a triangle above the main diagonal",
                "multiply by a constant mask",
            ));
        }
        (offset.saturating_neg(), -1)
    } else {
        if offset < 0 {
            return Err(Refusal::form(
                "a triangle below the main diagonal",
                "multiply by a constant mask",
            ));
        }
        (-1, offset)
    };
    let op = Op::new("band_part")
        .var("x", x)
        .int("lower", lower)
        .int("upper", upper);
    Ok(vec![builder.push(op, &node.output(0), dtype, &shape)?])
}
