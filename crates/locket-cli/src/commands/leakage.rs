//! `locket leakage`: what the activations of a model still give away of its input.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use locket_data::{Dataset, Preprocess};
use locket_mil::Function;
use locket_privacy::leakage::{self, Around, EXAMPLES, Pictures, Request, Set, Stage};
use locket_report::{
    DataSet, LeakageEvidence, Provenance, Rate, TapLeakage,
    table::{Cell, Column, Table, Tone},
    units,
};
use locket_tensor::Tensor;

use crate::{context::Context, files, labelled, model, surroundings};

/// Measures how well pictures can be reconstructed from what a model computes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: locket leakage model.onnx --data data/dev --aux data/calib --preprocess model.toml -o out\n\n\
                  An attacker with the model and pictures of their own (--aux) tries to reconstruct the pictures in --data \
                  from each tap. Levels go from 1 (least leakage) to 5 (most); docs/privacy.md has the rules. The input \
                  itself must score 5 and shuffled pairs 1, or the measurement is refused (exit code 1)."
)]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// Name of an operation whose result is tapped; may be given more than once. Every layer, embedding and output if not given
    #[arg(long, value_name = "OP", num_args = 1..)]
    tap: Vec<String>,
    /// Folder with the pictures that are attacked
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder with the attacker's own pictures
    #[arg(long, value_name = "DIR")]
    aux: PathBuf,
    /// How a sample becomes the model's input; pixels as they are if not given
    #[arg(long, value_name = "FILE")]
    preprocess: Option<PathBuf>,
    /// Attacks only the first pictures
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Also adds Gaussian noise of this deviation to embeddings and outputs, and says what it bounds
    #[arg(long, value_name = "SIGMA")]
    noise: Option<f64>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folder for leakage.json and leakage.html
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    if options.limit == Some(0) {
        bail!("--limit: expected at least 1, found 0");
    }
    if let Some(sigma) = options.noise.filter(|sigma| !(*sigma > 0.0 && sigma.is_finite())) {
        bail!("--noise: expected a deviation above 0, found {sigma}");
    }
    let loaded = model::read_runnable(&options.model)?;
    let function = loaded.program.main();
    let recipe = match &options.preprocess {
        Some(path) => Preprocess::read(path)?,
        None => Preprocess::default(),
    };
    let start = Instant::now();
    let attacked = Side::load(&options.data, &recipe, function, options.limit, context)?;
    let auxiliary = Side::load(&options.aux, &recipe, function, None, context)?;
    let subject = Subject {
        function,
        recipe: &recipe,
        attacked: &attacked,
        auxiliary: &auxiliary,
        noise: options.noise,
        seed: options.seed,
    };
    let outcome = subject
        .measure(&options.tap, false, context)
        .with_context(|| options.model.display().to_string())?;
    let around = Around {
        title: files::stem(&options.model),
        provenance: provenance(options, &loaded, [&attacked, &auxiliary], context)?,
        seconds: start.elapsed().as_secs_f64(),
    };
    let evidence = leakage::report(&outcome, around);
    if let Some(folder) = &options.output {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        files::write(&folder.join("leakage.json"), &evidence.to_json())?;
        files::write(
            &folder.join("leakage.html"),
            &locket_report::leakage_html(&evidence),
        )?;
    }
    if context.json {
        context.print(&format!("{}\n", serde_json::to_string(&evidence)?))?;
    } else {
        context.print(&text(&evidence, options, context))?;
    }
    Ok(0)
}

/// Pictures with the model's inputs that are made of them.
pub(super) struct Side {
    inputs: Vec<Tensor>,
    pictures: Pictures,
}

impl Side {
    /// Reads the first `limit` samples of a folder.
    pub(super) fn load(
        folder: &Path,
        recipe: &Preprocess,
        function: &Function,
        limit: Option<usize>,
        context: &Context,
    ) -> Result<Self> {
        let dataset = Dataset::open(folder)?;
        let inputs = labelled::load(&dataset, recipe, function, limit, context)?.inputs;
        Self::of(&dataset, recipe, function, inputs, context)
    }

    /// Adds the pictures to inputs that were read before.
    pub(super) fn of(
        dataset: &Dataset,
        recipe: &Preprocess,
        function: &Function,
        inputs: Vec<Tensor>,
        context: &Context,
    ) -> Result<Self> {
        let bar = context.progress("reading pictures", inputs.len());
        let pictures = Pictures::load(
            dataset,
            recipe,
            function,
            Some(inputs.len()),
            context.threads,
            &|done| {
                bar.set_position(done as u64);
            },
        )?;
        bar.finish_and_clear();
        Ok(Self { inputs, pictures })
    }

    fn set(&self) -> Set<'_> {
        Set {
            inputs: &self.inputs,
            pictures: &self.pictures,
        }
    }
}

/// A model with the pictures of both sides.
pub(super) struct Subject<'a> {
    pub(super) function: &'a Function,
    pub(super) recipe: &'a Preprocess,
    pub(super) attacked: &'a Side,
    pub(super) auxiliary: &'a Side,
    pub(super) noise: Option<f64>,
    pub(super) seed: u64,
}

