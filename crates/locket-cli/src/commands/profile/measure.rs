//! Runs a session under an observer.

use std::time::{Duration, Instant};

use anyhow::Result;
use locket_data::statistics::summary::percentile;
use locket_runtime::{Observer, OutputBuffers, Session, StepEvent};
use locket_tensor::{Tensor, TensorRef};

use super::counters::{Counters, Counts};
use crate::facts;

/// Predictions before the measurement.
const WARM_UP: usize = 5;

/// Times of one step: medians over the runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepTimes {
    pub(super) wall_ns: u64,
    /// Processor time over all threads.
    pub(super) cpu_ns: u64,
    /// What the machine counted over all threads, if it does.
    pub(super) counts: Option<Counts>,
}

/// One step of one run, for the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) index: usize,
    pub(super) start: Duration,
    pub(super) end: Duration,
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) steps: Vec<StepTimes>,
    /// The steps of the last run, from its start.
    pub(super) spans: Vec<Span>,
    /// Median of whole predictions that nobody observed.
    pub(super) wall_ns: u64,
    /// Processor time over wall time of those.
    pub(super) cpu_per_wall: f64,
}

struct Recorder {
    run: Instant,
    cpu_before: Duration,
    wall: Vec<Vec<u64>>,
    cpu: Vec<Vec<u64>>,
    spans: Vec<Span>,
}

impl Observer for Recorder {
    fn before(&mut self, _index: usize) {
        self.cpu_before = facts::process_time();
    }

    fn after(&mut self, event: StepEvent<'_>) {
        let cpu = facts::process_time().saturating_sub(self.cpu_before);
        self.wall[event.index].push(nanoseconds(event.end.saturating_duration_since(event.start)));
        self.cpu[event.index].push(nanoseconds(cpu));
        self.spans.push(Span {
            index: event.index,
            start: event.start.saturating_duration_since(self.run),
            end: event.end.saturating_duration_since(self.run),
        });
    }
}

/// Counts events of each step; apart from the times, which reading counters would lengthen.
struct Counting<'a> {
    counters: &'a mut Counters,
    before: Option<Counts>,
    /// For each step, cycles and instructions of the runs.
    steps: Vec<[Vec<u64>; 2]>,
}

impl Observer for Counting<'_> {
    fn before(&mut self, _index: usize) {
        self.before = self.counters.read().ok();
    }

    fn after(&mut self, event: StepEvent<'_>) {
        if let (Some(before), Ok(now)) = (self.before, self.counters.read()) {
            let counts = now.since(before);
            let [cycles, instructions] = &mut self.steps[event.index];
            cycles.push(counts.cycles);
            instructions.push(counts.instructions);
        }
    }
}

/// Runs a session `runs` times without and `runs` times with an observer, and as often again with `counters` if there are any; these must
/// have been opened before the session was.
///
/// # Errors
///
/// If the inputs do not fit.
pub(super) fn profile(
    session: &mut Session,
    inputs: &[Tensor],
    runs: usize,
    counters: Option<&mut Counters>,
    progress: &dyn Fn(usize),
) -> Result<Profile> {
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    let mut buffers = OutputBuffers::new(&session.plan().outputs);
    let mut outputs = buffers.views();
    for _ in 0..WARM_UP {
        session.predict(&views, &mut outputs, None)?;
    }
    let (start, cpu) = (Instant::now(), facts::process_time());
    let mut whole = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        session.predict(&views, &mut outputs, None)?;
        whole.push(nanoseconds(start.elapsed()));
    }
    let cpu = facts::process_time().saturating_sub(cpu);
    let cpu_per_wall = cpu.as_secs_f64() / start.elapsed().as_secs_f64().max(1e-9);
    let count = session.plan().steps.len();
    let mut recorder = Recorder {
        run: Instant::now(),
        cpu_before: Duration::ZERO,
        wall: vec![Vec::with_capacity(runs); count],
        cpu: vec![Vec::with_capacity(runs); count],
        spans: Vec::with_capacity(count),
    };
    for done in 0..runs {
        recorder.spans.clear();
        recorder.run = Instant::now();
        session.predict_observed(&views, &mut outputs, &mut recorder)?;
        progress(done + 1);
    }
    let mut counts = vec![None; count];
    if let Some(counters) = counters {
        let mut counting = Counting {
            counters,
            before: None,
            steps: vec![[Vec::with_capacity(runs), Vec::with_capacity(runs)]; count],
        };
        for _ in 0..runs {
            session.predict_observed(&views, &mut outputs, &mut counting)?;
        }
        let medians = counting.steps.iter_mut().map(|[cycles, instructions]| {
            (!cycles.is_empty()).then(|| Counts {
                cycles: median(cycles),
                instructions: median(instructions),
            })
        });
        counts = medians.collect();
    }
    let steps = recorder.wall.iter_mut().zip(&mut recorder.cpu).zip(counts);
    Ok(Profile {
        steps: steps
            .map(|((wall, cpu), counts)| StepTimes {
                wall_ns: median(wall),
                cpu_ns: median(cpu),
                counts,
            })
            .collect(),
        spans: recorder.spans,
        wall_ns: median(&mut whole),
        cpu_per_wall,
    })
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    if values.is_empty() {
        0
    } else {
        percentile(values, 0.5)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
