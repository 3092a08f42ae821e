//! The data a report is made of: plain structures with no dependency on any model code, filled by others.
//!
//! Every quantity has its unit in its name (`_bytes`, `_ns`, `_ms`); shares, accuracies and drops are fractions of one
//! (0.007 is 0.7 %). A number that somebody may act on is a [`Figure`], which says how it came to be. Sections that a
//! run did not fill stay empty and are left out of the documents. Non-finite numbers are written to JSON as `null`
//! and read back as not-a-number; no document ever prints them.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod budgets;
mod certificate;
mod findings;
mod latency;
mod leakage;
mod matrix;
mod memory;
mod profile;
mod provenance;
mod steps;
mod variants;
mod verdict;

pub use budgets::{Budgets, DeviceFact, DeviceProfile};
pub use certificate::Certificate;
pub use findings::{Diagnostic, LayerSensitivity, Sensitivity, Severity, WayDown};
pub use latency::{Histogram, LatencyRun, overrun_bound};
pub use leakage::{
    AttackScore, AttributeProbe, LeakageEvidence, LearningPoint, NoiseFigures, Rate, TapLeakage,
};
pub use matrix::{RankStability, TradeOffLeakage, TradeOffMatrix, TradeOffRow};
pub use memory::{MemoryPoint, MemoryTimeline, PeakTensor};
pub use profile::{OperatorCost, Profile};
pub use provenance::{Artefact, DataSet, Machine, Provenance, SourceModel, TensorSignature};
pub use steps::{Decision, Interval, Step};
pub use variants::Variant;
pub use verdict::{Gauge, GaugeState, Gauges, Limit, Shortfall, Verdict};

/// The version of the JSON form that this crate reads and writes.
pub const SCHEMA: u32 = 1;

/// Everything one report says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The version of this form; reading any other version is an error.
    pub schema: Schema,
    /// The model's name as the reader knows it, for example `SqueezeNet 1.1`.
    pub title: String,
    /// True if the figures are invented; every document then says so at the top.
    #[serde(default)]
    pub sample_data: bool,
    /// Where the figures come from: tool, machine, source model, data.
    pub provenance: Provenance,
    /// What was asked for.
    #[serde(default)]
    pub budgets: Budgets,
    /// Whether it was reached. `None` if the run judged nothing (a profile, an inspection).
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// The three limits with the value that the packaged variant reaches.
    #[serde(default)]
    pub gauges: Gauges,
    /// The steps in the order in which they were tried; row 0 is the source in float32. The last accepted step is
    /// what was packaged.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Latency distributions on one time axis, usually the source and the packaged variant. The last one is the
    /// packaged variant.
    #[serde(default)]
    pub latency: Vec<LatencyRun>,
    /// The paired comparison of the packaged variant with the source.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// The plan's memory, operator by operator, for the packaged variant.
    #[serde(default)]
    pub memory: Option<MemoryTimeline>,
    /// Time by operator, for the packaged variant.
    #[serde(default)]
    pub profile: Option<Profile>,
    /// Every variant that the search looked at, as points of the trade-off plot.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Accuracy, resources and privacy of the variants, scored and multiplied.
    #[serde(default)]
    pub matrix: Option<TradeOffMatrix>,
    /// What was found in the model.
    #[serde(default)]
    pub diagnostics: Vec<Diagnostic>,
    /// How much each layer's compression changes the output.
    #[serde(default)]
    pub sensitivity: Option<Sensitivity>,
    /// What would be changed if the budget were smaller, best first.
    #[serde(default)]
    pub ways_down: Vec<WayDown>,
    /// What the report does not know, one sentence each.
    #[serde(default)]
    pub not_measured: Vec<String>,
    /// Remarks that fit nowhere else, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Evidence {
    /// The evidence as pretty JSON, ending in a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data with string keys serialises");
        text.push('\n');
        text
    }

    /// Reads what [`Evidence::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// The text is not JSON, a field is missing or has another type, or the schema is not [`SCHEMA`]; the message
    /// names line and column.
    pub fn from_json(text: &str) -> Result<Self, EvidenceError> {
        serde_json::from_str(text).map_err(EvidenceError)
    }

    /// The step that was packaged: the last accepted one, else the source.
    pub fn packaged_step(&self) -> Option<&Step> {
        self.steps
            .iter()
            .rev()
            .find(|step| step.decision == Decision::Accepted)
            .or_else(|| self.source_step())
    }

    /// Why the verdict cannot be right, if it contradicts a gauge. A document prints it beside the verdict, so that no
    /// report says that a model fits while a figure in it says otherwise.
    pub fn contradiction(&self) -> Option<String> {
        let states = || self.gauges.iter().map(|(limit, gauge)| (limit, gauge.state()));
        match self.verdict.as_ref()? {
            Verdict::Met => states()
                .find(|(_, state)| matches!(state, GaugeState::Exceeded | GaugeState::Unproven))
                .map(|(limit, _)| {
                    format!(
                        "the verdict says that every limit is met, but the {} gauge does not",
                        limit.word()
                    )
                }),
            Verdict::Unproven { .. } => {
                states()
                    .find(|(_, state)| *state == GaugeState::Exceeded)
                    .map(|(limit, _)| {
                        format!(
                            "the verdict says that no limit is exceeded, but the {} gauge does",
                            limit.word()
                        )
                    })
            }
            Verdict::Infeasible { .. } => None,
        }
    }

    /// The row of the source model.
    pub fn source_step(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.decision == Decision::Source)
    }
}

