//! `locket optimize`: the loop, until the budgets are met or shown to be out of reach.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use locket_compress::{
    evidence::{Surroundings, evidence},
    measure::Samples,
    search::{Decision, Goals, Outcome, Request, Tried, optimize},
};
use locket_data::{Dataset, Preprocess};
use locket_mil::{Diagnostic, Target};
use locket_privacy::matrix::{Candidate, References, matrix};
use locket_report::{
    Artefact, DataSet, DeviceFact, DeviceProfile, Evidence, Kind, Limit, Provenance, SourceModel,
    TradeOffMatrix, Verdict,
    table::{Cell, Column, Table},
    units,
};

use super::leakage::{Side, Subject};
use crate::{
    budget,
    context::Context,
    devices::{self, Budgets, Device},
    files, labelled, model, surroundings,
};

/// Compresses a model until it keeps to its budgets; writes the package, the evidence and a report
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: locket optimize model.onnx --calib data/calib --data data/dev --preprocess model.toml \
                  --memory 8MB --latency 25ms --max-drop 0.7% -o out\n\n\
                  Exit code 0: all budgets are met; 3: the best variant misses a limit, or the samples cannot show \
                  that it keeps to it; 1: an error."
)]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// Folder with samples that ranges and sensitivities are taken from; labels are not used
    #[arg(long, value_name = "DIR")]
    calib: PathBuf,
    /// Folder with labelled samples that accuracy is measured on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How a sample becomes the model's input
    #[arg(long, value_name = "FILE")]
    preprocess: PathBuf,
    /// Memory that weights, tensors and scratch may take together, such as 8MB
    #[arg(long, value_name = "SIZE", value_parser = budget::bytes)]
    memory: Option<u64>,
    /// Bytes that the package may take on disk, such as 1.2MB
    #[arg(long, value_name = "SIZE", value_parser = budget::bytes)]
    size: Option<u64>,
    #[command(flatten)]
    latency: budget::LatencyOptions,
    /// Largest drop in top-1 that is acceptable, such as 0.7%
    #[arg(long, value_name = "SHARE", value_parser = budget::share)]
    max_drop: Option<f64>,
    /// A device whose budgets apply where none is given (see `locket devices`)
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Takes only the first samples to measure on
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Also measures what the outputs of each variant give away of pictures in --data, for the privacy trade-off matrix
    #[arg(long)]
    leakage: bool,
    /// Form of the report: a page to look at, or a brief of one page as text
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Folder for model.mlpackage, evidence.json and report.html (or report.md)
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// report.html
    #[default]
    Html,
    /// report.md
    Md,
}

impl Format {
    fn file(self) -> &'static str {
        match self {
            Self::Html => "report.html",
            Self::Md => "report.md",
        }
    }

    fn render(self, evidence: &Evidence) -> String {
        match self {
            Self::Html => locket_report::html(evidence),
            Self::Md => locket_report::markdown(evidence),
        }
    }
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let device = options.device.as_deref().map(find_device).transpose()?;
    let of_device = device.as_ref().map(|device| &device.budgets);
    let goals = Goals {
        memory_bytes: options
            .memory
            .or_else(|| of_device.and_then(Budgets::memory_bytes)),
        size_bytes: options.size,
        latency: options
            .latency
            .budget()?
            .or_else(|| of_device.and_then(Budgets::latency_ms).map(milliseconds)),
        max_drop: options.max_drop,
    };
    if goals == Goals::default() {
        bail!(
            "no budget given: expected at least one of --memory, --size, --latency, --fps, --max-drop or --device"
        );
    }
    let job = Job {
        title: files::stem(&options.model),
        model: &options.model,
        calibration: &options.calib,
        data: &options.data,
        preprocess: &options.preprocess,
        goals,
        device: device.as_ref(),
        limit: options.limit,
        seed: options.seed,
        leakage: options.leakage,
        format: options.format,
        output: &options.output,
    };
    execute(&job, context)
}

