//! How a model is to be loaded.

use std::{path::PathBuf, time::Duration};

use locket_data::Preprocess;
use locket_kernels::Isa;
use locket_runtime::Precision;

use crate::Isolation;

/// A new worker costs ten milliseconds and the load of the model: shared among this many predictions, microseconds.
const RECYCLE_AFTER: u32 = 10_000;

/// Which processors a model may use. Locket runs on the CPU: every choice includes it, and none adds another here. The
/// names are Core ML's, so that a configuration can be carried over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComputeUnits {
    /// Whatever is there.
    #[default]
    All,
    /// The CPU alone.
    CpuOnly,
    /// The CPU and a GPU.
    CpuAndGpu,
    /// The CPU and a neural engine.
    CpuAndNeuralEngine,
}

/// How a model is to be loaded, and what it must keep to.
#[derive(Clone, Debug)]
pub struct ModelConfiguration {
    /// Which processors may be used.
    pub compute_units: ComputeUnits,
    /// Threads that a prediction may use; `None` for one for each core.
    pub threads: Option<usize>,
    /// Instruction set of the kernels; `None` for the best of this machine.
    pub isa: Option<Isa>,
    /// Arithmetic of convolutions and fully connected layers on floats; float32 unless told otherwise.
    pub precision: Precision,
    /// Whether chains of convolutions run strip by strip where that takes less; results are the same to the bit.
    pub depth_first: bool,
    /// The function to run; `None` for the model's default one.
    pub function_name: Option<String>,
    /// Bytes that weights, tensors and scratch may take together. Checked on the plan, before a byte is reserved.
    pub memory_budget: Option<usize>,
    /// Time that a prediction may take, from the call until its outputs are computed. Checked at load on a short calibration, and
    /// enforced on each prediction. What the machine takes beyond that to give the caller its processor back is not the prediction's.
    pub latency_budget: Option<Duration>,
    /// How a picture becomes the model's input, for [`Model::predict_image`](crate::Model::predict_image).
    pub preprocess: Option<Preprocess>,
    /// Where the model computes.
    pub isolation: Isolation,
    /// The worker's program, such as `locket-worker`; `None` for the running program.
    pub worker: Option<PathBuf>,
    /// Goes on with a worker that lacks a wall of the policy; [`Model::degraded`](crate::Model::degraded) names what is missing.
    pub allow_degraded: bool,
    /// Predictions after which a worker is replaced, so that whatever has got hold of one, or piled up in it, does not stay: it
    /// never has the data of more than so many. The next prediction waits for the new one. `None` for never.
    pub recycle_after: Option<u32>,
}

impl Default for ModelConfiguration {
    fn default() -> Self {
        Self {
            compute_units: ComputeUnits::default(),
            threads: None,
            isa: None,
            precision: Precision::default(),
            depth_first: true,
            function_name: None,
            memory_budget: None,
            latency_budget: None,
            preprocess: None,
            isolation: Isolation::default(),
            worker: None,
            allow_degraded: false,
            recycle_after: Some(RECYCLE_AFTER),
        }
    }
}
