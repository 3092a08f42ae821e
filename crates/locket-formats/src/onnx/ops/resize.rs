//! Resizing of the last two axes.

use locket_tensor::Tensor;

use super::{Lowered, constant_ints};
use crate::import::{Builder, Op, Refusal, Var};
use crate::onnx::node::Node;

/// Where a result element lies in the operand, along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// How a position between two elements is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

/// Longest axis whose elements are picked one by one: beyond any picture, and bounded work for a hostile file.
const MAX_PICKS: usize = 1 << 16;

/// One axis that is resized.
#[derive(Debug, Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    scale: f64,
}

/// Lowers `Upsample`, the older form with scales only: positions are `i / scale`, rounded down.
pub(super) fn upsample(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let scales = match node.floats("scales") {
        Some(scales) => scales,
        None => constant_floats(builder, node, 1)?,
    };
    resized(
        builder,
        node,
        &Sizes::Scales(scales),
        Coordinates::Asymmetric,
        Rounding::Floor,
    )
}

enum Sizes {
    Scales(Vec<f32>),
    Sizes(Vec<i64>),
}

/// Lowers `Resize`.
pub(super) fn resize(builder: &mut Builder<'_>, node: &Node<'_>) -> Lowered {
    let old = node.opset < 11;
    let (scales_at, sizes_at) = if old { (1, 3) } else { (2, 3) };
    let sizes = match node.optional(sizes_at).filter(|_| !old) {
        Some(_) => Sizes::Sizes(constant_ints(builder, node, sizes_at, "the new size")?),
        None => Sizes::Scales(constant_floats(builder, node, scales_at)?),
    };
    if node.flag("antialias", false)? {
        return Err(Refusal::form("resizing with antialiasing", "use antialias = 0"));
    }
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
    resized(builder, node, &sizes, coordinates, rounding)
}

fn constant_floats(builder: &Builder<'_>, node: &Node<'_>, index: usize) -> Result<Vec<f32>, Refusal> {
    let var = node.input(index)?;
    let Some(tensor) = builder.tensor(var) else {
        return Err(super::computed_operand(builder, var, "the scales"));
    };
    tensor
        .to_f32()
        .ok_or_else(|| node.broken("numbers as scales", tensor.dtype()))
}

fn resized(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    sizes: &Sizes,
    coordinates: Coordinates,
    rounding: Rounding,
) -> Lowered {
    let x = node.input(0)?;
    let (dtype, shape) = (builder.float_dtype(x)?, builder.shape(x)?);
    let axes = axes(node, &shape, sizes)?;
    let linear = match node.text_or("mode", "nearest")?.as_str() {
        "nearest" => false,
        "linear" | "bilinear" => true,
        other => {
            return Err(Refusal::form(
                format!("interpolation {other}"),
                "use nearest or linear",
            ));
        }
    };
    let result: Vec<usize> = axes.iter().map(|axis| axis.output).collect();
    let changed = axes.iter().position(|axis| !is_plain(*axis));
    let Some(changed) = changed else {
        return Ok(vec![x]);
    };
    let spatial = changed >= shape.len().saturating_sub(2) && shape.len() >= 3;
    if let (true, [.., height, width]) = (spatial, axes.as_slice()) {
        let op = if linear {
            linear_op(*height, *width, coordinates)
        } else {
            let direct = [height, width]
                .iter()
                .all(|axis| is_direct(**axis, coordinates, rounding));
            direct.then(|| nearest_op(*height, *width))
        };
        if let Some(op) = op {
            return Ok(vec![builder.push(
                op.var("x", x),
                &node.output(0),
                dtype,
                &result,
            )?]);
        }
    }
    if linear {
        return Err(Refusal::form(
            "linear interpolation with these coordinates or on these axes",
            "use half_pixel, align_corners or asymmetric coordinates on the last two axes",
        ));
    }
    picked(builder, node, x, &axes, coordinates, rounding)
}

/// True if the axis stays as it is.
fn is_plain(axis: Axis) -> bool {
    axis.input == axis.output && (axis.scale - 1.0).abs() < 1e-9
}