/// Why a text is not evidence of this schema.
#[derive(Debug)]
pub struct EvidenceError(serde_json::Error);

impl fmt::Display for EvidenceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not evidence of schema {SCHEMA}: {}", self.0)
    }
}

impl std::error::Error for EvidenceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The schema number: it has one possible value, so that evidence of another version cannot exist in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schema;

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(SCHEMA)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u64::deserialize(deserializer)?;
        if found == u64::from(SCHEMA) {
            Ok(Self)
        } else {
            Err(D::Error::custom(format!(
                "expected schema {SCHEMA}, found {found}"
            )))
        }
    }
}

/// How a figure came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Observed on the machine that the provenance names.
    #[default]
    Measured,
    /// Exact, from the plan, before anything ran.
    Planned,
    /// Computed from a model of the device or of the search; it may be wrong.
    Modelled,
    /// Stated by somebody else, in a named source.
    Published,
}

impl Kind {
    /// Every kind, in the order of the legend.
    pub const ALL: [Self; 4] = [Self::Measured, Self::Planned, Self::Modelled, Self::Published];

    /// The kind as one lower-case word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Planned => "planned",
            Self::Modelled => "modelled",
            Self::Published => "published",
        }
    }

    /// What the word promises, as one clause.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Measured => "on the machine named under Provenance",
            Self::Planned => "exact, from the execution plan",
            Self::Modelled => "an estimate, which may be wrong",
            Self::Published => "stated by a named source, not checked here",
        }
    }
}

/// A value and how it came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Magnitude"))]
pub struct Figure<T> {
    /// The value, in the unit that the field's name states.
    #[serde(deserialize_with = "Magnitude::read")]
    pub value: T,
    /// How it came to be.
    pub kind: Kind,
}

impl<T> Figure<T> {
    /// A value observed on this machine.
    pub const fn measured(value: T) -> Self {
        Self {
            value,
            kind: Kind::Measured,
        }
    }

    /// A value that follows exactly from the plan.
    pub const fn planned(value: T) -> Self {
        Self {
            value,
            kind: Kind::Planned,
        }
    }

    /// A value estimated by a model.
    pub const fn modelled(value: T) -> Self {
        Self {
            value,
            kind: Kind::Modelled,
        }
    }

    /// A value stated by a named source.
    pub const fn published(value: T) -> Self {
        Self {
            value,
            kind: Kind::Published,
        }
    }
}

/// What a [`Figure`] can hold: a number whose JSON form may be `null` if it is a float.
pub trait Magnitude: DeserializeOwned {
    /// Reads the value; `null` is not-a-number for floats and an error for integers.
    ///
    /// # Errors
    ///
    /// The input is neither a number of this type nor an admissible `null`.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl Magnitude for u64 {}
impl Magnitude for i64 {}
impl Magnitude for f64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer)
    }
}

/// Reads a float for which JSON has no spelling as not-a-number.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Reads a list of floats, `null` as not-a-number.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .map(|value| value.unwrap_or(f64::NAN))
        .collect())
}
