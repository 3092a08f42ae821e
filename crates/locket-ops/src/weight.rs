//! Weights as they are stored: dense, or compressed by a `constexpr_*` operation.

use locket_mil::{Function, Operation, ValueId};
use locket_tensor::Tensor;

use crate::{Node, fold};

/// A weight that does not change.
#[derive(Clone, Debug)]
pub enum Weight<'a> {
    /// Stored as it is used, or in a narrower float.
    Dense(&'a Tensor),
    /// The result of this `constexpr_*` operation, whose inputs are constants.
    Compressed(Node<'a>),
}

impl<'a> Weight<'a> {
    /// The weight behind a value; `None` if the value is only known at run time.
    pub fn of(function: &'a Function, id: ValueId) -> Option<Self> {
        if let Some(tensor) = function.const_tensor(id) {
            return Some(Self::Dense(tensor));
        }
        let operation = function
            .operations
            .iter()
            .find(|operation| operation.outputs.contains(&id))?;
        is_constexpr(operation).then(|| Self::Compressed(Node::new(function, operation)))
    }

    /// The dense values.
    pub fn expand(&self) -> Option<Tensor> {
        match self {
            Self::Dense(tensor) => Some((*tensor).clone()),
            Self::Compressed(node) => fold(node.function, *node.operation.outputs.first()?),
        }
    }
}

fn is_constexpr(operation: &Operation) -> bool {
    operation.kind.starts_with("constexpr_")
}
