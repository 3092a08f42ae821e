//! What was asked for: the limits, and the device they were written for.

use serde::{Deserialize, Serialize};

use super::Kind;

/// The limits; `None` is a limit that was not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budgets {
    /// Most memory, in bytes, that weights, activations and scratch may take together.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Most bytes that the package may take on disk.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// Longest that any inference may take, in milliseconds.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// Length of the frame that the latency budget is part of, in milliseconds.
    #[serde(default)]
    pub frame_ms: Option<f64>,
    /// Largest accuracy drop, as a fraction: 0.007 is 0.7 percentage points.
    #[serde(default)]
    pub max_drop: Option<f64>,
    /// The device that the limits are for.
    #[serde(default)]
    pub device: Option<DeviceProfile>,
}

/// A device and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProfile {
    /// Name, for example `watch-series-7`.
    pub name: String,
    /// One sentence about the device.
    #[serde(default)]
    pub description: String,
    /// What is known, one fact each.
    #[serde(default)]
    pub facts: Vec<DeviceFact>,
}

/// One line of a device profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFact {
    /// What the fact is about, for example `memory bandwidth`.
    pub what: String,
    /// The value with its unit.
    pub value: String,
    /// How it is known.
    pub kind: Kind,
    /// Where it is stated, or how it was measured or modelled.
    pub source: String,
}
