//! What the ONNX and TFLite readers share: their options, their result, and the construction of the MIL function.

mod builder;
pub(crate) mod codes;
mod op;
mod refusal;
pub(crate) mod shapes;
pub(crate) mod views;

use std::collections::BTreeMap;

use locket_mil::{Diagnostic, Program};
use locket_tensor::Tensor;

pub(crate) use builder::{Builder, QuantizedConstant, Var, mil_dtype};
pub(crate) use op::Op;
pub(crate) use refusal::Refusal;

/// How a reader binds what a file leaves open.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// The size of a first dimension that the file leaves open; `None` refuses to choose one.
    pub batch: Option<u64>,
    /// Sizes of named dimensions, such as `sequence`; they win over `batch`.
    pub symbols: BTreeMap<String, u64>,
    /// Whole shapes of inputs by input name; they win over everything in the file.
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// Values of inputs by input name: such an input becomes a constant, and what follows from it is folded.
    pub constants: BTreeMap<String, Tensor>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            batch: Some(1),
            symbols: BTreeMap::new(),
            shapes: BTreeMap::new(),
            constants: BTreeMap::new(),
        }
    }
}

/// What a reader makes of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The program. Operators that MIL cannot express are in it as foreign operations.
    pub program: Program,
    /// Everything a person should know about the reading, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}
