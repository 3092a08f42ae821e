//! The same elements in the same row-major order under another shape. x: anything movable (the narrow integers since
//! iOS 17); y: the type of x. All since iOS 15.
//!
//! * `reshape`: to `shape`, where one -1 takes what is left, and 0 keeps the dimension of x at that axis (only if x has
//!   as many axes as `shape`)
//! * `expand_dims`: a dimension of 1 at each of `axes`, counted in the result
//! * `squeeze`: without the dimensions at `axes`, which are 1; without `axes`, without all that are 1
//! * `flatten2d`: to two dimensions, the product before `axis` (by default 1) and the product from it on
//! * `identity`: as it is

use std::{fmt, ops::Range};

use locket_mil::{Target, Type};
use locket_tensor::{Shape, TensorMut, element_count};

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::strides,
    order::same_order,
    sample,
};
use crate::{
    Availability, Call, Cost, Layout, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared,
    Signature, Step,
};

/// An operator that changes only the shape.
pub struct View {
    name: &'static str,
    params: &'static [Param],
    /// The result's shape, from that of x.
    shape: fn(&Node<'_>, &[usize]) -> Result<Shape, OpError>,
    samples: &'static [(&'static str, &'static str, &'static str)],
}

/// The operator `reshape`.
pub static RESHAPE: View = View {
    name: "reshape",
    params: const { &[Param::required("x"), Param::constant("shape")] },
    shape: reshape,
    samples: &[
        ("[2, 3, 4, 5]", "[2, 60]", ", shape=[2, -1]"),
        ("[2, 3, 4, 5]", "[2, 12, 5]", ", shape=[2, 12, 5]"),
        ("[2, 3, 4]", "[2, 4, 3]", ", shape=[0, 4, -1]"),
        ("[1, 6, 1, 1]", "[1, 6]", ", shape=[1, 6]"),
        ("[1, 6, 4, 5]", "[1, 6, 20]", ", shape=[1, 6, 20]"),
        ("[]", "[1, 1]", ", shape=[1, 1]"),
    ],
};

/// The operator `expand_dims`.
pub static EXPAND_DIMS: View = View {
    name: "expand_dims",
    params: const { &[Param::required("x"), Param::constant("axes")] },
    shape: expand_dims,
    samples: &[
        ("[2, 3]", "[2, 3, 1, 1]", ", axes=[-1, -2]"),
        ("[4, 3]", "[1, 4, 3]", ", axes=[0]"),
        ("[2, 3, 4]", "[2, 3, 1, 4]", ", axes=[2]"),
        ("[]", "[1]", ", axes=[0]"),
    ],
};

/// The operator `squeeze`.
pub static SQUEEZE: View = View {
    name: "squeeze",
    params: const { &[Param::required("x"), Param::attribute("axes")] },
    shape: squeeze,
    samples: &[
        ("[2, 3, 1, 1]", "[2, 3]", ", axes=[-1, -2]"),
        ("[1, 3, 1, 4]", "[3, 4]", ""),
        ("[2, 3, 1, 4]", "[2, 3, 4]", ", axes=[2]"),
    ],
};

/// The operator `flatten2d`.
pub static FLATTEN2D: View = View {
    name: "flatten2d",
    params: const { &[Param::required("x"), Param::attribute("axis")] },
    shape: flatten2d,
    samples: &[
        ("[2, 3, 4, 5]", "[2, 60]", ""),
        ("[2, 3, 2]", "[6, 2]", ", axis=-1"),
        ("[3]", "[3, 1]", ", axis=1"),
        ("[3]", "[1, 3]", ", axis=-1"),
    ],
};

/// The operator `identity`.
pub static IDENTITY: View = View {
    name: "identity",
    params: const { &[Param::required("x")] },
    shape: |_, shape| Ok(shape.into()),
    samples: &[("[2, 3, 4, 5]", "[2, 3, 4, 5]", ""), ("[]", "[]", "")],
};

fn reshape(node: &Node<'_>, from: &[usize]) -> Result<Shape, OpError> {
    let wanted = node.ints("shape")?.unwrap_or_default();
    let mut shape = Shape::new();
    let mut left = None;
    for (axis, &dim) in wanted.iter().enumerate() {
        shape.push(match dim {
            -1 if left.is_none() => {
                left = Some(axis);
                1
            }
            0 if wanted.len() == from.len() => from[axis],
            _ => usize::try_from(dim).map_err(|_| {
                node.param_error(
                    "shape",
                    format_args!("expected sizes and at most one -1, found {wanted:?}"),
                )
            })?,
        });
    }
    let have = element_count(from);
    if let (Some(axis), Some(have), Some(known @ 1..)) = (left, have, element_count(&shape)) {
        shape[axis] = have / known;
    }
    if have.is_none() || element_count(&shape) != have {
        return Err(node.param_error(
            "shape",
            format_args!("expected as many elements as {from:?} has, found {wanted:?}"),
        ));
    }
    Ok(shape)
}

