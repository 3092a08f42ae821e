//! Which activations become 8-bit integers, on which grid, and where `quantize` and `dequantize` stand for that.
//!
//! Layers that compute on integers read codes. From there the wish for codes travels backwards through operations that have an
//! integer form (sums, means, pools, concatenations, those that only move elements) to the value that a layer or an
//! input makes. There, and only there, stands one pair of `quantize` and `dequantize`: not between a convolution and
//! its activation, and not between a convolution and the sum that it is fused with. What no integer operator reads, such as logits,
//! stays float. Values that an operation only moves or picks share a grid, so that codes need no change.

mod grid;
mod insert;
mod roles;

use locket_mil::{Function, ValueId};

pub(crate) use grid::{Grid, input_grid};
pub(crate) use insert::insert;
use roles::{Role, Roles};

/// What becomes 8-bit.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    /// For each value, whether it becomes codes.
    quantised: Vec<bool>,
    /// For each value, the representative of those that share its grid.
    shares: Vec<ValueId>,
    /// For each operation, the sum that it is fused with, if it is a convolution with a residual.
    sums: Vec<Option<ValueId>>,
}

impl Placement {
    /// Finds what becomes 8-bit if the operations marked in `integer` compute on integers.
    pub(crate) fn of(function: &Function, integer: &[bool]) -> Self {
        let roles = Roles::of(function, integer);
        let mut wanted = vec![false; function.values().len()];
        let mut sums = vec![None; function.operations.len()];
        let mut shares: Vec<ValueId> = (0..wanted.len()).map(ValueId::from_index).collect();
        // Readers come after makers, so that going backwards every wish is known before it is passed on.
        for (index, operation) in function.operations.iter().enumerate().rev() {
            let Some(&output) = operation.outputs.first() else {
                continue;
            };
            match roles.role(index) {
                Role::Layer => {
                    if let Some(x) = operation.input("x") {
                        wanted[x.index()] = true;
                    }
                }
                Role::Sum => {
                    if wanted[roles.end(output).index()] {
                        let fused = roles.fused(index);
                        if let Some(layer) = fused {
                            sums[layer] = Some(output);
                        }
                        let inner = fused.map(|layer| function.operations[layer].outputs[0]);
                        for id in operation.input_values().filter(|id| Some(*id) != inner) {
                            wanted[id.index()] = true;
                        }
                    }
                }
                Role::Mean => {
                    if wanted[roles.end(output).index()]
                        && let Some(x) = operation.input("x")
                    {
                        wanted[x.index()] = true;
                    }
                }
                Role::Share => {
                    if wanted[output.index()] {
                        for id in operation
                            .input_values()
                            .filter(|&id| function.literal(id).is_none())
                        {
                            wanted[id.index()] = true;
                            unite(&mut shares, id, output);
                        }
                    }
                }
                Role::Float => {}
            }
        }
        let quantised = wanted
            .iter()
            .enumerate()
            .map(|(index, &wanted)| wanted && function.literal(ValueId::from_index(index)).is_none())
            .collect();
        for index in 0..shares.len() {
            shares[index] = root(&shares, ValueId::from_index(index));
        }
        Self {
            quantised,
            shares,
            sums,
        }
    }

    /// The value of the sum that the layer at `position` is fused with.
    pub(crate) fn sum(&self, position: usize) -> Option<ValueId> {
        self.sums.get(position).copied().flatten()
    }

    /// A grid for each value that becomes codes: 0 and what calibration has seen, the same where a grid is shared.
    /// `fixed` has grids that are chosen otherwise, by value. `None` if a value has no range.
    pub(crate) fn grids(
        &self,
        ranges: &[Option<[f32; 2]>],
        fixed: &[(ValueId, Grid)],
    ) -> Result<Vec<Option<Grid>>, ValueId> {
        let mut joint: Vec<Option<[f32; 2]>> = vec![None; ranges.len()];
        for (index, range) in ranges.iter().enumerate() {
            if !self.quantised[index] {
                continue;
            }
            let [low, high] = range.ok_or(ValueId::from_index(index))?;
            let all = &mut joint[self.shares[index].index()];
            *all = Some(all.map_or([low, high], |[l, h]| [l.min(low), h.max(high)]));
        }
        let alone = |index: usize| {
            let mine = self.shares[index];
            let sharing =
                (0..ranges.len()).filter(|&other| self.quantised[other] && self.shares[other] == mine);
            sharing.count() == 1
        };
        (0..ranges.len())
            .map(|index| {
                if !self.quantised[index] {
                    return Ok(None);
                }
                let chosen = fixed.iter().find(|(id, _)| id.index() == index);
                if let Some((_, grid)) = chosen.filter(|_| alone(index)) {
                    return Ok(Some(*grid));
                }
                let [low, high] = joint[self.shares[index].index()].ok_or(ValueId::from_index(index))?;
                Ok(Some(Grid::of_range(low, high)))
            })
            .collect()
    }
}

fn root(shares: &[ValueId], mut id: ValueId) -> ValueId {
    while shares[id.index()] != id {
        id = shares[id.index()];
    }
    id
}

fn unite(shares: &mut [ValueId], a: ValueId, b: ValueId) {
    let (a, b) = (root(shares, a), root(shares, b));
    let (first, second) = (a.min(b), a.max(b));
    shares[second.index()] = first;
}
