//! A program with everything that was measured of its package.

use std::path::PathBuf;

use locket_formats::{
    coreml::{self, WriteOptions},
    limits::Limits,
};
use locket_mil::{Program, Target};
use locket_runtime::{MemoryReport, Session, compile};
use locket_tensor::Tensor;

use super::Request;
use crate::{
    CompressError,
    measure::{
        Evaluation, Latency, LatencyProtocol, OperatorTime, energy_uj, evaluate, latency, operator_times,
        package_bytes,
    },
    recipe::weight_bytes,
};

/// Predictions that latency is taken from: with no overrun among 1000, at most 0.3 % overrun at 95 % confidence.
const RUNS: usize = 1000;

/// Longest that the measurement of one latency takes.
const MAX_TIME: std::time::Duration = std::time::Duration::from_secs(6);

/// Predictions that the time by operator is the median of.
pub const PROFILED_RUNS: usize = 31;

/// A program with everything that was measured of its package.
#[derive(Debug)]
pub struct Variant {
    /// What it is, in a reader's words.
    pub name: String,
    /// How it was made.
    pub recipe: String,
    /// The package.
    pub package: PathBuf,
    /// The lowest target that the package runs on.
    pub target: Target,
    /// The program, as read back from the package.
    pub program: Program,
    /// Bytes of the package on disk. Measured.
    pub package_bytes: u64,
    /// Bytes of the weights in the file. Counted.
    pub stored_weight_bytes: u64,
    /// Bytes of weights as the plan holds them. Exact from the plan.
    pub weight_bytes: u64,
    /// Bytes of tensors and scratch. Exact from the plan.
    pub arena_bytes: u64,
    /// Bytes of weights, tensors and scratch together. Exact from the plan.
    pub peak_bytes: u64,
    /// What lives when. Exact from the plan.
    pub memory: MemoryReport,
    /// Time of each step of the plan. Measured.
    pub operators: Vec<OperatorTime>,
    /// Multiply-adds of a prediction.
    pub macs: u64,
    /// Microjoules of a prediction. Modelled.
    pub energy_uj: f64,
    /// Times of predictions. Measured.
    pub latency: Latency,
    /// Answers to the evaluation samples. Measured.
    pub evaluation: Evaluation,
}

impl Variant {
    /// True for the program that everything is compared with.
    pub fn is_source(&self) -> bool {
        self.name == "source"
    }
}

/// Writes a program as a package, reads it back and measures what was read.
///
/// # Errors
///
/// If it cannot be written, read or run.
pub fn measure(
    request: &Request<'_>,
    name: &str,
    recipe: &str,
    program: &Program,
) -> Result<Variant, CompressError> {
    let file: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let package = request.folder.join(format!("{file}.mlpackage"));
    let summary = coreml::write(program, &package, &WriteOptions::default())?;
    let program = coreml::read(&package, &Limits::default())?;
    let plan = compile(program.main(), request.plan)?.plan;
    let (arena_bytes, peak_bytes) = (plan.arena_bytes + plan.scratch_bytes, plan.peak_bytes());
    let (weights, memory, macs) = (plan.weight_bytes, plan.memory.clone(), plan.cost().macs);
    let energy_uj = energy_uj(program.main(), &plan);
    let mut session = Session::new(plan).map_err(|source| CompressError::Io {
        what: "starting threads".to_owned(),
        source,
    })?;
    let input: Vec<Tensor> = request.evaluation.inputs.iter().take(1).cloned().collect();
    let protocol = LatencyProtocol {
        iterations: RUNS,
        max_time: MAX_TIME,
        ..LatencyProtocol::default()
    };
    let latency = latency(&mut session, &input, protocol)?;
    let operators = operator_times(&mut session, &input, PROFILED_RUNS)?;
    drop(session);
    let evaluation = evaluate(program.main(), request.evaluation, request.plan, &|_| {})?;
    let bytes = package_bytes(&package).map_err(|source| CompressError::Io {
        what: format!("reading {}", package.display()),
        source,
    })?;
    Ok(Variant {
        name: name.to_owned(),
        recipe: recipe.to_owned(),
        target: summary.target,
        package_bytes: bytes,
        stored_weight_bytes: weight_bytes(program.main()),
        weight_bytes: weights as u64,
        arena_bytes: arena_bytes as u64,
        peak_bytes: peak_bytes as u64,
        memory,
        operators,
        macs,
        energy_uj,
        latency,
        evaluation,
        package,
        program,
    })
}
