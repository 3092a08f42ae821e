//! Lifetimes and offsets.
//!
//! A buffer lives from the step that writes it to the last step that reads it (inputs from the start, outputs to the
//! end). Inputs that need no other layout stay with the caller and have no buffer. An output may take over the memory of an input that dies in the same step. Offsets: largest buffer first, each at
//! the lowest offset where it meets no other that is alive at the same time (greedy by size, as published for
//! TensorFlow Lite by Pisarchyk and Lee, 2020). Offsets are multiples of 64 bytes.

use std::ops::Range;

use locket_mil::{Function, Type};
use locket_ops::{Cost, Layout};
use locket_tensor::Tensor;

use super::{
    Place, Plan, PlanError, PlanOptions, PlannedStep, Port, Source,
    report::{self, Life},
    steps::{Draft, Drafts, interface_type},
};

const ALIGN: usize = 64;

/// Estimated work that is worth a thread, in hand-overs. Small layers take a third of the estimate or less.
const WORTH_HAND_OVERS: u64 = 3;

pub(super) fn finish(function: &Function, drafts: Drafts, options: PlanOptions) -> Result<Plan, PlanError> {
    let outlines: Vec<Outline> = drafts.steps.iter().map(Outline::of).collect();
    let root = share_memory(&drafts, &outlines);
    let lives = lifetimes(&drafts, &outlines, &root);
    let offsets = place(&lives).ok_or(PlanError::TooLarge)?;
    let arena_bytes = end(&lives, &offsets);
    let given = given(&drafts);
    let range = |buffer: usize| {
        let owner = root[buffer];
        offsets[owner]..offsets[owner] + drafts.buffers[buffer].bytes
    };
    let inputs = function
        .inputs
        .iter()
        .zip(&drafts.inputs)
        .map(|(&id, &(buffer, layout))| {
            let name = function.value(id).name.clone();
            let (dtype, shape) = interface_type(function, "input", &name, id)?;
            Ok(Port {
                name,
                dtype,
                shape,
                layout,
                place: match given[buffer] {
                    Some(_) => Place::Given,
                    None => Place::Arena(range(buffer)),
                },
            })
        });
    let inputs = inputs.collect::<Result<_, PlanError>>()?;
    let outputs = function
        .outputs
        .iter()
        .zip(&drafts.outputs)
        .map(|(output, place)| {
            let (dtype, shape) = interface_type(function, "output", &output.name, output.value)?;
            let constant = || {
                function
                    .const_tensor(output.value)
                    .cloned()
                    .unwrap_or_else(|| Tensor::scalar(0.0f32))
            };
            let (place, layout) = match place {
                Some((buffer, layout)) => (Place::Arena(range(*buffer)), *layout),
                None => (Place::Constant(constant()), Layout::RowMajor),
            };
            Ok(Port {
                name: output.name.clone(),
                dtype,
                shape,
                layout,
                place,
            })
        });
    let outputs = outputs.collect::<Result<_, PlanError>>()?;
    let memory = report::memory(&drafts, &lives);
    let ranges: Vec<(Vec<Source>, Range<usize>)> = drafts
        .steps
        .iter()
        .map(|step| {
            let shared = |buffer: usize| root[buffer] == root[step.output];
            let inputs = step.inputs.iter().map(|&buffer| match given[buffer] {
                Some(input) => Source::Given(input),
                None if shared(buffer) => Source::Arena(0..0),
                None => Source::Arena(range(buffer)),
            });
            (inputs.collect(), range(step.output))
        })
        .collect();
    let steps: Vec<PlannedStep> = drafts
        .steps
        .into_iter()
        .zip(ranges)
        .map(|(draft, ranges)| planned(draft, ranges, options))
        .collect();
    Ok(Plan {
        function: function.name.clone(),
        inputs,
        outputs,
        arena_bytes: arena_bytes.next_multiple_of(ALIGN),
        scratch_bytes: steps
            .iter()
            .map(|step| step.scratch_bytes * step.parts.len())
            .max()
            .unwrap_or(0),
        weight_bytes: steps.iter().map(|step| step.weight_bytes).sum(),
        steps,
        memory,
        options,
    })
}

/// What the arena needs to know of a step.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    pub(super) inputs: Vec<usize>,
    pub(super) output: usize,
    pub(super) in_place: Option<usize>,
    /// Scratch of a thread.
    pub(super) scratch_bytes: usize,
}

