//! `locket compress`: one named step, without a search, and what it did.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use locket_compress::{
    calibrate::{Calibration, CalibrationOptions},
    measure::{Evaluation, Samples, evaluate, package_bytes},
    recipe::{ApplyOptions, Compressed, LayerReport, Recipe, apply},
};
use locket_data::{Dataset, Preprocess, statistics::PairedCounts};
use locket_formats::coreml::{WriteOptions, write};
use locket_mil::{Program, Target};
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use super::convert::{check_output, simplify};
use crate::{budget, context::Context, findings, labelled, model};

/// Confidence of the bound on the drop, one-sided.
const CONFIDENCE: f64 = 0.95;

/// Applies one compression recipe and writes the package; says size, peak and agreement before and after
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: locket compress model.onnx --recipe w8a8 --calib data/calib --data data/dev \
                  --preprocess model.toml -o model.mlpackage"
)]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// w8a8, w8, w4, pal1 to pal8, prune50, prune50+w8, f16 …
    #[arg(long, value_name = "NAME")]
    recipe: Recipe,
    /// Folder with samples that the recipe may look at; labels are not used
    #[arg(long, value_name = "DIR", requires = "preprocess")]
    calib: Option<PathBuf>,
    /// Folder with labelled samples to measure on; without it, agreement is measured on the calibration samples
    #[arg(long, value_name = "DIR", requires = "preprocess")]
    data: Option<PathBuf>,
    /// How a sample becomes the model's input
    #[arg(long, value_name = "FILE")]
    preprocess: Option<PathBuf>,
    /// Largest drop in top-1 that is acceptable, such as 0.7%; exit code 3 if it is not certified on --data
    #[arg(long, value_name = "SHARE", value_parser = budget::share, requires = "data")]
    max_drop: Option<f64>,
    /// Takes only the first calibration samples
    #[arg(long, value_name = "N")]
    calib_limit: Option<usize>,
    /// Takes only the first samples to measure on
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The package to write; a package that is there is replaced
    #[arg(short, long, value_name = "OUT.mlpackage")]
    output: PathBuf,
    /// Oldest system that must run it; the oldest possible if not given
    #[arg(long, value_name = "TARGET", value_parser = findings::parse_target)]
    target: Option<Target>,
}

#[derive(Serialize)]
struct State {
    package_bytes: u64,
    peak_bytes: usize,
    weight_bytes: usize,
    target: &'static str,
    top1: Option<f64>,
}

#[derive(Serialize)]
struct Agreement {
    /// `data` or `calibration`.
    measured_on: &'static str,
    samples: usize,
    same_top1: f64,
    divergence_nats: f64,
    /// Only on labelled data that the recipe has not seen.
    drop: Option<f64>,
    drop_upper_bound: Option<f64>,
    confidence: f64,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    done: String,
    bytes_before: u64,
    bytes_after: u64,
    weight_error: f64,
    skipped: Option<String>,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    recipe: String,
    package: String,
    calibration_samples: Option<usize>,
    before: State,
    after: State,
    agreement: Option<Agreement>,
    max_drop: Option<f64>,
    certified: Option<bool>,
    layers: Vec<Layer>,
    notes: Vec<String>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    check(options)?;
    let loaded = model::read_runnable(&options.model)?;
    let program = &loaded.program;
    let recipe = options.preprocess.as_deref().map(Preprocess::read).transpose()?;
    let load = |folder: &Option<PathBuf>, limit| match (folder, &recipe) {
        (Some(folder), Some(recipe)) => {
            load_samples(options, program, folder, recipe, limit, context).map(Some)
        }
        _ => Ok(None),
    };
    let calibration = load(&options.calib, options.calib_limit)?;
    let data = load(&options.data, options.limit)?;
    let compressed = compress(options, program, calibration.as_ref(), context)?;
    let (before, after) = packages(options, program, &compressed.program, context)?;
    let measured = match (&data, &calibration) {
        (Some(samples), _) => Some(("data", samples)),
        (None, Some(samples)) => Some(("calibration", samples)),
        (None, None) => None,
    };
    let mut outcome = Outcome {
        model: options.model.display().to_string(),
        recipe: options.recipe.to_string(),
        package: options.output.display().to_string(),
        calibration_samples: calibration.as_ref().map(Samples::len),
        before,
        after: after.0,
        agreement: None,
        max_drop: options.max_drop,
        certified: None,
        layers: compressed.layers.into_iter().map(layer).collect(),
        notes: compressed.notes,
    };
    if let Some((measured_on, samples)) = measured {
        compare(&mut outcome, measured_on, samples, (program, &after.1), context)?;
    }
    if context.json {
        context.print_json(&outcome)?;
    } else {
        context.print(&text(&outcome, context))?;
        for note in &outcome.notes {
            context.note(&format!("note: {note}"));
        }
    }
    Ok(if outcome.certified == Some(false) { 3 } else { 0 })
}

