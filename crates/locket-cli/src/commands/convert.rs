//! `locket convert`: a Core ML package of a model.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use locket_formats::coreml::{Precision, WriteOptions, write};
use locket_mil::Program;
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use crate::{context::Context, findings, model, privacy_manifest};

/// Writes a model as a Core ML ML Program package; the same model gives the same bytes
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket convert model.onnx -o model.mlpackage --precision f16")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// The package to write; a package that is there is replaced
    #[arg(short, long, value_name = "OUT.mlpackage")]
    output: PathBuf,
    /// Precision of weights and computation; that of the model if not given
    #[arg(long, value_enum)]
    precision: Option<PrecisionName>,
    /// Oldest system that must run it: ios15, ios16, ios17, ios18 or ios26; the oldest possible if not given
    #[arg(long, value_name = "TARGET", value_parser = findings::parse_target)]
    target: Option<locket_mil::Target>,
    /// Also writes PrivacyInfo.xcprivacy beside the package, for the resources of an app: it says that a package, which holds no code,
    /// tracks nobody, collects nothing and uses no interface that needs a reason
    #[arg(long)]
    privacy_manifest: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrecisionName {
    /// float32
    F32,
    /// float16
    F16,
}

#[derive(Serialize)]
struct Renamed {
    source: String,
    written: String,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    package: String,
    target: &'static str,
    systems: &'static str,
    operations: usize,
    model_bytes: u64,
    weight_bytes: u64,
    package_bytes: u64,
    source_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    privacy_manifest: Option<String>,
    renamed: Vec<Renamed>,
    notes: Vec<locket_mil::Diagnostic>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    check_output(&options.output)?;
    let manifest = match options.privacy_manifest {
        true => Some(privacy_manifest::place(&options.output)?),
        false => None,
    };
    let loaded = model::read_runnable(&options.model)?;
    let mut program = loaded.program;
    simplify(&mut program);
    let write_options = WriteOptions {
        precision: match options.precision {
            None => Precision::AsIs,
            Some(PrecisionName::F32) => Precision::Float32,
            Some(PrecisionName::F16) => Precision::Float16,
        },
        target: options.target,
        ..WriteOptions::default()
    };
    let summary = write(&program, &options.output, &write_options)?;
    if let Some(path) = &manifest {
        privacy_manifest::write(path)?;
    }
    let outcome = Outcome {
        model: options.model.display().to_string(),
        package: options.output.display().to_string(),
        target: summary.target.name(),
        systems: summary.target.systems(),
        operations: summary.operations,
        model_bytes: summary.model_bytes,
        weight_bytes: summary.weight_bytes,
        package_bytes: locket_compress::measure::package_bytes(&options.output)
            .with_context(|| options.output.display().to_string())?,
        source_bytes: loaded.file_bytes,
        privacy_manifest: manifest.map(|path| path.display().to_string()),
        renamed: summary
            .renamed
            .into_iter()
            .map(|(source, written)| Renamed { source, written })
            .collect(),
        notes: loaded.diagnostics.into_iter().chain(summary.notes).collect(),
    };
    if context.json {
        context.print_json(&outcome)?;
        return Ok(0);
    }
    context.print(&text(&outcome, context))?;
    for note in &outcome.notes {
        context.note(&findings::line(note));
    }
    Ok(0)
}

/// Refuses an output that is no package, before the model is read.
///
/// # Errors
///
/// If the name does not end in `.mlpackage`, or something else is there.
pub(super) fn check_output(path: &std::path::Path) -> Result<()> {
    if path.extension().is_none_or(|extension| extension != "mlpackage") {
        bail!(
            "--output {}: expected a name that ends in .mlpackage",
            path.display()
        );
    }
    if path.exists() && !path.join("Manifest.json").is_file() {
        bail!(
            "--output {}: something is there that is no package, it is not replaced",
            path.display()
        );
    }
    Ok(())
}

/// Simplifies every function within MIL.
pub(super) fn simplify(program: &mut Program) {
    for function in &mut program.functions {
        locket_passes::simplify(function);
    }
}

fn text(outcome: &Outcome, context: &Context) -> String {
    let mut table = Table::new([Column::left(""), Column::left("")]);
    let mut row = |name: &str, value: String| {
        table.row([Cell::new(name, Tone::Faint), Cell::from(value)]);
    };
    row("package", outcome.package.clone());
    row("runs from", format!("{} ({})", outcome.target, outcome.systems));
    row("operations", outcome.operations.to_string());
    row(
        "size",
        format!(
            "{}: weights {}, program {}; the source is {}",
            units::bytes(outcome.package_bytes),
            units::bytes(outcome.weight_bytes),
            units::bytes(outcome.model_bytes),
            units::bytes(outcome.source_bytes)
        ),
    );
    if let Some(path) = &outcome.privacy_manifest {
        row("privacy", format!("{path}; for the resources of the app"));
    }
    for renamed in &outcome.renamed {
        row(
            "renamed",
            format!("{} is {} in the package", renamed.source, renamed.written),
        );
    }
    context.table(&table)
}
