//! `locket inspect`: what a model is, and the exact memory it takes.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;
use locket_mil::{Function, Literal, ValueId};
use locket_report::{
    table::{Cell, Column, Table, Tone, bar},
    units,
};
use locket_runtime::{Plan, PlanOptions, compile};
use locket_tensor::DType;
use serde::Serialize;

use crate::{budget, context::Context, model};

/// Tensors that are listed at the peak.
const LISTED: usize = 8;

/// Says what a model is: interface, operators, parameters, multiply-adds, and exact peak memory
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The peak is that of the leanest plan, which a memory budget is checked against; `locket profile` shows the \
                  fastest, which may keep larger weights.\n\nExample: locket inspect model.onnx --memory 8MB"
)]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// Also says whether the peak keeps to this, such as 8MB; exit code 3 if it does not
    #[arg(long, value_name = "SIZE", value_parser = budget::bytes)]
    memory: Option<u64>,
}

#[derive(Serialize)]
struct Interface {
    name: String,
    r#type: String,
}

#[derive(Serialize)]
struct Operators {
    operator: String,
    count: usize,
}

#[derive(Serialize)]
struct Live {
    tensor: String,
    bytes: usize,
}

#[derive(Serialize)]
struct Memory {
    peak_bytes: usize,
    arena_bytes: usize,
    scratch_bytes: usize,
    weight_bytes: usize,
    live_bytes_at_peak: usize,
    peak_step: usize,
    steps: usize,
    peak_operator: String,
    at_peak: Vec<Live>,
    /// The peak without chains that run strip by strip, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole_tensors_peak_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
}

#[derive(Serialize)]
struct Inspection {
    model: String,
    format: String,
    file_bytes: u64,
    function: String,
    functions: Vec<String>,
    opset: &'static str,
    inputs: Vec<Interface>,
    outputs: Vec<Interface>,
    operators: Vec<Operators>,
    parameters: u64,
    weight_bytes: u64,
    /// Why the fields below are null, if they are.
    not_planned: Option<String>,
    multiply_adds: Option<u64>,
    memory: Option<Memory>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let loaded = model::read(&options.model)?;
    let program = &loaded.program;
    let function = program.main();
    let foreign = model::foreign(function);
    let planned = if foreign.is_empty() {
        compile(function, context.lean_plan_options()).map_err(|error| error.to_string())
    } else {
        Err(format!("cannot be expressed in MIL: {}", foreign.join(", ")))
    };
    let mut memory = planned
        .as_ref()
        .ok()
        .map(|compiled| memory(&compiled.plan, options.memory));
    if let (Some(memory), Ok(compiled)) = (&mut memory, &planned)
        && compiled
            .plan
            .steps
            .iter()
            .any(|step| step.kind.starts_with("locket.depth_first"))
    {
        let whole = PlanOptions {
            depth_first: false,
            ..context.lean_plan_options()
        };
        memory.whole_tensors_peak_bytes = Some(compile(function, whole)?.plan.peak_bytes());
    }
    let interface = |name: &str, id: ValueId| Interface {
        name: name.to_owned(),
        r#type: function.ty(id).to_string(),
    };
    let (parameters, weight_bytes) = weights(function);
    let inspection = Inspection {
        model: options.model.display().to_string(),
        format: loaded.format.to_string(),
        file_bytes: loaded.file_bytes,
        function: function.name.clone(),
        functions: program
            .functions
            .iter()
            .map(|function| function.name.clone())
            .collect(),
        opset: function.opset.name(),
        inputs: function
            .inputs
            .iter()
            .map(|&id| interface(&function.value(id).name, id))
            .collect(),
        outputs: function
            .outputs
            .iter()
            .map(|output| interface(&output.name, output.value))
            .collect(),
        operators: program
            .histogram()
            .into_iter()
            .map(|(operator, count)| Operators { operator, count })
            .collect(),
        parameters,
        weight_bytes,
        multiply_adds: planned.as_ref().ok().map(|compiled| compiled.plan.cost().macs),
        not_planned: planned.err(),
        memory,
    };
    if context.json {
        context.print_json(&inspection)?;
    } else {
        context.print(&text(&inspection, context))?;
    }
    let fits = inspection.memory.as_ref().and_then(|memory| memory.fits);
    Ok(if fits == Some(false) { 3 } else { 0 })
}

/// Parameters and the bytes they take as stored. Parameters are elements of the constants that operations compute with;
/// a compressed weight counts as what it expands to. Scalars and integers that say how to compute are none.
fn weights(function: &Function) -> (u64, u64) {
    const GRID: [&str; 5] = ["scale", "zero_point", "offset", "epsilon", "lut"];
    let bytes = function
        .used_constants()
        .into_iter()
        .map(|id| function.ty(id).bytes() as u64);
    let mut counted = vec![false; function.values().len()];
    let mut parameters = 0;
    for operation in &function.operations {
        if operation.kind.starts_with("constexpr_") {
            parameters += operation
                .outputs
                .iter()
                .map(|&id| function.ty(id).elems() as u64)
                .sum::<u64>();
            continue;
        }
        for (param, arg) in &operation.inputs {
            for &id in arg.values() {
                let Some(Literal::Tensor(tensor)) = function.literal(id) else {
                    continue;
                };
                let numbers =
                    tensor.dtype().is_float() || matches!(tensor.dtype(), DType::Int8 | DType::UInt8);
                let first = !std::mem::replace(&mut counted[id.index()], true);
                if first && numbers && !tensor.shape().is_empty() && !GRID.contains(&&**param) {
                    parameters += tensor.elems() as u64;
                }
            }
        }
    }
    (parameters, bytes.sum())
}

