//! Operations that only move or compare elements: they run on codes as they are. Where the grid changes, a table follows or precedes.

use std::collections::BTreeMap;

use locket_mil::{Arg, Function, Operation, Type, ValueId};
use locket_tensor::{DType, Tensor};

use super::{Chain, Grid, Reason, codes_like, quantized, tables};
use crate::pattern::{Links, scalar};

/// Operations that give back some of the elements of `x`.
pub(super) const MOVES: &[&str] = &[
    "reshape",
    "transpose",
    "squeeze",
    "expand_dims",
    "flatten2d",
    "slice_by_index",
    "slice_by_size",
    "identity",
    "tile",
    "reverse",
    "depth_to_space",
    "space_to_depth",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample_nearest_neighbor",
];

/// The chain on codes.
pub(super) fn moved(function: &mut Function, links: &Links, chain: &Chain) -> Result<Vec<Operation>, Reason> {
    match &*chain.core.kind {
        "concat" => concat(function, links, chain),
        "pad" => pad(function, links, chain),
        "max_pool" => one(function, links, chain, "locket.max_pool"),
        kind if MOVES.contains(&kind) => one(function, links, chain, kind),
        _ => Err("no integer form of this operator is known"),
    }
}

const NO_CODES: Reason = "an operand is not quantised per tensor to 8 bits";

/// One operand: the operation on its codes, then the step to the result's grid, because there may be fewer elements by then.
fn one(function: &mut Function, links: &Links, chain: &Chain, kind: &str) -> Result<Vec<Operation>, Reason> {
    let source = chain.core.input("x").and_then(|x| quantized(function, links, x));
    let (codes, grid) = source.ok_or(NO_CODES)?;
    let result = chain.quantize.outputs[0];
    let mut operation = chain.core.clone();
    operation.kind = kind.into();
    operation.set_input("x", codes);
    operation.origin = chain.origins(&[]);
    operation.outputs = vec![result];
    let mut operations = Vec::new();
    if grid == chain.grid && chain.grid.codes(chain.clamp) == [0, 255] {
        operations.push(operation);
    } else {
        let name = format!("{}_before", function.value(result).name);
        let between = codes_like(function, &name, result);
        operation.outputs = vec![between];
        operations.push(operation);
        operations.push(tables::regrid_into(function, (between, grid), chain, result));
    }
    Ok(operations)
}

/// Each operand is put on the result's grid, then all are joined.
fn concat(function: &mut Function, links: &Links, chain: &Chain) -> Result<Vec<Operation>, Reason> {
    let Some(Arg::Many(values)) = chain.core.arg("values") else {
        return Err("it has no operands");
    };
    if chain.grid.codes(chain.clamp) != [0, 255] {
        return Err("its clamp would need a step of its own");
    }
    let sources: Vec<(ValueId, Grid)> = values
        .iter()
        .map(|&id| quantized(function, links, id))
        .collect::<Option<_>>()
        .ok_or(NO_CODES)?;
    let mut operations = Vec::new();
    let codes: Vec<ValueId> = sources
        .into_iter()
        .map(|source| tables::regrid(function, source, chain, &mut operations))
        .collect();
    let mut operation = chain.core.clone();
    operation.set_input("values", codes);
    operation.outputs.clone_from(&chain.quantize.outputs);
    operations.push(operation);
    Ok(operations)
}

/// The operand is put on the result's grid, on which the border has a code.
fn pad(function: &mut Function, links: &Links, chain: &Chain) -> Result<Vec<Operation>, Reason> {
    if chain.grid.codes(chain.clamp) != [0, 255] {
        return Err("its clamp would need a step of its own");
    }
    let core = &chain.core;
    let source = core.input("x").and_then(|x| quantized(function, links, x));
    let border = match core.input("constant_val") {
        None => Some(0.0),
        Some(id) => scalar(function, id),
    };
    let (source, border) = source.zip(border).ok_or(NO_CODES)?;
    let mut operations = Vec::new();
    let codes = tables::regrid(function, source, chain, &mut operations);
    let mut operation = core.clone();
    operation.set_input("x", codes);
    let border = function.add_constant("constant_val", f32::from(chain.grid.code(border)));
    operation.set_input("constant_val", border);
    operation.outputs.clone_from(&chain.quantize.outputs);
    operation.origin = chain.origins(&[]);
    operations.push(operation);
    Ok(operations)
}

/// Moves a `dequantize` past the operations that move its result and are not quantised again, so that the layers behind them
/// find codes. Returns how many.
pub(super) fn before_dequantize(function: &mut Function) -> usize {
    let mut changes = 0;
    let again = quantized_again(function);
    // For values that a `dequantize` makes: the codes, and the operation.
    let mut sources: BTreeMap<ValueId, (ValueId, Operation)> = BTreeMap::new();
    let operations = std::mem::take(&mut function.operations);
    for operation in operations {
        let kind: &str = &operation.kind;
        if let Some((result, codes)) = dequantized(function, &operation) {
            sources.insert(result, (codes, operation.clone()));
        }
        if let Some((codes, outer)) = split_source(&operation, &sources).cloned() {
            let operations = split_codes(function, &operation, codes, &outer);
            for part in &operations[1..] {
                if let Some((result, codes)) = dequantized(function, part) {
                    sources.insert(result, (codes, part.clone()));
                }
            }
            function.operations.extend(operations);
            changes += 1;
            continue;
        }
        let moves = MOVES.contains(&kind) || kind == "max_pool";
        let x = operation
            .input("x")
            .filter(|_| moves && operation.outputs.len() == 1);
        let source = x.and_then(|x| sources.get(&x)).cloned();
        let Some((codes, mut outer)) = source.filter(|_| !again[operation.outputs[0].index()]) else {
            function.operations.push(operation);
            continue;
        };
        let result = operation.outputs[0];
        let name = format!("{}_codes", function.value(result).name);
        let moved = codes_like(function, &name, result);
        let mut inner = operation.clone();
        if kind == "max_pool" {
            inner.kind = "locket.max_pool".into();
        }
        inner.set_input("x", codes);
        inner.outputs = vec![moved];
        outer.set_input("input", moved);
        outer.outputs = vec![result];
        sources.insert(result, (moved, outer.clone()));
        function.operations.extend([inner, outer]);
        changes += 1;
    }
    changes
}

