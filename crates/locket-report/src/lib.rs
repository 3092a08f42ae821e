//! Plain data in, documents out: one self-contained HTML page, a one-page Markdown brief, versioned JSON, and aligned
//! tables for the terminal.
//!
//! The crate knows nothing about models. [`Evidence`] and its parts are plain structures that others fill; this crate
//! only sets them out. It reads no clock, no file and no environment: the same evidence gives the same bytes.
//!
//! ```
//! use locket_report::{Evidence, Figure, Step, html, markdown};
//!
//! let source = Step {
//!     name: "Source float32".to_owned(),
//!     package_bytes: Some(Figure::measured(12_400_000)),
//!     latency_p50_ms: Some(Figure::modelled(62.0)),
//!     ..Step::default()
//! };
//! let evidence = Evidence { title: "SqueezeNet".to_owned(), steps: vec![source], ..Evidence::default() };
//! assert!(html(&evidence).starts_with("<!DOCTYPE html>"));
//! assert!(markdown(&evidence).contains("| 12.4 MB | – | 62.0 ms (modelled) |"));
//! assert_eq!(Evidence::from_json(&evidence.to_json()).expect("our own text"), evidence);
//! ```
//!
//! A section that nobody filled is left out. [`table`] sets out terminal tables, [`units`] spells numbers; both are what
//! the documents use themselves, so that every place says a figure the same way.

#![forbid(unsafe_code)]

mod chart;
mod evidence;
mod html;
mod markdown;
pub mod proof;
mod prose;
pub mod table;
pub mod units;

pub use evidence::{
    Artefact, AttackScore, AttributeProbe, Budgets, Certificate, DataSet, Decision, DeviceFact,
    DeviceProfile, Diagnostic, Evidence, EvidenceError, Figure, Gauge, GaugeState, Gauges, Histogram,
    Interval, Kind, LatencyRun, LayerSensitivity, LeakageEvidence, LearningPoint, Limit, Machine, Magnitude,
    MemoryPoint, MemoryTimeline, NoiseFigures, OperatorCost, PeakTensor, Profile, Provenance, RankStability,
    Rate, SCHEMA, Schema, Sensitivity, Severity, Shortfall, SourceModel, Step, TapLeakage, TensorSignature,
    TradeOffLeakage, TradeOffMatrix, TradeOffRow, Variant, Verdict, WayDown, overrun_bound,
};
pub use html::{html, leakage_html, proof_html};
pub use markdown::markdown;
