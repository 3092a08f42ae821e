//! Operations that can be computed before a transpose instead of after it.

use locket_mil::{Arg, Function, Operation, Type, ValueId};
use locket_tensor::Tensor;

use super::{Sweep, moves_nothing};
use crate::pattern::{BINARY, UNARY, flag, ints, resolved_axes};

/// An operation on operands without transposes.
pub(super) struct Sunk {
    pub(super) operation: Operation,
    /// The permutation that its result needs to be the original's.
    pub(super) perm: Vec<usize>,
    /// Names of the transposes that the permutation is made of.
    pub(super) origin: Vec<String>,
}

/// The type of a value whose transposed form has type `ty`.
pub(super) fn before(ty: &Type, perm: &[usize]) -> Type {
    let Type::Tensor { dtype, shape } = ty else {
        return ty.clone();
    };
    let mut moved = vec![0usize; shape.len()];
    for (&axis, &dim) in perm.iter().zip(shape) {
        moved[axis] = dim;
    }
    Type::tensor(*dtype, &moved)
}

impl Sweep<'_> {
    /// The operation before the transposes of its operands; `None` if there are none, or if it cannot be.
    pub(super) fn sink(&mut self, operation: &Operation) -> Option<Sunk> {
        if operation.outputs.is_empty() {
            return None;
        }
        let kind: &str = &operation.kind;
        if kind == "concat" {
            return self.concat(operation);
        }
        if BINARY.contains(&kind) {
            return self.binary(operation);
        }
        let main = if matches!(kind, "quantize" | "dequantize") {
            "input"
        } else {
            "x"
        };
        let seen = self.behind(operation.input(main)?)?.clone();
        let mut sunk = Sunk {
            operation: operation.clone(),
            perm: seen.perm.clone(),
            origin: seen.origin,
        };
        sunk.operation.set_input(main, seen.source);
        let (function, inner) = (&mut *self.function, &mut sunk.operation);
        match kind {
            "quantize" | "dequantize" if operation.input("axis").is_none() => {}
            "quantize" | "dequantize" | "softmax" | "split" => map_axis(function, inner, &seen.perm)?,
            "pad" => map_pad(function, inner, &seen.perm)?,
            "slice_by_index" => map_slice(function, inner, &seen.perm)?,
            "tile" => map_lists(function, inner, &["reps"], &seen.perm)?,
            "reduce_argmax" | "reduce_argmin" => {
                sunk.perm = reduce_to_position(function, inner, &seen.perm)?;
            }
            "squeeze" => sunk.perm = drop_axes(function, inner, &seen.perm)?,
            "reshape" => {
                let shape = function.ty(seen.source).shape()?;
                moves_nothing(&seen.perm, shape).then_some(())?;
                sunk.perm = (0..function.ty(operation.outputs[0]).shape()?.len()).collect();
            }
            _ if kind.starts_with("reduce_") => {
                sunk.perm = reduce(function, inner, &seen.perm)?;
            }
            _ if UNARY.contains(&kind) => {}
            _ => return None,
        }
        Some(sunk)
    }

    /// All operands seen through one permutation.
    fn concat(&mut self, operation: &Operation) -> Option<Sunk> {
        let Arg::Many(values) = operation.arg("values")? else {
            return None;
        };
        let first = self.behind(*values.first()?)?.clone();
        let sources: Vec<ValueId> = values
            .iter()
            .map(|&id| {
                self.behind(id)
                    .filter(|seen| seen.perm == first.perm)
                    .map(|seen| seen.source)
            })
            .collect::<Option<_>>()?;
        let mut inner = operation.clone();
        inner.set_input("values", sources);
        map_axis(self.function, &mut inner, &first.perm)?;
        Some(Sunk {
            operation: inner,
            perm: first.perm,
            origin: first.origin,
        })
    }

    /// Both operands seen through one permutation, or one of them, and the other a constant or a single number.
    fn binary(&mut self, operation: &Operation) -> Option<Sunk> {
        let (x, y) = (operation.input("x")?, operation.input("y")?);
        let mut inner = operation.clone();
        let seen = match (self.behind(x).cloned(), self.behind(y).cloned()) {
            (Some(a), Some(b)) if a.perm == b.perm => {
                inner.set_input("y", b.source);
                inner.set_input("x", a.source);
                a
            }
            (Some(a), None) => {
                let other = self.untransposed(y, &a.perm)?;
                inner.set_input("x", a.source);
                inner.set_input("y", other);
                a
            }
            (None, Some(b)) => {
                let other = self.untransposed(x, &b.perm)?;
                inner.set_input("x", other);
                inner.set_input("y", b.source);
                b
            }
            _ => return None,
        };
        Some(Sunk {
            operation: inner,
            perm: seen.perm,
            origin: seen.origin,
        })
    }

    /// A value that broadcasts against the operand before the transpose as `id` does after it.
    fn untransposed(&mut self, id: ValueId, perm: &[usize]) -> Option<ValueId> {
        let shape = self.function.ty(id).shape()?;
        let missing = perm.len().checked_sub(shape.len())?;
        if shape.iter().all(|&dim| dim == 1) {
            return Some(self.written(id));
        }
        let tensor = self.function.const_tensor(id)?;
        let mut full = vec![1; missing];
        full.extend_from_slice(tensor.shape());
        let moved = untransposed_tensor(tensor, &full, perm)?;
        let name = self.function.value(id).name.clone();
        Some(self.function.add_constant(&name, moved))
    }
}

