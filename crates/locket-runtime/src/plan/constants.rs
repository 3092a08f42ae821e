//! What is known before anything runs.
//!
//! Operations whose inputs are all constants are computed now, except `constexpr_*` operations whose result is
//! read only as a weight that its users keep compressed: those vanish from the plan, their users hold the weight.

use locket_mil::{Function, ValueId};
use locket_ops::{Node, evaluate, registry};
use locket_tensor::Tensor;

use super::PlanError;

/// A function in which every operation that is left depends on an input.
pub(crate) struct Folded {
    /// The function; operations that need no step stay, so that users find their compressed weights.
    pub(crate) function: Function,
    /// For each operation, whether it needs a step.
    pub(crate) live: Vec<bool>,
}

pub(super) fn fold(mut function: Function) -> Result<Folded, PlanError> {
    let mut live = vec![true; function.operations.len()];
    // Results of constexpr_* that stay compressed: constant, but without a literal.
    let mut compressed = vec![false; function.values().len()];
    for index in 0..function.operations.len() {
        let operation = &function.operations[index];
        let known = |id: ValueId| function.literal(id).is_some() || compressed[id.index()];
        if operation.outputs.is_empty() || !operation.input_values().all(known) {
            continue;
        }
        live[index] = false;
        if operation.kind.starts_with("constexpr_")
            && operation.outputs.iter().all(|&id| only_kept(&function, id))
        {
            operation
                .outputs
                .iter()
                .for_each(|id| compressed[id.index()] = true);
            continue;
        }
        let chained: Vec<(ValueId, Tensor)> = operation
            .input_values()
            .filter(|id| compressed[id.index()])
            .filter_map(|id| locket_ops::fold(&function, id).map(|tensor| (id, tensor)))
            .collect();
        let given: Vec<(ValueId, &Tensor)> = chained.iter().map(|(id, tensor)| (*id, tensor)).collect();
        let results = evaluate(&function, operation, &given)?;
        for (id, tensor) in operation.outputs.clone().into_iter().zip(results) {
            function.set_constant(id, tensor);
        }
    }
    Ok(Folded { function, live })
}

/// True if every reader of `id` keeps it as a compressed weight (or is a `constexpr_*` operation itself).
fn only_kept(function: &Function, id: ValueId) -> bool {
    if function.is_output(id) {
        return false;
    }
    function
        .operations
        .iter()
        .filter(|operation| operation.input_values().any(|value| value == id))
        .all(|operation| {
            let kept =
                registry::find(&Node::new(function, operation)).map_or(&[][..], |op| op.kept_weights());
            operation.kind.starts_with("constexpr_")
                || operation
                    .inputs
                    .iter()
                    .filter(|(_, arg)| arg.values().contains(&id))
                    .all(|(param, _)| kept.contains(&&**param))
        })
}
