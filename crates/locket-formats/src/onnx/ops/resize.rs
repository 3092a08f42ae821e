//! Resizing. MIL's own operators where they sample the same positions; else the nearest elements are gathered, and
//! interpolation is a product with a matrix of weights, axis by axis.

use locket_tensor::Tensor;

use super::sampling::{Axis, Coordinates, Filter, Interpolation, Rounding, real, whole};
use super::{Lowered, constant_ints};
use crate::import::{Builder, Op, Refusal, Var};
use crate::onnx::node::Node;

/// The new sizes, or how much each axis grows.
enum Sizes {
    Scales(Vec<f32>),
    Sizes(Vec<i64>),
}

/// What a node asks for.
struct Request {
    axes: Vec<Axis>,
    coordinates: Coordinates,
    rounding: Rounding,
    /// Absent for the nearest element.
    interpolation: Option<Interpolation>,
}

/// Lowers `Upsample`, the older form with scales only: positions are `i / scale`, rounded down.
pub(super) fn upsample(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let scales = match node.floats("scales") {
        Some(scales) => scales,
        None => constant_floats(builder, node, 1)?,
    };
    let (coordinates, rounding) = (Coordinates::Asymmetric, Rounding::Floor);
    let axes = axes(builder, node, &Sizes::Scales(scales))?;
    resized(
        builder,
        node,
        &Request {
            axes,
            coordinates,
            rounding,
            interpolation: interpolation(node)?,
        },
    )
}

/// Lowers `Resize`.
pub(super) fn resize(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let old = node.opset < 11;
    let (scales_at, sizes_at) = if old { (1, 3) } else { (2, 3) };
    let sizes = match node.optional(sizes_at).filter(|_| !old) {
        Some(_) => Sizes::Sizes(constant_ints(builder, node, sizes_at, "the new size")?),
        None => Sizes::Scales(constant_floats(builder, node, scales_at)?),
    };
    if node.text_or("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err(Refusal::form(
            "a size that keeps the aspect ratio",
            "give the size that results",
        ));
    }
    let coordinates = match node
        .text_or("coordinate_transformation_mode", "half_pixel")?
        .as_str()
    {
        _ if old => Coordinates::Asymmetric,
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => {
            return Err(Refusal::form(
                format!("coordinates of kind {other}"),
                "use half_pixel or align_corners",
            ));
        }
    };
    let rounding = match node.text_or("nearest_mode", "round_prefer_floor")?.as_str() {
        _ if old => Rounding::Floor,
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return Err(node.broken("a known nearest_mode", other)),
    };
    let axes = axes(builder, node, &sizes)?;
    resized(
        builder,
        node,
        &Request {
            axes,
            coordinates,
            rounding,
            interpolation: interpolation(node)?,
        },
    )
}

fn constant_floats(builder: &Builder<'_>, node: &Node<'_>, index: usize) -> Result<Vec<f32>, Refusal> {
    let var = node.input(index)?;
    let Some(tensor) = builder.tensor(var) else {
        return Err(super::computed_operand(builder, var, "the scale"));
    };
    tensor
        .to_f32()
        .ok_or_else(|| node.broken("numbers as scales", tensor.dtype()))
}

fn interpolation(node: &Node<'_>) -> Result<Option<Interpolation>, Refusal> {
    let filter = match node.text_or("mode", "nearest")?.as_str() {
        "nearest" => return Ok(None),
        "linear" | "bilinear" => Filter::Linear,
        "cubic" => Filter::Cubic(f64::from(node.float_or("cubic_coeff_a", -0.75)?)),
        other => return Err(node.broken("nearest, linear or cubic as mode", other)),
    };
    let (antialias, exclude_outside) = (
        node.flag("antialias", false)?,
        node.flag("exclude_outside", false)?,
    );
    Ok(Some(Interpolation {
        filter,
        antialias,
        exclude_outside,
    }))
}

