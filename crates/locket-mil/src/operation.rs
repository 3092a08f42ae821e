//! One operation of a function.

use crate::{Name, ValueId};

/// Which vocabulary an operator belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Core ML's own: may be written to a file.
    Mil,
    /// Made by passes for the executor (`locket.*`).
    Locket,
    /// Not lowered by its reader (`onnx.*`, `tflite.*`, `coreml.*`).
    Foreign,
}

/// What a parameter is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// One value.
    One(ValueId),
    /// A variadic parameter, such as `values` of `concat`.
    Many(Vec<ValueId>),
}

impl Arg {
    /// The values, in order.
    pub fn values(&self) -> &[ValueId] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    /// The values, in order, to change.
    pub fn values_mut(&mut self) -> &mut [ValueId] {
        match self {
            Self::One(value) => std::slice::from_mut(value),
            Self::Many(values) => values,
        }
    }
}

impl From<ValueId> for Arg {
    fn from(value: ValueId) -> Self {
        Self::One(value)
    }
}

impl From<Vec<ValueId>> for Arg {
    fn from(values: Vec<ValueId>) -> Self {
        Self::Many(values)
    }
}

/// An operation: an operator with named inputs, and the values it defines.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The operator's name, such as `conv` or `locket.conv`.
    pub kind: Name,
    /// Parameters in the operator's own order, each at most once.
    pub inputs: Vec<(Name, Arg)>,
    /// The values it defines.
    pub outputs: Vec<ValueId>,
    /// Names that the source file has for what this operation computes; several after a fusion.
    pub origin: Vec<String>,
}

impl Operation {
    /// Which vocabulary the operator belongs to.
    pub fn dialect(&self) -> Dialect {
        match self.kind.split_once('.') {
            None => Dialect::Mil,
            Some(("locket", _)) => Dialect::Locket,
            Some(_) => Dialect::Foreign,
        }
    }

    /// What parameter `name` is bound to.
    pub fn arg(&self, name: &str) -> Option<&Arg> {
        self.inputs
            .iter()
            .find(|(param, _)| param == name)
            .map(|(_, arg)| arg)
    }

    /// The value that parameter `name` is bound to; `None` if absent or variadic.
    pub fn input(&self, name: &str) -> Option<ValueId> {
        match self.arg(name) {
            Some(Arg::One(value)) => Some(*value),
            _ => None,
        }
    }

    /// Binds parameter `name`, replacing an earlier binding.
    pub fn set_input(&mut self, name: &str, arg: impl Into<Arg>) {
        let arg = arg.into();
        match self.inputs.iter_mut().find(|(param, _)| param == name) {
            Some((_, bound)) => *bound = arg,
            None => self.inputs.push((name.into(), arg)),
        }
    }

    /// Unbinds parameter `name`.
    pub fn remove_input(&mut self, name: &str) {
        self.inputs.retain(|(param, _)| param != name);
    }

    /// All values it reads, in parameter order.
    pub fn input_values(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs
            .iter()
            .flat_map(|(_, arg)| arg.values().iter().copied())
    }

    /// Its name for messages: where the source file has it, else the operator's.
    pub fn label(&self) -> &str {
        self.origin.first().map_or(&*self.kind, String::as_str)
    }
}
