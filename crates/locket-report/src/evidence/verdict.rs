//! Whether the limits are met: the outcome and one gauge for each limit.

use serde::{Deserialize, Serialize};

use super::{Kind, number};

/// The outcome of a run against its budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Verdict {
    /// Every limit that was set is met, with the stated confidence.
    Met,
    /// No limit is seen to be exceeded, but the data cannot support the claim for at least one.
    Unproven {
        /// The limits that could not be shown to be met.
        shortfalls: Vec<Shortfall>,
    },
    /// At least one limit is exceeded by the best variant that was found.
    Infeasible {
        /// The limits that fail.
        shortfalls: Vec<Shortfall>,
    },
}

impl Verdict {
    /// The limits that fail or could not be shown.
    pub fn shortfalls(&self) -> &[Shortfall] {
        match self {
            Self::Met => &[],
            Self::Unproven { shortfalls } | Self::Infeasible { shortfalls } => shortfalls,
        }
    }
}

/// A limit that is not met, and the way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Which limit.
    pub limit: Limit,
    /// By how much it is missed: bytes, milliseconds, or a fraction, as the limit is.
    #[serde(deserialize_with = "number")]
    pub excess: f64,
    /// What would fix it, as one sentence.
    pub fix: String,
}

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Peak memory, in bytes.
    Memory,
    /// The package on disk, in bytes.
    Size,
    /// Latency, in milliseconds.
    Latency,
    /// Accuracy drop, as a fraction.
    Accuracy,
}

impl Limit {
    /// The limit as one lower-case word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Size => "size",
            Self::Latency => "latency",
            Self::Accuracy => "accuracy",
        }
    }
}

/// The gauges of the limits; `None` if nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauges {
    /// Peak memory in bytes.
    #[serde(default)]
    pub memory: Option<Gauge>,
    /// Bytes of the package on disk; there only if a limit was set.
    #[serde(default)]
    pub size: Option<Gauge>,
    /// Latency in milliseconds.
    #[serde(default)]
    pub latency: Option<Gauge>,
    /// Accuracy drop as a fraction.
    #[serde(default)]
    pub accuracy: Option<Gauge>,
}

impl Gauges {
    /// The gauges that are there, with the limit that each belongs to.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, &Gauge)> {
        [
            (Limit::Memory, &self.memory),
            (Limit::Size, &self.size),
            (Limit::Latency, &self.latency),
            (Limit::Accuracy, &self.accuracy),
        ]
        .into_iter()
        .filter_map(|(limit, gauge)| gauge.as_ref().map(|gauge| (limit, gauge)))
    }
}

/// One limit and the value reached, both in the limit's unit: bytes, milliseconds, or a fraction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    /// The limit; `None` if none was set.
    #[serde(default)]
    pub limit: Option<f64>,
    /// The value reached: peak bytes, a quantile of the latency, the observed drop.
    #[serde(deserialize_with = "number")]
    pub value: f64,
    /// What `value` is, in a word or two: `peak`, `p99`, `observed drop`.
    #[serde(default)]
    pub value_name: String,
    /// How the value came to be.
    pub kind: Kind,
    /// The value that is compared with the limit if it differs from `value`: the longest run, the upper bound.
    #[serde(default)]
    pub bound: Option<f64>,
    /// What `bound` is, in a few words: `longest of 3000 runs`, `upper 95 % bound`.
    #[serde(default)]
    pub bound_name: String,
    /// A sentence to print under the gauge in place of the one that the report composes.
    #[serde(default)]
    pub sentence: Option<String>,
}

/// Where a gauge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaugeState {
    /// No limit was set.
    Free,
    /// Value and bound are within the limit.
    Met,
    /// The value is within the limit, the bound is not.
    Unproven,
    /// The value exceeds the limit, or is not a number.
    Exceeded,
}

impl Gauge {
    /// What is compared with the limit: the bound if there is one, else the value.
    pub fn judged(&self) -> f64 {
        self.bound.unwrap_or(self.value)
    }

    /// The limit less what is compared with it; negative if the limit is exceeded.
    pub fn margin(&self) -> Option<f64> {
        self.limit.map(|limit| limit - self.judged())
    }

    /// Where the gauge stands.
    pub fn state(&self) -> GaugeState {
        match self.limit {
            None => GaugeState::Free,
            Some(limit) if self.judged() <= limit && self.value <= limit => GaugeState::Met,
            Some(limit) if self.value <= limit => GaugeState::Unproven,
            Some(_) => GaugeState::Exceeded,
        }
    }
}
