//! A box out of a tensor. x: anything movable of rank 1 or more (the narrow integers since iOS 17); y: the type of x. Since iOS 15.
//!
//! * `slice_by_index`: on each axis the elements `begin, begin + stride, ...` that lie before `end`, as in numpy's
//!   `x[begin:end:stride]`: negative `begin` and `end` count from the end of the axis, and both are cut to the axis. A true
//!   `begin_mask` or `end_mask` starts or ends at the axis's own border; a true `squeeze_mask` takes the one element
//!   at `begin` and removes the axis.
//! * `slice_by_size`: on each axis `size` elements from `begin` on; -1 takes all that are left. `begin` may be known at run
//!   time only, but then no size may be -1; a begin that is negative or leaves the axis is an error.

use locket_mil::{Target, Type};
use locket_tensor::{Shape, TensorMut};

use super::common::{
    checks::{self, INDICES, MOVABLE},
    copy::{self, Loop, Piece},
    index::{move_elements, strides},
    numbers::ints,
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// The operator `slice_by_index`.
pub static SLICE_BY_INDEX: SliceByIndex = SliceByIndex;

/// The operator `slice_by_size`.
pub static SLICE_BY_SIZE: SliceBySize = SliceBySize;

/// See the module.
#[derive(Debug)]
pub struct SliceByIndex;

/// See the module.
#[derive(Debug)]
pub struct SliceBySize;

/// The elements that are taken on one axis of x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    begin: usize,
    count: usize,
    step: isize,
    /// The axis is removed.
    squeezed: bool,
}

/// One axis of `slice_by_index`; `None` for a begin or end that is masked.
fn span(dim: usize, begin: Option<i64>, end: Option<i64>, step: i64) -> Option<Span> {
    let length = i64::try_from(dim).ok()?;
    // Forward the places are 0 to length, backward -1 to length - 1: one before the first element is a border too.
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |at: i64| {
        let counted = if at < 0 { at.saturating_add(length) } else { at };
        counted.clamp(low, high)
    };
    let first = begin.map_or(if step > 0 { low } else { high }, place);
    let last = end.map_or(if step > 0 { high } else { low }, place);
    let distance = if step > 0 { last - first } else { first - last };
    let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    Some(Span {
        // An empty span may begin outside; it then has no first element to find.
        begin: usize::try_from(first).unwrap_or(0).min(dim.saturating_sub(1)),
        count: usize::try_from(count).ok()?,
        step: isize::try_from(step).ok()?,
        squeezed: false,
    })
}

fn spans_by_index(node: &Node<'_>, shape: &[usize]) -> Result<Vec<Span>, OpError> {
    let rank = shape.len();
    let list = |param: &str, default: i64| {
        let values = node.ints(param)?.unwrap_or_else(|| vec![default; rank]);
        if values.len() == rank {
            return Ok(values);
        }
        Err(node.param_error(
            param,
            format_args!("expected {rank} values for {shape:?}, found {}", values.len()),
        ))
    };
    let (begin, end, step) = (list("begin", 0)?, list("end", 0)?, list("stride", 1)?);
    let (begin_mask, end_mask) = (list("begin_mask", 0)?, list("end_mask", 0)?);
    let squeeze = list("squeeze_mask", 0)?;
    (0..rank)
        .map(|axis| {
            let dim = shape[axis];
            if squeeze[axis] != 0 {
                let given = if begin_mask[axis] != 0 { 0 } else { begin[axis] };
                let counted = if given < 0 {
                    given.saturating_add_unsigned(dim as u64)
                } else {
                    given
                };
                let at = usize::try_from(counted).ok().filter(|&at| at < dim);
                return at
                    .map(|begin| Span {
                        begin,
                        count: 1,
                        step: 1,
                        squeezed: true,
                    })
                    .ok_or_else(|| {
                        node.param_error(
                            "begin",
                            format_args!("expected a position on axis {axis} of {shape:?}, found {given}"),
                        )
                    });
            }
            if step[axis] == 0 {
                return Err(node.param_error("stride", format_args!("is 0 on axis {axis}")));
            }
            let begin = (begin_mask[axis] == 0).then_some(begin[axis]);
            let end = (end_mask[axis] == 0).then_some(end[axis]);
            span(dim, begin, end, step[axis])
                .ok_or_else(|| node.param_error("stride", format_args!("is too large on axis {axis}")))
        })
        .collect()
}

fn cut(spans: &[Span]) -> Shape {
    let kept = spans.iter().filter(|span| !span.squeezed);
    kept.map(|span| span.count).collect()
}

