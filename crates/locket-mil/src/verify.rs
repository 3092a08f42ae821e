//! The rules of the representation, checked.
//!
//! 1. Value names are unique and not empty.
//! 2. A value is defined before it is read, and by at most one operation.
//! 3. Inputs of the function are values defined as inputs; operations define values made for results only.
//! 4. A constant's type is that of its literal.
//! 5. A parameter is bound at most once in an operation.
//! 6. Results of the function are defined; their names are unique. There is at least one.

use indexmap::IndexSet;

use crate::{Definition, Function, Operation, ValueId};

/// Which rule a function breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("function {function}: {message}")]
pub struct VerifyError {
    /// The function.
    pub function: String,
    /// What is wrong.
    pub message: String,
}

/// Checks every rule.
///
/// # Errors
///
/// The first rule that is broken.
pub fn verify(function: &Function) -> Result<(), VerifyError> {
    let fail = |message: String| {
        Err(VerifyError {
            function: function.name.clone(),
            message,
        })
    };
    let mut names = IndexSet::new();
    for value in function.values() {
        if value.name.is_empty() || !names.insert(&value.name) {
            return fail(format!("value name {:?} is empty or taken twice", value.name));
        }
        if let Definition::Constant(literal) = &value.definition
            && literal.ty() != value.ty
        {
            return fail(format!(
                "constant {} is declared {}, its data is {}",
                value.name,
                value.ty,
                literal.ty()
            ));
        }
    }
    let mut defined: Vec<bool> = function
        .values()
        .iter()
        .map(|value| matches!(value.definition, Definition::Constant(_)))
        .collect();
    for &input in &function.inputs {
        if function.value(input).definition != Definition::Input {
            return fail(format!(
                "input {} is not defined as an input",
                function.value(input).name
            ));
        }
        defined[input.index()] = true;
    }
    for operation in &function.operations {
        check_operation(function, operation, &mut defined).or_else(fail)?;
    }
    if function.outputs.is_empty() {
        return fail("no results".to_owned());
    }
    let mut outputs = IndexSet::new();
    for output in &function.outputs {
        if !outputs.insert(&output.name) {
            return fail(format!("result name {:?} is taken twice", output.name));
        }
        if !defined[output.value.index()] {
            return fail(format!("result {} is never defined", output.name));
        }
    }
    Ok(())
}

fn check_operation(function: &Function, operation: &Operation, defined: &mut [bool]) -> Result<(), String> {
    let name = |id: ValueId| &function.value(id).name;
    let label = format!("{} ({})", operation.label(), operation.kind);
    for (position, (param, arg)) in operation.inputs.iter().enumerate() {
        if operation.inputs[..position]
            .iter()
            .any(|(earlier, _)| earlier == param)
        {
            return Err(format!("{label}: parameter {param} is bound twice"));
        }
        if let Some(id) = arg.values().iter().find(|id| !defined[id.index()]) {
            return Err(format!(
                "{label}: parameter {param} reads {}, which is not defined before it",
                name(*id)
            ));
        }
    }
    for &output in &operation.outputs {
        if function.value(output).definition != Definition::Operation {
            return Err(format!(
                "{label}: defines {}, which is an input or a constant",
                name(output)
            ));
        }
        if std::mem::replace(&mut defined[output.index()], true) {
            return Err(format!("{label}: defines {} a second time", name(output)));
        }
    }
    Ok(())
}
