//! Latency of single predictions, one after the other.

use std::time::{Duration, Instant};

use locket_data::statistics::{proportion::overrun_upper_bound, summary::percentile};
use locket_runtime::{OutputBuffers, Session};
use locket_tensor::{Tensor, TensorRef};

use super::Disturbances;
use crate::CompressError;

/// How latency is taken: warm-up, then predictions timed one by one until both minima are reached, or the maximum time passes.
#[derive(Clone, Copy, Debug)]
pub struct LatencyProtocol {
    /// Predictions before the measurement, after which at least a tenth of a second of further ones follows.
    pub warm_up: usize,
    /// Least number of timed predictions.
    pub iterations: usize,
    /// Least time measured.
    pub min_time: Duration,
    /// Time after which the measurement ends in any case.
    pub max_time: Duration,
}

impl Default for LatencyProtocol {
    fn default() -> Self {
        Self {
            warm_up: 5,
            iterations: 300,
            min_time: Duration::ZERO,
            max_time: Duration::from_secs(3600),
        }
    }
}

/// Times of single predictions, ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    /// Nanoseconds of each prediction, ascending.
    pub sorted_ns: Vec<u64>,
    /// The first prediction after the session was made, in nanoseconds.
    pub first_ns: u64,
    /// Processor time of the process over wall time, while measuring.
    pub cpu_per_wall: f64,
    /// What came between, while measuring.
    pub disturbances: Disturbances,
}

impl Latency {
    /// The nearest-rank percentile, in milliseconds; `fraction` 0.5 is the median, 1 the maximum.
    pub fn percentile_ms(&self, fraction: f64) -> f64 {
        percentile(&self.sorted_ns, fraction) as f64 / 1e6
    }

    /// The mean, in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        self.sorted_ns.iter().map(|&ns| ns as f64).sum::<f64>() / self.sorted_ns.len().max(1) as f64 / 1e6
    }

    /// How many predictions took longer than `budget`.
    pub fn overruns(&self, budget: Duration) -> usize {
        self.sorted_ns
            .iter()
            .filter(|&&ns| u128::from(ns) > budget.as_nanos())
            .count()
    }

    /// The upper bound, at this confidence, on the chance that a prediction takes longer than `budget`, given that the
    /// measured ones are independent samples of what is to come.
    pub fn overrun_bound(&self, budget: Duration, confidence: f64) -> f64 {
        overrun_upper_bound(
            self.overruns(budget) as u64,
            self.sorted_ns.len() as u64,
            confidence,
        )
    }
}

/// Measures a session on given inputs. What is timed is a whole prediction: taking in the inputs, running, giving out the outputs.
///
/// # Errors
///
/// If the inputs do not fit.
pub fn latency(
    session: &mut Session,
    inputs: &[Tensor],
    protocol: LatencyProtocol,
) -> Result<Latency, CompressError> {
    let mut buffers = OutputBuffers::new(&session.plan().outputs);
    let mut outputs = buffers.views();
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    Ok(latency_of(
        || session.predict(&views, &mut outputs, None),
        protocol,
    )?)
}

/// Measures whatever predicts.
///
/// # Errors
///
/// The first of a prediction.
pub fn latency_of<E>(
    mut predict: impl FnMut() -> Result<(), E>,
    protocol: LatencyProtocol,
) -> Result<Latency, E> {
    let mut once = || -> Result<u64, E> {
        let start = Instant::now();
        predict()?;
        Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    };
    let first_ns = once()?;
    for _ in 0..protocol.warm_up {
        once()?;
    }
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(100) {
        once()?;
    }
    let mut times = Vec::with_capacity(protocol.iterations.clamp(1, 1 << 20));
    let disturbances = Disturbances::now();
    let (start, cpu) = (Instant::now(), process_cpu());
    loop {
        times.push(once()?);
        let enough = times.len() >= protocol.iterations && start.elapsed() >= protocol.min_time;
        if enough || start.elapsed() > protocol.max_time {
            break;
        }
    }
    let wall = start.elapsed().as_secs_f64();
    let cpu_per_wall = (process_cpu() - cpu) / wall.max(1e-9);
    let disturbances = Disturbances::now().since(disturbances);
    times.sort_unstable();
    Ok(Latency {
        sorted_ns: times,
        first_ns,
        cpu_per_wall,
        disturbances,
    })
}

/// Processor time of this process in seconds, over all threads.
fn process_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
