//! The variants that the search looked at.

use serde::{Deserialize, Serialize};

use super::Figure;

/// One variant: a point of the trade-off plot. A variant without a drop, or without both size and latency, stands
/// only in the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Short name, for example `w8a8` or `pal4`.
    pub name: String,
    /// Size of the package in bytes.
    #[serde(default)]
    pub package_bytes: Option<Figure<u64>>,
    /// Peak memory in bytes.
    #[serde(default)]
    pub peak_memory_bytes: Option<Figure<u64>>,
    /// Latency in milliseconds (the 99th percentile if measured).
    #[serde(default)]
    pub latency_ms: Option<Figure<f64>>,
    /// Accuracy drop as a fraction.
    #[serde(default)]
    pub drop: Option<Figure<f64>>,
    /// Upper 95 % bound on the drop as a fraction.
    #[serde(default)]
    pub drop_upper: Option<f64>,
    /// Whether this is the variant that was packaged.
    #[serde(default)]
    pub chosen: bool,
}
