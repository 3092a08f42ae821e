//! `locket bench`: the protocol and the keys that other runtimes are measured with.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use locket_compress::measure::{Disturbances, Latency, LatencyProtocol, latency};
use locket_data::statistics::summary::percentile;
use locket_report::{
    table::{Column, Table},
    units,
};
use serde::Serialize;

use crate::{
    arithmetic::{ArithmeticOptions, Deviation, deviation},
    budget::LatencyOptions,
    context::Context,
    facts, model,
    steadiness::SteadinessOptions,
    tensors,
};

/// Predictions before the measurement, after which a tenth of a second of further ones follows.
const WARM_UP: usize = 5;
/// Confidence of the bound on the chance of an overrun, one-sided.
const CONFIDENCE: f64 = 0.95;

/// Measures the latency of single predictions
///
/// Warms up (5 predictions, then 0.1 s), then times predictions one by one until both the number and the least time are
/// reached, or the most time has passed. Inputs are made up: floats in [0, 1), token ids, masks of ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket bench model.onnx --threads 1 --iters 300 --min-time 1 --json")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, a Core ML .mlpackage, or a compiled model
    model: PathBuf,
    /// Least number of predictions
    #[arg(long, value_name = "K", default_value_t = 300)]
    iters: usize,
    /// Least time to measure, in seconds
    #[arg(long, value_name = "S", allow_negative_numbers = true, default_value_t = 0.0)]
    min_time: f64,
    /// Time after which the measurement ends in any case, in seconds
    #[arg(
        long,
        value_name = "S",
        allow_negative_numbers = true,
        default_value_t = 3600.0
    )]
    max_time: f64,
    #[command(flatten)]
    budget: LatencyOptions,
    #[command(flatten)]
    steadiness: SteadinessOptions,
    #[command(flatten)]
    arithmetic: ArithmeticOptions,
}

/// The keys that the driver of the comparison reads, and those of the tail.
#[derive(Serialize)]
struct Line {
    runtime: &'static str,
    version: &'static str,
    model: String,
    threads: usize,
    iters: usize,
    load_ms: f64,
    first_ms: f64,
    min_us: f64,
    p10_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    mean_us: f64,
    cpu_per_wall: f64,
    rss_base_kb: u64,
    rss_peak_kb: u64,
    /// What the plan says that weights, tensors and scratch take.
    planned_kb: u64,
    minor_faults: u64,
    major_faults: u64,
    involuntary_switches: u64,
    /// At 95 % confidence; absent without a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    overrun_bound: Option<f64>,
    /// Absent in float32.
    #[serde(skip_serializing_if = "Option::is_none")]
    against_float32: Option<Deviation>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    let protocol = LatencyProtocol {
        warm_up: WARM_UP,
        iterations: options.iters.max(1),
        min_time: seconds("--min-time", options.min_time)?,
        max_time: seconds("--max-time", options.max_time)?,
    };
    let budget = options.budget.budget()?;
    options.steadiness.apply()?;
    let rss_base_kb = facts::peak_resident_kb();
    let (mut session, load_ms) = model::open(&options.model, context.plan_options())?;
    let inputs = tensors::random_inputs(&session.plan().inputs)?;
    let spinner = context.spinner("measuring");
    let latency = latency(&mut session, &inputs, protocol)?;
    spinner.finish_and_clear();
    let mut line = line(options, context, &latency, load_ms);
    line.rss_base_kb = rss_base_kb;
    line.planned_kb = (session.plan().peak_bytes() as u64).div_ceil(1024);
    line.overrun_bound = budget.map(|budget| latency.overrun_bound(budget, CONFIDENCE));
    line.against_float32 = deviation(&options.model, &mut session, &inputs, context)?;
    if context.json {
        // A line as the other runners print it: no version of the schema here.
        context.print(&format!("{}\n", serde_json::to_string(&line)?))?;
    } else {
        let steadiness = options.steadiness.describe();
        context.print(&text(&line, &latency, budget, &steadiness, context))?;
    }
    Ok(0)
}