fn check(options: &Options) -> Result<()> {
    check_output(&options.output)?;
    if options.recipe.needs_calibration() && options.calib.is_none() {
        bail!(
            "--recipe {} needs calibration samples: give --calib DIR and --preprocess FILE",
            options.recipe
        );
    }
    for (option, limit) in [("--limit", options.limit), ("--calib-limit", options.calib_limit)] {
        if limit == Some(0) {
            bail!("{option}: expected at least 1, found 0");
        }
    }
    Ok(())
}

fn load_samples(
    options: &Options,
    program: &Program,
    folder: &Path,
    recipe: &Preprocess,
    limit: Option<usize>,
    context: &Context,
) -> Result<Samples> {
    let dataset = Dataset::open(folder)?;
    dataset.check_labels(labelled::classes(&options.model, program, recipe, context)?)?;
    labelled::load(&dataset, recipe, program.main(), limit, context)
}

fn compress(
    options: &Options,
    program: &Program,
    samples: Option<&Samples>,
    context: &Context,
) -> Result<Compressed> {
    let plan = context.plan_options();
    let calibration = match samples {
        None => None,
        Some(samples) => {
            let bar = context.progress("calibrating", samples.len());
            let how = CalibrationOptions {
                plan,
                seed: options.seed,
            };
            let calibration =
                Calibration::collect(program, samples, how, &|done| bar.set_position(done as u64))
                    .with_context(|| options.model.display().to_string())?;
            bar.finish_and_clear();
            Some(calibration)
        }
    };
    let bar = context.progress(format!("applying {}", options.recipe), 1);
    let apply_options = ApplyOptions {
        progress: &|progress| {
            bar.set_length(progress.layers as u64);
            bar.set_position(progress.done as u64);
        },
        ..ApplyOptions::new(plan)
    };
    let compressed = apply(program, options.recipe, calibration.as_ref(), &apply_options)
        .with_context(|| options.model.display().to_string())?;
    bar.finish_and_clear();
    Ok(compressed)
}

/// Writes the source as it would ship without the recipe, to a folder that vanishes, and the compressed program to the
/// output. The compressed one is read back: what is measured is what was written.
fn packages(
    options: &Options,
    source: &Program,
    compressed: &Program,
    context: &Context,
) -> Result<(State, (State, Program))> {
    let how = WriteOptions {
        target: options.target,
        ..WriteOptions::default()
    };
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let plain_path = folder.path().join("source.mlpackage");
    let mut plain = source.clone();
    simplify(&mut plain);
    let plain_summary = write(&plain, &plain_path, &how)?;
    let before = state(&plain_path, source, plain_summary.target, context)?;
    let summary = write(compressed, &options.output, &how)?;
    let written = model::read_runnable(&options.output)?.program;
    let after = state(&options.output, &written, summary.target, context)?;
    Ok((before, (after, written)))
}

fn state(path: &Path, program: &Program, target: Target, context: &Context) -> Result<State> {
    let plan = model::compile_main(path, program, context.lean_plan_options())?.plan;
    Ok(State {
        package_bytes: package_bytes(path).with_context(|| path.display().to_string())?,
        peak_bytes: plan.peak_bytes(),
        weight_bytes: plan.weight_bytes,
        target: target.name(),
        top1: None,
    })
}