impl Outline {
    pub(super) fn of(draft: &Draft) -> Self {
        Self {
            inputs: draft.inputs.clone(),
            output: draft.output,
            in_place: draft.prepared.in_place,
            scratch_bytes: draft.prepared.scratch_bytes,
        }
    }
}

/// Bytes of arena and of one thread's scratch, if the steps were these.
pub(super) fn footprint(drafts: &Drafts, outlines: &[Outline]) -> Option<usize> {
    let lives = lifetimes(drafts, outlines, &share_memory(drafts, outlines));
    let scratch = outlines.iter().map(|step| step.scratch_bytes).max().unwrap_or(0);
    Some(end(&lives, &place(&lives)?) + scratch)
}

/// The end of the last buffer.
fn end(lives: &[Life], offsets: &[usize]) -> usize {
    let ends = lives
        .iter()
        .zip(offsets)
        .map(|(life, offset)| offset + life.bytes);
    ends.max().unwrap_or(0)
}

/// For each buffer, the number of the input that it is, if steps read that where the caller has it: it is row-major, and not an
/// output as well.
fn given(drafts: &Drafts) -> Vec<Option<usize>> {
    let mut given = vec![None; drafts.buffers.len()];
    for (index, &(buffer, layout)) in drafts.inputs.iter().enumerate() {
        let Type::Tensor { shape, .. } = &drafts.buffers[buffer].ty else {
            continue;
        };
        if layout.same_bytes(Layout::RowMajor, shape) {
            given[buffer] = Some(index);
        }
    }
    for &(buffer, _) in drafts.outputs.iter().flatten() {
        given[buffer] = None;
    }
    given
}

/// For each buffer, the one whose memory it uses: itself, or an input that its step computes in place.
fn share_memory(drafts: &Drafts, outlines: &[Outline]) -> Vec<usize> {
    let given = given(drafts);
    let mut root: Vec<usize> = (0..drafts.buffers.len()).collect();
    let mut last_read = vec![None; drafts.buffers.len()];
    for (index, step) in outlines.iter().enumerate() {
        for &input in &step.inputs {
            last_read[input] = Some(index);
        }
    }
    let mut kept = vec![false; drafts.buffers.len()];
    for (buffer, _) in drafts.outputs.iter().flatten() {
        kept[*buffer] = true;
    }
    for (index, step) in outlines.iter().enumerate() {
        let Some(&input) = step.in_place.and_then(|position| step.inputs.get(position)) else {
            continue;
        };
        if given[root[input]].is_some() {
            continue;
        }
        let once = step
            .inputs
            .iter()
            .filter(|&&other| root[other] == root[input])
            .count()
            == 1;
        let same_size = drafts.buffers[input].bytes == drafts.buffers[step.output].bytes;
        // Views of one memory die together: none of them may be read after this step, or be an output.
        let dies = (0..root.len())
            .filter(|&other| root[other] == root[input])
            .all(|other| !kept[other] && last_read[other].is_none_or(|last| last <= index));
        if once && same_size && dies {
            root[step.output] = root[input];
        }
    }
    root
}

/// For each buffer that owns memory, how long it lives; others get an empty life.
fn lifetimes(drafts: &Drafts, outlines: &[Outline], root: &[usize]) -> Vec<Life> {
    let end = outlines.len();
    let mut lives: Vec<Life> = drafts
        .buffers
        .iter()
        .enumerate()
        .map(|(index, buffer)| Life {
            name: buffer.name.clone(),
            ty: buffer.ty.clone(),
            bytes: if root[index] == index { buffer.bytes } else { 0 },
            first: usize::MAX,
            last: 0,
        })
        .collect();
    let mut touch = |buffer: usize, step: usize| {
        let life = &mut lives[root[buffer]];
        life.first = life.first.min(step);
        life.last = life.last.max(step);
    };
    for &(buffer, _) in &drafts.inputs {
        touch(buffer, 0);
    }
    for (index, step) in outlines.iter().enumerate() {
        step.inputs
            .iter()
            .chain([&step.output])
            .for_each(|&buffer| touch(buffer, index));
    }
    for &(buffer, _) in drafts.outputs.iter().flatten() {
        touch(buffer, end);
    }
    // What a chain keeps in strips is never whole, and what the caller has needs no room.
    for (life, given) in lives.iter_mut().zip(given(drafts)) {
        if life.first == usize::MAX || given.is_some() {
            life.bytes = 0;
        }
    }
    lives
}

