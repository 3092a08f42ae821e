//! Running a plan.

mod observe;
mod session;

pub use observe::{Observer, StepEvent};
pub use session::{RunError, Session};
