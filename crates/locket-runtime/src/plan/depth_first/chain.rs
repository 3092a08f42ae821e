//! The step that runs a chain, and its strips.

use std::{fmt, ops::Range};

use locket_ops::{Prepared, RowWindow, Step, Strip};

use super::MOST_STAGES;

const ALIGN: usize = 64;

/// One convolution of a chain, before the chain is made.
pub(super) struct Link<'a> {
    pub(super) step: &'a dyn Step,
    pub(super) window: RowWindow,
    /// How many tensors it reads.
    pub(super) inputs: usize,
    pub(super) scratch_bytes: usize,
}

/// Rows of an image.
type Rows = Range<usize>;

/// A chain whose strips are decided, without its first step.
pub(super) struct Chain {
    stages: Vec<Stage>,
    /// Output rows of a strip.
    rows: usize,
    /// Bytes of the strips between stages, and of the stages' own scratch.
    scratch_bytes: usize,
}

struct Stage {
    window: RowWindow,
    /// Tensors, after the first, that it reads, among those that the chain reads.
    inputs: Range<usize>,
    /// What computes a strip; empty for the first stage, which reads the whole.
    strips: Vec<(Strip, Box<dyn Step>)>,
    /// Place in scratch of its strip; empty for the last stage, which writes the output.
    buffer: Range<usize>,
}

