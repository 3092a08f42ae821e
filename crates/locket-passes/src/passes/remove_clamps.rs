//! Removes clamps (`relu`, `relu6`, `clip`) that change nothing: the values before them already keep the bounds, or every reader is a
//! `quantize` whose grid ends no later than they do.
//!
//! Bounds are known of results of clamps, `sigmoid`, `softmax` and `dequantize`, and pass through operations that only move or compare
//! elements.

use locket_mil::{Function, Operation, Patch, ValueId};
use locket_ops::Node;
use locket_tensor::{DType, Tensor};

use crate::{
    PassReport,
    pattern::{Links, as_clamp, compose_clamps, scalar},
};

/// Most rounds: each removes the last clamp of each chain before a `quantize`.
const MAX_ROUNDS: usize = 32;

/// Runs the pass: once more after each round that removed something, because that may bare an earlier clamp.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    for _ in 0..MAX_ROUNDS {
        let round = remove_once(function);
        let changes = report.changes + round.changes;
        report = PassReport { changes, ..round };
        if round.changes == 0 {
            break;
        }
    }
    report
}

fn remove_once(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("remove_clamps");
    for found in clamps(function) {
        match found.verdict {
            Verdict::Idle | Verdict::GivenByGrids => {
                patch.remove(found.index);
                patch.redirect(found.result, found.x);
                report.changes += 1;
            }
            Verdict::BeyondItsGrids => {
                let node = function.operations[found.index].label();
                report.skip(node, "a grid that reads it goes further than its bounds");
            }
            Verdict::Works => {}
        }
    }
    patch.apply(function);
    report
}

/// Positions of clamps whose operands already keep their bounds.
pub(crate) fn idle(function: &Function) -> Vec<usize> {
    let idle = clamps(function)
        .into_iter()
        .filter(|clamp| clamp.verdict == Verdict::Idle);
    idle.map(|clamp| clamp.index).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// What comes in keeps the bounds.
    Idle,
    /// It is only read by `quantize`s that saturate within the bounds.
    GivenByGrids,
    /// It is only read by `quantize`s, but one saturates later.
    BeyondItsGrids,
    /// None of these.
    Works,
}

struct Clamp {
    index: usize,
    x: ValueId,
    result: ValueId,
    verdict: Verdict,
}

fn clamps(function: &Function) -> Vec<Clamp> {
    let mut found = Vec::new();
    let links = Links::of(function);
    let mut bounds = vec![[f32::NEG_INFINITY, f32::INFINITY]; function.values().len()];
    for (index, operation) in function.operations.iter().enumerate() {
        let &[result] = operation.outputs.as_slice() else {
            continue;
        };
        bounds[result.index()] = bounds_of(function, operation, &bounds);
        let (Some(clamp), Some(x)) = (as_clamp(function, operation), operation.input("x")) else {
            continue;
        };
        let before = bounds[x.index()];
        let verdict = if before[0] >= clamp[0] && before[1] <= clamp[1] {
            Verdict::Idle
        } else {
            judge_readers(function, &links, result, clamp)
        };
        if matches!(verdict, Verdict::Idle | Verdict::GivenByGrids) {
            // Readers of the result will read what may exceed the bounds, and saturate it themselves.
            bounds[result.index()] = before;
        }
        found.push(Clamp {
            index,
            x,
            result,
            verdict,
        });
    }
    found
}

/// Operations whose results are some of the elements of `x`.
const MOVES: &[&str] = &[
    "reshape",
    "transpose",
    "squeeze",
    "expand_dims",
    "flatten2d",
    "slice_by_index",
    "slice_by_size",
    "identity",
    "max_pool",
];

fn bounds_of(function: &Function, operation: &Operation, bounds: &[[f32; 2]]) -> [f32; 2] {
    let of = |id: ValueId| bounds[id.index()];
    let unknown = [f32::NEG_INFINITY, f32::INFINITY];
    let Some(x) = operation.input(if operation.kind == "dequantize" {
        "input"
    } else {
        "x"
    }) else {
        return match &*operation.kind {
            "concat" => operation
                .input_values()
                .filter(|&id| function.literal(id).is_none())
                .map(of)
                .reduce(union)
                .filter(|_| {
                    operation
                        .arg("values")
                        .is_some_and(|arg| all_computed(function, arg.values()))
                })
                .unwrap_or(unknown),
            _ => unknown,
        };
    };
    match &*operation.kind {
        "sigmoid" | "softmax" | "sigmoid_hard" => [0.0, 1.0],
        "dequantize" => grid(function, operation, function.ty(x).dtype()).map_or(unknown, Grid::reals),
        "reduce_max" | "reduce_min" => of(x),
        kind if MOVES.contains(&kind) => of(x),
        _ => as_clamp(function, operation).map_or(unknown, |clamp| compose_clamps(of(x), clamp)),
    }
}

fn all_computed(function: &Function, values: &[ValueId]) -> bool {
    values.iter().all(|&id| function.literal(id).is_none())
}

fn union(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

/// A per-tensor grid of 8-bit codes.
#[derive(Clone, Copy)]
struct Grid {
    scale: f32,
    zero_point: f32,
    codes: [f32; 2],
}

impl Grid {
    /// The code of a number, as `quantize` rounds and cuts it.
    fn code(self, value: f32) -> f32 {
        ((value / self.scale).round_ties_even() + self.zero_point).clamp(self.codes[0], self.codes[1])
    }

    /// The least and the greatest number on the grid.
    fn reals(self) -> [f32; 2] {
        self.codes.map(|code| self.scale * (code - self.zero_point))
    }
}

fn grid(function: &Function, operation: &Operation, codes: Option<DType>) -> Option<Grid> {
    let (low, high) = codes
        .filter(|dtype| matches!(dtype, DType::Int8 | DType::UInt8))?
        .int_range()?;
    let scale =
        scalar(function, operation.input("scale")?).filter(|scale| scale.is_finite() && *scale > 0.0)?;
    let zero_point = match operation.input("zero_point") {
        None => 0,
        Some(id) => *function.const_tensor(id).and_then(Tensor::to_i64)?.first()?,
    };
    Some(Grid {
        scale,
        zero_point: zero_point as f32,
        codes: [low as f32, high as f32],
    })
}

/// Whether the value is only read by `quantize`s for which everything beyond the bounds is the last code anyway.
fn judge_readers(function: &Function, links: &Links, id: ValueId, [low, high]: [f32; 2]) -> Verdict {
    let users = links.users(id);
    let quantizes = |user: &usize| function.operations[*user].kind == "quantize";
    if users.is_empty() || links.is_output(id) || !users.iter().all(quantizes) {
        return Verdict::Works;
    }
    let saturates = users.iter().all(|&user| {
        let operation = &function.operations[user];
        let codes = Node::new(function, operation)
            .output_ty(0)
            .ok()
            .map(|(dtype, _)| dtype);
        operation.input("axis").is_none()
            && grid(function, operation, codes)
                .is_some_and(|grid| [grid.code(low), grid.code(high)] == grid.codes)
    });
    if saturates {
        Verdict::GivenByGrids
    } else {
        Verdict::BeyondItsGrids
    }
}
