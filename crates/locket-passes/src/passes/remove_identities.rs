//! Removes operations that hand on what they read: `identity`, casts to the same type, and moves that move nothing.

use locket_mil::{Arg, Function, Operation, Patch, ValueId};
use locket_tensor::Tensor;

use crate::PassReport;

/// Runs the pass.
pub fn run(function: &mut Function) -> PassReport {
    let mut report = PassReport::default();
    let mut patch = Patch::new("remove_identities");
    for (index, operation) in function.operations.iter().enumerate() {
        if let Some(x) = handed_on(function, operation) {
            patch.remove(index);
            patch.redirect(operation.outputs[0], x);
            report.changes += 1;
        }
    }
    patch.apply(function);
    report
}

/// Operators that give all elements of `x` in their order if the result has the operand's type.
const MOVES: &[&str] = &[
    "identity",
    "cast",
    "reshape",
    "squeeze",
    "expand_dims",
    "flatten2d",
    "tile",
    "pad",
    "slice_by_index",
    "slice_by_size",
];

/// The operand that is the result too.
fn handed_on(function: &Function, operation: &Operation) -> Option<ValueId> {
    let kind: &str = &operation.kind;
    let &[result] = operation.outputs.as_slice() else {
        return None;
    };
    let x = match (kind, operation.arg("values")) {
        ("concat", Some(Arg::Many(values))) => match values.as_slice() {
            &[only] => only,
            _ => return None,
        },
        _ => operation
            .input("x")
            .filter(|_| MOVES.contains(&kind) && !turns(function, operation))?,
    };
    (function.ty(x) == function.ty(result)).then_some(x)
}

/// True for slices that may give all elements in another order.
fn turns(function: &Function, operation: &Operation) -> bool {
    operation.input("stride").is_some_and(|id| {
        let strides = function.const_tensor(id).and_then(Tensor::to_i64);
        strides.is_none_or(|strides| strides.iter().any(|&stride| stride < 0))
    })
}
