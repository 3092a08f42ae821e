//! Why leakage could not be measured.

use locket_data::DataError;
use locket_runtime::{PlanError, RunError};

/// Why leakage could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// Pictures cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The program with its taps has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A prediction failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The threads of a session cannot be started.
    #[error("starting threads: {0}")]
    Threads(std::io::Error),
    /// The program or the data are not of the kind that this works on.
    #[error("{0}")]
    Unsuitable(String),
    /// A control did not come out as it must, so that no figure of this measurement can be trusted.
    #[error(
        "the measurement is invalid: control {control} scored level {found}, expected {expected} ({reason})"
    )]
    Control {
        /// The control's name.
        control: String,
        /// The level that it must have.
        expected: u8,
        /// The level that it has.
        found: u8,
        /// What decided the level.
        reason: String,
    },
}
