//! `locket hwbench`: each kernel at the shapes of a model, against what the machine can do.

mod roofline;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use locket_runtime::{Plan, PlanOptions, Session, compile};
use locket_tensor::Tensor;
use serde::Serialize;

use self::roofline::Roofline;
use crate::{arithmetic::ArithmeticOptions, context::Context, facts, model, tensors};

/// Runs every kernel alone at the shapes of a model, with the alternatives that were not chosen, against the roofline
///
/// On one thread. A convolution is also computed without the transform of Winograd, a chain that runs strip by strip also with whole
/// tensors; the choice of the plan is marked. The roofline is measured first: multiply-adds on registers, and
/// reading from each level of memory. More than 100 % is possible: Winograd needs fewer multiply-adds than are counted, and data may
/// come from a nearer level.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket hwbench model.onnx --top 20")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// Times that each kernel runs; the median counts
    #[arg(long, value_name = "N", default_value_t = 30)]
    runs: usize,
    /// Shapes to show, those first on which most time is spent; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 30)]
    top: usize,
    #[command(flatten)]
    arithmetic: ArithmeticOptions,
}

/// One way to compute something.
#[derive(Clone, Debug, Serialize)]
struct Candidate {
    kernel: String,
    nanoseconds: u64,
    gmac_per_s: f64,
    /// The bound over the time.
    of_roofline: f64,
    chosen: bool,
}

/// A shape, and the ways to compute it.
#[derive(Clone, Debug, Serialize)]
struct Row {
    operator: String,
    origin: String,
    /// Steps of the plan with this shape.
    count: usize,
    multiply_adds: u64,
    bytes: u64,
    bound_by: &'static str,
    bound_nanoseconds: f64,
    candidates: Vec<Candidate>,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    isa: &'static str,
    processor: String,
    roofline: Roofline,
    /// Sum over the chosen kernels, each alone.
    nanoseconds: u64,
    /// Sum over the bounds.
    bound_nanoseconds: f64,
    rows: Vec<Row>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    if options.runs == 0 {
        bail!("--runs: expected at least 1, found 0");
    }
    let loaded = model::read_runnable(&options.model)?;
    let function = loaded.program.main();
    let planned = |lean: bool, depth_first: bool| -> Result<Times> {
        let plan_options = PlanOptions {
            threads: 1,
            lean,
            depth_first,
            ..context.plan_options()
        };
        let plan = compile(function, plan_options)
            .with_context(|| options.model.display().to_string())?
            .plan;
        Times::measure(plan, options.runs, context)
    };
    let roofline = Roofline::measure(context.isa);
    let (chosen, whole, lean) = (
        planned(false, true)?,
        planned(false, false)?,
        planned(true, false)?,
    );
    let rows = rows(&chosen, &whole, &lean, &roofline)?;
    let total = |row: &Row| {
        let chosen = row.candidates.iter().find(|candidate| candidate.chosen);
        chosen.map_or(0, |candidate| candidate.nanoseconds * row.count as u64)
    };
    let outcome = Outcome {
        model: options.model.display().to_string(),
        isa: context.isa.name(),
        processor: facts::processor(),
        nanoseconds: rows.iter().map(total).sum(),
        bound_nanoseconds: rows
            .iter()
            .map(|row| row.bound_nanoseconds * row.count as f64)
            .sum(),
        roofline,
        rows: sorted(rows, &total),
    };
    if context.json {
        context.print_json(&outcome)?;
    } else {
        context.print(&text(&outcome, options, context))?;
    }
    Ok(0)
}

fn sorted(mut rows: Vec<Row>, total: &dyn Fn(&Row) -> u64) -> Vec<Row> {
    rows.sort_by_key(|row| std::cmp::Reverse(total(row)));
    rows
}

/// A plan, and the median time of each of its steps alone.
struct Times {
    session: Session,
    nanoseconds: Vec<u64>,
}

impl Times {
    fn measure(plan: Plan, runs: usize, context: &Context) -> Result<Self> {
        let mut session = Session::new(plan).context("starting threads")?;
        let inputs = tensors::random_inputs(&session.plan().inputs)?;
        let steps = session.plan().steps.len();
        let bar = context.progress("running kernels", steps);
        let mut nanoseconds = Vec::with_capacity(steps);
        for index in 0..steps {
            let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
            let mut times = session.repeat_step(&views, index, runs)?;
            times.sort_unstable();
            nanoseconds.push(times[times.len() / 2]);
            bar.set_position(index as u64 + 1);
        }
        bar.finish_and_clear();
        Ok(Self { session, nanoseconds })
    }

    fn kernel(&self, index: usize) -> &str {
        self.session.plan().steps[index].step.kernel()
    }
}