/// The axes with their sizes and scales, whichever the node gives.
fn axes(builder: &Builder<'_>, node: &Node<'_>, sizes: &Sizes) -> Result<Vec<Axis>, Refusal> {
    let shape = builder.shape(node.input(0)?)?;
    let chosen = match node.ints("axes")? {
        Some(axes) => axes
            .iter()
            .map(|&axis| super::axis_of(node, axis, shape.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let count = match sizes {
        Sizes::Scales(scales) => scales.len(),
        Sizes::Sizes(sizes) => sizes.len(),
    };
    if count != chosen.len() {
        return Err(node.broken(format!("{} sizes or scales", chosen.len()), count));
    }
    let mut axes: Vec<Axis> = shape
        .iter()
        .map(|&dim| Axis {
            input: dim,
            output: dim,
            scale: 1.0,
        })
        .collect();
    for (index, &axis) in chosen.iter().enumerate() {
        let Some(axis) = axes.get_mut(axis) else {
            continue;
        };
        let (output, scale) = match sizes {
            Sizes::Scales(scales) => scaled(*axis, scales.get(index).copied()),
            Sizes::Sizes(sizes) => sized(*axis, sizes.get(index).copied()),
        }
        .ok_or_else(|| node.broken("sizes and scales above 0", format!("that of axis {index}")))?;
        (axis.output, axis.scale) = (output, scale);
    }
    Ok(axes)
}

fn scaled(axis: Axis, scale: Option<f32>) -> Option<(usize, f64)> {
    let scale = f64::from(scale.filter(|scale| scale.is_finite() && *scale > 0.0)?);
    let size = (f64::from(u32::try_from(axis.input).ok()?) * scale).floor();
    Some((whole(size).filter(|&size| size > 0)?, scale))
}

fn sized(axis: Axis, size: Option<i64>) -> Option<(usize, f64)> {
    let output = usize::try_from(size?).ok().filter(|&size| size > 0)?;
    let (from, to) = (
        u32::try_from(axis.input).ok().filter(|&size| size > 0)?,
        u32::try_from(output).ok()?,
    );
    Some((output, f64::from(to) / f64::from(from)))
}

fn resized(builder: &mut Builder<'_>, node: &Node<'_>, request: &Request) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let result: Vec<usize> = request.axes.iter().map(|axis| axis.output).collect();
    let Some(changed) = request.axes.iter().position(|axis| !axis.is_plain()) else {
        return Ok(vec![x]);
    };
    let spatial = changed >= shape.len().saturating_sub(2) && shape.len() >= 3;
    if let (true, [.., height, width]) = (spatial, request.axes.as_slice())
        && let Some(op) = direct_op(*height, *width, request)
    {
        return Ok(vec![builder.push(
            op.var("x", x),
            &node.output(0),
            dtype,
            &result,
        )?]);
    }
    axis_by_axis(builder, node, x, request)
}

/// MIL's operator for the last two axes; `None` where it samples other positions than ONNX.
fn direct_op(height: Axis, width: Axis, request: &Request) -> Option<Op> {
    let Some(interpolation) = request.interpolation else {
        let direct = [height, width]
            .iter()
            .all(|axis| is_direct(*axis, request.coordinates, request.rounding));
        let op = Op::new("resize_nearest_neighbor");
        return direct.then(|| {
            op.int("target_size_height", height.output)
                .int("target_size_width", width.output)
        });
    };
    if interpolation.filter != Filter::Linear || interpolation.exclude_outside || interpolation.antialias {
        return None;
    }
    let whole_scale = |axis: Axis| (axis.scale * real(axis.input) - real(axis.output)).abs() < 1e-4;
    if request.coordinates != Coordinates::AlignCorners && !(whole_scale(height) && whole_scale(width)) {
        return None;
    }
    let single = height.output == 1 || width.output == 1;
    let mode = match request.coordinates {
        // ONNX puts a single result at position 0, as the strict form does.
        Coordinates::AlignCorners => "STRICT_ALIGN_CORNERS",
        Coordinates::PytorchHalfPixel if single => return None,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel | Coordinates::HalfPixelSymmetric => {
            "UNALIGN_CORNERS"
        }
        Coordinates::Asymmetric => "DEFAULT",
    };
    let op = Op::new("resize_bilinear");
    let op = op
        .int("target_size_height", height.output)
        .int("target_size_width", width.output);
    Some(op.text("sampling_mode", mode))
}

/// True if ONNX picks the elements that MIL picks, which are those at `floor(i * input / output)`.
fn is_direct(axis: Axis, coordinates: Coordinates, rounding: Rounding) -> bool {
    let picked = axis.nearest(coordinates, rounding);
    let direct = |index: usize| {
        index
            .checked_mul(axis.input)
            .and_then(|product| product.checked_div(axis.output))
    };
    picked.is_some_and(|picked| {
        picked
            .iter()
            .enumerate()
            .all(|(index, &position)| direct(index) == Some(position))
    })
}

fn axis_by_axis(builder: &mut Builder<'_>, node: &Node<'_>, x: Var, request: &Request) -> Lowered {
    let plain = request
        .axes
        .iter()
        .enumerate()
        .filter(|(_, axis)| !axis.is_plain());
    let changed: Vec<(usize, Axis)> = plain.map(|(index, axis)| (index, *axis)).collect();
    let mut result = x;
    for (done, &(index, axis)) in changed.iter().enumerate() {
        let last = done.saturating_add(1) == changed.len();
        let name = if last {
            node.output(0)
        } else {
            node.inner(&format!("axis_{index}"))
        };
        result = match request.interpolation {
            None => picked(builder, result, index, axis, request, &name)?,
            Some(interpolation) => {
                let weights = axis
                    .weights(request.coordinates, interpolation)
                    .ok_or_else(|| too_long(axis))?;
                weighted(builder, node, result, (index, axis), &weights, &name)?
            }
        };
    }
    Ok(vec![result])
}

fn too_long(axis: Axis) -> Refusal {
    Refusal::form(
        format!("an axis from {} to {} elements", axis.input, axis.output),
        "resize to a smaller size",
    )
}

/// The nearest elements along one axis.
fn picked(
    builder: &mut Builder<'_>,
    x: Var,
    index: usize,
    axis: Axis,
    request: &Request,
    name: &str,
) -> Result<Var, Refusal> {
    let (dtype, mut shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let picks = axis.nearest(request.coordinates, request.rounding);
    let picks: Option<Vec<i32>> =
        picks.and_then(|picks| picks.into_iter().map(|pick| i32::try_from(pick).ok()).collect());
    let picks = picks.ok_or_else(|| too_long(axis))?;
    shape
        .iter_mut()
        .skip(index)
        .take(1)
        .for_each(|dim| *dim = axis.output);
    let op = Op::new("gather")
        .var("x", x)
        .literal("indices", Tensor::vector(&picks))
        .int("axis", index);
    builder.push(op, name, dtype, &shape)
}

/// A product with a matrix of weights along one axis, which is brought to the end for it.
fn weighted(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    (index, axis): (usize, Axis),
    weights: &[f32],
    name: &str,
) -> Result<Var, Refusal> {
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let matrix = crate::import::views::floats(dtype, &[axis.output, axis.input], weights);
    let matrix = matrix.ok_or_else(|| node.broken("weights", "others"))?;
    if shape.len() < 2 {
        return Err(Refusal::form("resizing of a vector", "add an axis before it"));
    }
    let last = shape.len().saturating_sub(1);
    let swapped: Vec<usize> = (0..shape.len())
        .map(|at| {
            if at == index {
                last
            } else if at == last {
                index
            } else {
                at
            }
        })
        .collect();
    let moved = |shape: &[usize]| {
        swapped
            .iter()
            .filter_map(|&at| shape.get(at).copied())
            .collect::<Vec<usize>>()
    };
    let mut result = shape.clone();
    result
        .iter_mut()
        .skip(index)
        .take(1)
        .for_each(|dim| *dim = axis.output);
    let product = |x: Var| {
        Op::new("matmul")
            .var("x", x)
            .literal("y", matrix)
            .flag("transpose_x", false)
            .flag("transpose_y", true)
    };
    if index == last {
        return builder.push(product(x), name, dtype, &result);
    }
    let op = Op::new("transpose").var("x", x).ints("perm", &swapped);
    let x = builder.push(op, &format!("{name}_swapped"), dtype, &moved(&shape))?;
    let x = builder.push(product(x), &format!("{name}_product"), dtype, &moved(&result))?;
    builder.push(
        Op::new("transpose").var("x", x).ints("perm", &swapped),
        name,
        dtype,
        &result,
    )
}

#[cfg(test)]
mod tests {
    use super::{Axis, Coordinates, Rounding, is_direct};

    #[test]
    fn whole_upscaling_is_direct() {
        for scale in 1..6u32 {
            let axis = Axis {
                input: 7,
                output: 7 * scale as usize,
                scale: f64::from(scale),
            };
            assert!(is_direct(axis, Coordinates::HalfPixel, Rounding::PreferFloor));
            assert!(is_direct(axis, Coordinates::Asymmetric, Rounding::Floor));
        }
        let axis = Axis {
            input: 4,
            output: 2,
            scale: 0.5,
        };
        assert!(!is_direct(axis, Coordinates::HalfPixel, Rounding::PreferCeil));
    }
}
