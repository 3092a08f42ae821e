//! Grids that can be widened where that loses nothing.
//!
//! A `concat` whose operands lie on other grids than its result needs a step for each of them. If an operand is only read by the
//! `concat`, and what makes it is requantised anyway, it can be made on the result's grid at once, within the range of its own: one rounding
//! instead of two, and no step.

use locket_mil::{Arg, Function, Operation, Patch, ValueId};
use locket_tensor::Tensor;

use super::{Grid, chain, quantized};
use crate::pattern::Links;

/// Operators that requantise, so that any grid costs the same.
const REQUANTIZING: &[&str] = &["conv", "linear", "add", "avg_pool", "reduce_mean"];

/// Puts operands of `concat` on its result's grid. Returns how many.
pub(super) fn share_with_concat(function: &mut Function) -> usize {
    let mut changes = 0;
    let mut patch = Patch::new("share_with_concat");
    let links = Links::of(function);
    for index in 0..function.operations.len() {
        let Some((values, grid)) = concat_before(function, &links, index) else {
            continue;
        };
        for value in values {
            let Some(operand) = operand(function, &links, value, grid) else {
                continue;
            };
            let quantize = function.operations[operand.quantize].clone();
            let Some(x) = quantize.input("input") else {
                continue;
            };
            let clip = clip(function, x, operand.range);
            let clipped = clip.outputs[0];
            patch.insert_before(operand.quantize, clip);
            for at in [operand.quantize, operand.dequantize] {
                set_grid(function, at, grid);
            }
            function.operations[operand.quantize].set_input("input", clipped);
            changes += 1;
        }
    }
    patch.apply(function);
    changes
}

/// The operands of the `concat` before a `quantize`, and the grid of the latter.
fn concat_before(function: &Function, links: &Links, index: usize) -> Option<(Vec<ValueId>, Grid)> {
    let quantize = &function.operations[index];
    (quantize.kind == "quantize" && quantize.input("axis").is_none()).then_some(())?;
    let value = quantize.input("input")?;
    links.only_user(value)?;
    match links.made_by(function, value, "concat")?.arg("values")? {
        Arg::Many(values) => Some((values.clone(), Grid::of(function, quantize)?)),
        Arg::One(_) => None,
    }
}

/// An operand that can change its grid.
struct Operand {
    quantize: usize,
    dequantize: usize,
    /// What its own grid can hold.
    range: [f32; 2],
}

fn operand(function: &Function, links: &Links, value: ValueId, to: Grid) -> Option<Operand> {
    links.only_user(value)?;
    let dequantize = links.producer(value)?;
    let (codes, from) = quantized(function, links, value)?;
    links.only_user(codes)?;
    let quantize = links.producer(codes)?;
    (function.operations[quantize].kind == "quantize").then_some(())?;
    let before = chain(function, links, quantize)?;
    let fits = before.grid == from && from != to && from.scale <= to.scale;
    let free = before.exclusive && REQUANTIZING.contains(&&*before.core.kind);
    (fits && free).then_some(Operand {
        quantize,
        dequantize,
        range: [from.value(0), from.value(255)],
    })
}

fn clip(function: &mut Function, x: ValueId, range: [f32; 2]) -> Operation {
    let [alpha, beta] =
        [("alpha", range[0]), ("beta", range[1])].map(|(name, bound)| function.add_constant(name, bound));
    let name = format!("{}_clipped", function.value(x).name);
    let ty = function.ty(x).clone();
    Operation {
        kind: "clip".into(),
        inputs: vec![
            ("x".into(), x.into()),
            ("alpha".into(), alpha.into()),
            ("beta".into(), beta.into()),
        ],
        outputs: vec![function.add_result(&name, ty)],
        origin: Vec::new(),
    }
}

fn set_grid(function: &mut Function, index: usize, grid: Grid) {
    let scale = function.add_constant("scale", grid.scale);
    let zero_point = function.add_constant("zero_point", Tensor::scalar(grid.zero_point));
    function.operations[index].set_input("scale", scale);
    function.operations[index].set_input("zero_point", zero_point);
}
