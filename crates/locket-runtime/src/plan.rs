//! From a function to a plan.
//!
//! In the order they run: constants are folded and compressed weights left to their users ([`constants`]); every
//! value gets a physical layout, with conversions where users disagree ([`layouts`]); each operation is prepared into a step
//! ([`steps`]); chains of convolutions are joined to run strip by strip ([`depth_first`]); lifetimes give every buffer an offset in the arena ([`arena`]). Everything is deterministic.

mod arena;
mod constants;
mod convert;
mod depth_first;
mod layouts;
mod prepared;
mod report;
mod steps;

use std::ops::Range;

use locket_kernels::Isa;
use locket_mil::Function;
use locket_ops::{Cost, Layout, OpError, Packs, Precision, Step};
use locket_tensor::{DType, Shape, Tensor};

pub(crate) use constants::Folded;
pub use report::{LiveTensor, MemoryReport};
pub(crate) use steps::MAX_INPUTS;

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Threads that a step may use at most.
    pub threads: usize,
    /// Prefers less memory to less time: no weights that are kept transformed, larger than they are.
    pub lean: bool,
    /// The arithmetic of convolutions and fully connected layers on floats.
    pub precision: Precision,
    /// Computes chains of convolutions strip by strip, so that what lies between them stays in the cache and out of the arena.
    pub depth_first: bool,
    /// Nanoseconds that it takes to hand a part of a step to another thread and back: what decides how small a step is divided.
    /// [`locket_pool::hand_over_ns`] measures it.
    pub hand_over_ns: u64,
}

impl PlanOptions {
    /// A hand-over where nobody has measured it: between cores that are far from each other.
    pub const HAND_OVER_NS: u64 = locket_pool::FAR_NS;

    /// What [`PlanOptions::hand_over_ns`] is on this machine, for plans of `threads` threads. The first plan of several threads
    /// measures it.
    pub fn hand_over_ns(threads: usize) -> u64 {
        if threads > 1 {
            locket_pool::hand_over_ns()
        } else {
            Self::HAND_OVER_NS
        }
    }
}

/// Why a function has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An operation cannot be computed.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The function breaks a rule of the representation.
    #[error(transparent)]
    Verify(#[from] locket_mil::VerifyError),
    /// A value at the interface has no tensor type, or one that is not byte-sized.
    #[error("{role} {name}: expected a tensor of byte-sized elements, found {found}")]
    Interface {
        /// `input` or `output`.
        role: &'static str,
        /// Its name.
        name: String,
        /// Its type.
        found: String,
    },
    /// A step reads more tensors than can be handed to it.
    #[error("{node}: reads {found} tensors, at most {limit} are supported in one step")]
    TooManyInputs {
        /// The operation's name in the source.
        node: String,
        /// How many it reads.
        found: usize,
        /// How many are possible.
        limit: usize,
    },
    /// The arena would not fit in memory.
    #[error("the tensors of this program need more bytes than can be addressed")]
    TooLarge,
}

/// One input or output of a plan.
#[derive(Clone, Debug)]
pub struct Port {
    /// Name at the interface.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Logical dimensions.
    pub shape: Shape,
    /// How the elements lie in the arena.
    pub layout: Layout,
    /// Where they lie.
    pub place: Place,
}

/// Where a port's elements are.
#[derive(Clone, Debug)]
pub enum Place {
    /// With the caller: an input that steps read where it is.
    Given,
    /// Bytes of the arena.
    Arena(Range<usize>),
    /// Known before anything runs: an output that does not depend on the inputs.
    Constant(Tensor),
}

/// Where a step reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Bytes of the arena; empty for what shares the output's memory.
    Arena(Range<usize>),
    /// The input of this number, with the caller.
    Given(usize),
}

/// A step of a plan.
#[derive(Debug)]
pub struct PlannedStep {
    /// The operator, such as `locket.conv`.
    pub kind: String,
    /// Names of the operations of the source file that it computes.
    pub origin: Vec<String>,
    /// The computation.
    pub step: Box<dyn Step>,
    /// Where its inputs lie.
    pub inputs: Vec<Source>,
    /// Arena bytes of its output.
    pub output: Range<usize>,
    /// Units of the output for each part; one part runs on one thread.
    pub parts: Vec<Range<usize>>,
    /// Where the parts start in the output, in bytes, and its end.
    pub borders: Vec<usize>,
    /// Scratch bytes of one part.
    pub scratch_bytes: usize,
    /// Bytes of weights that it holds.
    pub weight_bytes: usize,
    /// Multiply-adds and traffic, counted from shapes.
    pub cost: Cost,
    /// True if it allocates or is far from what the machine can do.
    pub slow: bool,
}

/// Everything decided about a function.
#[derive(Debug)]
pub struct Plan {
    /// The function's name.
    pub function: String,
    /// What the caller gives.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    /// What runs, in order.
    pub steps: Vec<PlannedStep>,
    /// Bytes of the arena that holds every tensor.
    pub arena_bytes: usize,
    /// Bytes of scratch, for all threads together.
    pub scratch_bytes: usize,
    /// Bytes of weights and tables held by steps, as packed.
    pub weight_bytes: usize,
    /// What lives when.
    pub memory: MemoryReport,
    /// What it was made for.
    pub options: PlanOptions,
}

impl Plan {
    /// The exact peak of everything a session holds for data: arena, scratch and weights.
    pub fn peak_bytes(&self) -> usize {
        self.arena_bytes + self.scratch_bytes + self.weight_bytes
    }

    /// Cost of one prediction.
    pub fn cost(&self) -> Cost {
        let mut total = Cost::default();
        for step in &self.steps {
            total += step.cost;
        }
        total
    }
}

/// Plans a function.
///
/// # Errors
///
/// If the function breaks a rule, holds an operation that cannot be computed, or does not fit in memory.
pub fn plan(function: &Function, options: PlanOptions) -> Result<Plan, PlanError> {
    plan_folded(&fold(function.clone())?, options, &Packs::fresh())
}

/// Verifies a function and computes what is known before anything runs.
pub(crate) fn fold(function: Function) -> Result<Folded, PlanError> {
    locket_mil::verify(&function)?;
    constants::fold(function)
}

/// Plans a function, with packed weights from, or noted in, `packs`.
pub(crate) fn plan_folded(folded: &Folded, options: PlanOptions, packs: &Packs) -> Result<Plan, PlanError> {
    let choice = layouts::choose(folded, options.precision)?;
    let mut draft = steps::prepare(folded, &choice, options, packs)?;
    if options.depth_first {
        draft = depth_first::fuse(draft, options);
    }
    arena::finish(&folded.function, draft, options)
}