fn compare(
    outcome: &mut Outcome,
    measured_on: &'static str,
    samples: &Samples,
    (source, written): (&Program, &Program),
    context: &Context,
) -> Result<()> {
    let run = |what: &'static str, program: &Program| -> Result<Evaluation> {
        let bar = context.progress(what, samples.len());
        let evaluation = evaluate(program.main(), samples, context.plan_options(), &|done| {
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        Ok(evaluation)
    };
    let (before, after) = (
        run("running the source", source)?,
        run("running the package", written)?,
    );
    let unseen = measured_on == "data";
    let counts = PairedCounts::from_predictions(&samples.labels, &before.predicted, &after.predicted);
    let bound = counts.drop_upper_bound(CONFIDENCE);
    outcome.before.top1 = Some(before.top1_share());
    outcome.after.top1 = Some(after.top1_share());
    outcome.certified = outcome.max_drop.filter(|_| unseen).map(|limit| bound <= limit);
    outcome.agreement = Some(Agreement {
        measured_on,
        samples: samples.len(),
        same_top1: before.agreement(&after),
        divergence_nats: before.divergence(&after),
        drop: unseen.then(|| counts.drop()),
        drop_upper_bound: unseen.then_some(bound),
        confidence: CONFIDENCE,
    });
    Ok(())
}

fn layer(report: LayerReport) -> Layer {
    Layer {
        name: report.name,
        done: report.done.to_string(),
        bytes_before: report.bytes_before,
        bytes_after: report.bytes_after,
        weight_error: report.weight_error,
        skipped: report.skipped,
    }
}

fn text(outcome: &Outcome, context: &Context) -> String {
    let mut text = context.table(&states(outcome));
    text.push('\n');
    match &outcome.agreement {
        None => text
            .push_str("agreement with the source: not measured, give --data or --calib with --preprocess\n"),
        Some(agreement) => text.push_str(&agreement_text(outcome, agreement)),
    }
    let skipped: Vec<&Layer> = outcome
        .layers
        .iter()
        .filter(|layer| layer.skipped.is_some())
        .collect();
    let done = outcome.layers.len() - skipped.len();
    text.push_str(&format!(
        "{}: {done} of {} layers\n",
        outcome.recipe,
        outcome.layers.len()
    ));
    if !skipped.is_empty() {
        let mut table = Table::new([
            Column::left("left otherwise").at_most(48),
            Column::left("as"),
            Column::left("why").at_most(90),
        ]);
        for layer in skipped {
            let why = layer.skipped.as_deref().unwrap_or_default();
            table.row([layer.name.as_str(), &layer.done, why]);
        }
        text.push('\n');
        text.push_str(&context.table(&table));
    }
    text
}

fn states(outcome: &Outcome) -> Table {
    let (before, after) = (&outcome.before, &outcome.after);
    let mut table = Table::new([
        Column::left(&outcome.recipe),
        Column::right("before"),
        Column::right("after"),
        Column::right("change"),
    ]);
    let mut sizes = |name: &str, before: u64, after: u64| {
        let change = after as f64 / before.max(1) as f64 - 1.0;
        let tone = if after < before { Tone::Good } else { Tone::Warning };
        table.row([
            Cell::from(name),
            Cell::from(units::bytes(before)),
            Cell::from(units::bytes(after)),
            Cell::new(units::percent_change(change), tone),
        ]);
    };
    sizes("package", before.package_bytes, after.package_bytes);
    sizes("peak memory", before.peak_bytes as u64, after.peak_bytes as u64);
    sizes(
        "weights in memory",
        before.weight_bytes as u64,
        after.weight_bytes as u64,
    );
    table.row(["runs from", before.target, after.target]);
    if let (Some(first), Some(second)) = (before.top1, after.top1) {
        let name = match outcome.agreement.as_ref().map(|agreement| agreement.measured_on) {
            Some("data") => "top-1",
            _ => "top-1 on calibration samples",
        };
        let change = units::percent_change(second - first);
        table.row([
            name.to_owned(),
            units::percent(first),
            units::percent(second),
            change,
        ]);
    }
    table
}

fn agreement_text(outcome: &Outcome, agreement: &Agreement) -> String {
    let on = match agreement.measured_on {
        "data" => "samples that the recipe has not seen",
        _ => "calibration samples, which the recipe has seen",
    };
    let mut text = format!(
        "same top-1 as the source on {} of {} {on}; divergence {} nats\n",
        units::percent(agreement.same_top1),
        agreement.samples,
        units::significant(agreement.divergence_nats),
    );
    if let (Some(drop), Some(bound)) = (agreement.drop, agreement.drop_upper_bound) {
        text.push_str(&format!(
            "drop in top-1: {}, at most {} at {} confidence (paired)\n",
            units::percent(drop),
            units::percent(bound),
            units::percent_limit(agreement.confidence),
        ));
    }
    match (outcome.max_drop, outcome.certified) {
        (Some(limit), Some(true)) => {
            text.push_str(&format!("certified: at most {}\n", units::percent_limit(limit)));
        }
        (Some(limit), Some(false)) => {
            text.push_str(&format!(
                "not certified: the bound is over {}\n",
                units::percent_limit(limit)
            ));
        }
        _ => {}
    }
    text
}
