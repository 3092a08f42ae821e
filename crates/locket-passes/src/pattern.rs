//! Who makes a value, and who reads it.

use locket_mil::{Function, Operation, ValueId};

/// Makers and readers of every value, at one moment.
pub(crate) struct Links {
    producers: Vec<Option<usize>>,
    users: Vec<Vec<usize>>,
    outputs: Vec<bool>,
}

impl Links {
    pub(crate) fn of(function: &Function) -> Self {
        let mut outputs = vec![false; function.values().len()];
        for output in &function.outputs {
            outputs[output.value.index()] = true;
        }
        Self {
            producers: function.producers(),
            users: function.users(),
            outputs,
        }
    }

    /// The position of the operation that makes a value. Values made after the links were taken have none.
    pub(crate) fn producer(&self, id: ValueId) -> Option<usize> {
        self.producers.get(id.index()).copied().flatten()
    }

    /// The positions of the operations that read a value.
    pub(crate) fn users(&self, id: ValueId) -> &[usize] {
        self.users.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// The one operation that reads a value, if there is one and the value is no result of the function.
    pub(crate) fn only_user(&self, id: ValueId) -> Option<usize> {
        match self.users(id) {
            [user] if !self.outputs[id.index()] => Some(*user),
            _ => None,
        }
    }

    /// The operation that makes a value, if it is of this kind.
    pub(crate) fn made_by<'a>(
        &self,
        function: &'a Function,
        id: ValueId,
        kind: &str,
    ) -> Option<&'a Operation> {
        self.producer(id)
            .map(|index| &function.operations[index])
            .filter(|operation| operation.kind == kind)
    }
}

/// The names of the source for an operation that replaces several.
pub(crate) fn origins(operations: &[&Operation]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in operations.iter().flat_map(|operation| &operation.origin) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The value of a constant with one element.
pub(crate) fn scalar(function: &Function, id: ValueId) -> Option<f32> {
    let tensor = function.const_tensor(id)?;
    (tensor.elems() == 1)
        .then(|| tensor.to_f32())
        .flatten()?
        .first()
        .copied()
}

/// A clamp that an activation is: `relu`, `relu6`, `clip`, `clamped_relu` without slope; also `minimum` or `maximum` with
/// a constant are left to `clip` by readers.
pub(crate) fn as_clamp(function: &Function, operation: &Operation) -> Option<[f32; 2]> {
    let number = |param: &str| operation.input(param).and_then(|id| scalar(function, id));
    match &*operation.kind {
        "relu" => Some([0.0, f32::INFINITY]),
        "relu6" => Some([0.0, 6.0]),
        "clip" => Some([
            number("alpha").unwrap_or(f32::NEG_INFINITY),
            number("beta").unwrap_or(f32::INFINITY),
        ]),
        "clamped_relu" if number("alpha") == Some(0.0) => Some([0.0, number("beta")?]),
        _ => None,
    }
}
