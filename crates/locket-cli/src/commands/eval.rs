//! `locket eval`: accuracy on labelled data.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail};
use locket_compress::measure::{Evaluation, Samples, evaluate};
use locket_data::{Dataset, NpyArray, Preprocess, statistics::proportion::wilson_interval};
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use crate::{arithmetic::ArithmeticOptions, context::Context, labelled, log::LogOptions, model};

/// Confidence of the intervals, two-sided.
const CONFIDENCE: f64 = 0.95;

/// Measures top-1 and top-5 on labelled data
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket eval model.onnx --data data/dev --preprocess model.toml")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// Folder with labels.csv (path,label) and pictures, or with x.npy and y.npy
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How a sample becomes the model's input
    #[arg(long, value_name = "FILE")]
    preprocess: PathBuf,
    /// Writes the scores of all samples to this file, float32 [n, classes]
    #[arg(long, value_name = "FILE.npy")]
    predictions: Option<PathBuf>,
    /// Takes only the first samples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    arithmetic: ArithmeticOptions,
    #[command(flatten)]
    log: LogOptions,
}

#[derive(Serialize)]
struct Score {
    share: f64,
    right: usize,
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    data: String,
    samples: usize,
    classes: usize,
    top1: Score,
    top5: Score,
    confidence: f64,
    seconds: f64,
    samples_per_second: f64,
    threads: usize,
    isa: &'static str,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    if options.limit == Some(0) {
        bail!("--limit: expected at least 1, found 0");
    }
    let ran = options.log.begin("eval", &options.model)?;
    let loaded = model::read_runnable(&options.model)?;
    let function = loaded.program.main();
    let dataset = Dataset::open(&options.data)?;
    let recipe = Preprocess::read(&options.preprocess)?;
    let classes = labelled::classes(&options.model, &loaded.program, &recipe, context)?;
    dataset.check_labels(classes)?;
    let samples = labelled::load(&dataset, &recipe, function, options.limit, context)?;
    let bar = context.progress("predicting", samples.len());
    let start = Instant::now();
    let evaluation = evaluate(function, &samples, context.plan_options(), &|done| {
        bar.set_position(done as u64);
    })
    .with_context(|| options.model.display().to_string())?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    if let Some(path) = &options.predictions {
        let shape = [evaluation.samples(), evaluation.classes];
        NpyArray::from_elements(&shape, &evaluation.scores)?.write(path)?;
    }
    ran.done(evaluation.samples() as u64)?;
    let outcome = outcome(options, context, &evaluation, &samples, seconds);
    if context.json {
        context.print_json(&outcome)?;
    } else {
        context.print(&text(&outcome, context))?;
    }
    Ok(0)
}

fn outcome(
    options: &Options,
    context: &Context,
    evaluation: &Evaluation,
    samples: &Samples,
    seconds: f64,
) -> Outcome {
    let score = |right: usize| {
        let (low, high) = wilson_interval(right as u64, samples.len() as u64, CONFIDENCE);
        Score {
            share: right as f64 / samples.len().max(1) as f64,
            right,
            low,
            high,
        }
    };
    Outcome {
        model: options.model.display().to_string(),
        data: options.data.display().to_string(),
        samples: samples.len(),
        classes: evaluation.classes,
        top1: score(evaluation.top1),
        top5: score(evaluation.top5),
        confidence: CONFIDENCE,
        seconds,
        samples_per_second: samples.len() as f64 / seconds.max(1e-9),
        threads: context.threads,
        isa: context.isa.name(),
    }
}

fn text(outcome: &Outcome, context: &Context) -> String {
    let mut table = Table::new([
        Column::left("accuracy"),
        Column::right("share"),
        Column::right("right"),
        Column::left("95 % interval (Wilson)"),
    ]);
    for (name, score) in [("top-1", &outcome.top1), ("top-5", &outcome.top5)] {
        table.row([
            Cell::from(name),
            Cell::new(units::percent(score.share), Tone::Strong),
            Cell::from(format!("{} of {}", score.right, outcome.samples)),
            Cell::from(format!(
                "{} to {}",
                units::percent(score.low),
                units::percent(score.high)
            )),
        ]);
    }
    format!(
        "{}\n{} samples of {}, {} classes; {} s, {} samples/s, {} thread{}, {}\n",
        context.table(&table),
        outcome.samples,
        outcome.data,
        outcome.classes,
        units::significant(outcome.seconds),
        units::significant(outcome.samples_per_second),
        outcome.threads,
        if outcome.threads == 1 { "" } else { "s" },
        outcome.isa,
    )
}
