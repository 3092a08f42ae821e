//! `pad`: x with a border. `pad` holds, for the last axes of x, how many elements come before and after. x: fp16, fp32,
//! int32 and the other movable types (MIL itself has fp16 and fp32 only); y: the type of x. Since iOS 15. By `mode`:
//!
//! * `constant`, the default: the border is `constant_val`, by default 0
//! * `reflect`: the elements next to the border, mirrored at the outermost one, which is not repeated; fewer than the axis has
//! * `replicate`: the outermost element

use locket_mil::{Target, Type};
use locket_tensor::{Shape, TensorMut};

use super::common::{
    checks::{self, MOVABLE},
    copy::{self, Loop, Piece},
    index::{move_elements, position, strides},
    numbers::{put_floats, put_ints, store_floats},
    sample,
};
use crate::{
    Availability, Call, Cost, LayoutRule, Node, OpError, Operator, Param, Prepare, Prepared, Signature,
};

/// The operator `pad`.
pub static PAD: Pad = Pad;

/// See the module.
#[derive(Debug)]
pub struct Pad;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Replicate,
}

/// Elements before and after x, for each axis of x, and what they are.
fn borders(node: &Node<'_>, shape: &[usize]) -> Result<(Mode, Vec<[usize; 2]>), OpError> {
    let mode = match node.text("mode", "constant")? {
        "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "replicate" => Mode::Replicate,
        other => {
            return Err(node.param_error(
                "mode",
                format_args!("expected constant, reflect or replicate, found {other:?}"),
            ));
        }
    };
    let pad = node.sizes("pad", &[])?;
    let (pairs, rest) = pad.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > shape.len() {
        return Err(node.param_error(
            "pad",
            format_args!("expected two numbers for each of the last axes of {shape:?}, found {pad:?}"),
        ));
    }
    let untouched = shape.len() - pairs.len();
    let borders: Vec<[usize; 2]> = std::iter::repeat_n([0, 0], untouched)
        .chain(pairs.iter().copied())
        .collect();
    for (border, &dim) in borders.iter().zip(shape) {
        let most = match mode {
            Mode::Constant => usize::MAX,
            Mode::Reflect => dim.saturating_sub(1),
            Mode::Replicate if dim == 0 => 0,
            Mode::Replicate => usize::MAX,
        };
        if border.iter().any(|&count| count > most) {
            return Err(node.param_error(
                "pad",
                format_args!("expected at most {most} beside a dimension of {dim}, found {border:?}"),
            ));
        }
    }
    Ok((mode, borders))
}

