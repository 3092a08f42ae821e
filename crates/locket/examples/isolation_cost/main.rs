//! What a worker costs: `cargo run --release -p locket --example isolation_cost -- [--rounds N] [MODEL]`.
//!
//! Everything is measured in one run, in turns: a block of predictions in this process, a block in a worker, and again. The page that it
//! prints is docs/isolation-cost.md; `cargo xtask isolation` adds machine and date.
#![expect(clippy::print_stdout, reason = "an example prints what it measured")]

mod blocks;
mod deadlines;

use std::{error::Error, path::PathBuf};

use locket::{Isolation, ModelConfiguration};
use locket_sandbox::Wipe;

/// Overwrites what is freed in workers only, as in the `locket` program.
#[global_allocator]
static ALLOCATOR: Wipe = Wipe::when_asked();

/// Both ways to compute, in the order of every pair here.
const WAYS: [Isolation; 2] = [Isolation::InProcess, Isolation::Worker];

fn main() -> Result<(), Box<dyn Error>> {
    locket::worker::run_if_requested();
    let mut rounds = 20;
    let mut model = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            rounds = arguments.next().ok_or("--rounds: expected a number")?.parse()?;
        } else {
            model = Some(PathBuf::from(argument));
        }
    }
    let bundled = locket_testkit::repository().join("models/scenes_mobilenet.onnx");
    let kit = locket_testkit::kit();
    let of_the_kit = || Some(kit.as_ref()?.join("models/mobilenet_v1_0.25_224.onnx"));
    let model = model.or_else(of_the_kit).unwrap_or(bundled);
    let name = model
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    println!(
        "{rounds} rounds, each with every kind in turns; medians over rounds of what is said. Model: `{name}`, float32, 1 thread where nothing else is said.\n"
    );
    blocks::table(&model, kit.as_deref(), rounds)?;
    deadlines::table(&model, rounds)?;
    Ok(())
}

fn configuration(isolation: Isolation, threads: usize) -> ModelConfiguration {
    ModelConfiguration {
        threads: Some(threads),
        isolation,
        // What a new worker costs is a figure of its own.
        recycle_after: None,
        ..ModelConfiguration::default()
    }
}

/// The value at a share of the sorted values.
fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
