//! The one step of every operator that only moves elements: boxes of inputs to boxes of the output, with any strides.
//!
//! An operator says what moves in logical terms, as [`Piece`]s: loops that advance along an axis of the output and one of the input.
//! The step turns them into loops over memory in whatever layouts the planner chose, merges those that follow
//! each other, and runs any part of the output on its own.

use std::{fmt, ops::Range};

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use locket_kernels::{copy_strided, transpose};
use locket_mil::ValueId;
use locket_tensor::Shape;
use smallvec::SmallVec;

use super::lines::{Operand, Source, physical_strides};
use crate::{Layout, Prepare, Prepared, Step};

/// A loop of a piece: `count` times, `to` further along an axis of the output and `from` further along an axis of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loop {
    pub(crate) count: usize,
    pub(crate) to_axis: usize,
    pub(crate) to_step: usize,
    /// `None` where the input's elements repeat.
    pub(crate) from_axis: Option<usize>,
    pub(crate) from_step: isize,
}

impl Loop {
    /// Element after element along an axis of each.
    pub(crate) fn along(count: usize, to_axis: usize, from_axis: usize) -> Self {
        Self {
            count,
            to_axis,
            to_step: 1,
            from_axis: Some(from_axis),
            from_step: 1,
        }
    }
}

/// A box of an input that moves to a box of the output. No two pieces write the same element.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The value it comes from.
    pub(crate) source: ValueId,
    /// Index of its first element in the input; empty for the first of all.
    pub(crate) from: Vec<usize>,
    /// Index of its first element in the output; empty for the first of all.
    pub(crate) to: Vec<usize>,
    /// Together they reach every element of the box once.
    pub(crate) loops: Vec<Loop>,
}

impl Piece {
    /// What a parameter is bound to, from the first element of each side; empty if it is not bound.
    pub(crate) fn whole(prepare: &Prepare<'_>, param: &str, loops: Vec<Loop>) -> Vec<Self> {
        let source = prepare.node.operation.input(param);
        source
            .map(|source| Self {
                source,
                from: Vec::new(),
                to: Vec::new(),
                loops,
            })
            .into_iter()
            .collect()
    }
}

/// Elements of a run that may be cut between two parts.
const LONG_RUN: usize = 1024;

/// A step that writes `pieces`, and `fill` (the bytes of one element) where none of them writes; `None` if nothing is known at run
/// time only.
pub(crate) fn prepare(prepare: &Prepare<'_>, pieces: Vec<Piece>, fill: Option<&[u8]>) -> Option<Prepared> {
    let (dtype, shape) = prepare.node.output_ty(prepare.output).ok()?;
    let width = dtype.bits() / 8;
    if prepare.node.dynamic_inputs(&[]).is_empty() || !matches!(width, 1 | 2 | 4 | 8) {
        return None;
    }
    let layout = prepare.output_layout();
    let moves: Vec<Move> = pieces
        .into_iter()
        .map(|piece| Move::new(prepare, shape, layout, piece))
        .collect::<Option<_>>()?;
    let elems: usize = shape.iter().product();
    let held = moves.iter().map(|part| part.source.held_bytes()).sum();
    // A part of the output should hold whole runs, unless these are long, and no cache line should be written twice.
    let run = moves
        .iter()
        .filter_map(|part| part.loops.last())
        .map(|inner| match inner.to {
            1 if inner.count < LONG_RUN => inner.count,
            _ => 1,
        });
    let grain = run.max().unwrap_or(1).max(64 / width);
    let step = CopyStep {
        width,
        moves,
        fill: fill.map(SmallVec::from_slice),
    };
    Some(Prepared::new(step, elems, width).grain(grain).weights(held))
}

/// A loop over memory, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Walk {
    count: usize,
    to: usize,
    from: isize,
}

