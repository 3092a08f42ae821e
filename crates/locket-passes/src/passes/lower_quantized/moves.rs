//! Operations that only move or compare elements: they run on codes as they are, if the grid does not change.

use locket_mil::{Arg, Function, Operation, ValueId};

use super::{Chain, Grid, names, quantized};
use crate::pattern::Links;

/// Operations that give back some of their operand's elements, each at least once or never.
const MOVES: &[&str] = &[
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
    "upsample_nearest_neighbor",
];

/// The operation on codes.
pub(super) fn moved(
    function: &mut Function,
    links: &Links,
    chain: &Chain,
) -> Result<Operation, &'static str> {
    let mut operation = chain.core.clone();
    let kind: &str = &chain.core.kind;
    if chain.clamp.is_some() && chain.grid.codes(chain.clamp) != [0, 255] {
        return Err("its clamp would need a step of its own");
    }
    let same = |(codes, grid): (ValueId, Grid)| (grid == chain.grid).then_some(codes);
    let reason = "its operand has another scale or zero point than its result";
    match kind {
        "concat" => {
            let Some(Arg::Many(values)) = chain.core.arg("values") else {
                return Err("it has no operands");
            };
            let codes: Option<Vec<ValueId>> = values
                .iter()
                .map(|&id| quantized(function, links, id).and_then(same))
                .collect();
            operation.set_input("values", codes.ok_or(reason)?);
        }
        "max_pool" => {
            let x = chain.core.input("x").ok_or("it has no operand")?;
            let codes = quantized(function, links, x).and_then(same).ok_or(reason)?;
            operation.kind = "locket.max_pool".into();
            operation.set_input("x", codes);
        }
        _ if MOVES.contains(&kind) => {
            let x = chain.core.input("x").ok_or("it has no operand")?;
            let codes = quantized(function, links, x).and_then(same).ok_or(reason)?;
            operation.set_input("x", codes);
        }
        _ => return Err("no integer form of this operator is known"),
    }
    operation.outputs.clone_from(&chain.quantize.outputs);
    operation.origin = names(chain, &[]);
    Ok(operation)
}
