//! A plan with its memory and its threads.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use locket_ops::{Layout, transpose_bytes};
use locket_pool::Pool;
use locket_tensor::{AlignedBytes, DType, TensorMut, TensorRef};

use super::observe::{Observer, StepEvent};
use crate::plan::{MAX_INPUTS, Place, Plan, PlannedStep, Port, Source};

/// Why a prediction gave no answer. The session stays usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Another number of tensors than the interface has.
    #[error("expected {expected} {role}s, found {found}")]
    Count {
        /// `input` or `output`.
        role: &'static str,
        /// How many the interface has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A tensor does not fit the interface.
    #[error("{role} {name}: expected {expected}, found {found}")]
    Tensor {
        /// `input` or `output`.
        role: &'static str,
        /// Its name.
        name: String,
        /// The interface's type.
        expected: String,
        /// The type given.
        found: String,
    },
    /// The deadline passed.
    #[error("deadline of {budget:?} exceeded after {elapsed:?}, before {operator}")]
    DeadlineExceeded {
        /// Time allowed.
        budget: Duration,
        /// Time taken when it was noticed.
        elapsed: Duration,
        /// The operation that was next, or that the outputs were.
        operator: String,
    },
}

/// A plan with its arena, scratch and threads. One prediction at a time.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    arena: AlignedBytes,
    scratch: AlignedBytes,
    /// For each input, room for a copy, once it was given at an address that its elements cannot be read from.
    copies: Vec<Option<AlignedBytes>>,
    /// Steps after which the caller's inputs are not read any more.
    readers: usize,
    pool: Pool,
}

impl Session {
    /// Reserves the plan's memory and starts its threads.
    ///
    /// # Errors
    ///
    /// The operating system's error if a thread cannot be started.
    pub fn new(plan: Plan) -> std::io::Result<Self> {
        let arena = AlignedBytes::zeroed(plan.arena_bytes);
        let scratch = AlignedBytes::zeroed(plan.scratch_bytes);
        let threads = threads(&plan);
        Ok(Self {
            arena,
            scratch,
            copies: plan.inputs.iter().map(|_| None).collect(),
            readers: readers(&plan),
            pool: Pool::new(threads)?,
            plan,
        })
    }

    /// What runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Threads that predictions run on, the caller's among them.
    pub fn threads(&self) -> usize {
        threads(&self.plan)
    }

