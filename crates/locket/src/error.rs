//! Why a model cannot be loaded, or does not answer.

use std::{path::PathBuf, time::Duration};

use locket_formats::FormatError;
use locket_runtime::{CompiledError, PlanError, RunError};
use locket_tensor::TensorError;

/// Why a model cannot be loaded, or does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read as a model.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The model has operators that cannot be run; all are named.
    #[error("{}: {} that Locket cannot run: {}; `locket check` says why", path.display(), count(*operators), names)]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// How many operators.
        operators: usize,
        /// Their names in the source, and their kinds.
        names: String,
    },
    /// The model has no such function.
    #[error("no function {name}; the model has {known}")]
    Function {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The model cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The compiled form cannot be written or used.
    #[error("{}: {source}", path.display())]
    Compiled {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CompiledError,
    },
    /// The plan needs more memory than the budget allows.
    #[error(
        "peak of {peak} bytes is over the memory budget of {budget} bytes: {weights} weights, {scratch} scratch, {arena} tensors at {moment}, the largest {largest}"
    )]
    MemoryBudget {
        /// Bytes that the plan needs.
        peak: usize,
        /// Bytes allowed.
        budget: usize,
        /// Bytes of weights.
        weights: usize,
        /// Bytes of scratch.
        scratch: usize,
        /// Bytes of tensors.
        arena: usize,
        /// The step at which most bytes are alive.
        moment: String,
        /// The largest tensors then alive, with their bytes.
        largest: String,
    },
    /// The calibration at load found predictions that took longer than the budget allows.
    #[error(
        "{overruns} of {runs} predictions took longer than the latency budget of {budget:?}: median {median:?}, longest {longest:?}"
    )]
    LatencyBudget {
        /// Predictions over the budget.
        overruns: usize,
        /// Predictions made.
        runs: usize,
        /// Time allowed.
        budget: Duration,
        /// The median.
        median: Duration,
        /// The longest.
        longest: Duration,
    },
    /// An input is missing or does not fit.
    #[error("input {name}: expected {expected}, found {found}")]
    Input {
        /// Its name.
        name: String,
        /// What the model wants.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A picture cannot be decoded, or does not become the model's input.
    #[error("picture: {why}")]
    Picture {
        /// What is wrong with it.
        why: String,
    },
    /// Pictures cannot be made into the model's input.
    #[error("pictures cannot be made into the model's input: {why}")]
    Preprocess {
        /// Why not.
        why: String,
    },
    /// The prediction gave no answer.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A tensor cannot be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The model cannot be loaded in a worker.
    #[error("{}: {why}", path.display())]
    NoWorker {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// The worker is lost, or could not be started; the next prediction starts another.
    #[error(transparent)]
    Worker(#[from] locket_sandbox::SandboxError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
}

fn count(operators: usize) -> String {
    if operators == 1 {
        "1 operator".to_owned()
    } else {
        format!("{operators} operators")
    }
}
