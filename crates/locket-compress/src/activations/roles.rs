//! What each operation can do with codes. Mirrors what the executor's lowering to integers accepts: an operation that is
//! promised codes here and refused there would run in float between its `dequantize` and `quantize`, correct but slow.

use locket_mil::{Function, Operation, ValueId};
use locket_ops::Node;
use locket_tensor::DType;

/// What an operation does when its operands or its result are codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A layer that computes on integers whatever becomes of its result.
    Layer,
    /// A sum of two tensors of one shape.
    Sum,
    /// A mean over pixels.
    Mean,
    /// Gives back elements of its operands: they share a grid.
    Share,
    /// Works on floats.
    Float,
}

/// Operations that only move elements.
const MOVES: [&str; 14] = [
    "reshape",
    "transpose",
    "squeeze",
    "expand_dims",
    "flatten2d",
    "slice_by_index",
    "slice_by_size",
    "identity",
    "tile",
    "reverse",
    "depth_to_space",
    "space_to_depth",
    "pixel_shuffle",
    "upsample_nearest_neighbor",
];

/// Roles of all operations, with the links that they need.
pub(super) struct Roles<'a> {
    function: &'a Function,
    roles: Vec<Role>,
    producers: Vec<Option<usize>>,
    users: Vec<Vec<usize>>,
}

impl<'a> Roles<'a> {
    pub(super) fn of(function: &'a Function, integer: &[bool]) -> Self {
        let roles = function
            .operations
            .iter()
            .zip(integer)
            .map(|(operation, &integer)| role(function, operation, integer))
            .collect();
        Self {
            function,
            roles,
            producers: function.producers(),
            users: function.users(),
        }
    }

    pub(super) fn role(&self, position: usize) -> Role {
        self.roles[position]
    }

    fn only_user(&self, id: ValueId) -> Option<usize> {
        match self.users[id.index()].as_slice() {
            [user] if !self.function.is_output(id) => Some(*user),
            _ => None,
        }
    }

    /// The result of the activation that follows a layer, sum or mean and is fused with it; else the value itself.
    pub(super) fn end(&self, value: ValueId) -> ValueId {
        match self.only_user(value) {
            Some(user) if is_clamp(&self.function.operations[user]) => {
                self.function.operations[user].outputs[0]
            }
            _ => value,
        }
    }

    /// Which convolution the sum at `position` is fused with: the later of its operands that are convolutions on integers
    /// which nothing else reads, so that the other operand is known by then.
    pub(super) fn fused(&self, position: usize) -> Option<usize> {
        let operation = &self.function.operations[position];
        let layers = operation.input_values().filter_map(|id| {
            let layer = self.producers[id.index()]?;
            let fits = self.roles[layer] == Role::Layer
                && self.function.operations[layer].kind == "conv"
                && !is_depthwise(self.function, &self.function.operations[layer])
                && self.only_user(id) == Some(position);
            fits.then_some(layer)
        });
        layers.max()
    }
}

fn is_clamp(operation: &Operation) -> bool {
    matches!(&*operation.kind, "relu" | "relu6" | "clip")
}

fn is_depthwise(function: &Function, operation: &Operation) -> bool {
    let node = Node::new(function, operation);
    let one = node.ty("weight").is_ok_and(|(_, shape)| shape.get(1) == Some(&1));
    one && node.int("groups", 1).is_ok_and(|groups| groups > 1)
}

fn role(function: &Function, operation: &Operation, integer: bool) -> Role {
    let node = Node::new(function, operation);
    let float_result = node.output_ty(0).is_ok_and(|(dtype, _)| dtype.is_float());
    if operation.outputs.len() != 1 || !float_result {
        return Role::Float;
    }
    match &*operation.kind {
        "conv" | "linear" if integer => Role::Layer,
        "add" => sum(function, operation),
        "avg_pool" if !node.flag("ceil_mode", false).unwrap_or(true) => Role::Mean,
        "reduce_mean" => mean(&node),
        "concat" | "max_pool" => Role::Share,
        kind if MOVES.contains(&kind) => Role::Share,
        _ => Role::Float,
    }
}

fn sum(function: &Function, operation: &Operation) -> Role {
    match (operation.input("x"), operation.input("y")) {
        (Some(x), Some(y))
            if x != y
                && function.ty(x) == function.ty(y)
                && function.literal(x).is_none()
                && function.literal(y).is_none() =>
        {
            Role::Sum
        }
        _ => Role::Float,
    }
}

/// A mean over all spatial axes that keeps them is a pool over whole pictures.
fn mean(node: &Node<'_>) -> Role {
    let Ok((dtype, shape)) = node.ty("x") else {
        return Role::Float;
    };
    let rank = shape.len();
    let mut axes = node.axes("axes", rank).unwrap_or_default();
    axes.sort_unstable();
    let spatial = rank >= 3 && axes.iter().copied().eq(2..rank);
    if spatial
        && node.flag("keep_dims", false).unwrap_or(false)
        && matches!(dtype, DType::Float32 | DType::Float16)
    {
        Role::Mean
    } else {
        Role::Float
    }
}