    /// Predicts: reads `inputs`, in the order of [`Plan::inputs`], and writes `outputs`, in the order of
    /// [`Plan::outputs`]. Tensors are row-major. Allocates nothing unless a step is marked slow, or an input does not start on a
    /// multiple of its element's size, as it does in every [`Tensor`](locket_tensor::Tensor).
    ///
    /// # Errors
    ///
    /// If tensors do not fit the interface, or the deadline passes; outputs are then untouched.
    pub fn predict(
        &mut self,
        inputs: &[TensorRef<'_>],
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), RunError> {
        self.run(inputs, outputs, budget, &|| (), None)
    }

    /// As [`Session::predict`]; calls `have_read` before the first step of those at the end that do not read the inputs any more, if there
    /// are any: often long before the outputs are there.
    ///
    /// # Errors
    ///
    /// As [`Session::predict`]. `have_read` may then not have been called.
    pub fn predict_telling(
        &mut self,
        inputs: &[TensorRef<'_>],
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
        have_read: &dyn Fn(),
    ) -> Result<(), RunError> {
        self.run(inputs, outputs, budget, have_read, None)
    }

    /// Predicts under the eyes of an observer.
    ///
    /// # Errors
    ///
    /// As [`Session::predict`].
    pub fn predict_observed(
        &mut self,
        inputs: &[TensorRef<'_>],
        outputs: &mut [TensorMut<'_>],
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        self.run(inputs, outputs, None, &|| (), Some(observer))
    }

    /// Runs the steps before `index`, then step `index` alone `times` times, and gives the nanoseconds of each. A step that computes in
    /// place then works on its own results.
    ///
    /// # Errors
    ///
    /// If the inputs do not fit the interface.
    ///
    /// # Panics
    ///
    /// If there is no such step.
    pub fn repeat_step(
        &mut self,
        inputs: &[TensorRef<'_>],
        index: usize,
        times: usize,
    ) -> Result<Vec<u64>, RunError> {
        let given = inputs.iter().map(|tensor| (tensor.dtype, tensor.shape));
        check("input", &self.plan.inputs, given)?;
        self.take_in(inputs);
        let arena = self.arena.as_mut_slice();
        let given = Given {
            inputs,
            copies: &self.copies,
        };
        for step in &self.plan.steps[..index] {
            run_step(step, given, arena, self.scratch.as_mut_slice(), &mut self.pool);
        }
        let step = &self.plan.steps[index];
        let mut nanoseconds = Vec::with_capacity(times);
        for _ in 0..times {
            let start = Instant::now();
            run_step(step, given, arena, self.scratch.as_mut_slice(), &mut self.pool);
            nanoseconds.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(nanoseconds)
    }

    fn run(
        &mut self,
        inputs: &[TensorRef<'_>],
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
        have_read: &dyn Fn(),
        mut observer: Option<&mut dyn Observer>,
    ) -> Result<(), RunError> {
        let started = budget.map(|budget| (Instant::now(), budget));
        check(
            "input",
            &self.plan.inputs,
            inputs.iter().map(|tensor| (tensor.dtype, tensor.shape)),
        )?;
        self.check_outputs(outputs)?;
        self.take_in(inputs);
        let arena = self.arena.as_mut_slice();
        let given = Given {
            inputs,
            copies: &self.copies,
        };
        for (index, step) in self.plan.steps.iter().enumerate() {
            if index == self.readers {
                have_read();
            }
            if let Some((start, budget)) = started {
                check_deadline(start, budget, || step.origin.first().unwrap_or(&step.kind))?;
            }
            match observer.as_deref_mut() {
                None => run_step(step, given, arena, self.scratch.as_mut_slice(), &mut self.pool),
                Some(observer) => {
                    observer.before(index);
                    let start = Instant::now();
                    run_step(step, given, arena, self.scratch.as_mut_slice(), &mut self.pool);
                    observer.after(StepEvent {
                        index,
                        step,
                        start,
                        end: Instant::now(),
                    });
                }
            }
        }
        if let Some((start, budget)) = started {
            check_deadline(start, budget, || "the outputs")?;
        }
        for (port, tensor) in self.plan.outputs.iter().zip(outputs) {
            match &port.place {
                Place::Arena(range) => from_layout(port, &arena[range.clone()], tensor.bytes),
                Place::Constant(constant) => tensor.bytes.copy_from_slice(constant.bytes()),
                Place::Given => unreachable!("no output stays with the caller"),
            }
        }
        Ok(())
    }

    /// Calls `wipe` for all memory that a prediction may have left data in.
    pub fn wipe(&mut self, mut wipe: impl FnMut(&mut [u8])) {
        let copies = self.copies.iter_mut().flatten();
        for buffer in [&mut self.arena, &mut self.scratch].into_iter().chain(copies) {
            wipe(buffer.as_mut_slice());
        }
    }

    /// Calls `work` once on every thread that predictions run on but this one.
    pub fn on_other_threads(&mut self, work: &(dyn Fn() + Sync)) {
        self.pool.on_others(work);
    }

    /// Checks that outputs fit the interface, as every prediction does.
    ///
    /// # Errors
    ///
    /// The first that does not fit.
    pub fn check_outputs(&self, outputs: &[TensorMut<'_>]) -> Result<(), RunError> {
        let given = outputs.iter().map(|tensor| (tensor.dtype, tensor.shape));
        check("output", &self.plan.outputs, given)
    }

    /// Brings inputs to where steps read them.
    fn take_in(&mut self, inputs: &[TensorRef<'_>]) {
        let arena = self.arena.as_mut_slice();
        for ((port, tensor), copy) in self.plan.inputs.iter().zip(inputs).zip(&mut self.copies) {
            let mut bytes = tensor.bytes;
            if !is_aligned(tensor) {
                let copy = copy.get_or_insert_with(|| AlignedBytes::zeroed(bytes.len()));
                copy.as_mut_slice().copy_from_slice(bytes);
                bytes = copy.as_slice();
            }
            if let Place::Arena(range) = &port.place {
                into_layout(port, bytes, &mut arena[range.clone()]);
            }
        }
    }
}

/// Threads that no step is worth are not started.
fn threads(plan: &Plan) -> usize {
    plan.steps.iter().map(|step| step.parts.len()).max().unwrap_or(1)
}

/// How many steps there are up to the last one that reads what the caller has.
fn readers(plan: &Plan) -> usize {
    let reads = |step: &PlannedStep| {
        step.inputs
            .iter()
            .any(|source| matches!(source, Source::Given(_)))
    };
    plan.steps.iter().rposition(reads).map_or(0, |last| last + 1)
}

/// What the caller has.
#[derive(Clone, Copy)]
struct Given<'a> {
    inputs: &'a [TensorRef<'a>],
    copies: &'a [Option<AlignedBytes>],
}

impl<'a> Given<'a> {
    fn bytes(self, index: usize) -> &'a [u8] {
        let tensor = &self.inputs[index];
        match &self.copies[index] {
            Some(copy) if !is_aligned(tensor) => copy.as_slice(),
            _ => tensor.bytes,
        }
    }
}

fn is_aligned(tensor: &TensorRef<'_>) -> bool {
    let element_bytes = (tensor.dtype.bits() / 8).max(1);
    tensor.bytes.as_ptr().addr().is_multiple_of(element_bytes)
}

fn check_deadline<'a>(
    start: Instant,
    budget: Duration,
    next: impl FnOnce() -> &'a str,
) -> Result<(), RunError> {
    let elapsed = start.elapsed();
    if elapsed <= budget {
        return Ok(());
    }
    Err(RunError::DeadlineExceeded {
        budget,
        elapsed,
        operator: next().to_owned(),
    })
}

fn check<'a>(
    role: &'static str,
    ports: &[Port],
    given: impl ExactSizeIterator<Item = (DType, &'a [usize])>,
) -> Result<(), RunError> {
    let expected = ports.iter().map(|port| (&*port.name, port.dtype, &*port.shape));
    check_tensors(role, expected, given)
}

/// Checks that tensors of these types and shapes are what an interface of these names, types and shapes wants.
///
/// # Errors
///
/// The first that does not fit; `role` is `input` or `output`.
pub fn check_tensors<'a, 'b>(
    role: &'static str,
    expected: impl ExactSizeIterator<Item = (&'a str, DType, &'a [usize])>,
    given: impl ExactSizeIterator<Item = (DType, &'b [usize])>,
) -> Result<(), RunError> {
    if given.len() != expected.len() {
        return Err(RunError::Count {
            role,
            expected: expected.len(),
            found: given.len(),
        });
    }
    for ((name, wanted, sides), (dtype, shape)) in expected.zip(given) {
        if wanted != dtype || sides != shape {
            return Err(RunError::Tensor {
                role,
                name: name.to_owned(),
                expected: format!("{wanted} {sides:?}"),
                found: format!("{dtype} {shape:?}"),
            });
        }
    }
    Ok(())
}

fn run_step(step: &PlannedStep, given: Given<'_>, arena: &mut [u8], scratch: &mut [u8], pool: &mut Pool) {
    let Range { start, end } = step.output;
    let (before, rest) = arena.split_at_mut(start);
    let (output, after) = rest.split_at_mut(end - start);
    let (before, after) = (&*before, &*after);
    let mut slots: [&[u8]; MAX_INPUTS] = [&[]; MAX_INPUTS];
    for (slot, source) in slots.iter_mut().zip(&step.inputs) {
        *slot = match source {
            Source::Given(index) => given.bytes(*index),
            Source::Arena(range) if range.start >= end && !range.is_empty() => {
                &after[range.start - end..range.end - end]
            }
            Source::Arena(range) => &before[range.clone()],
        };
    }
    let inputs = &slots[..step.inputs.len()];
    if let [units] = step.parts.as_slice() {
        step.step
            .run(units.clone(), inputs, output, &mut scratch[..step.scratch_bytes]);
        return;
    }
    pool.run(
        output,
        &step.borders,
        scratch,
        step.scratch_bytes,
        &|part, chunk, scratch| {
            step.step.run(step.parts[part].clone(), inputs, chunk, scratch);
        },
    );
}

fn sides(port: &Port) -> Option<(usize, usize, usize, usize)> {
    if port.layout.same_bytes(Layout::RowMajor, &port.shape) {
        return None;
    }
    let pixels = port.shape[2..].iter().product();
    Some((port.shape[0], port.shape[1], pixels, port.dtype.bits() / 8))
}

fn into_layout(port: &Port, source: &[u8], target: &mut [u8]) {
    match sides(port) {
        None => target.copy_from_slice(source),
        Some((outer, channels, pixels, width)) => {
            transpose_bytes(width, [outer, channels, pixels], source, target);
        }
    }
}

fn from_layout(port: &Port, source: &[u8], target: &mut [u8]) {
    match sides(port) {
        None => target.copy_from_slice(source),
        Some((outer, channels, pixels, width)) => {
            transpose_bytes(width, [outer, pixels, channels], source, target);
        }
    }
}