fn expand_dims(node: &Node<'_>, from: &[usize]) -> Result<Shape, OpError> {
    let count = node.ints("axes")?.unwrap_or_default().len();
    let mut axes = node.axes("axes", from.len() + count)?;
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(node.param_error("axes", format_args!("names an axis twice: {axes:?}")));
    }
    let mut shape = Shape::from(from);
    for axis in axes {
        shape.insert(axis, 1);
    }
    Ok(shape)
}

fn squeeze(node: &Node<'_>, from: &[usize]) -> Result<Shape, OpError> {
    let axes = match node.has("axes") {
        true => node.axes("axes", from.len())?,
        false => (0..from.len()).filter(|&axis| from[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| from[axis] != 1) {
        return Err(node.param_error(
            "axes",
            format_args!("expected a dimension of 1 at axis {axis}, found {from:?}"),
        ));
    }
    let kept = from.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(kept.map(|(_, &dim)| dim).collect())
}

fn flatten2d(node: &Node<'_>, from: &[usize]) -> Result<Shape, OpError> {
    let axis = node.int("axis", 1)?;
    // A border between axes, so the rank itself is one too.
    let border = if axis < 0 { axis + from.len() as i64 } else { axis };
    let border = usize::try_from(border)
        .ok()
        .filter(|&border| border <= from.len())
        .ok_or_else(|| {
            node.param_error(
                "axis",
                format_args!("expected a border between axes of {from:?}, found {axis}"),
            )
        })?;
    let (before, after) = from.split_at(border);
    Ok([before, after]
        .map(|dims| dims.iter().product::<usize>())
        .into_iter()
        .collect())
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").field(&self.name).finish()
    }
}

impl Operator for View {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            params: self.params,
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, from) = checks::tensor_of(node, "x", MOVABLE)?;
        checks::results(node, dtype, &(self.shape)(node, from)?)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        outputs[0].bytes.copy_from_slice(call.tensor("x")?.bytes);
        Ok(())
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        let shapes = node
            .ty("x")
            .and_then(|(_, from)| Ok((from, node.output_ty(0)?.1)));
        match shapes {
            Ok((from, to)) if same_axes(from, to).is_some() => LayoutRule::Any,
            _ => LayoutRule::RowMajor,
        }
    }

    fn alias(&self, node: &Node<'_>, input: Layout) -> Option<Layout> {
        let (_, from) = node.ty("x").ok()?;
        let (_, to) = node.output_ty(0).ok()?;
        let axes =
            |shape: &[usize]| -> Vec<(usize, usize)> { shape.iter().copied().zip(strides(shape)).collect() };
        same_order(&axes(from), input, &axes(to))
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, from) = prepare.node.ty("x")?;
        let (_, to) = prepare.node.output_ty(prepare.output)?;
        if let Some(axes) = same_axes(from, to) {
            let loops = axes
                .into_iter()
                .map(|[to, at]| Loop::along(from[at], to, at))
                .collect();
            return Ok(copy::prepare(prepare, Piece::whole(prepare, "x", loops), None));
        }
        if prepare.node.dynamic_inputs(&[]).is_empty() {
            return Ok(None);
        }
        let width = dtype.bits() / 8;
        let elems = to.iter().product();
        Ok(Some(Prepared::new(BytesStep { width }, elems, width).grain(64)))
    }

    fn samples(&self) -> Vec<String> {
        let name = self.name;
        let of = |dtype: &str, (x, y, args): &(&str, &str, &str)| {
            sample(
                &format!("%x: {dtype}{x}"),
                &format!("{dtype}{y}"),
                &format!("{name}(x=%x{args})"),
            )
        };
        let floats = self.samples.iter().map(|case| of("fp32", case));
        let others = ["fp16", "int32", "bool", "uint8", "int16"].map(|dtype| of(dtype, &self.samples[0]));
        floats.chain(others).collect()
    }
}

/// Which axis of the result is which of x, if only dimensions of 1 differ.
fn same_axes(from: &[usize], to: &[usize]) -> Option<Vec<[usize; 2]>> {
    let long = |shape: &[usize]| -> Vec<(usize, usize)> {
        shape
            .iter()
            .copied()
            .enumerate()
            .filter(|&(_, dim)| dim != 1)
            .collect()
    };
    let (from, to) = (long(from), long(to));
    let same = from.len() == to.len() && from.iter().zip(&to).all(|(a, b)| a.1 == b.1);
    same.then(|| to.iter().zip(&from).map(|(to, from)| [to.0, from.0]).collect())
}

/// Copies bytes as they are: both sides row-major.
#[derive(Debug)]
struct BytesStep {
    width: usize,
}

impl Step for BytesStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        output.copy_from_slice(&inputs[0][units.start * self.width..units.end * self.width]);
    }

    fn kernel(&self) -> &str {
        "copy"
    }
}