/// The codes behind a `split`, and their `dequantize`.
fn split_source<'a>(
    operation: &Operation,
    sources: &'a BTreeMap<ValueId, (ValueId, Operation)>,
) -> Option<&'a (ValueId, Operation)> {
    let x = operation.input("x").filter(|_| operation.kind == "split")?;
    sources.get(&x)
}

/// A `split` of codes, and a `dequantize` for each part.
fn split_codes(
    function: &mut Function,
    operation: &Operation,
    codes: ValueId,
    outer: &Operation,
) -> Vec<Operation> {
    let mut inner = operation.clone();
    inner.set_input("x", codes);
    inner.outputs = operation
        .outputs
        .iter()
        .map(|&result| {
            let name = format!("{}_codes", function.value(result).name);
            codes_like(function, &name, result)
        })
        .collect();
    let parts: Vec<Operation> = inner
        .outputs
        .iter()
        .zip(&operation.outputs)
        .map(|(&codes, &result)| {
            let mut part = outer.clone();
            part.set_input("input", codes);
            part.outputs = vec![result];
            part
        })
        .collect();
    std::iter::once(inner).chain(parts).collect()
}

/// Operations that give back all elements of `x`, in another order or shape.
const REARRANGEMENTS: &[&str] = &[
    "reshape",
    "transpose",
    "squeeze",
    "expand_dims",
    "flatten2d",
    "identity",
    "reverse",
    "depth_to_space",
    "space_to_depth",
    "pixel_shuffle",
    "pixel_unshuffle",
];

/// Moves a `quantize` to before operations that only rearrange elements and that nothing else reads: so that it meets what made the
/// elements, and codes are moved instead of floats. Returns how many.
pub(super) fn after_quantize(function: &mut Function) -> usize {
    let mut changes = 0;
    // Backwards, so that one `quantize` passes several.
    for index in (0..function.operations.len()).rev() {
        changes += usize::from(swap_with_rearrangement(function, index).is_some());
    }
    changes
}

fn swap_with_rearrangement(function: &mut Function, index: usize) -> Option<()> {
    let quantize = &function.operations[index];
    let is_codes = function.ty(*quantize.outputs.first()?).dtype() == Some(DType::UInt8);
    (quantize.kind == "quantize" && is_codes && quantize.input("axis").is_none()).then_some(())?;
    let links = Links::of(function);
    let value = quantize.input("input")?;
    let at = links.producer(value)?;
    let moves = &function.operations[at];
    let x = moves
        .input("x")
        .filter(|_| REARRANGEMENTS.contains(&&*moves.kind))?;
    let is_free = links.only_user(value) == Some(index) && quantized(function, &links, x).is_none();
    is_free.then_some(())?;
    let (mut before, mut after) = (quantize.clone(), moves.clone());
    let name = format!("{}_before", function.value(quantize.outputs[0]).name);
    let codes = codes_like(function, &name, x);
    before.set_input("input", x);
    before.outputs = vec![codes];
    after.set_input("x", codes);
    after.outputs.clone_from(&function.operations[index].outputs);
    function.operations[index] = after;
    function.operations[at] = before;
    Some(())
}

/// For each value, whether its only reader is a `quantize`.
fn quantized_again(function: &Function) -> Vec<bool> {
    let links = Links::of(function);
    let values = (0..function.values().len()).map(ValueId::from_index);
    let reader = |id: ValueId| links.only_user(id).map(|user| &function.operations[user]);
    values
        .map(|id| reader(id).is_some_and(|operation| operation.kind == "quantize"))
        .collect()
}

/// The result and the codes of a `dequantize` on a grid.
fn dequantized(function: &Function, operation: &Operation) -> Option<(ValueId, ValueId)> {
    let codes = operation
        .input("input")
        .filter(|_| operation.kind == "dequantize")?;
    (function.ty(codes).dtype() == Some(DType::UInt8)).then_some(())?;
    Grid::of(function, operation)?;
    Some((*operation.outputs.first()?, codes))
}

/// Operations on int8 codes that mean the same on uint8 codes that stand 128 higher.
pub(super) fn is_sign_free(function: &Function, operation: &Operation) -> bool {
    let kind: &str = &operation.kind;
    let constants_are_parameters = operation.inputs.iter().all(|(param, arg)| match arg {
        Arg::Many(values) => values.iter().all(|&id| function.literal(id).is_none()),
        Arg::One(id) => param == "x" || function.literal(*id).is_some(),
    });
    constants_are_parameters && (MOVES.contains(&kind) || kind == "concat")
}

/// The type of a value with uint8 for int8.
pub(super) fn unsigned(ty: &Type) -> Type {
    Type::tensor(DType::UInt8, ty.shape().unwrap_or_default())
}

/// A zero point that stands 128 higher, as a uint8.
pub(super) fn shifted_zero_point(zero_point: Option<&Tensor>) -> Option<u8> {
    let value = match zero_point {
        None => 0,
        Some(tensor) => *tensor.to_i64()?.first().filter(|_| tensor.elems() == 1)?,
    };
    u8::try_from(value.checked_add(128)?).ok()
}
