//! `locket check`: what of a model can be deployed, and what cannot.
//!
//! The answer is not a guess: the package is written, for the target asked for and for the oldest possible one, to a folder
//! that vanishes.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use locket_formats::coreml::{WriteOptions, write};
use locket_mil::{Diagnostic, Program, Severity, Target};
use locket_passes::lint::lint;
use locket_report::table::Tone;
use serde::Serialize;

use super::convert::simplify;
use crate::{context::Context, findings, model};

/// Exit code for a model that cannot be deployed.
const NOT_DEPLOYABLE: u8 = 2;

/// Says what can and cannot be deployed, and from which system on; exit code 2 if it cannot
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket check model.onnx --target ios16")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// Oldest system that must run it: ios15, ios16, ios17, ios18 or ios26
    #[arg(long, value_name = "TARGET", value_parser = findings::parse_target)]
    target: Option<Target>,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    deployable: bool,
    target: Option<&'static str>,
    lowest_target: Option<&'static str>,
    /// Why the package cannot be written, if it cannot.
    reason: Option<String>,
    diagnostics: Vec<Diagnostic>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let loaded = model::read(&options.model)?;
    let mut program = loaded.program.clone();
    simplify(&mut program);
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let attempt = |target: Option<Target>| {
        let path = folder.path().join("attempt.mlpackage");
        let how = WriteOptions {
            target,
            ..WriteOptions::default()
        };
        write(&program, &path, &how).map_err(|error| error.to_string())
    };
    let lowest = attempt(None);
    let wanted = match options.target {
        Some(target) => attempt(Some(target)),
        None => lowest.clone(),
    };
    let judged = options
        .target
        .or(lowest.as_ref().ok().map(|summary| summary.target));
    let mut diagnostics = loaded.diagnostics;
    diagnostics.extend(lint(&loaded.program, judged.unwrap_or(Target::Ios26)));
    if let Ok(summary) = &wanted {
        diagnostics.extend(summary.notes.iter().cloned());
    }
    drop_repeated(&mut diagnostics);
    diagnostics.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let runs = runnable(&program, context);
    let outcome = Outcome {
        model: options.model.display().to_string(),
        deployable: wanted.is_ok()
            && diagnostics
                .iter()
                .all(|finding| finding.severity < Severity::Error),
        target: options.target.map(Target::name),
        lowest_target: lowest.ok().map(|summary| summary.target.name()),
        reason: wanted.err(),
        diagnostics,
    };
    if context.json {
        context.print_json(&outcome)?;
    } else {
        context.print(&text(&outcome, context))?;
        if let Err(error) = runs {
            context.note(&format!("Locket cannot run it here: {error}"));
        }
    }
    Ok(if outcome.deployable { 0 } else { NOT_DEPLOYABLE })
}

/// Whether the model has a plan; a model can be sound for the device and still be beyond Locket's own executor.
fn runnable(program: &Program, context: &Context) -> Result<(), String> {
    if !model::foreign(program.main()).is_empty() {
        // Said by the diagnostics already.
        return Ok(());
    }
    let compiled = locket_runtime::compile(program.main(), context.plan_options());
    compiled.map(|_| ()).map_err(|error| error.to_string())
}

fn text(outcome: &Outcome, context: &Context) -> String {
    let mut text = String::new();
    for (finding, nodes) in grouped(&outcome.diagnostics) {
        text.push_str(&findings::paragraph(finding, &nodes, context.colour()));
        text.push('\n');
    }
    let systems = |name: &str| Target::parse(name).map_or("", Target::systems);
    let (word, tone) = match outcome.deployable {
        true => ("deployable", Tone::Good),
        false => ("not deployable", Tone::Bad),
    };
    text.push_str(&tone.paint(word, context.colour()));
    if let Some(target) = outcome.target {
        text.push_str(&format!(" on {target} ({})", systems(target)));
    }
    if let Some(lowest) = outcome.lowest_target {
        text.push_str(&format!(
            "; the lowest target that works is {lowest} ({})",
            systems(lowest)
        ));
    }
    text.push('\n');
    if let Some(reason) = &outcome.reason {
        text.push_str(&format!("{reason}\n"));
    }
    text
}

/// Leaves out what a reader or a lint has said of the same place in more detail: that an operator is foreign, and that an
/// interface type is replaced.
fn drop_repeated(findings: &mut Vec<Diagnostic>) {
    const FOREIGN: &str = "LK0101";
    const REPLACED: &str = "LK1111";
    let all = findings.clone();
    findings.retain(|finding| {
        let said = |other: &Diagnostic| {
            other.node == finding.node
                && match finding.code {
                    FOREIGN => other.code != FOREIGN && other.severity == Severity::Error,
                    REPLACED => other.code == "LK0111",
                    _ => false,
                }
        };
        !all.iter().any(said)
    });
}

/// Findings that say the same of several places are shown once, with all of them.
fn grouped(findings: &[Diagnostic]) -> Vec<(&Diagnostic, Vec<&str>)> {
    let mut groups: Vec<(&Diagnostic, Vec<&str>)> = Vec::new();
    for finding in findings {
        let same = |group: &&mut (&Diagnostic, Vec<&str>)| {
            let other = group.0;
            (other.code, &other.message, &other.help, &other.why)
                == (finding.code, &finding.message, &finding.help, &finding.why)
        };
        match groups.iter_mut().find(same) {
            Some((_, nodes)) => nodes.push(&finding.node),
            None => groups.push((finding, vec![&finding.node])),
        }
    }
    groups
}
