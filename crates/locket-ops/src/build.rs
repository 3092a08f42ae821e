//! Appends operations whose result types are inferred.

use locket_mil::{Arg, Function, Literal, Operation, Type, ValueId};

use crate::{Node, OpError, registry};

/// Appends operations to a function, with types inferred by the registry.
#[derive(Debug)]
pub struct Builder<'a> {
    /// The function that grows.
    pub function: &'a mut Function,
}

impl<'a> Builder<'a> {
    /// A builder at the end of a function.
    pub fn new(function: &'a mut Function) -> Self {
        Self { function }
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, literal: impl Into<Literal>) -> ValueId {
        self.function.add_constant(name, literal)
    }

    /// Appends an operation; `name` names its first result (others get `name_1`, ...), `origin` is the source's name.
    ///
    /// # Errors
    ///
    /// If the operator is unknown or its operands do not fit. The function is then unchanged but for unused values.
    pub fn op(
        &mut self,
        kind: &str,
        inputs: Vec<(&str, Arg)>,
        name: &str,
        origin: &str,
    ) -> Result<Vec<ValueId>, OpError> {
        let mut operation = Operation {
            kind: kind.into(),
            inputs: inputs
                .into_iter()
                .map(|(param, arg)| (param.into(), arg))
                .collect(),
            outputs: Vec::new(),
            origin: vec![origin.to_owned()],
        };
        let node = Node::new(self.function, &operation);
        let types: Vec<Type> = registry::check(&node).and_then(|operator| operator.infer(&node))?;
        operation.outputs = types
            .into_iter()
            .map(|ty| self.function.add_result(name, ty))
            .collect();
        let outputs = operation.outputs.clone();
        self.function.operations.push(operation);
        Ok(outputs)
    }

    /// Appends an operation with exactly one result.
    ///
    /// # Errors
    ///
    /// As [`Builder::op`].
    pub fn one(
        &mut self,
        kind: &str,
        inputs: Vec<(&str, Arg)>,
        name: &str,
        origin: &str,
    ) -> Result<ValueId, OpError> {
        let outputs = self.op(kind, inputs, name, origin)?;
        match outputs.as_slice() {
            [output] => Ok(*output),
            _ => Err(OpError::Node {
                node: origin.to_owned(),
                kind: kind.to_owned(),
                message: format!("expected one result, found {}", outputs.len()),
            }),
        }
    }
}