fn memory(plan: &Plan, budget: Option<u64>) -> Memory {
    let report = &plan.memory;
    let step = plan.steps.get(report.peak_step);
    let operator = step.map_or("none", |step| step.origin.first().unwrap_or(&step.kind));
    let live = report.at_peak.iter().map(|tensor| Live {
        tensor: tensor.name.clone(),
        bytes: tensor.bytes,
    });
    Memory {
        peak_bytes: plan.peak_bytes(),
        arena_bytes: plan.arena_bytes,
        scratch_bytes: plan.scratch_bytes,
        weight_bytes: plan.weight_bytes,
        live_bytes_at_peak: report.peak_live_bytes,
        peak_step: report.peak_step,
        steps: plan.steps.len(),
        peak_operator: operator.to_owned(),
        at_peak: live.collect(),
        whole_tensors_peak_bytes: None,
        budget_bytes: budget,
        fits: budget.map(|budget| plan.peak_bytes() as u64 <= budget),
    }
}

fn text(inspection: &Inspection, context: &Context) -> String {
    let mut text = head(inspection, context);
    let most = inspection
        .operators
        .iter()
        .map(|row| row.count)
        .max()
        .unwrap_or(1);
    let mut table = Table::new([
        Column::left("operator").at_most(48),
        Column::right("count"),
        Column::left(""),
    ]);
    for row in &inspection.operators {
        let share = row.count as f64 / most as f64;
        table.row([
            row.operator.clone(),
            row.count.to_string(),
            bar(share, 20).trim_end().to_owned(),
        ]);
    }
    let _ = writeln!(text, "\n{}", context.table(&table));
    match (&inspection.memory, &inspection.not_planned) {
        (Some(memory), _) => text.push_str(&memory_text(memory, context)),
        (None, why) => {
            let _ = writeln!(
                text,
                "peak memory: no plan: {}",
                why.as_deref().unwrap_or("unknown reason")
            );
        }
    }
    text
}

fn head(inspection: &Inspection, context: &Context) -> String {
    let mut table = Table::new([Column::left(""), Column::left("")]);
    let mut row = |name: &str, value: String| {
        table.row([Cell::new(name, Tone::Faint), Cell::from(value)]);
    };
    row("model", inspection.model.clone());
    row(
        "format",
        format!(
            "{}, {}, operators of {}",
            inspection.format,
            units::bytes(inspection.file_bytes),
            inspection.opset
        ),
    );
    if inspection.functions.len() > 1 {
        row(
            "functions",
            format!(
                "{} (shown: {})",
                inspection.functions.join(", "),
                inspection.function
            ),
        );
    }
    for (role, ports) in [("input", &inspection.inputs), ("output", &inspection.outputs)] {
        for port in ports {
            row(role, format!("{}: {}", port.name, port.r#type));
        }
    }
    let weights = units::bytes(inspection.weight_bytes);
    row(
        "parameters",
        format!("{} in {weights}", units::count(inspection.parameters)),
    );
    if let Some(macs) = inspection.multiply_adds {
        row("multiply-adds", units::count(macs));
    }
    context.table(&table)
}

fn memory_text(memory: &Memory, context: &Context) -> String {
    let bytes = |count: usize| units::bytes(count as u64);
    let mut columns = vec![Column::left("peak memory"), Column::right("size")];
    columns.extend(memory.fits.map(|_| Column::left("")));
    let mut table = Table::new(columns);
    table.row(["weights, as packed".to_owned(), bytes(memory.weight_bytes)]);
    table.row(["tensors".to_owned(), bytes(memory.arena_bytes)]);
    table.row(["scratch".to_owned(), bytes(memory.scratch_bytes)]);
    table.rule();
    let verdict = match (memory.fits, memory.budget_bytes) {
        (Some(true), Some(budget)) => Cell::new(format!("within {}", units::bytes_limit(budget)), Tone::Good),
        (Some(false), Some(budget)) => Cell::new(
            format!(
                "over {} by {}",
                units::bytes_limit(budget),
                units::bytes((memory.peak_bytes as u64).saturating_sub(budget))
            ),
            Tone::Bad,
        ),
        _ => Cell::from(""),
    };
    table.row([
        Cell::from("all, exact from the plan"),
        Cell::new(bytes(memory.peak_bytes), Tone::Strong),
        verdict,
    ]);
    let mut text = context.table(&table);
    if let Some(peak) = memory.whole_tensors_peak_bytes {
        let _ = writeln!(
            text,
            "convolutions run in chains, strip by strip; with whole tensors the peak would be {}",
            bytes(peak)
        );
    }
    let _ = writeln!(
        text,
        "\nmost tensors are alive at step {} of {}, {}: {}\n",
        memory.peak_step + 1,
        memory.steps,
        memory.peak_operator,
        bytes(memory.live_bytes_at_peak)
    );
    let mut table = Table::new([
        Column::left("alive at the peak").at_most(60),
        Column::right("size"),
        Column::left(""),
    ]);
    for live in memory.at_peak.iter().take(LISTED) {
        let share = live.bytes as f64 / memory.live_bytes_at_peak.max(1) as f64;
        table.row([
            live.tensor.clone(),
            bytes(live.bytes),
            bar(share, 20).trim_end().to_owned(),
        ]);
    }
    text.push_str(&context.table(&table));
    if let Some(more) = memory.at_peak.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} smaller");
    }
    text
}
