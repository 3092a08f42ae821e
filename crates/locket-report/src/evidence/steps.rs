//! The steps from the source to the packaged variant: size, latency and accuracy after each.

use serde::{Deserialize, Serialize};

use super::{Figure, Kind, number};

/// One step, or the source itself in row 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What it is, in the reader's words: `Source float32`, `8-bit quantisation`.
    pub name: String,
    /// How it was done: the recipe's name and its settings.
    #[serde(default)]
    pub recipe: String,
    /// What was decided about it.
    pub decision: Decision,
    /// Size of the written package in bytes.
    #[serde(default)]
    pub package_bytes: Option<Figure<u64>>,
    /// Bytes of the weights as stored in memory.
    #[serde(default)]
    pub weight_bytes: Option<Figure<u64>>,
    /// Exact peak of weights, activations and scratch in bytes.
    #[serde(default)]
    pub peak_memory_bytes: Option<Figure<u64>>,
    /// Median latency in milliseconds.
    #[serde(default)]
    pub latency_p50_ms: Option<Figure<f64>>,
    /// 99th percentile of the latency in milliseconds.
    #[serde(default)]
    pub latency_p99_ms: Option<Figure<f64>>,
    /// Fraction of samples whose first answer is right.
    #[serde(default)]
    pub top1: Option<Figure<f64>>,
    /// Fraction of samples whose label is among the first five answers.
    #[serde(default)]
    pub top5: Option<Figure<f64>>,
    /// Fraction of samples with the same first answer as the source.
    #[serde(default)]
    pub agreement: Option<Figure<f64>>,
    /// Drop of top-1 against the source, paired sample by sample.
    #[serde(default)]
    pub drop: Option<Interval>,
}

/// An estimate with a confidence interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// How it came to be.
    #[serde(default)]
    pub kind: Kind,
    /// The estimate.
    #[serde(deserialize_with = "number")]
    pub estimate: f64,
    /// Lower end of the interval.
    #[serde(deserialize_with = "number")]
    pub lower: f64,
    /// Upper end of the interval.
    #[serde(deserialize_with = "number")]
    pub upper: f64,
}

/// What was decided about a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing: this is the source.
    #[default]
    Source,
    /// It pays; the next step starts from it.
    Accepted,
    /// It does not pay; the next step starts from the one before.
    Refused {
        /// Why, with the measurement, as one sentence.
        reason: String,
    },
}
