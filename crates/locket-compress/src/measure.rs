//! Numbers with what they were taken on.

mod accuracy;
mod disturbances;
mod energy;
mod latency;
mod operators;
mod samples;
mod size;

pub use accuracy::{Evaluation, evaluate};
pub(crate) use accuracy::{predict_all, sessions};
pub use disturbances::Disturbances;
pub use energy::energy_uj;
pub use latency::{Latency, LatencyProtocol, latency, latency_of};
pub use operators::{OperatorTime, operator_times};
pub use samples::{Samples, input_spec, input_spec_of_plan};
pub use size::package_bytes;