/// The profile called `name`.
pub(super) fn find_device(name: &str) -> Result<Device> {
    let all = devices::all()?;
    let known: Vec<String> = all.iter().map(|device| device.name.clone()).collect();
    let found = all.into_iter().find(|device| device.name == name);
    found.with_context(|| format!("--device: expected one of {}, found {name}", known.join(", ")))
}

fn milliseconds(count: f64) -> Duration {
    Duration::from_secs_f64(count / 1e3)
}

/// What the loop is to do, for `optimize` and `demo`.
pub(super) struct Job<'a> {
    pub(super) title: String,
    pub(super) model: &'a Path,
    pub(super) calibration: &'a Path,
    pub(super) data: &'a Path,
    pub(super) preprocess: &'a Path,
    pub(super) goals: Goals,
    pub(super) device: Option<&'a Device>,
    pub(super) limit: Option<usize>,
    pub(super) seed: u64,
    /// True to measure what each variant's outputs give away.
    pub(super) leakage: bool,
    pub(super) format: Format,
    pub(super) output: &'a Path,
}

/// Runs the loop, writes everything, says what came of it; gives the exit code.
pub(super) fn execute(job: &Job<'_>, context: &Context) -> Result<u8> {
    let loaded = model::read_runnable(job.model)?;
    let recipe = Preprocess::read(job.preprocess)?;
    let classes = labelled::classes(job.model, &loaded.program, &recipe, context)?;
    let load = |folder: &Path, limit| -> Result<Samples> {
        let dataset = Dataset::open(folder)?;
        dataset.check_labels(classes)?;
        labelled::load(&dataset, &recipe, loaded.program.main(), limit, context)
    };
    let (calibration, data) = (load(job.calibration, None)?, load(job.data, job.limit)?);
    std::fs::create_dir_all(job.output).with_context(|| format!("creating {}", job.output.display()))?;
    let variants = tempfile::Builder::new()
        .prefix(".variants")
        .tempdir_in(job.output)
        .with_context(|| format!("writing in {}", job.output.display()))?;
    let spinner = context.spinner("starting");
    let outcome = optimize(Request {
        program: &loaded.program,
        calibration: &calibration,
        evaluation: &data,
        goals: job.goals,
        // One plan gives all figures: under a memory limit the one that takes less, even where another would be faster.
        plan: match job.goals.memory_bytes {
            Some(_) => context.lean_plan_options(),
            None => context.plan_options(),
        },
        seed: job.seed,
        folder: variants.path(),
        progress: &|line| spinner.set_message(line.to_owned()),
    })?;
    spinner.finish_and_clear();
    let package = job.output.join("model.mlpackage");
    replace(&outcome.best().variant.package, &package)?;
    let provenance = provenance(job, &loaded, &outcome, (&calibration, &data), &package, context)?;
    let around = Surroundings {
        title: job.title.clone(),
        data_set: job.data.display().to_string(),
        diagnostics: findings_of(&loaded, outcome.best().variant.target),
        device: job.device.map(profile),
        frame_ms: job.device.and_then(frame_ms),
        measured_on: format!(
            "{}, {} threads, one prediction after the other",
            provenance.machine.cpu, context.threads
        ),
        provenance,
    };
    let leaks = match job.leakage {
        true => leakages(job, &outcome, &recipe, (&calibration, &data), context)?,
        false => Vec::new(),
    };
    let mut evidence = evidence(&outcome, &job.goals, around);
    evidence.matrix = Some(trade_off(&outcome, job, &leaks));
    files::write(&job.output.join("evidence.json"), &evidence.to_json())?;
    files::write(&job.output.join(job.format.file()), &job.format.render(&evidence))?;
    if context.json {
        context.print(&format!("{}\n", serde_json::to_string(&evidence)?))?;
    } else {
        context.print(&text(&outcome, &evidence, job, context))?;
    }
    Ok(if evidence.verdict == Some(Verdict::Met) {
        0
    } else {
        3
    })
}

