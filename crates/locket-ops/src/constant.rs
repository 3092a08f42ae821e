//! Values that are known before anything runs.

use locket_mil::{Function, Operation, ValueId};
use locket_tensor::{AlignedBytes, DType, Shape, Tensor, TensorRef};

use crate::{Call, Node, OpError, registry, step::output_views};

/// Runs an operation's reference on given values; one buffer for each output.
pub(crate) fn compute(
    node: &Node<'_>,
    values: &[(ValueId, TensorRef<'_>)],
) -> Result<Vec<AlignedBytes>, OpError> {
    let operator = registry::find(node)?;
    let types: Vec<(DType, Shape)> = (0..node.operation.outputs.len())
        .map(|index| node.output_ty(index).map(|(dtype, shape)| (dtype, shape.into())))
        .collect::<Result<_, _>>()?;
    let mut buffers: Vec<AlignedBytes> = types
        .iter()
        .map(|(dtype, shape)| {
            let bytes = locket_tensor::element_count(shape).and_then(|n| dtype.packed_bytes(n));
            bytes
                .map(AlignedBytes::zeroed)
                .ok_or_else(|| node.error("a result is too large for memory"))
        })
        .collect::<Result<_, _>>()?;
    operator.reference(
        &Call::new(*node, values),
        &mut output_views(node, &types, &mut buffers),
    )?;
    Ok(buffers)
}

/// Runs an operation on given tensors, through its reference.
///
/// # Errors
///
/// If the operator is unknown, or the operands do not fit.
pub fn evaluate(
    function: &Function,
    operation: &Operation,
    values: &[(ValueId, &Tensor)],
) -> Result<Vec<Tensor>, OpError> {
    let node = Node::new(function, operation);
    let views: Vec<(ValueId, TensorRef<'_>)> =
        values.iter().map(|(id, tensor)| (*id, tensor.view())).collect();
    let buffers = compute(&node, &views)?;
    buffers
        .iter()
        .enumerate()
        .map(|(index, buffer)| {
            let (dtype, shape) = node.output_ty(index)?;
            Tensor::from_bytes(dtype, shape, buffer.as_slice()).map_err(|error| node.error(error))
        })
        .collect()
}

/// The value of `id` if it follows from constants alone: a constant, or the result of operations on constants.
/// Recursion is bounded by the depth of `constexpr_*` chains and constant arithmetic, at most 64.
pub fn fold(function: &Function, id: ValueId) -> Option<Tensor> {
    fold_at(function, id, 64)
}

fn fold_at(function: &Function, id: ValueId, depth: usize) -> Option<Tensor> {
    if let Some(tensor) = function.const_tensor(id) {
        return Some(tensor.clone());
    }
    let operation = function
        .operations
        .iter()
        .find(|operation| operation.outputs.contains(&id))?;
    let inputs: Vec<ValueId> = operation
        .input_values()
        .filter(|&id| function.literal(id).is_none())
        .collect();
    let depth = depth.checked_sub(1)?;
    let known: Vec<(ValueId, Tensor)> = inputs
        .into_iter()
        .map(|id| fold_at(function, id, depth).map(|tensor| (id, tensor)))
        .collect::<Option<_>>()?;
    let views: Vec<(ValueId, &Tensor)> = known.iter().map(|(id, tensor)| (*id, tensor)).collect();
    let position = operation.outputs.iter().position(|&output| output == id)?;
    evaluate(function, operation, &views)
        .ok()?
        .into_iter()
        .nth(position)
}
