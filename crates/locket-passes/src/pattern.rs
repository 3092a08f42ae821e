//! What passes look for: who makes a value and who reads it, and what operations have in common.

use locket_mil::{Function, Operation, ValueId};
use locket_ops::Node;
use locket_tensor::Tensor;

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

    /// True if the value is a result of the function.
    pub(crate) fn is_output(&self, id: ValueId) -> bool {
        self.outputs.get(id.index()).is_some_and(|&output| output)
    }

    /// The one operation that reads a value, if there is one and the value is no result of the function.
    pub(crate) fn only_user(&self, id: ValueId) -> Option<usize> {
        match self.users(id) {
            [user] if !self.is_output(id) => Some(*user),
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
pub(crate) fn origins<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in operations.into_iter().flat_map(|operation| &operation.origin) {
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

/// A truth value of an operation, as its operator reads it; false if it is not bound.
pub(crate) fn flag(function: &Function, operation: &Operation, param: &str) -> bool {
    Node::new(function, operation).flag(param, false).unwrap_or(false)
}

/// Constant axes of a tensor of this rank, counted from the end if negative; `None` if one is not known or not there.
pub(crate) fn resolved_axes(
    function: &Function,
    operation: &Operation,
    param: &str,
    rank: usize,
) -> Option<Vec<usize>> {
    let axes = function.const_tensor(operation.input(param)?)?.to_i64()?;
    let resolve = |axis: i64| {
        let wrapped = if axis < 0 {
            axis.checked_add(i64::try_from(rank).ok()?)?
        } else {
            axis
        };
        usize::try_from(wrapped).ok().filter(|&axis| axis < rank)
    };
    axes.into_iter().map(resolve).collect()
}

/// Numbers as MIL takes them. They are dimensions and axes of existing tensors.
pub(crate) fn ints(numbers: &[usize]) -> Tensor {
    let narrow: Vec<i32> = numbers
        .iter()
        .map(|&number| i32::try_from(number).unwrap_or(i32::MAX))
        .collect();
    Tensor::vector(&narrow)
}

/// The permutation of a `transpose`; `None` for other operations.
pub(crate) fn permutation(function: &Function, operation: &Operation) -> Option<Vec<usize>> {
    if operation.kind != "transpose" {
        return None;
    }
    let rank = function.ty(*operation.outputs.first()?).shape()?.len();
    resolved_axes(function, operation, "perm", rank).filter(|perm| perm.len() == rank)
}

/// True if a permutation moves no axis.
pub(crate) fn is_identity(permutation: &[usize]) -> bool {
    permutation.iter().enumerate().all(|(at, &axis)| at == axis)
}

/// Elementwise operations of one tensor `x`; their other parameters are constants.
pub(crate) const UNARY: &[&str] = &[
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "clamped_relu",
    "thresholded_relu",
    "linear_activation",
    "scaled_tanh",
    "sigmoid",
    "sigmoid_hard",
    "silu",
    "softplus",
    "softsign",
    "gelu",
    "clip",
    "threshold",
    "cast",
    "identity",
    "abs",
    "acos",
    "asin",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "floor",
    "inverse",
    "log",
    "logical_not",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
];

/// Elementwise operations of two tensors `x` and `y` that broadcast.
pub(crate) const BINARY: &[&str] = &[
    "add",
    "sub",
    "mul",
    "real_div",
    "floor_div",
    "mod",
    "maximum",
    "minimum",
    "pow",
    "equal",
    "not_equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
];

/// A clamp that an activation is: `relu`, `relu6`, `clip`, `clamped_relu` without slope.
pub(crate) fn as_clamp(function: &Function, operation: &Operation) -> Option<[f32; 2]> {
    let number = |param: &str| operation.input(param).and_then(|id| scalar(function, id));
    let bounds = match &*operation.kind {
        "relu" => [0.0, f32::INFINITY],
        "relu6" => [0.0, 6.0],
        "clip" => [
            number("alpha").unwrap_or(f32::NEG_INFINITY),
            number("beta").unwrap_or(f32::INFINITY),
        ],
        "clamped_relu" if number("alpha") == Some(0.0) => [0.0, number("beta")?],
        _ => return None,
    };
    // A clamp without a range is no clamp; what it gives depends on the order of its comparisons.
    (bounds[0] <= bounds[1]).then_some(bounds)
}

/// The one clamp that has the effect of `inner`, then `outer`.
pub(crate) fn compose_clamps(inner: [f32; 2], outer: [f32; 2]) -> [f32; 2] {
    inner.map(|bound| bound.clamp(outer[0], outer[1]))
}
