//! Images in other sizes: the last two axes of x, height and width, change. x: fp16, fp32 of rank 3 or more; y: the type of x. Since iOS 15.
//!
//! * `upsample_nearest_neighbor`: by `scale_factor_height`, `scale_factor_width` (by default 1), the result's size rounded down
//! * `resize_nearest_neighbor`: to `target_size_height`, `target_size_width`
//! * `upsample_bilinear`: by those factors; `align_corners` (by default true), `half_pixel_centers` (since iOS 16, by default its contrary)
//! * `resize_bilinear`: to that size (by default 1), by `sampling_mode`
//!
//! Along each axis output `i` of `n_out` is read at place `p` of `n_in`, cut to `0..=n_in - 1`; nearest takes element `floor(i * n_in / n_out)`,
//! bilinear weighs the elements around `p` by their distance. With `s` for the step:
//!
//! | mode | p |
//! |---|---|
//! | `STRICT_ALIGN_CORNERS`; align_corners | `i * s`, `s = (n_in - 1) / (n_out - 1)`; 0 for a single output |
//! | `ALIGN_CORNERS` | the same; `(n_in - 1) / 2` for a single output |
//! | `DEFAULT`; neither align_corners nor half_pixel_centers | `i * n_in / n_out` |
//! | `OFFSET_CORNERS` | `(i + 1/2) * max(1, n_in - 1) / n_out` |
//! | `UNALIGN_CORNERS`; half_pixel_centers | `(i + 1/2) * n_in / n_out - 1/2` |

use std::{fmt, ops::Range};

use locket_mil::{Target, Type};
use locket_tensor::{DType, Shape, TensorMut};

use super::common::{
    checks::{self, FLOATS},
    copy::{self, Loop, Piece},
    index::move_elements,
    numbers::{floats, put_floats},
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature, Step,
};

/// The operator `upsample_nearest_neighbor`.
pub static UPSAMPLE_NEAREST_NEIGHBOR: Resize = Resize {
    name: "upsample_nearest_neighbor",
    params: const {
        &[
            Param::required("x"),
            Param::attribute("scale_factor_height"),
            Param::attribute("scale_factor_width"),
        ]
    },
    by_factor: true,
    bilinear: false,
};

/// The operator `resize_nearest_neighbor`.
pub static RESIZE_NEAREST_NEIGHBOR: Resize = Resize {
    name: "resize_nearest_neighbor",
    params: const {
        &[
            Param::required("x"),
            Param::constant("target_size_height"),
            Param::constant("target_size_width"),
        ]
    },
    by_factor: false,
    bilinear: false,
};

/// The operator `upsample_bilinear`.
pub static UPSAMPLE_BILINEAR: Resize = Resize {
    name: "upsample_bilinear",
    params: const {
        &[
            Param::required("x"),
            Param::attribute("scale_factor_height"),
            Param::attribute("scale_factor_width"),
            Param::attribute("align_corners"),
            Param::attribute("half_pixel_centers"),
        ]
    },
    by_factor: true,
    bilinear: true,
};

/// The operator `resize_bilinear`.
pub static RESIZE_BILINEAR: Resize = Resize {
    name: "resize_bilinear",
    params: const {
        &[
            Param::required("x"),
            Param::attribute("target_size_height"),
            Param::attribute("target_size_width"),
            Param::attribute("sampling_mode"),
        ]
    },
    by_factor: false,
    bilinear: true,
};

/// An operator that changes an image's size.
pub struct Resize {
    name: &'static str,
    params: &'static [Param],
    by_factor: bool,
    bilinear: bool,
}

/// Where the outputs of an axis are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampling {
    Nearest,
    StrictAlignCorners,
    AlignCorners,
    Default,
    OffsetCorners,
    UnalignCorners,
}

/// Two neighbours on an axis, and the weight of the second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