/// What the results of each variant give away, in the order in which they were tried.
fn leakages(
    job: &Job<'_>,
    outcome: &Outcome,
    recipe: &Preprocess,
    (calibration, data): (&Samples, &Samples),
    context: &Context,
) -> Result<Vec<locket_privacy::leakage::Outcome>> {
    let source = outcome.tried[0].variant.program.main();
    let side = |folder: &Path, samples: &Samples| {
        Side::of(
            &Dataset::open(folder)?,
            recipe,
            source,
            samples.inputs.clone(),
            context,
        )
    };
    let (auxiliary, attacked) = (side(job.calibration, calibration)?, side(job.data, data)?);
    let measure = |tried: &Tried| {
        let subject = Subject {
            function: tried.variant.program.main(),
            recipe,
            attacked: &attacked,
            auxiliary: &auxiliary,
            noise: None,
            seed: job.seed,
        };
        let what = || format!("leakage of {}", tried.variant.name);
        subject.measure(&[], true, context).with_context(what)
    };
    outcome.tried.iter().map(measure).collect()
}

/// Accuracy, resources and privacy of all variants; `leaks` is empty where leakage was not measured.
fn trade_off(outcome: &Outcome, job: &Job<'_>, leaks: &[locket_privacy::leakage::Outcome]) -> TradeOffMatrix {
    let source = &outcome.tried[0].variant;
    let references = References {
        latency_ms: match job.goals.latency {
            Some(limit) => limit.as_secs_f64() * 1e3,
            None => source.latency.percentile_ms(0.99),
        },
        peak_bytes: job.goals.memory_bytes.unwrap_or(source.peak_bytes),
        energy_uj: source.energy_uj,
    };
    let candidates: Vec<Candidate<'_>> = outcome
        .tried
        .iter()
        .enumerate()
        .map(|(index, tried)| Candidate {
            name: match tried.variant.is_source() {
                true => "float32".to_owned(),
                false => tried.variant.recipe.clone(),
            },
            chosen: index == outcome.chosen,
            drop: tried.paired.drop(),
            latency_ms: tried.variant.latency.percentile_ms(0.99),
            peak_bytes: tried.variant.peak_bytes,
            energy_uj: tried.variant.energy_uj,
            leak: leaks
                .get(index)
                .and_then(locket_privacy::leakage::Outcome::leaving),
        })
        .collect();
    matrix(&candidates, references, job.seed)
}

/// What reading said and what the lints say, for the target that the package needs.
fn findings_of(loaded: &model::Loaded, target: Target) -> Vec<Diagnostic> {
    let mut all = loaded.diagnostics.clone();
    all.extend(locket_passes::lint::lint(&loaded.program, target));
    all
}

/// Moves a package to where the user wants it, replacing one that is there.
fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        if !to.join("Manifest.json").is_file() {
            bail!(
                "{}: is there and is no Core ML package; not replaced",
                to.display()
            );
        }
        std::fs::remove_dir_all(to).with_context(|| format!("replacing {}", to.display()))?;
    }
    std::fs::rename(from, to).with_context(|| format!("writing {}", to.display()))
}

fn profile(device: &Device) -> DeviceProfile {
    let fact = |figure: &devices::Figure| DeviceFact {
        what: figure.name.clone(),
        value: figure.value.clone(),
        kind: match figure.kind {
            devices::Kind::Measured => Kind::Measured,
            devices::Kind::Published => Kind::Published,
            devices::Kind::Modelled => Kind::Modelled,
        },
        source: figure.source.clone(),
    };
    DeviceProfile {
        name: device.name.clone(),
        description: device.description.clone(),
        facts: device.figures.iter().map(fact).collect(),
    }
}

fn frame_ms(device: &Device) -> Option<f64> {
    let frame = budget::duration(&device.budgets.frame.as_ref()?.value).ok()?;
    Some(frame.as_secs_f64() * 1e3)
}

