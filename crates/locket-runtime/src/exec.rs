//! Running a plan.

mod observe;
mod outputs;
mod session;

pub use observe::{Observer, StepEvent};
pub use outputs::OutputBuffers;
pub use session::{RunError, Session, check_tensors};
