//! What lives when.

use locket_mil::Type;

use super::steps::Drafts;

/// How long a buffer lives, in steps, both ends included.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) bytes: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// A tensor that is alive at the peak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTensor {
    /// The value's name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its bytes.
    pub bytes: usize,
}

/// Memory over time, exact from the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// For each step, the bytes of tensors alive while it runs.
    pub live_bytes: Vec<usize>,
    /// The step at which most bytes are alive.
    pub peak_step: usize,
    /// Bytes alive at that step. The arena is at least as large; more only through fragmentation and alignment.
    pub peak_live_bytes: usize,
    /// Tensors alive at that step, largest first.
    pub at_peak: Vec<LiveTensor>,
}

pub(super) fn memory(drafts: &Drafts, lives: &[Life]) -> MemoryReport {
    let alive = |life: &Life, step: usize| life.bytes > 0 && life.first <= step && step <= life.last;
    let live_bytes: Vec<usize> = (0..drafts.steps.len())
        .map(|step| {
            lives
                .iter()
                .filter(|life| alive(life, step))
                .map(|life| life.bytes)
                .sum()
        })
        .collect();
    let peak_live_bytes = live_bytes.iter().copied().max().unwrap_or(0);
    let peak_step = live_bytes
        .iter()
        .position(|&bytes| bytes == peak_live_bytes)
        .unwrap_or(0);
    let mut at_peak: Vec<LiveTensor> = lives
        .iter()
        .filter(|life| alive(life, peak_step))
        .map(|life| LiveTensor {
            name: life.name.clone(),
            ty: life.ty.clone(),
            bytes: life.bytes,
        })
        .collect();
    at_peak.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    MemoryReport {
        live_bytes,
        peak_step,
        peak_live_bytes,
        at_peak,
    }
}
