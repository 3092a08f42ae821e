//! Why a measurement or a compression failed.

use locket_data::DataError;
use locket_formats::FormatError;
use locket_ops::OpError;
use locket_runtime::{PlanError, RunError};

/// Why a measurement or a compression failed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// Labelled data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A package cannot be written or read back.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An operation is wrong.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The program has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A prediction failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The program is not of the kind that this works on.
    #[error("{0}")]
    Unsuitable(String),
}
