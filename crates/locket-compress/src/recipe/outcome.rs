//! What goes into a recipe beside the program, and what comes out.

use locket_mil::Program;
use locket_runtime::PlanOptions;

use super::LayerChoice;

/// How far compression is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The layer at hand.
    pub layer: &'a str,
    /// Layers that are done.
    pub done: usize,
    /// Layers in all.
    pub layers: usize,
}

/// How a recipe is applied.
#[derive(Clone, Copy)]
pub struct ApplyOptions<'a> {
    /// Instruction set, and how many samples run at once. Results do not depend on the number of threads.
    pub plan: PlanOptions,
    /// Bytes that may be spent on activations of the samples between layers; with less, layers are run again instead.
    pub cache_bytes: u64,
    /// Layers, by name, for which something else than the recipe is done.
    pub overrides: &'a [(String, LayerChoice)],
    /// Is told before each layer.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl std::fmt::Debug for ApplyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApplyOptions")
            .field("plan", &self.plan)
            .field("cache_bytes", &self.cache_bytes)
            .field("overrides", &self.overrides)
            .finish_non_exhaustive()
    }
}

impl ApplyOptions<'_> {
    /// The default of [`ApplyOptions::cache_bytes`]: 512 MiB.
    pub const CACHE_BYTES: u64 = 512 << 20;

    /// No overrides, no progress.
    pub fn new(plan: PlanOptions) -> Self {
        Self {
            plan,
            cache_bytes: Self::CACHE_BYTES,
            overrides: &[],
            progress: &|_| {},
        }
    }
}

/// What became of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// Its name in the source.
    pub name: String,
    /// What was done to it.
    pub done: LayerChoice,
    /// Bytes of its weight before, as stored.
    pub bytes_before: u64,
    /// Bytes of its weight after, as stored.
    pub bytes_after: u64,
    /// Mean square of what its weight lost, over the mean square of the weight: 0 is nothing, 1 everything.
    pub weight_error: f64,
    /// Why it was left as it is, if something else was asked for.
    pub skipped: Option<String>,
}

/// A compressed program.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// The program.
    pub program: Program,
    /// What became of each layer, in the order they run.
    pub layers: Vec<LayerReport>,
    /// What a person should know.
    pub notes: Vec<String>,
}
