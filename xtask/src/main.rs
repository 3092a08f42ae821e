//! Checks and chores of this repository: `cargo xtask tidy`, `cargo xtask compression`, `cargo xtask conformance`, `cargo xtask
//! isolation`, `cargo xtask performance`, `cargo xtask release`, `cargo xtask reproducible`.
#![forbid(unsafe_code)]

mod compression;
mod conformance;
mod ground;
mod isolation;
mod performance;
mod reproducible;
mod tidy;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

const USAGE: &str =
    "usage: cargo xtask tidy | compression | conformance | isolation | performance | release | reproducible";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the repository")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::run(root),
        ["compression", ref rest @ ..] => compression::run(root, rest),
        ["conformance", ref rest @ ..] => conformance::run(root, rest),
        ["isolation", ref rest @ ..] => isolation::run(root, rest),
        ["release"] => reproducible::release(root),
        ["reproducible"] => reproducible::run(root),
        ["performance", ref rest @ ..] => performance::run(root, rest),
        _ => bail!("{USAGE}"),
    }
}
