//! The plan's memory, operator by operator.

use serde::{Deserialize, Serialize};

/// What is alive while each operator runs. Every figure is exact from the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryTimeline {
    /// Bytes of weights, alive all the time.
    pub weight_bytes: u64,
    /// Size of the arena: the most that activations and scratch take together, with the gaps of the layout.
    pub arena_bytes: u64,
    /// One point per operator in the order of execution.
    pub points: Vec<MemoryPoint>,
    /// The tensors alive at the peak, largest first.
    #[serde(default)]
    pub at_peak: Vec<PeakTensor>,
}

impl MemoryTimeline {
    /// Weights and arena together, in bytes.
    pub const fn peak_bytes(&self) -> u64 {
        self.weight_bytes.saturating_add(self.arena_bytes)
    }

    /// The operator at which the most bytes are alive, with its place in the order; the first of equals.
    pub fn peak_point(&self) -> Option<(usize, &MemoryPoint)> {
        self.points
            .iter()
            .enumerate()
            .rev()
            .max_by_key(|(_, point)| point.total_bytes())
    }
}

/// What is alive while one operator runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// The operator's name.
    pub operator: String,
    /// Bytes of the activations alive.
    pub live_bytes: u64,
    /// Bytes of scratch that the operator asked for.
    #[serde(default)]
    pub scratch_bytes: u64,
}

impl MemoryPoint {
    /// Activations and scratch together, in bytes.
    pub const fn total_bytes(&self) -> u64 {
        self.live_bytes.saturating_add(self.scratch_bytes)
    }
}

/// A tensor alive at the peak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakTensor {
    /// The tensor's name.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The operator that writes it; empty for an input.
    #[serde(default)]
    pub producer: String,
}