/// A row for each shape of the chosen plan.
fn rows(chosen: &Times, whole: &Times, lean: &Times, roofline: &Roofline) -> Result<Vec<Row>> {
    if whole.nanoseconds.len() != lean.nanoseconds.len() {
        bail!("the plans of both kinds have different steps; this is a bug in locket, please report it");
    }
    let mut rows: Vec<(Vec<String>, Row)> = Vec::new();
    let mut first = 0;
    for (index, step) in chosen.session.plan().steps.iter().enumerate() {
        let stages: usize = step
            .kind
            .strip_prefix("locket.depth_first_")
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        let parts = first..first + stages;
        first += stages;
        let is_u8 = whole.kernel(parts.start).starts_with("u8");
        let limit = roofline.bound(step.cost.macs, step.cost.bytes, is_u8);
        let candidate = |kernel: String, nanoseconds: u64, chosen: bool| Candidate {
            kernel,
            nanoseconds,
            gmac_per_s: step.cost.macs as f64 / nanoseconds.max(1) as f64,
            of_roofline: limit.nanoseconds / nanoseconds.max(1) as f64,
            chosen,
        };
        let mut candidates = vec![candidate(
            step.step.kernel().to_owned(),
            chosen.nanoseconds[index],
            true,
        )];
        for times in [whole, lean] {
            let kernels: Vec<&str> = parts.clone().map(|part| times.kernel(part)).collect();
            let name = kernels.join(" + ");
            if candidates.iter().all(|known| known.kernel != name) {
                let sum = times.nanoseconds[parts.clone()].iter().sum();
                candidates.push(candidate(name, sum, false));
            }
        }
        let mut shape: Vec<String> = candidates.iter().map(|known| known.kernel.clone()).collect();
        shape.push(format!("{} {:?}", step.kind, (step.cost.macs, step.cost.bytes)));
        if let Some((_, row)) = rows.iter_mut().find(|(known, _)| *known == shape) {
            row.count += 1;
            continue;
        }
        let row = Row {
            operator: step.kind.clone(),
            origin: step.origin.first().cloned().unwrap_or_default(),
            count: 1,
            multiply_adds: step.cost.macs,
            bytes: step.cost.bytes,
            bound_by: limit.by,
            bound_nanoseconds: limit.nanoseconds,
            candidates,
        };
        rows.push((shape, row));
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn text(outcome: &Outcome, options: &Options, context: &Context) -> String {
    let mut table = Table::new([
        Column::left("shape of").at_most(44),
        Column::right("steps"),
        Column::left("kernel").at_most(44),
        Column::right("time"),
        Column::right("GMAC/s"),
        Column::right("of roofline"),
        Column::left("bound by"),
        Column::left(""),
    ]);
    let shown = if options.top == 0 {
        outcome.rows.len()
    } else {
        options.top
    };
    for row in outcome.rows.iter().take(shown) {
        for (index, candidate) in row.candidates.iter().enumerate() {
            let tone = if candidate.chosen {
                Tone::Plain
            } else {
                Tone::Faint
            };
            let alone = row.candidates.len() == 1;
            let mark = if candidate.chosen && !alone {
                "◀ chosen"
            } else {
                ""
            };
            let head = |value: String| Cell::new(if index == 0 { value } else { String::new() }, tone);
            let rate = if row.multiply_adds == 0 {
                units::NONE.to_owned()
            } else {
                units::significant(candidate.gmac_per_s)
            };
            table.row([
                head(if row.origin.is_empty() {
                    row.operator.clone()
                } else {
                    row.origin.clone()
                }),
                head(row.count.to_string()),
                Cell::new(&candidate.kernel, tone),
                Cell::new(units::nanoseconds(candidate.nanoseconds), tone),
                Cell::new(rate, tone),
                Cell::new(format!("{:.0} %", candidate.of_roofline * 100.0), tone),
                head(row.bound_by.to_owned()),
                Cell::new(mark, Tone::Good),
            ]);
        }
    }
    if let Some(more) = outcome.rows.len().checked_sub(shown).filter(|more| *more > 0) {
        table.row([Cell::new(
            format!("{more} more shapes; --top 0 shows all"),
            Tone::Faint,
        )]);
    }
    let mut text = context.table(&table);
    let levels: Vec<String> = outcome
        .roofline
        .levels
        .iter()
        .map(|level| format!("{} {} GB/s", level.name, units::significant(level.gb_per_s)))
        .collect();
    let _ = writeln!(
        text,
        "\none core at most: {} GMAC/s of float32, {} of 8 bits; {}",
        units::significant(outcome.roofline.f32_gmac_per_s),
        units::significant(outcome.roofline.u8_gmac_per_s),
        levels.join(", ")
    );
    let _ = writeln!(
        text,
        "all steps alone: {}, {:.0} % of the roofline\nmeasured on {} ({}), {}",
        units::nanoseconds(outcome.nanoseconds),
        100.0 * outcome.bound_nanoseconds / outcome.nanoseconds.max(1) as f64,
        outcome.processor,
        outcome.isa,
        facts::kernel()
    );
    text
}
