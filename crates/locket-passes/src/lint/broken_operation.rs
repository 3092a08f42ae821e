//! Operations whose parameters or types do not fit their operator.

use locket_mil::{Dialect, Severity, Type};
use locket_ops::{Node, OpError, registry};

use super::{Context, Finding};

pub(super) fn run(context: &Context<'_>) -> Vec<Finding> {
    let function = context.function;
    let mut findings = Vec::new();
    for operation in &function.operations {
        // What depends on a foreign operation has no type; that one is reported.
        let known = operation
            .input_values()
            .all(|id| *function.ty(id) != Type::Unknown);
        if operation.dialect() != Dialect::Mil || registry::get(&operation.kind).is_none() || !known {
            continue;
        }
        let node = Node::new(function, operation);
        let inferred = registry::check(&node).and_then(|operator| operator.infer(&node));
        let message = match inferred {
            Err(error) => said(error),
            Ok(types) => {
                let declared: Vec<&Type> = operation.outputs.iter().map(|&id| function.ty(id)).collect();
                if types.iter().eq(declared.iter().copied()) {
                    continue;
                }
                format!(
                    "its result is declared {}, but is {}",
                    list(declared),
                    list(&types)
                )
            }
        };
        let message = format!("{}: {message}", operation.kind);
        findings.push(Finding::new(Severity::Error, operation.label(), message));
    }
    findings
}

/// The error without the names that the finding has anyway.
fn said(error: OpError) -> String {
    match error {
        OpError::Param { param, message, .. } => format!("parameter {param}: {message}"),
        OpError::Node { message, .. } => message,
        OpError::Unknown { kind, .. } => format!("no operator is called {kind}"),
    }
}

fn list<'a>(types: impl IntoIterator<Item = &'a Type>) -> String {
    let texts: Vec<String> = types.into_iter().map(Type::to_string).collect();
    texts.join(", ")
}
