//! Operations that run through their reference.

use locket_kernels::Isa;
use locket_mil::{Operation, Severity};
use locket_ops::{Layout, Node, Packs, Prepare, registry};

use super::{Context, Finding, is_constexpr};
use crate::fits;

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.lowered;
    let layouts = vec![Layout::RowMajor; function.values().len()];
    let slow = |operation: &&Operation| {
        let node = Node::new(function, operation);
        let Some(operator) = registry::get(&operation.kind).filter(|_| fits(function, operation)) else {
            return false;
        };
        // Layers have kernels in all forms that they run in; preparing them would pack their weights.
        let is_layer = !operator.kept_weights().is_empty() || node.has("weight");
        let constant = node.dynamic_inputs(&[]).is_empty();
        if is_constexpr(operation)
            || is_layer
            || constant
            || operator.alias(&node, Layout::RowMajor).is_some()
        {
            return false;
        }
        let prepare = Prepare {
            lean: false,
            precision: locket_ops::Precision::Float32,
            packs: &Packs::fresh(),
            node,
            isa: Isa::SCALAR,
            output: 0,
            layouts: &layouts,
        };
        matches!(operator.prepare(&prepare), Ok(None))
    };
    let operations = function.operations.iter().filter(slow);
    operations
        .map(|operation| {
            let dtype = operation
                .outputs
                .first()
                .and_then(|&id| function.ty(id).dtype())
                .map_or(String::new(), |dtype| format!(" of {dtype}"));
            let message = format!("{}{dtype} runs by its reference", operation.kind);
            Finding::new(Severity::Warning, operation.label(), message)
        })
        .collect()
}