impl Subject<'_> {
    /// Measures the taps named, or all; `outputs_only` leaves all out but the outputs.
    pub(super) fn measure(
        &self,
        taps: &[String],
        outputs_only: bool,
        context: &Context,
    ) -> Result<leakage::Outcome> {
        let bars = [
            context.progress("running the model", 0),
            context.progress("attacking taps", 0),
        ];
        let outcome = leakage::measure(Request {
            function: self.function,
            attacked: self.attacked.set(),
            auxiliary: self.auxiliary.set(),
            taps,
            outputs_only,
            plan: context.plan_options(),
            recipe: self.recipe,
            noise: self.noise,
            seed: self.seed,
            progress: &|stage, done, all| {
                let bar = &bars[usize::from(stage == Stage::Attacking)];
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            },
        });
        bars.iter().for_each(indicatif::ProgressBar::finish_and_clear);
        Ok(outcome?)
    }
}

fn provenance(
    options: &Options,
    loaded: &model::Loaded,
    [attacked, auxiliary]: [&Side; 2],
    context: &Context,
) -> Result<Provenance> {
    let samples = |path: &Path, role: &str, side: &Side| DataSet {
        name: path.display().to_string(),
        role: role.to_owned(),
        samples: side.inputs.len() as u64,
        hash: None,
    };
    Ok(Provenance {
        data_sets: vec![
            samples(&options.data, "attacked", attacked),
            samples(&options.aux, "the attacker's own", auxiliary),
        ],
        ..surroundings::provenance(
            context,
            options.seed,
            surroundings::source_model(&options.model, loaded)?,
        )
    })
}

fn text(evidence: &LeakageEvidence, options: &Options, context: &Context) -> String {
    let mut table = Table::new([
        Column::left("tap"),
        Column::left("form"),
        Column::right("level"),
        Column::right("R²"),
        Column::left("by"),
        Column::right("identified"),
        Column::right("at most"),
        Column::right("rebuilt"),
        Column::right("at most"),
        Column::left(""),
    ]);
    for tap in [&evidence.identity, &evidence.shuffled] {
        table.row(row(tap, "control"));
    }
    table.rule();
    for tap in &evidence.taps {
        table.row(row(tap, if tap.saturated { "" } else { "not saturated" }));
    }
    let mut text = context.table(&table);
    text.push_str(&format!(
        "\n{} pictures attacked with {} of the attacker's own, at {} x {} pixels, in a gallery of {}; {} s on {} thread{}\n",
        evidence.attacked,
        evidence.auxiliary,
        evidence.picture[1],
        evidence.picture[0],
        evidence.gallery,
        units::significant(evidence.seconds),
        context.threads,
        if context.threads == 1 { "" } else { "s" },
    ));
    text.push_str(
        "level 1 (least) to 5 (most leakage), by the worst attack; identified: nearest to its reconstruction; rebuilt: SSIM and \
         R² of the picture above 0.5; at most: upper 95 % bound (Wilson)\n",
    );
    for tap in evidence.taps.iter().filter(|tap| tap.attribute.is_some()) {
        if let Some(attribute) = &tap.attribute {
            text.push_str(&format!(
                "attribute: {} ({}) tells the class of {} (at most {}); guessing reaches {}\n",
                tap.name,
                tap.form,
                units::percent(attribute.right.share),
                units::percent(attribute.right.upper),
                units::percent(attribute.chance),
            ));
        }
    }
    for tap in &evidence.taps {
        if let Some(noise) = &tap.noise {
            text.push_str(&format!(
                "noise {} on {}: dFIL {:.3e} (estimated), so that an unbiased reconstruction errs by at least {} grey levels (RMS)\n",
                noise.sigma,
                tap.name,
                noise.dfil_estimate,
                units::significant(noise.rmse_bound_estimate * 255.0),
            ));
        }
    }
    if let Some(folder) = &options.output {
        text.push_str(&format!(
            "Report, with {EXAMPLES} reconstructions of each tap: {}\n",
            folder.join("leakage.html").display()
        ));
    }
    text
}

fn row(tap: &TapLeakage, remark: &str) -> Vec<Cell> {
    let tone = match tap.level {
        1 | 2 => Tone::Good,
        3 => Tone::Warning,
        _ => Tone::Bad,
    };
    let seen = |rate: Rate| Cell::from(units::percent(rate.share));
    let most = |rate: Rate| Cell::new(units::percent(rate.upper), Tone::Faint);
    vec![
        Cell::from(tap.name.clone()),
        Cell::from(tap.form.clone()),
        Cell::new(tap.level.to_string(), tone),
        Cell::from(format!("{:.3}", tap.r2)),
        Cell::new(tap.strongest.clone(), Tone::Faint),
        seen(tap.identification),
        most(tap.identification),
        seen(tap.success),
        most(tap.success),
        Cell::new(remark, Tone::Faint),
    ]
}