/// A piece, as loops over memory.
#[derive(Debug)]
struct Move {
    source: Source,
    /// First element in the input.
    from: usize,
    /// First element in the output.
    to: usize,
    /// Outermost first; each advances further in the output than all inside it together.
    loops: SmallVec<[Walk; 6]>,
    /// For each loop, how far it and all inside it reach in the output: one past the last element, counted from its first.
    reach: SmallVec<[usize; 6]>,
}

impl Move {
    fn new(prepare: &Prepare<'_>, shape: &[usize], layout: Layout, piece: Piece) -> Option<Self> {
        let operand = Operand::at(prepare, piece.source)?;
        let to_strides = physical_strides(shape, layout);
        let from_strides = physical_strides(&operand.shape, operand.layout);
        let mut loops: SmallVec<[Walk; 6]> = piece
            .loops
            .iter()
            .filter(|axis| axis.count != 1)
            .map(|axis| {
                let stride = axis.from_axis.map_or(0, |from| from_strides[from].cast_signed());
                Walk {
                    count: axis.count,
                    to: to_strides[axis.to_axis] * axis.to_step,
                    from: stride * axis.from_step,
                }
            })
            .collect();
        loops.sort_by_key(|walk| std::cmp::Reverse(walk.to));
        let loops = merged(&loops);
        let start = |index: &[usize], strides: &Shape| -> usize {
            index.iter().zip(strides).map(|(at, stride)| at * stride).sum()
        };
        let mut reach: SmallVec<[usize; 6]> = SmallVec::new();
        let mut inside = 1;
        for walk in loops.iter().rev() {
            inside += walk.count.saturating_sub(1) * walk.to;
            reach.insert(0, inside);
        }
        Some(Self {
            from: start(&piece.from, &from_strides),
            to: start(&piece.to, &to_strides),
            source: operand.source,
            loops,
            reach,
        })
    }
}

/// Joins a loop to the one outside it where they make one longer run on both sides.
fn merged(loops: &[Walk]) -> SmallVec<[Walk; 6]> {
    let mut result: SmallVec<[Walk; 6]> = SmallVec::new();
    for &inner in loops {
        match result.last_mut() {
            Some(outer)
                if outer.to == inner.to * inner.count
                    && outer.from == inner.from * inner.count.cast_signed() =>
            {
                *outer = Walk {
                    count: outer.count * inner.count,
                    ..inner
                };
            }
            _ => result.push(inner),
        }
    }
    result
}

struct CopyStep {
    width: usize,
    moves: Vec<Move>,
    fill: Option<SmallVec<[u8; 8]>>,
}

impl fmt::Debug for CopyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyStep")
            .field("moves", &self.moves)
            .finish_non_exhaustive()
    }
}

impl CopyStep {
    fn copy<T: Pod>(&self, range: &Range<usize>, inputs: &[&[u8]], output: &mut [u8]) {
        let output: &mut [T] = cast_slice_mut(output);
        if let Some(fill) = &self.fill {
            output.fill(bytemuck::pod_read_unaligned(fill));
        }
        for part in &self.moves {
            let input: &[T] = cast_slice(part.source.bytes(inputs));
            let job = Job {
                part,
                input,
                range: range.clone(),
            };
            job.copy(0, part.from, part.to, output);
        }
    }
}

/// One piece's share in a range of the output.
struct Job<'a, T> {
    part: &'a Move,
    input: &'a [T],
    range: Range<usize>,
}

