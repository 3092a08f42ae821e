//! Plain data in, documents out: one self-contained HTML page, a one-page Markdown brief, versioned JSON, and aligned
//! tables for the terminal.
//!
//! The crate knows nothing about models. [`Evidence`] and its parts are plain structures that others fill; this crate
//! only sets them out. It reads no clock, no file and no environment: the same evidence gives the same bytes.

#![forbid(unsafe_code)]

mod chart;
mod evidence;
mod html;
mod markdown;
mod prose;
pub mod table;
pub mod units;

pub use evidence::{
    Artefact, Budgets, Certificate, DataSet, Decision, DeviceFact, DeviceProfile, Diagnostic, Evidence,
    EvidenceError, Figure, Gauge, GaugeState, Gauges, Histogram, Interval, Kind, LatencyRun,
    LayerSensitivity, Limit, Machine, Magnitude, MemoryPoint, MemoryTimeline, OperatorCost, PeakTensor,
    Profile, Provenance, SCHEMA, Schema, Sensitivity, Severity, Shortfall, SourceModel, Step,
    TensorSignature, Variant, Verdict, WayDown, overrun_bound,
};
pub use html::html;
pub use markdown::markdown;
