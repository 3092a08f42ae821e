//! The driver's lines: one process run each.

use anyhow::{Context, Result};
use serde_json::Value;

/// One process run that gave figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) peer: String,
    pub(super) version: String,
    pub(super) model: String,
    pub(super) precision: String,
    pub(super) threads: u64,
    pub(super) round: u64,
    /// Wall time of one inference in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) load_ms: f64,
    pub(super) first_ms: f64,
    /// Peak resident memory above the bare process, in KiB.
    pub(super) memory_kib: f64,
    pub(super) cpu_per_wall: f64,
    /// Of runs in bf16: outputs against those in float32.
    pub(super) signal_to_noise_db: Option<f64>,
    pub(super) greatest_relative: Option<f64>,
}

/// Reads lines; those of runs that failed are left out.
pub(super) fn parse(text: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let value: Value = serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
        if value.get("error").is_none() {
            lines.push(parse_line(&value).with_context(|| format!("line {}", index + 1))?);
        }
    }
    Ok(lines)
}

fn parse_line(value: &Value) -> Result<Line> {
    let text = |key: &str| {
        value[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no text {key}"))
    };
    let number = |key: &str| value[key].as_f64().with_context(|| format!("no number {key}"));
    let count = |key: &str| value[key].as_u64().with_context(|| format!("no count {key}"));
    Ok(Line {
        peer: text("peer")?,
        version: text("version").unwrap_or_default(),
        model: text("name")?,
        precision: text("prec")?,
        threads: count("threads")?,
        round: count("round")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        load_ms: number("load_ms")?,
        first_ms: number("first_ms")?,
        memory_kib: number("rss_peak_kb")? - number("rss_base_kb")?,
        cpu_per_wall: number("cpu_per_wall")?,
        signal_to_noise_db: value["against_float32"]["signal_to_noise_db"].as_f64(),
        greatest_relative: value["against_float32"]["greatest_relative"].as_f64(),
    })
}
