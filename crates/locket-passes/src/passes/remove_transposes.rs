//! Removes transposes: readers of channels-last formats put one before and after each operation, and nearly all cancel.
//!
//! Two rules, until neither applies: two transposes in a row become one, or none if together they move nothing; and a
//! transpose sinks through an operation that does not care (elementwise, pad, concat, reductions that keep dimensions, softmax, per-tensor
//! quantisation), with the operation's axes and constants changed to match. A sinking transpose moves towards the results, so this ends.

use locket_mil::{Arg, Function, Operation, Patch, Type, ValueId};
use locket_tensor::{DType, Tensor};

use crate::{
    PassReport,
    pattern::{Links, origins},
};

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    // Each round removes a transpose or moves one past an operation, so the product bounds the rounds.
    let limit = function.operations.len() * 64 + 64;
    for _ in 0..limit {
        if !merge_one(function) && !sink_one(function) {
            break;
        }
        report.changes += 1;
    }
    report
}

fn permutation(function: &Function, operation: &Operation) -> Option<Vec<usize>> {
    if operation.kind != "transpose" {
        return None;
    }
    let axes = function.const_tensor(operation.input("perm")?)?.to_i64()?;
    let rank = axes.len() as i64;
    axes.into_iter()
        .map(|axis| usize::try_from(if axis < 0 { axis + rank } else { axis }).ok())
        .collect()
}

fn is_identity(permutation: &[usize]) -> bool {
    permutation.iter().enumerate().all(|(at, &axis)| at == axis)
}

/// Merges a transpose with the transpose that makes its operand, or removes one that moves nothing.
fn merge_one(function: &mut Function) -> bool {
    let links = Links::of(function);
    for index in 0..function.operations.len() {
        let operation = function.operations[index].clone();
        let Some(outer) = permutation(function, &operation) else {
            continue;
        };
        let Some(x) = operation.input("x") else { continue };
        let mut patch = Patch::new("merge transposes");
        if is_identity(&outer) {
            remove(&mut patch, index, &operation, x);
        } else {
            let Some(at) = links.producer(x) else { continue };
            let inner_operation = function.operations[at].clone();
            let Some(inner) = permutation(function, &inner_operation) else {
                continue;
            };
            let Some(source) = inner_operation.input("x") else {
                continue;
            };
            let both: Vec<usize> = outer.iter().map(|&axis| inner[axis]).collect();
            if is_identity(&both) {
                remove(&mut patch, index, &operation, source);
            } else {
                let mut merged = transpose(function, source, &both, operation.outputs[0]);
                merged.origin = origins(&[&inner_operation, &operation]);
                patch.replace(index, merged);
            }
        }
        patch.apply(function);
        super::remove_dead_code::run(function);
        return true;
    }
    false
}

fn remove(patch: &mut Patch, index: usize, operation: &Operation, value: ValueId) {
    patch.remove(index);
    patch.redirect(operation.outputs[0], value);
}

fn transpose(function: &mut Function, x: ValueId, permutation: &[usize], result: ValueId) -> Operation {
    let axes: Vec<i32> = permutation.iter().map(|&axis| axis as i32).collect();
    let perm = function.add_constant("perm", axes.as_slice());
    Operation {
        kind: "transpose".into(),
        inputs: vec![("x".into(), x.into()), ("perm".into(), perm.into())],
        outputs: vec![result],
        origin: Vec::new(),
    }
}

/// Elementwise operations of one tensor; their other parameters are numbers.
const UNARY: &[&str] = &[
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "clamped_relu",
    "sigmoid",
    "sigmoid_hard",
    "silu",
    "softplus",
    "softsign",
    "tanh",
    "gelu",
    "erf",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "inverse",
    "abs",
    "ceil",
    "floor",
    "round",
    "sign",
    "square",
    "clip",
    "cast",
    "identity",
    "thresholded_relu",
    "linear_activation",
    "scaled_tanh",
    "logical_not",
];

/// Elementwise operations of two tensors.
const BINARY: &[&str] = &["add", "sub", "mul", "real_div", "maximum", "minimum", "pow"];

/// Moves one transpose past the operation that reads it.
fn sink_one(function: &mut Function) -> bool {
    for index in 0..function.operations.len() {
        let operation = function.operations[index].clone();
        let Some(moved) = sunk(function, &operation) else {
            continue;
        };
        let mut patch = Patch::new("sink transpose");
        patch.remove(index);
        for new in moved {
            patch.insert_before(index, new);
        }
        patch.apply(function);
        super::remove_dead_code::run(function);
        return true;
    }
    false
}

