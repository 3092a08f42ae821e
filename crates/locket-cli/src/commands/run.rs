//! `locket run`: one prediction from files to files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use locket::{DictionaryFeatureProvider, FeatureDescription};
use locket_report::{
    table::{Column, Table},
    units,
};
use locket_tensor::Tensor;
use serde::Serialize;

use crate::{
    arithmetic::ArithmeticOptions,
    context::Context,
    isolation::{self, IsolationOptions, Told},
    log::LogOptions,
    tensors,
};

/// Runs a model on .npy files and writes one .npy file for each output
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket run model.onnx --input image=photo.npy --output-dir results")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, a Core ML .mlpackage, or a compiled model
    model: PathBuf,
    /// An input: NAME=FILE.npy, or FILE.npy alone if the model has one input
    #[arg(long = "input", value_name = "NAME=FILE", required = true)]
    inputs: Vec<String>,
    /// Folder for the outputs, which are named after the model's; made if it is not there
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
    #[command(flatten)]
    arithmetic: ArithmeticOptions,
    #[command(flatten)]
    log: LogOptions,
    #[command(flatten)]
    isolation: IsolationOptions,
}

#[derive(Serialize)]
struct Written {
    name: String,
    file: String,
    dtype: String,
    shape: Vec<usize>,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    milliseconds: f64,
    peak_bytes: u64,
    #[serde(flatten)]
    told: Told,
    outputs: Vec<Written>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    let mut ran = options.log.begin("run", &options.model)?;
    let mut model = isolation::load(&options.model, &options.isolation.configuration(context))?;
    let features = read_inputs(&options.inputs, &model.inputs())?;
    let start = Instant::now();
    let outputs = model.predict(&features)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let outcome = Outcome {
        model: options.model.display().to_string(),
        milliseconds,
        peak_bytes: model.peak_bytes(),
        told: Told::of(&model),
        outputs: write_outputs(&options.output_dir, &model.outputs(), &outputs)?,
    };
    outcome.told.write_down(&mut ran.entry);
    ran.done(1)?;
    if context.json {
        context.print_json(&outcome)?;
        return Ok(0);
    }
    let mut table = Table::new([Column::left("output"), Column::left("type"), Column::left("file")]);
    for written in &outcome.outputs {
        let ty = format!("{} {}", written.dtype, tensors::shape_text(&written.shape));
        table.row([written.name.clone(), ty, written.file.clone()]);
    }
    context.print(&context.table(&table))?;
    context.note(&format!(
        "one prediction, cold: {}; peak {}; {}",
        units::milliseconds(milliseconds),
        units::bytes(outcome.peak_bytes),
        outcome.told.text()
    ));
    Ok(0)
}

/// Reads all inputs.
fn read_inputs(given: &[String], ports: &[FeatureDescription]) -> Result<DictionaryFeatureProvider> {
    let names = || {
        ports
            .iter()
            .map(|port| port.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut found: Vec<Option<Tensor>> = vec![None; ports.len()];
    for argument in given {
        let (index, path) = resolve(argument, ports)?;
        let slot = &mut found[index];
        if slot.is_some() {
            bail!("--input {argument}: input {} is given twice", ports[index].name);
        }
        *slot = Some(tensors::read_input(path, &ports[index])?);
    }
    let missing: Vec<&str> = ports
        .iter()
        .zip(&found)
        .filter(|(_, tensor)| tensor.is_none())
        .map(|(port, _)| port.name.as_str())
        .collect();
    if !missing.is_empty() {
        bail!(
            "--input is missing for {}; the model's inputs are {}",
            missing.join(", "),
            names()
        );
    }
    let names = ports.iter().map(|port| port.name.clone());
    Ok(names.zip(found.into_iter().flatten()).collect())
}

/// Which input an argument is for, and its file. A name may hold `=` itself: the longest name that fits is meant.
fn resolve<'a>(argument: &'a str, ports: &[FeatureDescription]) -> Result<(usize, &'a Path)> {
    let named = ports.iter().enumerate().filter_map(|(index, port)| {
        let path = argument.strip_prefix(port.name.as_str())?.strip_prefix('=')?;
        Some((port.name.len(), index, path))
    });
    if let Some((_, index, path)) = named.max_by_key(|(length, ..)| *length) {
        return Ok((index, Path::new(path)));
    }
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    if let [_] = ports
        && (!argument.contains('=') || Path::new(argument).exists())
    {
        return Ok((0, Path::new(argument)));
    }
    match argument.split_once('=') {
        Some((name, _)) => bail!(
            "--input {argument}: no input is called {name}; the model's inputs are {}",
            names.join(", ")
        ),
        None => bail!(
            "--input {argument}: expected NAME=FILE, the model's inputs are {}",
            names.join(", ")
        ),
    }
}

fn write_outputs(
    folder: &Path,
    ports: &[FeatureDescription],
    outputs: &DictionaryFeatureProvider,
) -> Result<Vec<Written>> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for port in ports {
        let tensor = outputs.multi_array(&port.name).context("an output is missing")?;
        let stem = tensors::file_stem(&port.name);
        // Names that differ only in characters that file names cannot have.
        let stem = (1..)
            .map(|n| {
                if n == 1 {
                    stem.clone()
                } else {
                    format!("{stem}_{n}")
                }
            })
            .find(|stem| taken.insert(stem.clone()))
            .unwrap_or(stem);
        let path = folder.join(format!("{stem}.npy"));
        tensors::write(&path, tensor)?;
        all.push(Written {
            name: port.name.clone(),
            file: path.display().to_string(),
            dtype: tensor.dtype().to_string(),
            shape: tensor.shape().to_vec(),
        });
    }
    Ok(all)
}
