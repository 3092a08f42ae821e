//! What every command works with: the global options, and the two places that output goes to.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    num::NonZero,
    time::Duration,
};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use locket_kernels::Isa;
use locket_report::table::Table;
use locket_runtime::{PlanOptions, Precision};
use serde::Serialize;

use crate::arguments::Global;

/// Largest number of threads that is believed to be meant.
const MAX_THREADS: usize = 1024;

/// The global options, checked, and where output goes.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// True if the result is to be one JSON object.
    pub(crate) json: bool,
    /// Instruction set of the kernels.
    pub(crate) isa: Isa,
    /// Threads that may be used.
    pub(crate) threads: usize,
    /// Arithmetic of layers on floats.
    pub(crate) precision: Precision,
    depth_first: bool,
    colour: bool,
}

/// A JSON object with its version first.
#[derive(Serialize)]
struct Versioned<'a, T> {
    schema: u32,
    #[serde(flatten)]
    content: &'a T,
}

impl Context {
    /// Checks the global options.
    pub(crate) fn new(global: &Global) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = global.threads.unwrap_or(cores);
        if !(1..=MAX_THREADS).contains(&threads) {
            bail!("--threads: expected 1 to {MAX_THREADS}, found {threads}");
        }
        Ok(Self {
            json: global.json,
            isa: global
                .isa
                .as_deref()
                .map_or(Ok(Isa::best()), |name| find_isa("--isa", name))?,
            threads,
            precision: Precision::Float32,
            depth_first: !global.no_depth_first,
            colour: io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        })
    }

    /// The same with another arithmetic of layers on floats.
    pub(crate) fn in_precision(&self, precision: Precision) -> Self {
        Self {
            precision,
            ..self.clone()
        }
    }

    /// The same for less memory, for those that say how much a model needs.
    pub(crate) fn lean_plan_options(&self) -> PlanOptions {
        PlanOptions {
            lean: true,
            ..self.plan_options()
        }
    }

    /// What plans are made for.
    pub(crate) fn plan_options(&self) -> PlanOptions {
        PlanOptions {
            isa: self.isa,
            threads: self.threads,
            lean: false,
            precision: self.precision,
            depth_first: self.depth_first,
            hand_over_ns: PlanOptions::hand_over_ns(self.threads),
        }
    }

    /// A table as text, coloured if that is wanted.
    pub(crate) fn table(&self, table: &Table) -> String {
        table.render(self.colour)
    }

    /// True if text on standard output may be coloured.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// Writes text to standard output.
    ///
    /// # Errors
    ///
    /// The operating system's error; a closed pipe is told apart by the caller of the command.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Writes one JSON object with `"schema": 1` to standard output, on one line.
    ///
    /// # Errors
    ///
    /// As [`Context::print`].
    pub(crate) fn print_json(&self, content: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(&Versioned { schema: 1, content })?;
        self.print(&format!("{text}\n"))
    }

    /// Writes a note for a person to standard error.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A progress bar on standard error, or nothing if that is no terminal.
    pub(crate) fn progress(&self, what: impl Into<Cow<'static, str>>, total: usize) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len} {eta:>6}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        bar
    }

    /// A sign of life on standard error for work whose length is not known.
    pub(crate) fn spinner(&self, what: impl Into<Cow<'static, str>>) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// The instruction set of that name.
///
/// # Errors
///
/// If this machine does not have it.
pub(crate) fn find_isa(option: &str, name: &str) -> Result<Isa> {
    if let Some(isa) = Isa::parse(name) {
        return Ok(isa);
    }
    let here: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
    bail!(
        "{option}: expected one that this machine has ({}), found {name}",
        here.join(", ")
    )
}
