//! Removes operations whose results nobody reads.

use locket_mil::Function;

use crate::PassReport;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut needed = vec![false; function.values().len()];
    for output in &function.outputs {
        needed[output.value.index()] = true;
    }
    for operation in function.operations.iter().rev() {
        if operation.outputs.iter().any(|id| needed[id.index()]) {
            operation.input_values().for_each(|id| needed[id.index()] = true);
        }
    }
    let before = function.operations.len();
    function
        .operations
        .retain(|operation| operation.outputs.iter().any(|id| needed[id.index()]));
    PassReport {
        changes: before - function.operations.len(),
        ..PassReport::default()
    }
}