impl Sampling {
    fn tap(self, at: usize, from: usize, to: usize) -> Tap {
        if self == Self::Nearest {
            let low = (at * from / to).min(from - 1);
            return Tap {
                low,
                high: low,
                weight: 0.0,
            };
        }
        let (i, n_in, n_out) = (at as f64, from as f64, to as f64);
        let place = match self {
            Self::AlignCorners if to == 1 => (n_in - 1.0) / 2.0,
            Self::StrictAlignCorners | Self::AlignCorners if to == 1 => 0.0,
            Self::StrictAlignCorners | Self::AlignCorners => i * (n_in - 1.0) / (n_out - 1.0),
            Self::OffsetCorners => (i + 0.5) * (n_in - 1.0).max(1.0) / n_out,
            Self::UnalignCorners => (i + 0.5) * n_in / n_out - 0.5,
            Self::Default | Self::Nearest => i * n_in / n_out,
        };
        let place = place.clamp(0.0, n_in - 1.0);
        let low = (place.floor() as usize).min(from - 1);
        Tap {
            low,
            high: (low + 1).min(from - 1),
            weight: (place - low as f64) as f32,
        }
    }

    /// The taps of all outputs of an axis.
    fn taps(self, from: usize, to: usize) -> Vec<Tap> {
        (0..to).map(|at| self.tap(at, from, to)).collect()
    }
}

impl Resize {
    /// The result's height and width.
    fn size(&self, node: &Node<'_>, [height, width]: [usize; 2]) -> Result<[usize; 2], OpError> {
        let mut size = [0; 2];
        for (axis, (size, from)) in size.iter_mut().zip([height, width]).enumerate() {
            let param = self.params[1 + axis].name;
            let wanted = match self.by_factor {
                true => (f64::from(node.float(param, 1.0)?) * from as f64).floor(),
                false => node.int(param, 1)? as f64,
            };
            // A size beyond this is refused with the result as a whole.
            let fits = (1.0..=f64::from(u32::MAX)).contains(&wanted);
            if !fits || from == 0 {
                return Err(node.param_error(
                    param,
                    format_args!("expected a size of 1 or more from {from}, found {wanted}"),
                ));
            }
            *size = wanted as usize;
        }
        Ok(size)
    }

    fn sampling(&self, node: &Node<'_>) -> Result<Sampling, OpError> {
        if !self.bilinear {
            return Ok(Sampling::Nearest);
        }
        if self.by_factor {
            let align = node.flag("align_corners", true)?;
            return match (align, node.flag("half_pixel_centers", !align)?) {
                (true, false) => Ok(Sampling::StrictAlignCorners),
                (false, true) => Ok(Sampling::UnalignCorners),
                (false, false) => Ok(Sampling::Default),
                (true, true) => Err(node.param_error("half_pixel_centers", "excludes align_corners")),
            };
        }
        match node.text("sampling_mode", "DEFAULT")? {
            "STRICT_ALIGN_CORNERS" => Ok(Sampling::StrictAlignCorners),
            "ALIGN_CORNERS" => Ok(Sampling::AlignCorners),
            "DEFAULT" => Ok(Sampling::Default),
            "OFFSET_CORNERS" => Ok(Sampling::OffsetCorners),
            "UNALIGN_CORNERS" => Ok(Sampling::UnalignCorners),
            other => Err(node.param_error(
                "sampling_mode",
                format_args!(
                    "expected STRICT_ALIGN_CORNERS, ALIGN_CORNERS, DEFAULT, OFFSET_CORNERS or UNALIGN_CORNERS, found \
                     {other:?}"
                ),
            )),
        }
    }
}

/// Planes before the last two axes, and those.
fn planes(shape: &[usize]) -> (usize, [usize; 2]) {
    let (before, image) = shape.split_at(shape.len() - 2);
    (before.iter().product(), [image[0], image[1]])
}

impl fmt::Debug for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resize").field(&self.name).finish()
    }
}