fn take_spans(call: &Call<'_>, spans: &[Span], output: &mut TensorMut<'_>) -> Result<(), OpError> {
    let x = call.tensor("x")?;
    let steps = strides(x.shape);
    move_elements(x, output, |index| {
        let mut index = index.iter();
        let places = spans.iter().map(|span| {
            let at = if span.squeezed {
                0
            } else {
                index.next().copied().unwrap_or(0)
            };
            span.begin
                .wrapping_add_signed(span.step.wrapping_mul(at.cast_signed()))
        });
        Some(places.zip(&steps).map(|(place, step)| place * step).sum())
    });
    Ok(())
}

impl Operator for SliceByIndex {
    fn signature(&self) -> Signature {
        Signature {
            name: "slice_by_index",
            params: const {
                &[
                    Param::required("x"),
                    Param::constant("begin"),
                    Param::constant("end"),
                    Param::attribute("stride"),
                    Param::attribute("begin_mask"),
                    Param::attribute("end_mask"),
                    Param::attribute("squeeze_mask"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        checks::results(node, dtype, &cut(&spans_by_index(node, shape)?))
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        moved(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let spans = spans_by_index(&call.node, call.tensor("x")?.shape)?;
        take_spans(call, &spans, &mut outputs[0])
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        Ok(prepare_spans(prepare, &spans_by_index(&prepare.node, shape)?))
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, y: &str, args: &str| {
            sample(&format!("%x: {x}"), y, &format!("slice_by_index(x=%x, {args})"))
        };
        vec![
            of(
                "fp32[2, 3, 8, 9]",
                "fp32[2, 3, 4, 3]",
                "begin=[0, 0, 1, 2], end=[2, 3, 5, 9], stride=[1, 1, 1, 3]",
            ),
            of(
                "fp32[2, 3, 8, 9]",
                "fp32[2, 2, 8, 9]",
                "begin=[0, 1, 0, 0], end=[0, 0, 0, 0], begin_mask=[true, false, true, true], end_mask=[true, true, true, true]",
            ),
            of(
                "fp32[5, 6]",
                "fp32[3, 6]",
                "begin=[4, -1], end=[-5, 0], stride=[-2, -1], end_mask=[true, true]",
            ),
            of(
                "fp32[1, 7, 5]",
                "fp32[1, 5]",
                "begin=[0, 0, 0], end=[1, 1, 5], squeeze_mask=[false, true, false]",
            ),
            of("int32[4]", "int32[]", "begin=[-1], end=[0], squeeze_mask=[true]"),
            of("fp16[4, 3]", "fp16[2, 3]", "begin=[-3, 0], end=[-1, 100]"),
            of("bool[4]", "bool[2]", "begin=[1], end=[3]"),
            of(
                "fp32[1, 4, 6, 6]",
                "fp32[1, 4, 3, 3]",
                "begin=[0, 0, 1, 1], end=[1, 4, 6, 6], stride=[1, 1, 2, 2]",
            ),
        ]
    }
}

fn prepare_spans(prepare: &Prepare<'_>, spans: &[Span]) -> Option<Prepared> {
    let kept = spans.iter().enumerate().filter(|(_, span)| !span.squeezed);
    let loops = kept
        .enumerate()
        .map(|(to, (from, span))| Loop {
            from_step: span.step,
            ..Loop::along(span.count, to, from)
        })
        .collect();
    let mut pieces = Piece::whole(prepare, "x", loops);
    for piece in &mut pieces {
        piece.from = spans.iter().map(|span| span.begin).collect();
    }
    copy::prepare(prepare, pieces, None)
}

/// The sizes of `slice_by_size`, and the begins where they are known.
fn sizes(node: &Node<'_>, shape: &[usize]) -> Result<(Shape, Option<Vec<i64>>), OpError> {
    let rank = shape.len();
    let (_, begin_shape) = checks::tensor_of(node, "begin", INDICES)?;
    if begin_shape != [rank] {
        return Err(node.param_error(
            "begin",
            format_args!("expected {rank} values, found shape {begin_shape:?}"),
        ));
    }
    let begin = match node.tensor("begin") {
        Some(_) => node.ints("begin")?,
        None => None,
    };
    let size = node.ints("size")?.unwrap_or_default();
    if size.len() != rank {
        return Err(node.param_error(
            "size",
            format_args!("expected {rank} values, found {}", size.len()),
        ));
    }
    let dims = (0..rank).map(|axis| {
        let dim = shape[axis];
        let from = match &begin {
            Some(begin) => Some(first(node, axis, dim, begin[axis])?),
            None => None,
        };
        let count = match (size[axis], from) {
            (-1, Some(from)) => Some(dim - from),
            (-1, None) => None,
            (count, from) => usize::try_from(count)
                .ok()
                .filter(|&count| count <= dim - from.unwrap_or(0)),
        };
        count.ok_or_else(|| {
            let found = size[axis];
            node.param_error(
                "size",
                format_args!("expected a part of axis {axis} of {shape:?}, found {found}"),
            )
        })
    });
    Ok((dims.collect::<Result<_, _>>()?, begin))
}

fn first(node: &Node<'_>, axis: usize, dim: usize, begin: i64) -> Result<usize, OpError> {
    let at = usize::try_from(begin).ok().filter(|&at| at <= dim);
    at.ok_or_else(|| {
        node.param_error(
            "begin",
            format_args!("expected a position on axis {axis} of {dim}, found {begin}"),
        )
    })
}

fn spans_by_size(
    node: &Node<'_>,
    shape: &[usize],
    size: &[usize],
    begin: &[i64],
) -> Result<Vec<Span>, OpError> {
    (0..shape.len())
        .map(|axis| {
            let from = first(node, axis, shape[axis], begin[axis])?;
            if size[axis] > shape[axis] - from {
                return Err(node.param_error("begin", format_args!("leaves axis {axis} of {shape:?}")));
            }
            Ok(Span {
                begin: from,
                count: size[axis],
                step: 1,
                squeezed: false,
            })
        })
        .collect()
}

impl Operator for SliceBySize {
    fn signature(&self) -> Signature {
        Signature {
            name: "slice_by_size",
            params: const {
                &[
                    Param::required("x"),
                    Param::required("begin"),
                    Param::constant("size"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        checks::results(node, dtype, &sizes(node, shape)?.0)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        moved(node)
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let shape = call.tensor("x")?.shape;
        let begin = ints(call.tensor("begin")?);
        let spans = spans_by_size(&call.node, shape, outputs[0].shape, &begin)?;
        take_spans(call, &spans, &mut outputs[0])
    }

    fn layout_rule(&self, node: &Node<'_>) -> LayoutRule {
        match node.tensor("begin") {
            Some(_) => LayoutRule::Any,
            None => LayoutRule::RowMajor,
        }
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (_, shape) = prepare.node.ty("x")?;
        match sizes(&prepare.node, shape)? {
            (size, Some(begin)) => {
                let spans = spans_by_size(&prepare.node, shape, &size, &begin)?;
                Ok(prepare_spans(prepare, &spans))
            }
            (_, None) => Ok(None),
        }
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, y: &str, args: &str| {
            sample(&format!("%x: {x}"), y, &format!("slice_by_size(x=%x, {args})"))
        };
        vec![
            of(
                "fp32[2, 6, 4, 5]",
                "fp32[2, 2, 4, 3]",
                "begin=[0, 1, 0, 2], size=[2, 2, -1, -1]",
            ),
            of("int32[5]", "int32[2]", "begin=[3], size=[-1]"),
            of("fp32[5, 4], %b: int32[2]", "fp32[3, 2]", "begin=%b, size=[3, 2]"),
        ]
    }
}

/// Reads and writes each element of the result once; no arithmetic.
fn moved(node: &Node<'_>) -> Cost {
    let bytes = node
        .operation
        .outputs
        .first()
        .map_or(0, |&id| node.function.ty(id).bytes());
    Cost {
        macs: 0,
        bytes: 2 * bytes as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    // Every begin, end and step of Python's slices over an axis of 5, against a plain walk.
    #[test]
    fn spans_are_python_slices() {
        for begin in (-7..8).map(Some).chain([None]) {
            for end in (-7..8).map(Some).chain([None]) {
                for step in [-3, -2, -1, 1, 2, 3] {
                    let wrap = |at: i64| if at < 0 { at + 5 } else { at };
                    let mut at = match begin {
                        Some(at) if step > 0 => wrap(at).max(0),
                        Some(at) => wrap(at).min(4),
                        None => {
                            if step > 0 {
                                0
                            } else {
                                4
                            }
                        }
                    };
                    let mut expected = Vec::new();
                    while (0..5).contains(&at)
                        && end.is_none_or(|end| if step > 0 { at < wrap(end) } else { at > wrap(end) })
                    {
                        expected.push(at);
                        at += step;
                    }
                    let span = span(5, begin, end, step).unwrap();
                    let found: Vec<i64> = (0..span.count)
                        .map(|i| span.begin as i64 + i as i64 * span.step as i64)
                        .collect();
                    assert_eq!(found, expected, "{begin:?}:{end:?}:{step}");
                }
            }
        }
    }
}