impl Chain {
    /// The most output rows whose strips fit `strip_bytes`, in at least `strips` strips if there are as many rows; `None` if
    /// not even a row fits.
    pub(super) fn rows(links: &[Link<'_>], strip_bytes: usize, strips: usize) -> Option<usize> {
        let out_rows = links.last()?.window.out_rows;
        let most = (out_rows / strips).max(1);
        let fits = |rows: usize| {
            let middle = (out_rows - rows) / 2;
            let need = needs(links, middle..middle + rows);
            let bytes = need.iter().zip(links).rev().skip(1);
            bytes
                .map(|(rows, link)| rows.len() * link.window.out_row_bytes)
                .sum::<usize>()
                <= strip_bytes
        };
        (1..=most).rev().find(|&rows| fits(rows))
    }

    /// Decides all strips; `None` if a stage cannot compute one of them.
    pub(super) fn plan(links: &[Link<'_>], rows: usize) -> Option<Self> {
        let out_rows = links.last()?.window.out_rows;
        let mut strips: Vec<Vec<(Strip, Box<dyn Step>)>> = links.iter().map(|_| Vec::new()).collect();
        let mut most = vec![0; links.len()];
        for start in (0..out_rows).step_by(rows) {
            let need = needs(links, start..(start + rows).min(out_rows));
            let before = needs(links, start.saturating_sub(rows)..start.max(1));
            for (stage, link) in links.iter().enumerate() {
                most[stage] = most[stage].max(need[stage].len());
                // A thread that starts here computes all rows, one that goes on those that it does not have.
                let mut todo = vec![need[stage].clone()];
                if start > 0 {
                    todo.push(missing(&before[stage], &need[stage]));
                }
                for rows in todo.into_iter().filter(|rows| stage > 0 && !rows.is_empty()) {
                    let strip = link.window.strip(rows.start, rows.end);
                    if strips[stage].iter().all(|(known, _)| *known != strip) {
                        strips[stage].push((strip, link.step.strip(strip)?));
                    }
                }
            }
        }
        let mut end = 0;
        let mut inputs = links.first()?.inputs;
        let last = links.len() - 1;
        let stages = links.iter().zip(strips).enumerate();
        let stages = stages
            .map(|(stage, (link, strips))| {
                let start = end;
                if stage < last {
                    end = start + (most[stage] * link.window.out_row_bytes).next_multiple_of(ALIGN);
                }
                let extra = if stage == 0 { link.inputs } else { link.inputs - 1 };
                let first = if stage == 0 { 0 } else { inputs };
                inputs = first + extra;
                Stage {
                    window: link.window,
                    inputs: first..inputs,
                    strips,
                    buffer: start..end,
                }
            })
            .collect();
        let own = links.iter().map(|link| link.scratch_bytes).max().unwrap_or(0);
        Some(Self {
            stages,
            rows,
            scratch_bytes: end + own,
        })
    }

    /// Scratch of a thread.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }

    /// The step, given what computes its first stage and the bytes of weights of all stages.
    pub(super) fn prepare(self, first: Box<dyn Step>, weight_bytes: usize) -> Prepared {
        let window = self.stages.last().map(|stage| stage.window);
        let (out_rows, row_bytes) = window.map_or((0, 0), |window| (window.out_rows, window.out_row_bytes));
        let (rows, scratch_bytes) = (self.rows, self.scratch_bytes);
        let name = format!("depth_first_{}x{rows}", self.stages.len());
        let step = ChainStep {
            first,
            chain: self,
            name,
        };
        Prepared::new(step, out_rows.div_ceil(rows), rows * row_bytes)
            .scratch(scratch_bytes)
            .weights(weight_bytes)
    }
}

/// The rows of each stage's output that the chain's output rows are made of.
fn needs(links: &[Link<'_>], rows: Rows) -> Vec<Rows> {
    let mut needs = vec![rows];
    for link in links.iter().skip(1).rev() {
        let last = &needs[needs.len() - 1];
        let (start, end) = link.window.input(last.start, last.end);
        needs.push(start..end);
    }
    needs.reverse();
    needs
}

/// Rows of `need` after those of `have` that it begins with.
fn missing(have: &Rows, need: &Rows) -> Rows {
    if have.contains(&need.start) {
        have.end.min(need.end)..need.end
    } else {
        need.clone()
    }
}

struct ChainStep {
    first: Box<dyn Step>,
    chain: Chain,
    name: String,
}

impl fmt::Debug for ChainStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChainStep").field(&self.name).finish()
    }
}

impl ChainStep {
    /// Computes `rows` of a stage's output into `output`; the strip before it is in `buffers`, from row `held` on.
    fn compute(
        &self,
        stage: usize,
        rows: Rows,
        (buffers, held): (&[u8], usize),
        inputs: &[&[u8]],
        output: &mut [u8],
        scratch: &mut [u8],
    ) {
        let Stage {
            window,
            inputs: own,
            strips,
            ..
        } = &self.chain.stages[stage];
        let units = rows.start * window.row_units..rows.end * window.row_units;
        if stage == 0 {
            self.first.run(units, &inputs[own.clone()], output, scratch);
            return;
        }
        let strip = window.strip(rows.start, rows.end);
        let Some((_, step)) = strips.iter().find(|(known, _)| *known == strip) else {
            debug_assert!(false, "every strip was planned");
            return;
        };
        let before = &self.chain.stages[stage - 1];
        let (first, last) = window.input(rows.start, rows.end);
        let row_bytes = before.window.out_row_bytes;
        let mut given: [&[u8]; 2] = [&[]; 2];
        given[0] = &buffers[before.buffer.start + (first - held) * row_bytes..][..(last - first) * row_bytes];
        let mut count = 1;
        for (slot, input) in given[1..].iter_mut().zip(&inputs[own.clone()]) {
            *slot = &input[rows.start * window.out_row_bytes..];
            count += 1;
        }
        step.run(0..units.len(), &given[..count], output, scratch);
    }
}

impl Step for ChainStep {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], scratch: &mut [u8]) {
        let Chain { stages, rows, .. } = &self.chain;
        let last = stages.len() - 1;
        let end = stages[last].buffer.end;
        let (buffers, scratch) = scratch.split_at_mut(end);
        let mut have: [Rows; MOST_STAGES] = std::array::from_fn(|_| 0..0);
        let mut output = output;
        for unit in units {
            let mut need: [Rows; MOST_STAGES] = std::array::from_fn(|_| 0..0);
            need[last] = unit * rows..((unit + 1) * rows).min(stages[last].window.out_rows);
            for stage in (1..=last).rev() {
                let (start, end) = stages[stage].window.input(need[stage].start, need[stage].end);
                need[stage - 1] = start..end;
            }
            for stage in 0..last {
                let row_bytes = stages[stage].window.out_row_bytes;
                let (wanted, held) = (&need[stage], &have[stage]);
                let todo = missing(held, wanted);
                let (before, own) = buffers.split_at_mut(stages[stage].buffer.start);
                let kept = todo.start - wanted.start;
                if kept > 0 {
                    let from = (wanted.start - held.start) * row_bytes;
                    own.copy_within(from..from + kept * row_bytes, 0);
                }
                let target = &mut own[kept * row_bytes..][..todo.len() * row_bytes];
                if !todo.is_empty() {
                    let held = if stage == 0 { 0 } else { need[stage - 1].start };
                    self.compute(stage, todo, (before, held), inputs, target, scratch);
                }
                have[stage] = wanted.clone();
            }
            let rows = need[last].clone();
            let (target, rest) = output.split_at_mut(rows.len() * stages[last].window.out_row_bytes);
            self.compute(
                last,
                rows,
                (buffers, need[last - 1].start),
                inputs,
                target,
                scratch,
            );
            output = rest;
        }
    }

    fn kernel(&self) -> &str {
        &self.name
    }
}