/// Offsets, by buffer.
fn place(lives: &[Life]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..lives.len()).filter(|&index| lives[index].bytes > 0).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(lives[index].bytes), lives[index].first, index));
    let mut offsets = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    for index in order {
        let life = &lives[index];
        let mut taken: Vec<Range<usize>> = placed
            .iter()
            .filter(|&&other| lives[other].first <= life.last && life.first <= lives[other].last)
            .map(|&other| offsets[other]..offsets[other] + lives[other].bytes)
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut offset = 0usize;
        for range in taken {
            if range.start >= offset.checked_add(life.bytes)? {
                break;
            }
            offset = offset.max(range.end.checked_next_multiple_of(ALIGN)?);
        }
        offset.checked_add(life.bytes)?;
        offsets[index] = offset;
        placed.push(index);
    }
    Some(offsets)
}

fn planned(draft: Draft, (inputs, output): (Vec<Source>, Range<usize>), options: PlanOptions) -> PlannedStep {
    let Draft {
        kind,
        origin,
        prepared,
        cost,
        ..
    } = draft;
    let parts = divide(prepared.units, prepared.grain, threads_worth(&cost, options));
    let bytes = output.len();
    let borders = parts
        .iter()
        .map(|part| (part.start * prepared.unit_bytes).min(bytes))
        .chain([bytes])
        .collect();
    PlannedStep {
        kind,
        origin,
        step: prepared.step,
        inputs,
        output,
        parts,
        borders,
        scratch_bytes: prepared.scratch_bytes.next_multiple_of(ALIGN),
        weight_bytes: prepared.weight_bytes,
        cost,
        slow: prepared.slow,
    }
}

/// How many threads a step is worth, from an estimate of 60 multiply-adds and 10 bytes a nanosecond.
fn threads_worth(cost: &Cost, options: PlanOptions) -> usize {
    let estimate_ns = cost.macs / 60 + cost.bytes / 10;
    let least_ns = WORTH_HAND_OVERS * options.hand_over_ns.max(1);
    let worth = usize::try_from(estimate_ns / least_ns).unwrap_or(usize::MAX);
    worth.clamp(1, options.threads.max(1))
}

/// Divides units into parts of nearly the same size that start at multiples of `grain`; no part is empty.
fn divide(units: usize, grain: usize, parts: usize) -> Vec<Range<usize>> {
    let grains = units.div_ceil(grain);
    let parts = parts.min(grains).max(1);
    (0..parts)
        .map(|part| {
            (grains * part / parts * grain).min(units)..(grains * (part + 1) / parts * grain).min(units)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Life, divide, place};

    #[test]
    fn parts_cover_all_units() {
        for (units, grain, parts) in [
            (10, 1, 3),
            (10, 4, 3),
            (1, 8, 2),
            (49, 7, 2),
            (5, 1, 9),
            (0, 1, 2),
        ] {
            let ranges = divide(units, grain, parts);
            assert_eq!(ranges.first().map(|range| range.start), Some(0));
            assert_eq!(ranges.last().map(|range| range.end), Some(units));
            assert!(
                ranges
                    .windows(2)
                    .all(|pair| pair[0].end == pair[1].start && pair[1].start.is_multiple_of(grain))
            );
        }
    }

    #[test]
    fn buffers_alive_together_never_overlap() {
        let mut state = 12345u64;
        let mut next = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        for _ in 0..50 {
            let lives: Vec<Life> = (0..40)
                .map(|n| {
                    let first = next(30);
                    Life {
                        name: n.to_string(),
                        ty: locket_mil::Type::Unknown,
                        bytes: 1 + next(5000),
                        first,
                        last: first + next(8),
                    }
                })
                .collect();
            let offsets = place(&lives).expect("small buffers fit");
            for (a, left) in lives.iter().enumerate() {
                assert!(offsets[a].is_multiple_of(64));
                for (b, right) in lives.iter().enumerate().skip(a + 1) {
                    let together = left.first <= right.last && right.first <= left.last;
                    let apart =
                        offsets[a] + left.bytes <= offsets[b] || offsets[b] + right.bytes <= offsets[a];
                    assert!(!together || apart, "{left:?} and {right:?} overlap");
                }
            }
        }
    }
}
