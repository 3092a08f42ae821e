//! An operation while it is being put together.

use locket_mil::{Literal, Target};
use locket_tensor::{DType, Tensor};

use super::Var;

/// What a parameter is bound to.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    One(Var),
    Many(Vec<Var>),
    Literal(Literal),
}

/// A MIL operation with its parameters, in the operator's order.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(super) kind: &'static str,
    pub(super) args: Vec<(&'static str, Operand)>,
    pub(super) since: Target,
    pub(super) overflow: bool,
}

impl Op {
    /// Starts an operation of MIL operator `kind`.
    pub(crate) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            args: Vec::new(),
            since: Target::Ios15,
            overflow: false,
        }
    }

    /// States the first operator set that has this operator in this form.
    pub(crate) fn since(mut self, target: Target) -> Self {
        self.since = self.since.max(target);
        self
    }

    /// Binds a parameter to a value.
    pub(crate) fn var(mut self, name: &'static str, var: Var) -> Self {
        self.args.push((name, Operand::One(var)));
        self
    }

    /// Binds a variadic parameter.
    pub(crate) fn vars(mut self, name: &'static str, vars: Vec<Var>) -> Self {
        self.args.push((name, Operand::Many(vars)));
        self
    }

    /// Binds a parameter to an integer.
    pub(crate) fn int<T: TryInto<i32>>(mut self, name: &'static str, value: T) -> Self {
        match value.try_into() {
            Ok(value) => self.literal(name, value),
            Err(_) => {
                self.overflow = true;
                self
            }
        }
    }

    /// Binds a parameter to a vector of integers.
    pub(crate) fn ints<T: Copy + TryInto<i32>>(mut self, name: &'static str, values: &[T]) -> Self {
        let values: Result<Vec<i32>, _> = values.iter().map(|&value| value.try_into()).collect();
        match values {
            Ok(values) => self.literal(name, values.as_slice()),
            Err(_) => {
                self.overflow = true;
                self
            }
        }
    }

    /// Binds a parameter to a number of element type `dtype` (a floating-point type; others give fp32).
    pub(crate) fn float(self, name: &'static str, value: f32, dtype: DType) -> Self {
        match dtype {
            DType::Float16 => self.literal(name, Tensor::scalar(half::f16::from_f32(value))),
            _ => self.literal(name, value),
        }
    }

    /// Binds a parameter to a truth value.
    pub(crate) fn flag(self, name: &'static str, value: bool) -> Self {
        self.literal(name, value)
    }

    /// Binds a parameter to a text.
    pub(crate) fn text(self, name: &'static str, value: &str) -> Self {
        self.literal(name, value)
    }

    /// Binds a parameter to a constant.
    pub(crate) fn literal(mut self, name: &'static str, value: impl Into<Literal>) -> Self {
        self.args.push((name, Operand::Literal(value.into())));
        self
    }
}