impl<T: Pod> Job<'_, T> {
    /// Runs the loops from `depth` inwards, starting at an element of each side, for what lies in the range.
    fn copy(&self, depth: usize, from: usize, to: usize, output: &mut [T]) {
        let loops = &self.part.loops[depth..];
        let reach = self.part.reach.get(depth).copied().unwrap_or(1);
        let (low, high) = (self.range.start, self.range.end);
        if to + reach <= low || to >= high || loops.iter().any(|walk| walk.count == 0) {
            return;
        }
        let Some(walk) = loops.first() else {
            output[to - low] = self.input[from];
            return;
        };
        let inner = self.part.reach.get(depth + 1).copied().unwrap_or(1);
        let step = walk.to.max(1);
        // The turns that touch the range, and of these the ones that lie in it as a whole.
        let first = (low + 1).saturating_sub(to + inner).div_ceil(step);
        let last = (high - to).div_ceil(step).min(walk.count);
        let start = low.saturating_sub(to).div_ceil(step).clamp(first, last);
        let end = match high.checked_sub(to + inner) {
            Some(room) => (room / step + 1).clamp(start, last),
            None => start,
        };
        let mut turn = |at: usize| {
            let from = from.wrapping_add_signed(walk.from * at.cast_signed());
            self.copy(depth + 1, from, to + at * walk.to, output);
        };
        (first..start).for_each(&mut turn);
        (end..last).for_each(&mut turn);
        if start < end {
            let from = from.wrapping_add_signed(walk.from * start.cast_signed());
            self.turns(depth, end - start, from, to + start * walk.to - low, output);
        }
    }

    /// Runs `count` turns of the loop at `depth`, all of which lie in the range; `to` is counted from the range's start.
    fn turns(&self, depth: usize, count: usize, from: usize, to: usize, output: &mut [T]) {
        let loops = &self.part.loops[depth..];
        let walk = loops[0];
        if loops.len() <= MAX_LOOPS && loops.iter().all(|walk| walk.from >= 0) {
            let mut loops: SmallVec<[Walk; MAX_LOOPS]> = SmallVec::from_slice(loops);
            loops[0].count = count;
            return copy_box(&loops, &self.input[from..], &mut output[to..]);
        }
        for at in 0..count {
            let from = from.wrapping_add_signed(walk.from * at.cast_signed());
            let to = to + at * walk.to;
            if loops.len() == 1 {
                output[to] = self.input[from];
            } else {
                let inner = self.part.loops[depth + 1].count;
                self.turns(depth + 1, inner, from, to, output);
            }
        }
    }
}

/// Most loops of one call of the strided kernel.
const MAX_LOOPS: usize = 6;

/// Copies a whole box; both slices start at its first element.
fn copy_box<T: Pod>(loops: &[Walk], input: &[T], output: &mut [T]) {
    // A matrix that is turned over goes through the blocked kernel.
    if let &[rows, columns] = loops
        && is_matrix(loops)
    {
        let (a, b) = (columns.count, rows.count);
        return transpose([1, a, b], &input[..a * b], &mut output[..a * b]);
    }
    if let &[outer, _, _] = loops
        && outer.count > 1
        && is_matrix(&loops[1..])
    {
        for at in 0..outer.count {
            let from = outer.from.unsigned_abs() * at;
            copy_box(&loops[1..], &input[from..], &mut output[at * outer.to..]);
        }
        return;
    }
    let mut shape = [1; MAX_LOOPS];
    let (mut from, mut to) = ([0; MAX_LOOPS], [0; MAX_LOOPS]);
    for (at, walk) in loops.iter().enumerate() {
        shape[at] = walk.count;
        from[at] = walk.from.unsigned_abs();
        to[at] = walk.to;
    }
    let rank = loops.len();
    copy_strided(&shape[..rank], input, &from[..rank], output, &to[..rank]);
}

/// True for two loops that turn a dense matrix over.
fn is_matrix(loops: &[Walk]) -> bool {
    matches!(loops, &[rows, columns] if columns.to == 1
        && rows.to == columns.count
        && rows.from == 1
        && columns.from == rows.count.cast_signed())
}

impl Step for CopyStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        match self.width {
            1 => self.copy::<u8>(&units, inputs, output),
            2 => self.copy::<u16>(&units, inputs, output),
            4 => self.copy::<u32>(&units, inputs, output),
            _ => self.copy::<u64>(&units, inputs, output),
        }
    }

    fn kernel(&self) -> &str {
        "copy_strided"
    }
}
