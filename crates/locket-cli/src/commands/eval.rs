//! `locket eval`: accuracy on labelled data.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail};
use locket::{DictionaryFeatureProvider, Error, Model, ModelConfiguration};
use locket_compress::measure::Evaluation;
use locket_data::{
    DataError, Dataset, NpyArray, Preprocess, Stored, statistics::proportion::wilson_interval,
};
use locket_pool::in_order;
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use crate::{
    arithmetic::ArithmeticOptions,
    context::Context,
    isolation::{self, IsolationOptions, Told},
    labelled,
    log::LogOptions,
};

/// Confidence of the intervals, two-sided.
const CONFIDENCE: f64 = 0.95;

/// Measures top-1 and top-5 on labelled data
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket eval model.onnx --data data/dev --preprocess model.toml")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, a Core ML .mlpackage, or a compiled model
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
    #[command(flatten)]
    isolation: IsolationOptions,
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
    #[serde(flatten)]
    told: Told,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    if options.limit == Some(0) {
        bail!("--limit: expected at least 1, found 0");
    }
    let mut ran = options.log.begin("eval", &options.model)?;
    let dataset = Dataset::open(&options.data)?;
    let recipe = Preprocess::read(&options.preprocess)?;
    let count = options.limit.unwrap_or(usize::MAX).min(dataset.len());
    let configuration = ModelConfiguration {
        threads: Some(1),
        preprocess: Some(recipe.clone()),
        ..options.isolation.configuration(context)
    };
    // Samples run at once, each on one thread: as many models as threads.
    let models = (0..context.threads.min(count))
        .map(|_| isolation::load(&options.model, &configuration))
        .collect::<Result<Vec<_>>>()?;
    let told = models.first().map(Told::of).context("no model")?;
    if let Some(model) = models.first() {
        dataset.check_labels(classes(options, model, &recipe)?)?;
    }
    let start = Instant::now();
    let rows = predict(&dataset, count, models, recipe.label_offset, context)?;
    let evaluation = Evaluation::of(&rows, &dataset.labels()[..count])?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &options.predictions {
        let shape = [evaluation.samples(), evaluation.classes];
        NpyArray::from_elements(&shape, &evaluation.scores)?.write(path)?;
    }
    told.write_down(&mut ran.entry);
    ran.done(evaluation.samples() as u64)?;
    let outcome = outcome(options, context, &evaluation, told, seconds);
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
    told: Told,
    seconds: f64,
) -> Outcome {
    let score = |right: usize| {
        let (low, high) = wilson_interval(right as u64, evaluation.samples() as u64, CONFIDENCE);
        Score {
            share: right as f64 / evaluation.samples().max(1) as f64,
            right,
            low,
            high,
        }
    };
    Outcome {
        model: options.model.display().to_string(),
        data: options.data.display().to_string(),
        samples: evaluation.samples(),
        classes: evaluation.classes,
        top1: score(evaluation.top1),
        top5: score(evaluation.top5),
        confidence: CONFIDENCE,
        seconds,
        samples_per_second: evaluation.samples() as f64 / seconds.max(1e-9),
        threads: context.threads,
        isa: context.isa.name(),
        told,
    }
}

/// How many classes the model tells apart: the elements of its first output, less those that the recipe says are none.
fn classes(options: &Options, model: &Model, recipe: &Preprocess) -> Result<usize> {
    let path = options.model.display();
    let Some(output) = model.outputs().into_iter().next() else {
        bail!("{path}: the model has no output");
    };
    labelled::classes_of(&path, &output.name, &output.shape, recipe)
}

/// The scores of the first samples, one row for each.
fn predict(
    dataset: &Dataset,
    count: usize,
    models: Vec<Model>,
    label_offset: usize,
    context: &Context,
) -> Result<Vec<Vec<f32>>> {
    let bar = context.progress("predicting", count);
    let states: Vec<_> = models.into_iter().map(|model| (model, Vec::new())).collect();
    let rows = in_order(count, states, |(model, file), index| {
        let outputs = match dataset.stored(index, file)? {
            Stored::Picture(bytes) => model.predict_image(bytes),
            Stored::Row(sample) => model.predict_sample(sample),
        };
        let outputs = outputs.map_err(|error| of_sample(error, &dataset.names()[index]))?;
        bar.inc(1);
        let scores = first_scores(model, &outputs)?;
        Ok::<_, anyhow::Error>(scores[label_offset.min(scores.len())..].to_vec())
    })?;
    bar.finish_and_clear();
    Ok(rows)
}

/// Tells which sample does not fit.
fn of_sample(error: Error, name: &str) -> anyhow::Error {
    match error {
        Error::Picture { why } => anyhow::Error::new(DataError::Sample {
            sample: name.to_owned(),
            problem: why.into(),
        }),
        error => anyhow::Error::new(error).context(name.to_owned()),
    }
}

fn first_scores(model: &Model, outputs: &DictionaryFeatureProvider) -> Result<Vec<f32>> {
    let first = model.outputs().into_iter().next();
    let first = first.and_then(|port| outputs.multi_array(&port.name)?.to_f32());
    first.context("the model has no output of numbers")
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
        "{}\n{} samples of {}, {} classes; {} s, {} samples/s, {} thread{}, {}, {}\n",
        context.table(&table),
        outcome.samples,
        outcome.data,
        outcome.classes,
        units::significant(outcome.seconds),
        units::significant(outcome.samples_per_second),
        outcome.threads,
        if outcome.threads == 1 { "" } else { "s" },
        outcome.isa,
        outcome.told.text(),
    )
}
