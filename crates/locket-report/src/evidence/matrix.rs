//! The privacy trade-off matrix: accuracy, resources and privacy of each variant, scored from 1 to 5 and multiplied.

use serde::{Deserialize, Serialize};

use super::{Figure, Rate, number};

/// The matrix with the rules that it was scored by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TradeOffMatrix {
    /// The variants, in the order in which they were tried.
    pub rows: Vec<TradeOffRow>,
    /// The rules, one sentence each.
    pub rules: Vec<String>,
    /// How far the best product stands on the scores; `None` where no product is known.
    #[serde(default)]
    pub stability: Option<RankStability>,
}

/// One variant. Scores go from 1 to 5, and 5 is best on every axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TradeOffRow {
    /// Short name, for example `w8a8`.
    pub name: String,
    /// Whether this is the variant that was packaged.
    #[serde(default)]
    pub chosen: bool,
    /// Drop of top-1 against the source, as a fraction.
    pub drop: Figure<f64>,
    /// Score of the drop.
    pub accuracy: u8,
    /// 99th percentile of the latency in milliseconds.
    pub latency_ms: Figure<f64>,
    /// Peak memory in bytes.
    pub peak_bytes: Figure<u64>,
    /// Energy of a prediction in microjoules: modelled, because there is no meter.
    pub energy_uj: Figure<f64>,
    /// The largest of latency, peak and energy, as a multiple of its limit or, without one, of the source's.
    #[serde(deserialize_with = "number")]
    pub load: f64,
    /// Which of the three that is.
    pub bottleneck: String,
    /// Score of the load.
    pub resources: u8,
    /// What leaves the model, as measured; `None` if it was not.
    #[serde(default)]
    pub leakage: Option<TradeOffLeakage>,
    /// 6 less the level of leakage; `None` if that was not measured.
    #[serde(default)]
    pub privacy: Option<u8>,
    /// The three scores multiplied, 1 to 125; `None` if one is not known.
    #[serde(default)]
    pub product: Option<u32>,
    /// True if no other variant is at least as good on every raw value and better on one.
    #[serde(default)]
    pub on_front: bool,
}

/// Leakage of what leaves a variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TradeOffLeakage {
    /// The output that leaks most.
    pub tap: String,
    /// 1 (least) to 5 (most).
    pub level: u8,
    /// Share of the pictures' variance explained by the best attack.
    #[serde(deserialize_with = "number")]
    pub r2: f64,
    /// Pictures identified.
    pub identification: Rate,
    /// Pictures reconstructed.
    pub success: Rate,
}

/// How often the best product stays the best where scores are doubted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankStability {
    /// Single scores that were moved by one.
    pub moved: u64,
    /// Of those, how often a variant with the best product kept it.
    pub kept_when_moved: u64,
    /// Draws of all cut-points.
    pub jittered: u64,
    /// Of those, how often a variant with the best product kept it.
    pub kept_when_jittered: u64,
    /// By what part cut-points were changed at most, as a fraction.
    #[serde(deserialize_with = "number")]
    pub jitter: f64,
}
