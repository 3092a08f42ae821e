//! `locket profile`: where the time and the memory go.

mod counters;
mod measure;
mod trace;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use locket_report::{
    table::{Cell, Column, Table, Tone, bar, shared_prefix, short_name, sparkline},
    units,
};
use locket_runtime::{Plan, Session};
use serde::Serialize;

use self::{
    counters::{Counters, Counts},
    measure::Profile,
};
use crate::{arithmetic::ArithmeticOptions, context::Context, facts, model, tensors};

/// Width of the memory chart.
const CHART: usize = 64;
/// Tensors that are listed at the peak.
const LISTED: usize = 5;

/// Shows the time of each operator, the memory over time, and the processor use
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket profile model.onnx --threads 1 --trace trace.json")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, a Core ML .mlpackage, or a compiled model
    model: PathBuf,
    /// Predictions to take medians over
    #[arg(long, value_name = "N", default_value_t = 50)]
    runs: usize,
    /// Operators to show; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Order of the operators
    #[arg(long, value_enum, default_value_t = Order::Time)]
    sort: Order,
    /// Writes a trace for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    arithmetic: ArithmeticOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Slowest first
    Time,
    /// As they run
    Run,
}

#[derive(Serialize)]
struct Operator {
    index: usize,
    operator: String,
    origin: Vec<String>,
    wall_ns: u64,
    cpu_ns: u64,
    share: f64,
    multiply_adds: u64,
    bytes: u64,
    weight_bytes: usize,
    parts: usize,
    live_bytes: usize,
    slow: bool,
    cycles: Option<u64>,
    instructions: Option<u64>,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    runs: usize,
    threads: usize,
    isa: &'static str,
    processor: String,
    /// Median of whole predictions without an observer.
    wall_ns: u64,
    /// Sum of the medians of the operators.
    operators_ns: u64,
    cpu_per_wall: f64,
    cycles: Option<u64>,
    instructions: Option<u64>,
    multiply_adds: u64,
    peak_bytes: usize,
    operators: Vec<Operator>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    if options.runs == 0 {
        bail!("--runs: expected at least 1, found 0");
    }
    let mut counters = Counters::open();
    let (mut session, _) = model::open(&options.model, context.plan_options())?;
    let inputs = tensors::random_inputs(&session.plan().inputs)?;
    let bar = context.progress("profiling", options.runs);
    let profile = measure::profile(
        &mut session,
        &inputs,
        options.runs,
        counters.as_mut().ok(),
        &|done| {
            bar.set_position(done as u64);
        },
    )?;
    bar.finish_and_clear();
    if let Some(path) = &options.trace {
        let text = trace::render(session.plan(), &profile);
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    let outcome = outcome(options, context, &session, &profile);
    if context.json {
        context.print_json(&outcome)?;
        return Ok(0);
    }
    context.print(&text(&outcome, session.plan(), options, context))?;
    if let Some(path) = &options.trace {
        context.note(&format!("{}: open it in ui.perfetto.dev", path.display()));
    }
    Ok(0)
}

fn outcome(options: &Options, context: &Context, session: &Session, profile: &Profile) -> Outcome {
    let plan = session.plan();
    let operators_ns: u64 = profile.steps.iter().map(|step| step.wall_ns).sum();
    let rows = plan.steps.iter().zip(&profile.steps).enumerate();
    let operators = rows.map(|(index, (step, time))| Operator {
        index,
        operator: step.kind.clone(),
        origin: step.origin.clone(),
        wall_ns: time.wall_ns,
        cpu_ns: time.cpu_ns,
        share: time.wall_ns as f64 / operators_ns.max(1) as f64,
        multiply_adds: step.cost.macs,
        bytes: step.cost.bytes,
        weight_bytes: step.weight_bytes,
        parts: step.parts.len(),
        live_bytes: plan.memory.live_bytes.get(index).copied().unwrap_or(0),
        slow: step.slow,
        cycles: time.counts.map(|counts| counts.cycles),
        instructions: time.counts.map(|counts| counts.instructions),
    });
    Outcome {
        model: options.model.display().to_string(),
        runs: options.runs,
        threads: context.threads,
        isa: context.isa.name(),
        processor: facts::processor(),
        wall_ns: profile.wall_ns,
        operators_ns,
        cpu_per_wall: profile.cpu_per_wall,
        cycles: total(profile, |counts| counts.cycles),
        instructions: total(profile, |counts| counts.instructions),
        multiply_adds: plan.cost().macs,
        peak_bytes: plan.peak_bytes(),
        operators: operators.collect(),
    }
}

/// The sum over steps; `None` if the machine counts nothing.
fn total(profile: &Profile, of: impl Fn(&Counts) -> u64) -> Option<u64> {
    profile
        .steps
        .iter()
        .map(|step| step.counts.as_ref().map(&of))
        .sum()
}

/// Thousand millions of multiply-adds a second.
fn rate(multiply_adds: u64, wall_ns: u64) -> String {
    if wall_ns == 0 {
        return units::NONE.to_owned();
    }
    units::significant(multiply_adds as f64 / wall_ns as f64)
}

fn text(outcome: &Outcome, plan: &Plan, options: &Options, context: &Context) -> String {
    let mut text = operators(outcome, options, context);
    let _ = writeln!(
        text,
        "\none prediction: {} (median of {}), {} GMAC/s, CPU {:.2} of wall time with {} thread{} ({})",
        units::nanoseconds(outcome.wall_ns),
        outcome.runs,
        rate(outcome.multiply_adds, outcome.wall_ns),
        outcome.cpu_per_wall,
        outcome.threads,
        if outcome.threads == 1 { "" } else { "s" },
        outcome.isa,
    );
    let _ = writeln!(
        text,
        "measured on {}; {}",
        outcome.processor,
        match (outcome.cycles, outcome.instructions) {
            (Some(cycles), Some(instructions)) => format!(
                "{} cycles, {} instructions ({:.2} a cycle), the kernel's not counted",
                units::short_count(cycles),
                units::short_count(instructions),
                instructions as f64 / cycles.max(1) as f64
            ),
            _ => "cycles and instructions: this machine gives no counters".to_owned(),
        }
    );
    text.push_str(&memory(plan, context));
    text
}

fn operators(outcome: &Outcome, options: &Options, context: &Context) -> String {
    let mut rows: Vec<&Operator> = outcome.operators.iter().collect();
    if options.sort == Order::Time {
        rows.sort_by(|a, b| b.wall_ns.cmp(&a.wall_ns).then(a.index.cmp(&b.index)));
    }
    let shown = if options.top == 0 {
        rows.len()
    } else {
        options.top.min(rows.len())
    };
    let prefix = shared_prefix(rows.iter().flat_map(|row| &row.origin).map(String::as_str));
    let mut table = Table::new([
        Column::right("#"),
        Column::left("operator").at_most(28),
        Column::left("computes").at_most(48),
        Column::right("wall"),
        Column::right("share"),
        Column::right("CPU"),
        Column::right("multiply-adds"),
        Column::right("GMAC/s"),
        Column::right("bytes"),
        Column::right(if outcome.cycles.is_some() { "ins/cycle" } else { "" }),
        Column::left(""),
    ]);
    for row in &rows[..shown] {
        let names: Vec<String> = row
            .origin
            .iter()
            .map(|name| short_name(name, prefix, 40))
            .collect();
        let marks = if row.slow { "slow path" } else { "" };
        table.row([
            Cell::new((row.index + 1).to_string(), Tone::Faint),
            Cell::from(row.operator.as_str()),
            Cell::from(names.join(" + ")),
            Cell::from(units::nanoseconds(row.wall_ns)),
            Cell::new(
                units::share(row.share),
                if row.share > 0.1 {
                    Tone::Strong
                } else {
                    Tone::Plain
                },
            ),
            Cell::from(units::nanoseconds(row.cpu_ns)),
            Cell::from(units::short_count(row.multiply_adds)),
            Cell::from(rate(row.multiply_adds, row.wall_ns)),
            Cell::from(units::bytes(row.bytes)),
            Cell::from(match (row.cycles, row.instructions) {
                (Some(cycles), Some(instructions)) => {
                    format!("{:.2}", instructions as f64 / cycles.max(1) as f64)
                }
                _ => String::new(),
            }),
            Cell::new(
                if marks.is_empty() {
                    bar(row.share, 12).trim_end().to_owned()
                } else {
                    marks.to_owned()
                },
                Tone::Plain,
            ),
        ]);
    }
    let rest = &rows[shown..];
    if !rest.is_empty() {
        let wall: u64 = rest.iter().map(|row| row.wall_ns).sum();
        let share: f64 = rest.iter().map(|row| row.share).sum();
        table.row([
            String::new(),
            format!("{} others", rest.len()),
            "--top 0 shows all".to_owned(),
            units::nanoseconds(wall),
            units::share(share),
        ]);
    }
    table.rule();
    table.row([
        String::new(),
        "all operators".to_owned(),
        String::new(),
        units::nanoseconds(outcome.operators_ns),
        units::share(1.0),
        units::nanoseconds(outcome.operators.iter().map(|row| row.cpu_ns).sum()),
        units::short_count(outcome.multiply_adds),
        rate(outcome.multiply_adds, outcome.operators_ns),
    ]);
    context.table(&table)
}

fn memory(plan: &Plan, context: &Context) -> String {
    let report = &plan.memory;
    let live: Vec<f64> = report.live_bytes.iter().map(|&bytes| bytes as f64).collect();
    let bytes = |count: usize| units::bytes(count as u64);
    let mut text = format!(
        "\npeak memory {} = weights {} + tensors {} + scratch {}, exact from the plan\n",
        bytes(plan.peak_bytes()),
        bytes(plan.weight_bytes),
        bytes(plan.arena_bytes),
        bytes(plan.scratch_bytes)
    );
    if live.is_empty() {
        return text;
    }
    let columns = columns(&live, CHART);
    let low = report.live_bytes.iter().copied().min().unwrap_or(0);
    let _ = writeln!(
        text,
        "tensors over time, {} to {}:\n  {}\n",
        bytes(low),
        bytes(report.peak_live_bytes),
        sparkline(&columns)
    );
    let mut table = Table::new([
        Column::left(&format!(
            "alive at the peak, step {} of {}",
            report.peak_step + 1,
            live.len()
        ))
        .at_most(60),
        Column::right("size"),
    ]);
    for tensor in report.at_peak.iter().take(LISTED) {
        table.row([tensor.name.clone(), bytes(tensor.bytes)]);
    }
    text.push_str(&context.table(&table));
    text
}

/// At most `count` values, each the greatest of its part, so that no peak is lost.
fn columns(values: &[f64], count: usize) -> Vec<f64> {
    let width = values.len().div_ceil(count).max(1);
    values
        .chunks(width)
        .map(|part| part.iter().copied().fold(f64::MIN, f64::max))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn a_peak_survives_the_chart() {
        let mut values = vec![1.0; 1000];
        values[777] = 9.0;
        let shown = columns(&values, 64);
        assert!(shown.len() <= 64, "{}", shown.len());
        assert_eq!(shown.iter().copied().fold(0.0, f64::max), 9.0);
    }
}