impl Operator for Resize {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: self.params,
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", FLOATS)?;
        checks::expect_rank(node, "x", shape, 3..=usize::MAX)?;
        self.sampling(node)?;
        let size = self.size(node, planes(shape).1)?;
        let resized: Shape = shape[..shape.len() - 2].iter().copied().chain(size).collect();
        checks::results(node, dtype, &resized)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: node.output_elems() * if self.bilinear { 3 } else { 0 },
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let sampling = self.sampling(&call.node)?;
        let (planes, [height, width]) = planes(x.shape);
        let [rows, columns] = self.size(&call.node, [height, width])?;
        if sampling == Sampling::Nearest {
            let rank = x.shape.len();
            let mut plane_strides = super::common::index::strides(x.shape);
            plane_strides.truncate(rank - 2);
            move_elements(x, &mut outputs[0], |index| {
                let plane = super::common::index::position(&index[..rank - 2], &plane_strides);
                let row = sampling.tap(index[rank - 2], height, rows).low;
                Some(plane + row * width + sampling.tap(index[rank - 1], width, columns).low)
            });
            return Ok(());
        }
        let values = floats(x);
        let mut results = Vec::with_capacity(outputs[0].elems());
        for plane in values.chunks_exact(height * width).take(planes) {
            for row in 0..rows {
                let y = sampling.tap(row, height, rows);
                for column in 0..columns {
                    let x = sampling.tap(column, width, columns);
                    let across = |line: usize| {
                        let (a, b) = (plane[line * width + x.low], plane[line * width + x.high]);
                        a + (b - a) * f64::from(x.weight)
                    };
                    let (a, b) = (across(y.low), across(y.high));
                    results.push(a + (b - a) * f64::from(y.weight));
                }
            }
        }
        put_floats(&mut outputs[0], results);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        match node.ty("x") {
            Ok((_, shape)) if !self.bilinear && self.whole_factors(node, shape).is_some() => LayoutRule::Any,
            Ok((DType::Float32, shape)) if shape.len() == 4 => LayoutRule::ChannelsLast,
            _ => LayoutRule::RowMajor,
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let node = &prepare.node;
        let (dtype, shape) = node.ty("x")?;
        let factors = self.whole_factors(node, shape).filter(|_| !self.bilinear);
        if let Some(factors) = factors {
            return Ok(copy::prepare(prepare, repeated(prepare, shape, factors), None));
        }
        let &[batch, channels, height, width] = shape else {
            return Ok(None);
        };
        if dtype != DType::Float32 || node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let sampling = self.sampling(node)?;
        let [rows, columns] = self.size(node, [height, width])?;
        let step = PixelStep {
            channels,
            image: height * width * channels,
            row: width * channels,
            rows: sampling.taps(height, rows),
            columns: sampling.taps(width, columns),
        };
        let held = size_of::<Tap>() * (rows + columns);
        let prepared = Prepared::new(step, batch * rows * columns, 4 * channels);
        Ok(Some(prepared.grain(columns).weights(held)))
    }

    fn samples(&self) -> Vec<String> {
        let name = self.name;
        let of =
            |x: &str, y: &str, args: &str| sample(&format!("%x: {x}"), y, &format!("{name}(x=%x{args})"));
        let factors =
            |height: &str, width: &str| format!(", scale_factor_height={height}, scale_factor_width={width}");
        let target =
            |height: usize, width: usize| format!(", target_size_height={height}, target_size_width={width}");
        let x = "fp32[2, 5, 3, 4]";
        match (self.by_factor, self.bilinear) {
            (true, false) => vec![
                of(x, "fp32[2, 5, 6, 12]", &factors("2", "3")),
                of(x, "fp32[2, 5, 4, 6]", &factors("1.5", "1.5")),
                of("fp16[2, 3, 2]", "fp16[2, 6, 2]", ", scale_factor_height=2"),
            ],
            (false, false) => vec![
                of(x, "fp32[2, 5, 6, 8]", &target(6, 8)),
                of(x, "fp32[2, 5, 2, 7]", &target(2, 7)),
                of("fp16[2, 3, 2]", "fp16[2, 4, 4]", &target(4, 4)),
            ],
            (true, true) => vec![
                of(x, "fp32[2, 5, 6, 12]", &factors("2", "3")),
                of(
                    x,
                    "fp32[2, 5, 6, 8]",
                    &(factors("2", "2") + ", align_corners=false"),
                ),
                of(
                    x,
                    "fp32[2, 5, 6, 8]",
                    &(factors("2.0", "2.0") + ", align_corners=false, half_pixel_centers=false"),
                ),
                of("fp16[2, 3, 2]", "fp16[2, 6, 4]", &factors("2", "2")),
            ],
            (false, true) => [
                "STRICT_ALIGN_CORNERS",
                "ALIGN_CORNERS",
                "DEFAULT",
                "OFFSET_CORNERS",
                "UNALIGN_CORNERS",
            ]
            .iter()
            .map(|mode| {
                of(
                    x,
                    "fp32[2, 5, 5, 1]",
                    &format!("{}, sampling_mode=\"{mode}\"", target(5, 1)),
                )
            })
            .chain([of("fp16[1, 2, 2, 2]", "fp16[1, 2, 3, 4]", &target(3, 4))])
            .collect(),
        }
    }
}