/// The operation on operands without transposes, and the transpose of its result; `None` if that cannot be.
fn sunk(function: &mut Function, operation: &Operation) -> Option<[Operation; 2]> {
    let main = match &*operation.kind {
        "quantize" | "dequantize" => "input",
        _ => "x",
    };
    let mut inner = operation.clone();
    let kind: &str = &operation.kind;
    let perm = if kind == "concat" {
        let Arg::Many(values) = operation.arg("values")? else {
            return None;
        };
        let perms: Vec<(ValueId, Vec<usize>)> = values
            .iter()
            .map(|&id| behind(function, id))
            .collect::<Option<_>>()?;
        let perm = perms.first()?.1.clone();
        perms.iter().all(|(_, other)| *other == perm).then_some(())?;
        inner.set_input("values", perms.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
        map_axis(function, &mut inner, "axis", &perm)?;
        perm
    } else if BINARY.contains(&kind) {
        binary(function, &mut inner)?
    } else {
        let (source, perm) = behind(function, operation.input(main)?)?;
        inner.set_input(main, source);
        match kind {
            "quantize" | "dequantize" => per_tensor(function, operation).then_some(())?,
            "softmax" => map_axis(function, &mut inner, "axis", &perm)?,
            "pad" => map_pad(function, &mut inner, &perm)?,
            _ if kind.starts_with("reduce_") => map_reduction(function, &mut inner, &perm)?,
            _ if UNARY.contains(&kind) => {}
            _ => return None,
        }
        perm
    };
    let result = operation.outputs[0];
    let Type::Tensor { dtype, shape } = function.ty(result).clone() else {
        return None;
    };
    let mut before = vec![0usize; shape.len()];
    for (at, &axis) in perm.iter().enumerate() {
        before[axis] = shape[at];
    }
    let name = format!("{}_untransposed", function.value(result).name);
    let middle = function.add_result(&name, Type::tensor(dtype, &before));
    inner.outputs = vec![middle];
    let mut outer = transpose(function, middle, &perm, result);
    outer.origin.clone_from(&operation.origin);
    Some([inner, outer])
}

/// The operand and permutation of the transpose that makes a value.
fn behind(function: &Function, id: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let operation = function
        .operations
        .iter()
        .find(|operation| operation.outputs.contains(&id))?;
    Some((operation.input("x")?, permutation(function, operation)?))
}

/// Both operands transposed alike, or one transposed and the other a constant.
fn binary(function: &mut Function, inner: &mut Operation) -> Option<Vec<usize>> {
    let (x, y) = (inner.input("x")?, inner.input("y")?);
    match (behind(function, x), behind(function, y)) {
        (Some((a, perm)), Some((b, other))) if perm == other => {
            inner.set_input("x", a);
            inner.set_input("y", b);
            Some(perm)
        }
        (Some((a, perm)), None) => {
            let constant = untransposed_constant(function, y, &perm)?;
            inner.set_input("x", a);
            inner.set_input("y", constant);
            Some(perm)
        }
        (None, Some((b, perm))) => {
            let constant = untransposed_constant(function, x, &perm)?;
            inner.set_input("x", constant);
            inner.set_input("y", b);
            Some(perm)
        }
        _ => None,
    }
}

/// A constant that broadcasts against the operand before the transpose as this one does after it.
fn untransposed_constant(function: &mut Function, id: ValueId, perm: &[usize]) -> Option<ValueId> {
    let tensor = function.const_tensor(id)?.clone();
    if tensor.elems() == 1 && tensor.shape().len() <= perm.len() {
        return Some(id);
    }
    let mut full = vec![1; perm.len().checked_sub(tensor.shape().len())?];
    full.extend_from_slice(tensor.shape());
    if tensor.dtype().is_packed() {
        return None;
    }
    // Where the moved dimensions come from: position `perm[at]` before is position `at` after.
    let mut before = vec![0usize; perm.len()];
    let mut strides = vec![0usize; perm.len()];
    let mut stride = 1;
    for at in (0..perm.len()).rev() {
        before[perm[at]] = full[at];
        strides[perm[at]] = stride;
        stride *= full[at];
    }
    let width = tensor.dtype().bits() / 8;
    let mut bytes = Vec::with_capacity(tensor.bytes().len());
    for index in 0..tensor.elems() {
        let (mut rest, mut source) = (index, 0);
        for axis in (0..before.len()).rev() {
            source += rest % before[axis] * strides[axis];
            rest /= before[axis];
        }
        bytes.extend_from_slice(&tensor.bytes()[source * width..(source + 1) * width]);
    }
    let moved = Tensor::from_bytes(tensor.dtype(), &before, &bytes).ok()?;
    let name = function.value(id).name.clone();
    Some(function.add_constant(&name, moved))
}

fn per_tensor(function: &Function, operation: &Operation) -> bool {
    operation
        .input("scale")
        .is_some_and(|id| function.ty(id).elems() == 1)
        && operation.input("axis").is_none()
}

fn axes_of(function: &Function, operation: &Operation, param: &str, rank: usize) -> Option<Vec<usize>> {
    let axes = function.const_tensor(operation.input(param)?)?.to_i64()?;
    axes.into_iter()
        .map(|axis| {
            usize::try_from(if axis < 0 { axis + rank as i64 } else { axis })
                .ok()
                .filter(|&axis| axis < rank)
        })
        .collect()
}

fn map_axis(function: &mut Function, inner: &mut Operation, param: &str, perm: &[usize]) -> Option<()> {
    let &[axis] = axes_of(function, inner, param, perm.len())?.as_slice() else {
        return None;
    };
    let id = function.add_constant(param, perm[axis] as i32);
    inner.set_input(param, id);
    Some(())
}

fn map_reduction(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<()> {
    let keeps = inner
        .input("keep_dims")
        .and_then(|id| function.const_tensor(id))
        .and_then(Tensor::to_i64);
    if keeps != Some(vec![1]) {
        return None;
    }
    if inner.input("axis").is_some() {
        return map_axis(function, inner, "axis", perm);
    }
    let mut axes: Vec<i32> = axes_of(function, inner, "axes", perm.len())?
        .iter()
        .map(|&axis| perm[axis] as i32)
        .collect();
    axes.sort_unstable();
    let id = function.add_constant("axes", axes.as_slice());
    inner.set_input("axes", id);
    Some(())
}

fn map_pad(function: &mut Function, inner: &mut Operation, perm: &[usize]) -> Option<()> {
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
    debug_assert_eq!(
        function.const_tensor(inner.input("pad")?).map(Tensor::dtype),
        Some(DType::Int32)
    );
    let id = function.add_constant("pad", moved.as_slice());
    inner.set_input("pad", id);
    Some(())
}