impl Operator for Pad {
    fn signature(&self) -> Signature {
        Signature {
            name: "pad",
            params: const {
                &[
                    Param::required("x"),
                    Param::constant("pad"),
                    Param::attribute("mode"),
                    Param::attribute("constant_val"),
                ]
            },
            available: Availability::From(Target::Ios15),
        }
    }

    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError> {
        let (dtype, shape) = checks::tensor_of(node, "x", MOVABLE)?;
        let (_, borders) = borders(node, shape)?;
        node.float("constant_val", 0.0)?;
        let padded: Shape = shape
            .iter()
            .zip(borders)
            .map(|(dim, [before, after])| dim.saturating_add(before).saturating_add(after))
            .collect();
        checks::results(node, dtype, &padded)
    }

    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: 0,
            bytes: node.traffic_bytes(),
        }
    }

    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError> {
        let x = call.tensor("x")?;
        let (mode, borders) = borders(&call.node, x.shape)?;
        let output = &mut outputs[0];
        let value = call.node.float("constant_val", 0.0)?;
        let count = output.elems();
        if output.dtype.is_float() {
            put_floats(output, std::iter::repeat_n(f64::from(value), count));
        } else {
            put_ints(output, std::iter::repeat_n(value as i64, count));
        }
        let steps = strides(x.shape);
        let mut place = vec![0; x.shape.len()];
        move_elements(x, output, |index| {
            for (axis, &at) in index.iter().enumerate() {
                let (dim, [before, _]) = (x.shape[axis], borders[axis]);
                place[axis] = match (at.checked_sub(before).filter(|&at| at < dim), mode) {
                    (Some(at), _) => at,
                    (None, Mode::Constant) => return None,
                    (None, Mode::Replicate) => {
                        if at < before {
                            0
                        } else {
                            dim - 1
                        }
                    }
                    (None, Mode::Reflect) => {
                        if at < before {
                            before - at
                        } else {
                            2 * (dim - 1) - (at - before)
                        }
                    }
                };
            }
            Some(position(&place, &steps))
        });
        Ok(())
    }

    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::Any
    }

    fn prepare(&self, prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        let (dtype, shape) = prepare.node.ty("x")?;
        let (mode, borders) = borders(&prepare.node, shape)?;
        let value = prepare.node.float("constant_val", 0.0)?;
        let mut fill = [0; 8];
        let fill = &mut fill[..dtype.bits() / 8];
        store_floats(dtype, &[f64::from(value)], fill);
        let mut pieces = Piece::whole(prepare, "x", Vec::new());
        for (axis, (&dim, &border)) in shape.iter().zip(&borders).enumerate() {
            let stretches = stretches(mode, dim, border);
            let longer = pieces.iter().flat_map(|piece| {
                stretches.iter().map(move |stretch| {
                    let mut piece = piece.clone();
                    piece.from.push(stretch.from);
                    piece.to.push(stretch.to);
                    piece.loops.push(Loop {
                        from_step: stretch.step,
                        ..Loop::along(stretch.count, axis, axis)
                    });
                    piece
                })
            });
            pieces = longer.collect();
        }
        let fill = (mode == Mode::Constant).then_some(&*fill);
        Ok(copy::prepare(prepare, pieces, fill))
    }

    fn samples(&self) -> Vec<String> {
        let of = |x: &str, y: &str, args: &str| sample(&format!("%x: {x}"), y, &format!("pad(x=%x, {args})"));
        vec![
            of("fp32[2, 3, 4, 5]", "fp32[2, 3, 6, 8]", "pad=[1, 1, 0, 3]"),
            of(
                "fp32[2, 3, 4, 5]",
                "fp32[2, 6, 4, 5]",
                "pad=[0, 0, 1, 2, 0, 0, 0, 0], constant_val=-2.5",
            ),
            of(
                "fp32[1, 2, 4, 5]",
                "fp32[1, 2, 8, 7]",
                "pad=[3, 1, 2, 0], mode=\"reflect\"",
            ),
            of(
                "fp32[1, 2, 4, 5]",
                "fp32[1, 2, 7, 7]",
                "pad=[1, 2, 2, 0], mode=\"replicate\"",
            ),
            of("fp32[2, 3]", "fp32[2, 3]", "pad=[0, 0]"),
            of("fp16[4]", "fp16[7]", "pad=[1, 2], constant_val=1.0"),
            of(
                "uint8[1, 3, 2, 2]",
                "uint8[1, 3, 4, 4]",
                "pad=[1, 1, 1, 1], constant_val=128.0",
            ),
        ]
    }
}

/// A run along an axis of the result that comes from x.
struct Stretch {
    to: usize,
    from: usize,
    count: usize,
    step: isize,
}

/// What an axis of the result consists of: x itself, and the borders that come from x too.
fn stretches(mode: Mode, dim: usize, [before, after]: [usize; 2]) -> Vec<Stretch> {
    let inside = Stretch {
        to: before,
        from: 0,
        count: dim,
        step: 1,
    };
    let (near, far, step) = match mode {
        Mode::Constant => return vec![inside],
        // The first border starts at the element that lies as far inside.
        Mode::Reflect => (before, dim.saturating_sub(2), -1),
        Mode::Replicate => (0, dim.saturating_sub(1), 0),
    };
    let first = Stretch {
        to: 0,
        from: near,
        count: before,
        step,
    };
    let last = Stretch {
        to: before + dim,
        from: far,
        count: after,
        step,
    };
    let all = [first, inside, last].into_iter();
    all.filter(|stretch| stretch.count > 0).collect()
}