/// The axes with their sizes and scales, whichever the node gives.
fn axes(node: &Node<'_>, shape: &[usize], sizes: &Sizes) -> Result<Vec<Axis>, Refusal> {
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

/// A number without fraction as a size.
fn whole(value: f64) -> Option<usize> {
    #[expect(clippy::as_conversions, reason = "the range is checked")]
    let size = (value >= 0.0 && value <= f64::from(u32::MAX)).then_some(value as usize);
    size
}

fn real(value: usize) -> f64 {
    u32::try_from(value).map_or(f64::from(u32::MAX), f64::from)
}

/// MIL's operator for linear interpolation; `None` where it samples other positions than ONNX.
fn linear_op(height: Axis, width: Axis, coordinates: Coordinates) -> Option<Op> {
    let whole_scale = |axis: Axis| (axis.scale * real(axis.input) - real(axis.output)).abs() < 1e-4;
    if coordinates != Coordinates::AlignCorners && !(whole_scale(height) && whole_scale(width)) {
        return None;
    }
    let single = height.output == 1 || width.output == 1;
    let mode = match coordinates {
        // ONNX puts a single result at position 0, as the strict form does.
        Coordinates::AlignCorners => "STRICT_ALIGN_CORNERS",
        Coordinates::PytorchHalfPixel if single => return None,
        Coordinates::HalfPixel | Coordinates::PytorchHalfPixel | Coordinates::HalfPixelSymmetric => {
            "UNALIGN_CORNERS"
        }
        Coordinates::Asymmetric => "DEFAULT",
    };
    Some(
        Op::new("resize_bilinear")
            .int("target_size_height", height.output)
            .int("target_size_width", width.output)
            .text("sampling_mode", mode),
    )
}

/// MIL's operator for the nearest element, which takes `floor(i * input / output)`.
fn nearest_op(height: Axis, width: Axis) -> Op {
    Op::new("resize_nearest_neighbor")
        .int("target_size_height", height.output)
        .int("target_size_width", width.output)
}

/// True if ONNX picks the elements that [`nearest_op`] picks.
fn is_direct(axis: Axis, coordinates: Coordinates, rounding: Rounding) -> bool {
    let picked = positions(axis, coordinates, rounding);
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

/// The element that each result element takes, along one axis.
fn positions(axis: Axis, coordinates: Coordinates, rounding: Rounding) -> Option<Vec<usize>> {
    let (input, output) = (real(axis.input), real(axis.output));
    let last = axis.input.checked_sub(1).filter(|_| axis.output <= MAX_PICKS)?;
    let position = |index: usize| {
        let index = real(index);
        let at = match coordinates {
            Coordinates::PytorchHalfPixel if axis.output <= 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (index + 0.5) / axis.scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                // The result may be shorter than the scale says; the rest is cut off at both ends alike.
                let adjustment = output / (axis.scale * input);
                let centre = input / 2.0;
                centre * (1.0 - adjustment) + (index + 0.5) / axis.scale - 0.5
            }
            Coordinates::AlignCorners if axis.output <= 1 => 0.0,
            Coordinates::AlignCorners => index * (input - 1.0) / (output - 1.0),
            Coordinates::Asymmetric => index / axis.scale,
        };
        let rounded = match rounding {
            Rounding::PreferFloor => (at - 0.5).ceil(),
            Rounding::PreferCeil => (at + 0.5).floor(),
            Rounding::Floor => at.floor(),
            Rounding::Ceil => at.ceil(),
        };
        whole(rounded.max(0.0)).map(|position| position.min(last))
    };
    (0..axis.output).map(position).collect()
}

/// Picks the nearest elements axis by axis, wherever they are.
fn picked(
    builder: &mut Builder<'_>,
    node: &Node<'_>,
    x: Var,
    axes: &[Axis],
    coordinates: Coordinates,
    rounding: Rounding,
) -> Lowered {
    let dtype = builder.float_dtype(x)?;
    let mut shape = builder.shape(x)?;
    let mut result = x;
    let changed: Vec<usize> = axes
        .iter()
        .enumerate()
        .filter(|(_, axis)| !is_plain(**axis))
        .map(|(index, _)| index)
        .collect();
    for (done, &index) in changed.iter().enumerate() {
        let Some((&axis, dim)) = axes.get(index).zip(shape.get_mut(index)) else {
            continue;
        };
        let picks = positions(axis, coordinates, rounding);
        let picks: Option<Vec<i32>> =
            picks.and_then(|picks| picks.into_iter().map(|pick| i32::try_from(pick).ok()).collect());
        let picks = picks.ok_or_else(|| {
            Refusal::form(
                format!("an axis of {} elements", axis.output),
                "resize to a smaller size",
            )
        })?;
        *dim = axis.output;
        let last = done.saturating_add(1) == changed.len();
        let name = if last {
            node.output(0)
        } else {
            node.inner(&format!("axis_{index}"))
        };
        let op = Op::new("gather")
            .var("x", result)
            .literal("indices", Tensor::vector(&picks))
            .int("axis", index);
        result = builder.push(op, &name, dtype, &shape)?;
    }
    Ok(vec![result])
}

#[cfg(test)]
mod tests {
    use super::{Axis, Coordinates, Rounding, is_direct, positions};

    #[test]
    fn positions_follow_the_formulas() {
        let axis = |input, output, scale| Axis { input, output, scale };
        let cases = [
            (
                axis(2, 4, 2.0),
                Coordinates::HalfPixel,
                Rounding::PreferFloor,
                vec![0, 0, 1, 1],
            ),
            (
                axis(2, 4, 2.0),
                Coordinates::Asymmetric,
                Rounding::Floor,
                vec![0, 0, 1, 1],
            ),
            (
                axis(4, 2, 0.5),
                Coordinates::HalfPixel,
                Rounding::PreferFloor,
                vec![0, 2],
            ),
            (
                axis(4, 2, 0.5),
                Coordinates::HalfPixel,
                Rounding::PreferCeil,
                vec![1, 3],
            ),
            (
                axis(4, 3, 0.75),
                Coordinates::AlignCorners,
                Rounding::PreferFloor,
                vec![0, 1, 3],
            ),
            (
                axis(3, 1, 0.4),
                Coordinates::PytorchHalfPixel,
                Rounding::PreferFloor,
                vec![0],
            ),
        ];
        for (axis, coordinates, rounding, expected) in cases {
            assert_eq!(
                positions(axis, coordinates, rounding),
                Some(expected),
                "{axis:?} {coordinates:?}"
            );
        }
    }

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
