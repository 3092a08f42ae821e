//! `locket prove`: the evidence that nothing leaves the worker.

use std::path::PathBuf;

use anyhow::Result;

use crate::context::Context;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use linux::serve_if_requested;

/// Proves that nothing leaves the worker: attempts, mistakes, residue and what stays open, measured here and now, offline
///
/// Makes named attempts to get something out of a locked worker against each layer of it, random hostile trials, and the whole work on
/// pictures with mistakes in it, all under canaries, each with a control that shows that the canary would have seen it. Started as root,
/// it does everything a second time as an ordinary user. The exit code is 1 if a claim fails.
///
/// The full run, for a bound of 0.1 % at 99 %: locket prove --trials 4603 --residue
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: locket prove --data photos --model model.onnx --preprocess model.toml -o evidence"
)]
pub(crate) struct Options {
    /// A folder of photos (JPEG, PNG, WebP); drawn scenes if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// An ONNX or TFLite file; the bundled classifier of scenes if not given
    #[arg(long, value_name = "FILE", requires = "preprocess")]
    model: Option<PathBuf>,
    /// How a photo becomes the model's input
    #[arg(long, value_name = "FILE", requires = "model")]
    preprocess: Option<PathBuf>,
    /// Random hostile trials, and as many with mistakes
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    trials: u32,
    /// Looks for what is left of N pictures, 1000 if no number is given; of 20 without this option
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    residue: u32,
    /// Leaves out each layer alone: only all layers together are tried
    #[arg(long)]
    quick: bool,
    /// An Apple privacy manifest that is held against what is measured: a key that is contradicted fails
    #[arg(long, value_name = "PrivacyInfo.xcprivacy")]
    manifest: Option<PathBuf>,
    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Folder for prove.json and prove.html
    #[arg(short, long, value_name = "OUT", default_value = "evidence")]
    output: PathBuf,
    /// What this process is in a run that needs several
    #[arg(long, hide = true)]
    part: Option<Part>,
}

/// What a process of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Does everything once more, as another user; is told about what on standard input.
    Again,
    /// A broker that is looked at for residue.
    Broker,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    linux::run(options, context)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn run(_options: &Options, _context: &Context) -> Result<u8> {
    anyhow::bail!("locket prove: there is a worker to prove something of on Linux on x86-64 only")
}
