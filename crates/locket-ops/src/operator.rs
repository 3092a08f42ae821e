//! What an operator is.

use locket_mil::{Target, Type};
use locket_tensor::TensorMut;

use crate::{Call, Cost, Layout, LayoutRule, Node, OpError, Prepare, Prepared};

/// One parameter of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// MIL's name.
    pub name: &'static str,
    /// True if it must be bound.
    pub required: bool,
    /// True if it must be bound to a constant.
    pub constant: bool,
}

impl Param {
    /// A tensor that must be bound.
    pub const fn required(name: &'static str) -> Self {
        Self {
            name,
            required: true,
            constant: false,
        }
    }

    /// A tensor that may be bound.
    pub const fn optional(name: &'static str) -> Self {
        Self {
            name,
            required: false,
            constant: false,
        }
    }

    /// A constant that must be bound.
    pub const fn constant(name: &'static str) -> Self {
        Self {
            name,
            required: true,
            constant: true,
        }
    }

    /// A constant that may be bound.
    pub const fn attribute(name: &'static str) -> Self {
        Self {
            name,
            required: false,
            constant: true,
        }
    }
}

/// From which target on an operator may stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// From this target on.
    From(Target),
    /// Never: the operator is internal.
    Internal,
}

/// An operator's name, parameters and availability.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// MIL's name, or `locket.*`.
    pub name: &'static str,
    /// Parameters in MIL's order.
    pub params: &'static [Param],
    /// From which target on it may be written.
    pub available: Availability,
}

/// An operator: everything Locket knows of it.
pub trait Operator: Sync {
    /// Name, parameters, availability.
    fn signature(&self) -> Signature;

    /// The types of its results, from the types and constants of its operands.
    ///
    /// # Errors
    ///
    /// If operands are missing, or do not fit each other.
    fn infer(&self, node: &Node<'_>) -> Result<Vec<Type>, OpError>;

    /// What it costs. By default one multiply-add for each output element, and the traffic of its operands.
    fn cost(&self, node: &Node<'_>) -> Cost {
        Cost {
            macs: node.output_elems(),
            bytes: node.traffic_bytes(),
        }
    }

    /// Computes the outputs in the plainest way. Outputs have the inferred types and come zeroed; all is row-major.
    ///
    /// # Errors
    ///
    /// If an operand is missing or its value is outside the operator's domain.
    fn reference(&self, call: &Call<'_>, outputs: &mut [TensorMut<'_>]) -> Result<(), OpError>;

    /// Which layouts [`Operator::prepare`] can take. By default row-major only.
    fn layout_rule(&self, _node: &Node<'_>) -> LayoutRule {
        LayoutRule::RowMajor
    }

    /// If the only output holds the same bytes in the same order as the first input when that lies in `input`:
    /// the layout of the output. The planner then lets both share memory and plans no step.
    fn alias(&self, _node: &Node<'_>, _input: Layout) -> Option<Layout> {
        None
    }

    /// Parameters whose compressed form ([`Node::weight`]) `prepare` keeps; `constexpr_*` operations that feed only
    /// such parameters are not run.
    fn kept_weights(&self) -> &'static [&'static str] {
        &[]
    }

    /// Makes the step that computes output `prepare.output`, or `None` if only the reference can.
    ///
    /// # Errors
    ///
    /// As [`Operator::infer`].
    fn prepare(&self, _prepare: &Prepare<'_>) -> Result<Option<Prepared>, OpError> {
        Ok(None)
    }

    /// Functions in text form that use the operator once, covering its parameters, dtypes and corner cases. Tables of
    /// tests run over them: inferred type, reference, kernels on every instruction set, layouts.
    fn samples(&self) -> Vec<String>;
}
