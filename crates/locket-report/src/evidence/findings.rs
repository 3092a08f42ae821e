//! What was found in the model, how sensitive its layers are, and the ways to make it smaller.

use serde::{Deserialize, Serialize};

use super::{Kind, numbers};

/// A statement about the model that its user can act on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable code, for example `LK0103`.
    pub code: String,
    /// How serious it is.
    pub severity: Severity,
    /// The operator's name in the source; empty if it is about the whole model.
    #[serde(default)]
    pub node: String,
    /// What was found, as one sentence.
    pub message: String,
    /// Why it matters.
    #[serde(default)]
    pub why: String,
    /// What to do about it.
    #[serde(default)]
    pub help: String,
    /// What it is rewritten to, if it is.
    #[serde(default)]
    pub rewritten_to: Option<String>,
    /// The lowest deployment target on which it works, if any does, for example `iOS 17`.
    #[serde(default)]
    pub works_from: Option<String>,
}

/// How serious a diagnostic is; the most serious first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The model cannot be deployed as it is.
    Error,
    /// It can, with a loss that the diagnostic names.
    Warning,
    /// Worth knowing.
    #[default]
    Note,
}

impl Severity {
    /// The severity as one lower-case word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// How much the output changes when one layer alone is compressed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The options, one column each, for example `w8a8`, `pal4`.
    pub options: Vec<String>,
    /// Samples that the divergence is the mean of.
    pub samples: u64,
    /// One row per layer in the order of execution.
    pub layers: Vec<LayerSensitivity>,
}

/// The sensitivity of one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerSensitivity {
    /// The layer's name.
    pub layer: String,
    /// Mean Kullback-Leibler divergence of the output in nats, one per option; not-a-number if it was not tried.
    #[serde(deserialize_with = "numbers")]
    pub divergence_nats: Vec<f64>,
    /// The option that was chosen, as an index into the options; `None` if the layer stays as it is.
    #[serde(default)]
    pub chosen: Option<usize>,
}

/// Something that would make the variant smaller or faster, and what it would cost. Changes are signed: what comes
/// after less what is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WayDown {
    /// What would be done, as one sentence.
    pub action: String,
    /// How the changes are known.
    pub kind: Kind,
    /// Change of the peak memory in bytes.
    #[serde(default)]
    pub memory_change_bytes: Option<i64>,
    /// Change of the package size in bytes.
    #[serde(default)]
    pub package_change_bytes: Option<i64>,
    /// Change of the latency in milliseconds.
    #[serde(default)]
    pub latency_change_ms: Option<f64>,
    /// Change of the accuracy drop as a fraction; positive is worse.
    #[serde(default)]
    pub drop_change: Option<f64>,
    /// What stands in the way, or what it rests on.
    #[serde(default)]
    pub remark: String,
}
