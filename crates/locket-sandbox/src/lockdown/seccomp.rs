//! Layer `seccomp`: the list of system calls, for every thread.

use super::Outcome;
use crate::policy::{OnViolation, digest, program};

/// Loads the filter; the detail is its hash. Nothing outside the list is left when this returns.
pub(super) fn apply(on_violation: OnViolation) -> Outcome {
    let program = program(on_violation);
    let hash = digest(&program);
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    Ok(hash)
}