impl Resize {
    /// How often each row and column is repeated, if that is the same for all.
    fn whole_factors(&self, node: &Node<'_>, shape: &[usize]) -> Option<[usize; 2]> {
        let (_, [height, width]) = planes(shape);
        let [rows, columns] = self.size(node, [height, width]).ok()?;
        let whole = rows % height == 0 && columns % width == 0;
        whole.then(|| [rows / height, columns / width])
    }
}

/// Every row and column several times.
fn repeated(prepare: &Prepare<'_>, shape: &[usize], factors: [usize; 2]) -> Vec<Piece> {
    let first = shape.len() - 2;
    let mut loops = Vec::new();
    for (axis, &dim) in shape.iter().enumerate() {
        let times = axis
            .checked_sub(first)
            .map_or(1, |image_axis| factors[image_axis]);
        loops.push(Loop {
            to_step: times,
            ..Loop::along(dim, axis, axis)
        });
        loops.push(Loop {
            count: times,
            to_axis: axis,
            to_step: 1,
            from_axis: None,
            from_step: 0,
        });
    }
    Piece::whole(prepare, "x", loops)
}

/// A unit is a pixel of the output, channels last.
#[derive(Debug)]
struct PixelStep {
    channels: usize,
    /// Elements of an image of x, and of a row of it.
    image: usize,
    row: usize,
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

impl Step for PixelStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let channels = self.channels;
        if channels == 0 {
            return;
        }
        let input: &[f32] = bytemuck::cast_slice(inputs[0]);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        for (unit, pixel) in units.zip(output.chunks_exact_mut(channels)) {
            let (line, column) = (unit / self.columns.len(), unit % self.columns.len());
            let (image, row) = (line / self.rows.len(), line % self.rows.len());
            let (y, x) = (self.rows[row], self.columns[column]);
            let corner = |row: usize, column: usize| {
                &input[image * self.image + row * self.row + column * channels..][..channels]
            };
            let (top, bottom) = (
                corner(y.low, x.low).iter().zip(corner(y.low, x.high)),
                corner(y.high, x.low).iter().zip(corner(y.high, x.high)),
            );
            for (slot, ((&a, &b), (&c, &d))) in pixel.iter_mut().zip(top.zip(bottom)) {
                let (above, below) = (a + (b - a) * x.weight, c + (d - c) * x.weight);
                *slot = above + (below - above) * y.weight;
            }
        }
    }

    fn kernel(&self) -> &str {
        "f32_resize"
    }
}

#[cfg(test)]
mod tests {
    use super::Sampling;

    // Two elements, 0 and 1, so that the value read is the place itself; grids from the operator's description.
    #[test]
    fn grids_are_those_of_the_description() {
        let grid = |sampling: Sampling, to: usize| -> Vec<f32> {
            sampling
                .taps(2, to)
                .iter()
                .map(|tap| tap.low as f32 + tap.weight)
                .collect()
        };
        for (sampling, expected) in [
            (Sampling::UnalignCorners, [0.0, 0.1, 0.5, 0.9, 1.0]),
            (Sampling::StrictAlignCorners, [0.0, 0.25, 0.5, 0.75, 1.0]),
            (Sampling::AlignCorners, [0.0, 0.25, 0.5, 0.75, 1.0]),
            (Sampling::Default, [0.0, 0.4, 0.8, 1.0, 1.0]),
            (Sampling::OffsetCorners, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ] {
            for (found, expected) in grid(sampling, 5).iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{sampling:?}: {found} is not {expected}"
                );
            }
        }
        assert_eq!(grid(Sampling::AlignCorners, 1), [0.5]);
        assert_eq!(grid(Sampling::StrictAlignCorners, 1), [0.0]);
    }
}
