//! Chains of convolutions that run strip by strip: a strip of rows passes through all of them before the next one starts.
//!
//! What lies between two convolutions of a chain then never exists as a whole: of each there is a strip in scratch, small enough
//! to stay in the second-level cache. Rows that the next strip needs again are kept, not computed again, except
//! where a thread starts. Every output element is summed as before, so results are the same to the bit.

mod chain;

use locket_ops::Cost;

use super::{
    PlanOptions,
    arena::{Outline, footprint},
    steps::{Draft, Drafts},
};
use chain::{Chain, Link};

/// Bytes of strips that a thread keeps between the stages of a chain: a third of the second-level cache of the machines in
/// use, so that weights, inputs and outputs find room beside them.
const STRIP_BYTES: usize = 320 * 1024;

/// Bytes from which on a tensor is worth not to exist. Smaller ones stay in the second-level cache by themselves.
const WORTH_BYTES: usize = 384 * 1024;

/// Most bytes of weights of a chain: each strip passes over all of them.
const MOST_WEIGHT_BYTES: usize = 256 * 1024;

/// Most convolutions of a chain.
const MOST_STAGES: usize = 3;

/// Strips for each thread, at least, so that threads finish together.
const STRIPS_OF_A_THREAD: usize = 4;

/// Replaces chains by one step each; by none, if less memory is preferred and they would take more.
pub(super) fn fuse(mut drafts: Drafts, options: PlanOptions) -> Drafts {
    let groups = groups(&drafts, options.threads);
    if options.lean && !saves(&drafts, &groups) {
        return drafts;
    }
    let mut steps = std::mem::take(&mut drafts.steps).into_iter();
    for group in groups {
        let together: Vec<Draft> = steps.by_ref().take(group.length).collect();
        match group.chain {
            Some(chain) => {
                let between = &together[..group.length - 1];
                let bytes = between.iter().map(|step| drafts.buffers[step.output].bytes).sum();
                drafts.steps.extend(join(together, chain, bytes));
            }
            None => drafts.steps.extend(together),
        }
    }
    drafts
}

/// Steps that follow each other.
struct Group {
    length: usize,
    /// How they run as one step; `None` for a single step.
    chain: Option<Chain>,
}

/// Cuts the steps into chains that are worth it, and single steps.
fn groups(drafts: &Drafts, threads: usize) -> Vec<Group> {
    let readers = readers(drafts);
    let bytes = |step: &Draft| drafts.buffers[step.output].bytes;
    let mut groups = Vec::new();
    let mut rest = drafts.steps.as_slice();
    while !rest.is_empty() {
        let linked = rest
            .windows(2)
            .take_while(|pair| continues(&pair[0], &pair[1], &readers));
        let length = worthwhile(&rest[..1 + linked.count()], &bytes);
        let chain = chain(&rest[..length], threads);
        let length = if chain.is_some() { length } else { 1 };
        groups.push(Group { length, chain });
        rest = &rest[length..];
    }
    groups
}

/// Whether arena and scratch are smaller with chains than without.
fn saves(drafts: &Drafts, groups: &[Group]) -> bool {
    let whole: Vec<Outline> = drafts.steps.iter().map(Outline::of).collect();
    let mut first = 0;
    let joined: Vec<Outline> = groups
        .iter()
        .map(|group| {
            let steps = &drafts.steps[first..first + group.length];
            let mut outline = whole[first].clone();
            first += group.length;
            if let (Some(chain), Some(last)) = (&group.chain, steps.last()) {
                outline = Outline {
                    inputs: inputs(steps),
                    output: last.output,
                    in_place: None,
                    scratch_bytes: chain.scratch_bytes(),
                };
            }
            outline
        })
        .collect();
    footprint(drafts, &joined) < footprint(drafts, &whole)
}

/// For each buffer, how often it is read; results of the function count as read once more.
fn readers(drafts: &Drafts) -> Vec<usize> {
    let mut readers = vec![0; drafts.buffers.len()];
    let read = drafts.steps.iter().flat_map(|step| &step.inputs);
    let returned = drafts.outputs.iter().flatten().map(|(buffer, _)| buffer);
    read.chain(returned).for_each(|&buffer| readers[buffer] += 1);
    readers
}

/// Whether `next` reads what `last` gives, and nobody else does.
fn continues(last: &Draft, next: &Draft, readers: &[usize]) -> bool {
    let (Some(from), Some(to)) = (last.prepared.step.row_window(), next.prepared.step.row_window()) else {
        return false;
    };
    next.inputs.first() == Some(&last.output)
        && readers[last.output] == 1
        && (from.out_rows, from.out_row_bytes) == (to.in_rows, to.in_row_bytes)
}

/// The length of the best chain from the first step on: it ends where the least is written, among those between whose stages something
/// is worth not to exist.
fn worthwhile(steps: &[Draft], bytes: &dyn Fn(&Draft) -> usize) -> usize {
    let mut best: Option<(usize, usize)> = None;
    let mut weights = 0;
    for (index, step) in steps.iter().take(MOST_STAGES).enumerate() {
        weights += step.prepared.weight_bytes;
        if weights > MOST_WEIGHT_BYTES {
            break;
        }
        // The first tensor between must be worth it, or the chain starts better at a later step.
        let is_worth = index > 0 && bytes(&steps[0]) >= WORTH_BYTES;
        if is_worth && best.is_none_or(|(least, _)| bytes(step) <= least) {
            best = Some((bytes(step), index + 1));
        }
    }
    best.map_or(1, |(_, length)| length)
}

/// How steps run as one; `None` for a single one, or where a strip cannot be computed.
fn chain(steps: &[Draft], threads: usize) -> Option<Chain> {
    let links: Vec<Link<'_>> = steps
        .iter()
        .map(|draft| {
            Some(Link {
                step: &*draft.prepared.step,
                window: draft.prepared.step.row_window()?,
                inputs: draft.inputs.len(),
                scratch_bytes: draft.prepared.scratch_bytes,
            })
        })
        .collect::<Option<_>>()?;
    if links.len() < 2 {
        return None;
    }
    let rows = Chain::rows(&links, STRIP_BYTES, STRIPS_OF_A_THREAD * threads)?;
    Chain::plan(&links, rows)
}

/// What a chain reads: all that its steps read, but what they hand on.
fn inputs(steps: &[Draft]) -> Vec<usize> {
    let own = steps.iter().enumerate();
    own.flat_map(|(index, draft)| draft.inputs.iter().skip(usize::from(index > 0)).copied())
        .collect()
}

/// One step for several, between which `between` bytes no longer pass through memory.
fn join(steps: Vec<Draft>, chain: Chain, between: usize) -> Option<Draft> {
    let inputs = inputs(&steps);
    let mut cost = Cost::default();
    let (mut origin, mut weight_bytes) = (Vec::new(), 0);
    for draft in &steps {
        origin.extend(draft.origin.iter().cloned());
        weight_bytes += draft.prepared.weight_bytes;
        cost += draft.cost;
    }
    cost.bytes = cost.bytes.saturating_sub(2 * between as u64);
    let output = steps.last()?.output;
    let kind = format!("locket.depth_first_{}", steps.len());
    let first = steps.into_iter().next()?.prepared.step;
    Some(Draft {
        kind,
        origin,
        prepared: chain.prepare(first, weight_bytes),
        inputs,
        output,
        cost,
    })
}
