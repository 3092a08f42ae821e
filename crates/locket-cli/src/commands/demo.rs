//! `locket demo`: the main job on what the program carries, without network.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use locket_compress::search::Goals;
use locket_scenes::{Split, write_dataset};

use super::optimize::{Format, Job, execute, find_device};
use crate::context::Context;

const MODEL: &[u8] = include_bytes!("../../../../models/scenes_mobilenet.onnx");
const PREPROCESS: &str = include_str!("../../../../models/scenes_mobilenet.preprocess.toml");

/// Side of a scene in pixels: what the bundled model was trained on.
const SIDE: usize = 64;
/// Scenes that ranges are taken from.
const CALIBRATION: u64 = 256;
/// Scenes that accuracy is measured on: all that the model card speaks of.
const EVALUATION: u64 = 6000;

/// Makes labelled scenes, optimises the bundled classifier for the watch, packages it and writes the report
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket demo -o locket-demo")]
pub(crate) struct Options {
    /// Folder for everything that is made
    #[arg(short, long, value_name = "OUT", default_value = "locket-demo")]
    output: PathBuf,
    /// Evaluates on fewer scenes; fewer than about 3000 cannot certify a drop of 0.7 %
    #[arg(long, value_name = "N", default_value_t = EVALUATION, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    scenes: u64,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let started = Instant::now();
    let folder = &options.output;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let (calibration, data) = (folder.join("data/calib"), folder.join("data/dev"));
    scenes(Split::Calib, CALIBRATION, &calibration, context)?;
    scenes(Split::Dev, options.scenes, &data, context)?;
    let (model, preprocess) = (
        folder.join("scenes_mobilenet.onnx"),
        folder.join("preprocess.toml"),
    );
    std::fs::write(&model, MODEL).with_context(|| format!("writing {}", model.display()))?;
    std::fs::write(&preprocess, PREPROCESS).with_context(|| format!("writing {}", preprocess.display()))?;
    let device = find_device("watch-series-7")?;
    let goals = Goals {
        memory_bytes: device.budgets.memory_bytes(),
        size_bytes: None,
        latency: device
            .budgets
            .latency_ms()
            .map(|count| Duration::from_secs_f64(count / 1e3)),
        max_drop: Some(0.007),
    };
    let job = Job {
        title: "Scenes classifier".to_owned(),
        model: &model,
        calibration: &calibration,
        data: &data,
        preprocess: &preprocess,
        goals,
        device: Some(&device),
        limit: None,
        seed: 0,
        leakage: false,
        format: Format::Html,
        output: folder,
    };
    let code = execute(&job, context)?;
    context.note(&format!("done in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(code)
}

fn scenes(split: Split, count: u64, folder: &Path, context: &Context) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let bar = context.progress("drawing scenes", usize::try_from(count).unwrap_or(usize::MAX));
    write_dataset(folder, split.seed(), 0..count, SIDE, |done, _| {
        bar.set_position(done);
    })
    .with_context(|| format!("writing {}", folder.display()))?;
    bar.finish_and_clear();
    Ok(())
}
