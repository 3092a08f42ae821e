//! What a worker costs beside computing in the caller's process: runs the example that measures it and writes the page.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::ground;

const USAGE: &str = "usage: cargo xtask isolation --date YYYY-MM-DD [--rounds N] [--output FILE.md]";

/// What the tables do not say themselves.
const NOTES: &str = "Tensors of the caller's are copied into memory that the worker reads; inputs written in place (`Model::predict_filled`) are not, and the \
    one who writes them takes as long in both columns. A worker and its caller need two processors where a prediction in the caller's \
    process needs one: whatever else runs on the machine meets one of them more often. Where the worker's threads need every processor, its \
    caller sleeps while it waits and takes a processor from them when it wakes; for that no bound is set. A prediction whose outputs were there in time is not cut if \
    the machine gave the caller's processor to somebody else meanwhile; the last column counts those that came back after the budget for \
    that reason.\n";

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let (mut date, mut rounds) = ("", "20");
    let mut output = root.join("docs").join("isolation-cost.md");
    for pair in arguments.chunks(2) {
        match pair {
            ["--date", value] => date = value,
            ["--rounds", value] => rounds = value,
            ["--output", value] => output = value.into(),
            _ => bail!("{USAGE}"),
        }
    }
    if date.is_empty() {
        bail!("{USAGE}");
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let example = [
        "run",
        "--release",
        "--quiet",
        "-p",
        "locket",
        "--example",
        "isolation_cost",
    ];
    let measured = Command::new(cargo)
        .args(example)
        .args(["--", "--rounds", rounds])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo run")?;
    if !measured.status.success() {
        bail!("the example isolation_cost failed");
    }
    let measured = String::from_utf8(measured.stdout).context("output of the example")?;
    let page = format!(
        "# What a worker costs\n\nThe same predictions in the caller's process and in a worker behind every wall, in turns in one run.\n\n\
         - Date: {date}\n- Machine: {}\n- Command: `cargo xtask isolation --date {date} --rounds {rounds}`\n\n{measured}{NOTES}",
        ground::machine()
    );
    ground::write_page(&output, &page)
}