fn seconds(option: &str, value: f64) -> Result<Duration> {
    const LONGEST: f64 = 1e9;
    if !(0.0..=LONGEST).contains(&value) {
        bail!("{option}: expected 0 to {LONGEST} seconds, found {value}");
    }
    Ok(Duration::from_secs_f64(value))
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

fn line(options: &Options, context: &Context, latency: &Latency, load_ms: f64) -> Line {
    let sorted = &latency.sorted_ns;
    // The rank that the other runners take: the element at `fraction * n`, not above the last.
    let at = |fraction: f64| {
        let index = (fraction * sorted.len() as f64) as usize;
        round(sorted[index.min(sorted.len() - 1)] as f64 / 1e3, 2)
    };
    let name = options.model.file_name().unwrap_or(options.model.as_os_str());
    Line {
        runtime: "locket",
        version: env!("CARGO_PKG_VERSION"),
        model: name.to_string_lossy().into_owned(),
        threads: context.threads,
        iters: sorted.len(),
        load_ms: round(load_ms, 2),
        first_ms: round(latency.first_ns as f64 / 1e6, 2),
        min_us: at(0.0),
        p10_us: at(0.1),
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: at(1.0),
        mean_us: round(latency.mean_ms() * 1e3, 2),
        cpu_per_wall: round(latency.cpu_per_wall, 3),
        rss_base_kb: 0,
        planned_kb: 0,
        rss_peak_kb: facts::peak_resident_kb(),
        minor_faults: latency.disturbances.minor_faults,
        major_faults: latency.disturbances.major_faults,
        involuntary_switches: latency.disturbances.involuntary_switches,
        overrun_bound: None,
        against_float32: None,
    }
}

/// What came between, as a hint at where the slowest predictions come from.
fn disturbances(found: &Disturbances) -> String {
    let Disturbances {
        minor_faults,
        major_faults,
        involuntary_switches,
    } = found;
    format!(
        "{minor_faults} page faults and {major_faults} that waited for a disk, the core lost to others {involuntary_switches} times"
    )
}

fn text(
    line: &Line,
    latency: &Latency,
    budget: Option<Duration>,
    steadiness: &str,
    context: &Context,
) -> String {
    let steadiness = if steadiness.is_empty() {
        String::new()
    } else {
        format!(", {steadiness}")
    };
    let mut table = Table::new([Column::left("prediction"), Column::right("time")]);
    let time = |fraction: f64| units::nanoseconds(percentile(&latency.sorted_ns, fraction));
    for (name, fraction) in [
        ("fastest", 0.0),
        ("10 %", 0.1),
        ("median", 0.5),
        ("90 %", 0.9),
        ("99 %", 0.99),
        ("99.9 %", 0.999),
        ("slowest", 1.0),
    ] {
        table.row([name.to_owned(), time(fraction)]);
    }
    table.rule();
    table.row(["mean".to_owned(), units::milliseconds(latency.mean_ms())]);
    table.row(["first, cold".to_owned(), units::nanoseconds(latency.first_ns)]);
    table.row(["load".to_owned(), units::milliseconds(line.load_ms)]);
    let mut text = context.table(&table);
    text.push_str(&format!(
        "\n{} predictions, {} thread{}, {}, CPU {:.2} of wall time{steadiness}\n",
        line.iters,
        line.threads,
        if line.threads == 1 { "" } else { "s" },
        context.isa,
        line.cpu_per_wall,
    ));
    text.push_str(&format!(
        "resident: {} more than the bare process ({}); planned: {}\n",
        units::bytes((line.rss_peak_kb - line.rss_base_kb) * 1024),
        units::bytes(line.rss_base_kb * 1024),
        units::bytes(line.planned_kb * 1024),
    ));
    text.push_str(&format!(
        "while measuring: {}\n",
        disturbances(&latency.disturbances)
    ));
    text.push_str(&format!(
        "measured on {}, {}\n",
        facts::processor(),
        facts::kernel()
    ));
    if let Some(deviation) = &line.against_float32 {
        text.push_str(&deviation.text());
    }
    if let Some(budget) = budget {
        text.push_str(&format!(
            "{} of {} took longer than {}: chance of an overrun at most {} (95 % confidence, if predictions are independent)\n",
            latency.overruns(budget),
            line.iters,
            units::milliseconds_limit(budget.as_secs_f64() * 1e3),
            units::chance(latency.overrun_bound(budget, CONFIDENCE)),
        ));
    }
    text
}