fn provenance(
    job: &Job<'_>,
    loaded: &model::Loaded,
    outcome: &Outcome,
    (calibration, data): (&Samples, &Samples),
    package: &Path,
    context: &Context,
) -> Result<Provenance> {
    let function = loaded.program.main();
    let parameters = function
        .used_constants()
        .iter()
        .filter_map(|&id| function.const_tensor(id))
        .filter(|tensor| tensor.dtype().is_float() && tensor.elems() > 1)
        .map(|tensor| tensor.elems() as u64)
        .sum();
    let samples = |path: &Path, role: &str, set: &Samples| DataSet {
        name: path.display().to_string(),
        role: role.to_owned(),
        samples: set.len() as u64,
        hash: None,
    };
    let source = SourceModel {
        parameters,
        macs: outcome.tried[0].variant.macs,
        ..surroundings::source_model(job.model, loaded)?
    };
    Ok(Provenance {
        package: Some(Artefact {
            path: package.display().to_string(),
            hash: surroundings::hash(package)?,
            file_bytes: outcome.best().variant.package_bytes,
        }),
        data_sets: vec![
            samples(job.calibration, "calibration", calibration),
            samples(job.data, "search and certificate", data),
        ],
        ..surroundings::provenance(context, job.seed, source)
    })
}

fn text(outcome: &Outcome, evidence: &Evidence, job: &Job<'_>, context: &Context) -> String {
    let mut table = Table::new(vec![
        Column::left("step"),
        Column::right("package"),
        Column::right("peak"),
        Column::right("p50 ms"),
        Column::right("p99 ms"),
        Column::right("top-1"),
        Column::right("drop"),
        Column::left("decision"),
    ]);
    for tried in &outcome.tried {
        let variant = &tried.variant;
        let decision = match &tried.decision {
            Decision::Source => String::new(),
            Decision::Accepted => "accepted".to_owned(),
            Decision::Refused(reason) => format!("refused: {reason}"),
        };
        table.row(vec![
            Cell::from(variant.name.clone()),
            Cell::from(units::bytes(variant.package_bytes)),
            Cell::from(units::bytes(variant.peak_bytes)),
            Cell::from(format!("{:.3}", variant.latency.percentile_ms(0.5))),
            Cell::from(format!("{:.3}", variant.latency.percentile_ms(0.99))),
            Cell::from(format!("{:.2} %", variant.evaluation.top1_share() * 100.0)),
            Cell::from(format!("{:+.2} %", tried.paired.drop() * 100.0)),
            Cell::from(decision),
        ]);
    }
    let mut text = context.table(&table);
    text.push('\n');
    match &evidence.verdict {
        Some(Verdict::Met) => text.push_str("All budgets are met.\n"),
        Some(verdict) => {
            let drop = outcome.best().paired.drop();
            for shortfall in verdict.shortfalls() {
                let within = job.goals.max_drop.is_some_and(|limit| drop <= limit);
                let word = match shortfall.limit {
                    Limit::Accuracy if within => "not proven",
                    _ => "not met",
                };
                text.push_str(&format!(
                    "{} {word}: it would take {}.\n",
                    shortfall.limit.word(),
                    shortfall.fix
                ));
            }
        }
        None => {}
    }
    for (_, gauge) in evidence.gauges.iter() {
        if let Some(sentence) = &gauge.sentence {
            text.push_str(&format!("{sentence}.\n"));
        }
    }
    if let Some(certificate) = &evidence.certificate {
        text.push_str(&format!(
            "Top-1 on {} samples: {} lost, {} gained; at 95 % confidence it drops by at most {:.2} %.\n",
            certificate.samples,
            certificate.lost,
            certificate.gained,
            certificate.upper_bound * 100.0
        ));
    }
    text.push_str(&format!(
        "Report: {}\n",
        job.output.join(job.format.file()).display()
    ));
    text
}
