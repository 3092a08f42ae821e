//! Watching a prediction step by step.

use std::time::Instant;

use crate::plan::PlannedStep;

/// One step that has run.
#[derive(Clone, Copy, Debug)]
pub struct StepEvent<'a> {
    /// Position in the plan.
    pub index: usize,
    /// The step.
    pub step: &'a PlannedStep,
    /// When it started.
    pub start: Instant,
    /// When it was done on all threads.
    pub end: Instant,
}

/// Is told of every step. Costs two readings of the clock a step, so that only profiled predictions have one.
pub trait Observer {
    /// Called before a step runs.
    fn before(&mut self, _index: usize) {}

    /// Called after a step has run.
    fn after(&mut self, event: StepEvent<'_>);
}