/// A constant with its axes (`full`, leading ones included) moved back: position `perm[i]` becomes what position `i` was.
fn untransposed_tensor(tensor: &Tensor, full: &[usize], perm: &[usize]) -> Option<Tensor> {
    if tensor.dtype().is_packed() {
        return None;
    }
    let mut shape = vec![0usize; perm.len()];
    let mut strides = vec![0usize; perm.len()];
    let mut stride = 1;
    for at in (0..perm.len()).rev() {
        shape[perm[at]] = full[at];
        strides[perm[at]] = stride;
        stride *= full[at];
    }
    let width = tensor.dtype().bits() / 8;
    let mut bytes = Vec::with_capacity(tensor.bytes().len());
    for index in 0..tensor.elems() {
        let (mut rest, mut source) = (index, 0);
        for axis in (0..shape.len()).rev() {
            source += rest % shape[axis] * strides[axis];
            rest /= shape[axis];
        }
        bytes.extend_from_slice(&tensor.bytes()[source * width..(source + 1) * width]);
    }
    Tensor::from_bytes(tensor.dtype(), &shape, &bytes).ok()
}

/// The axis of an operation; without one, it is the last.
fn axis_of(function: &Function, operation: &Operation, rank: usize) -> Option<usize> {
    match operation.input("axis") {
        None => rank.checked_sub(1),
        Some(_) => resolved_axes(function, operation, "axis", rank)?.first().copied(),
    }
}

/// Changes `axis` to that of the operand before its transpose.
fn map_axis(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<()> {
    let axis = axis_of(function, inner, perm.len())?;
    let id = function.add_constant("axis", i32::try_from(perm[axis]).ok()?);
    inner.set_input("axis", id);
    Some(())
}

/// As [`reduce`] for the operators that reduce one axis.
fn reduce_to_position(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<Vec<usize>> {
    let gone = axis_of(function, inner, perm.len())?;
    map_axis(function, inner, perm)?;
    Some(if flag(function, inner, "keep_dims") {
        perm.to_vec()
    } else {
        without(perm, &[gone])
    })
}

/// The permutation of the axes that are left if `axes` vanish.
fn without(perm: &[usize], axes: &[usize]) -> Vec<usize> {
    let left = |axis: usize| axes.iter().filter(|&&gone| perm[gone] < axis).count();
    let kept = (0..perm.len()).filter(|axis| !axes.contains(axis));
    kept.map(|axis| perm[axis] - left(perm[axis])).collect()
}

/// Changes `axes` to those of the operand before its transpose. Returns the permutation of the axes that are left if
/// these vanish.
fn drop_axes(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<Vec<usize>> {
    let axes = resolved_axes(function, inner, "axes", perm.len())?;
    let mut moved: Vec<usize> = axes.iter().map(|&axis| perm[axis]).collect();
    moved.sort_unstable();
    let id = function.add_constant("axes", ints(&moved));
    inner.set_input("axes", id);
    Some(without(perm, &axes))
}

fn reduce(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<Vec<usize>> {
    let left = drop_axes(function, inner, perm)?;
    Some(if flag(function, inner, "keep_dims") {
        perm.to_vec()
    } else {
        left
    })
}

fn map_pad(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<()> {
    // The other modes are defined for the last axes only.
    let mode = inner.input("mode").and_then(|id| function.literal(id));
    mode.is_none_or(|mode| *mode == "constant".into()).then_some(())?;
    let pads = function.const_tensor(inner.input("pad")?)?.to_i64()?;
    let rank = perm.len();
    let mut full = vec![0; (2 * rank).checked_sub(pads.len())?];
    full.extend(pads);
    let mut moved = vec![0i32; 2 * rank];
    for (at, &axis) in perm.iter().enumerate() {
        for side in 0..2 {
            moved[2 * axis + side] = i32::try_from(full[2 * at + side]).ok()?;
        }
    }
    // Leading axes that are not padded are left out, as MIL's own converters do.
    let leading = moved.chunks(2).take_while(|pair| *pair == [0, 0]).count();
    let moved = &moved[2 * leading.min(rank.saturating_sub(1))..];
    let id = function.add_constant("pad", moved);
    inner.set_input("pad", id);
    Some(())
}

fn map_slice(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<()> {
    let set = |param: &str, value: i64| {
        let tensor = inner.input(param).and_then(|id| function.const_tensor(id));
        tensor
            .and_then(Tensor::to_i64)
            .is_some_and(|values| values.contains(&value))
    };
    (!set("squeeze_mask", 1)).then_some(())?;
    map_lists(
        function,
        inner,
        &["begin", "end", "stride", "begin_mask", "end_mask"],
        perm,
    )
}

/// Reorders parameters that hold something for each axis.
fn map_lists(function: &mut Function, inner: &mut Operation, params: &[&str], perm: &[usize]) -> Option<()> {
    for param in params {
        let Some(id) = inner.input(param) else { continue };
        let tensor = function.const_tensor(id)?;
        (tensor.shape() == [perm.len()] && !tensor.dtype().is_packed()).then_some(())?;
        let codes = tensor.bytes();
        let width = tensor.dtype().bits() / 8;
        let mut bytes = vec![0u8; codes.len()];
        for (at, &axis) in perm.iter().enumerate() {
            bytes[axis * width..(axis + 1) * width].copy_from_slice(&codes[at * width..(at + 1) * width]);
        }
        let moved = Tensor::from_bytes(tensor.dtype(), tensor.shape(), &bytes).ok()?;
        let id = function.add_constant(param, moved);
        inner.set_input(param, id);
    }
    Some(())
}
