//! From a program as it was read to something that runs.

use locket_mil::Function;
use locket_passes::PassReport;

use crate::plan::{Plan, PlanError, PlanOptions, plan};

/// A plan, and what the passes before it did.
#[derive(Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// What each pass did, in the order they ran.
    pub passes: Vec<PassReport>,
}

/// Simplifies, lowers and plans a copy of the function.
///
/// # Errors
///
/// As [`plan`](crate::plan::plan).
pub fn compile(function: &Function, options: PlanOptions) -> Result<Compiled, PlanError> {
    let mut function = function.clone();
    let mut passes = locket_passes::simplify(&mut function);
    passes.extend(locket_passes::lower(&mut function));
    Ok(Compiled {
        plan: plan(&function, options)?,
        passes,
    })
}
