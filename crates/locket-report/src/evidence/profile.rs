//! Time by operator.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A profile of one variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// How the times came to be.
    pub kind: Kind,
    /// Runs that the times are the medians of.
    pub runs: u64,
    /// Processor time over wall time: 2.0 is two cores busy throughout.
    #[serde(default)]
    pub cpu_usage: Option<f64>,
    /// The operators in the order of execution.
    pub operators: Vec<OperatorCost>,
}

impl Profile {
    /// The wall time of all operators together in nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.operators
            .iter()
            .fold(0, |total: u64, operator| total.saturating_add(operator.wall_ns))
    }

    /// The operator's share of the whole as a fraction; zero if nothing took time.
    pub fn share(&self, operator: &OperatorCost) -> f64 {
        operator.wall_ns as f64 / self.total_ns().max(1) as f64
    }
}

/// What one operator costs in one inference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCost {
    /// The operator's name in the plan.
    pub name: String,
    /// Its MIL operator, for example `conv`.
    pub operator: String,
    /// The operators of the source that it was fused from; empty if it was not.
    #[serde(default)]
    pub fused_from: Vec<String>,
    /// The kernel that ran, for example `u8s8_conv_avx512vnni`.
    #[serde(default)]
    pub kernel: String,
    /// Median wall time in nanoseconds.
    pub wall_ns: u64,
    /// Median processor time over all threads in nanoseconds, if it was counted.
    #[serde(default)]
    pub cpu_ns: Option<u64>,
    /// Processor cycles, if the machine counts them.
    #[serde(default)]
    pub cycles: Option<u64>,
    /// Instructions retired, if the machine counts them.
    #[serde(default)]
    pub instructions: Option<u64>,
    /// Multiply-adds.
    #[serde(default)]
    pub macs: u64,
    /// Bytes read and written: inputs, weights, outputs.
    #[serde(default)]
    pub traffic_bytes: u64,
}

impl OperatorCost {
    /// Thousand millions of multiply-adds a second; `None` if it has none or took no time.
    pub fn gmacs_per_second(&self) -> Option<f64> {
        (self.macs > 0 && self.wall_ns > 0).then(|| self.macs as f64 / self.wall_ns as f64)
    }
}
