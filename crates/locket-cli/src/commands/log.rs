//! `locket log`: whether a log of what ran is whole.

use std::path::PathBuf;

use anyhow::{Result, bail};
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use crate::{
    context::Context,
    log::{self, Checked},
};

/// Checks a log of what ran, such as run and eval write with --log: no line changed, taken away, added or moved
///
/// Each entry holds the hash of the one before it. Entries missing at the end are seen only if you know the hash of the last one: write the
/// head down, and give it with --head the next time. Exit code 1 if a line does not fit.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket log ran.jsonl --head HASH")]
pub(crate) struct Options {
    /// The log
    file: PathBuf,
    /// A hash that was the head before: its entry must be there
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

#[derive(Serialize)]
struct Broken {
    line: u64,
    why: String,
}

#[derive(Serialize)]
struct Outcome {
    file: String,
    whole: bool,
    entries: u64,
    failed: u64,
    predictions: u64,
    first: Option<String>,
    last: Option<String>,
    head: String,
    /// Entries after the one whose hash was given; none if no hash was.
    after_head: Option<u64>,
    first_broken: Option<Broken>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let known = options.head.as_deref();
    if let Some(hash) =
        known.filter(|hash| hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        bail!("--head: expected 64 hexadecimal digits, found {hash}");
    }
    let checked = log::check(&options.file, known.map(str::to_ascii_lowercase).as_deref())?;
    let outcome = outcome(options, checked);
    if context.json {
        context.print_json(&outcome)?;
    } else {
        context.print(&text(&outcome, context))?;
    }
    Ok(u8::from(!outcome.whole))
}

fn outcome(options: &Options, checked: Checked) -> Outcome {
    let time = |entry: Option<log::Entry>| entry.map(|entry| entry.time);
    // A head that is not there: what came up to it was cut off, or this is another log.
    let missing = options.head.as_ref().filter(|_| checked.after_known.is_none());
    let first_broken = checked.broken.map(|(line, why)| Broken { line, why });
    let first_broken = first_broken.or_else(|| {
        missing.map(|head| Broken {
            line: checked.entries + 1,
            why: format!(
                "expected an entry with the hash {head}, found the end: the log was cut, or is another one"
            ),
        })
    });
    Outcome {
        file: options.file.display().to_string(),
        whole: first_broken.is_none(),
        entries: checked.entries,
        failed: checked.failed,
        predictions: checked.predictions,
        first: time(checked.first),
        last: time(checked.last),
        head: checked.head,
        after_head: checked.after_known,
        first_broken,
    }
}

fn text(outcome: &Outcome, context: &Context) -> String {
    let mut table = Table::new([Column::left(""), Column::left("")]);
    let mut row = |name: &str, value: Cell| {
        table.row([Cell::new(name, Tone::Faint), value]);
    };
    match &outcome.first_broken {
        None => row(
            "log",
            Cell::new(format!("{}: every line fits", outcome.file), Tone::Good),
        ),
        Some(broken) => row(
            "log",
            Cell::new(
                format!("{}: line {}: {}", outcome.file, broken.line, broken.why),
                Tone::Bad,
            ),
        ),
    }
    let failed = match outcome.failed {
        0 => String::new(),
        failed => format!(", of which {failed} failed"),
    };
    row(
        "entries",
        Cell::from(format!("{}{failed}", units::count(outcome.entries))),
    );
    row("predictions", Cell::from(units::count(outcome.predictions)));
    if let (Some(first), Some(last)) = (&outcome.first, &outcome.last) {
        row("from", Cell::from(first.clone()));
        row("to", Cell::from(last.clone()));
    }
    row("head", Cell::from(outcome.head.clone()));
    if let Some(after) = outcome.after_head {
        row(
            "since --head",
            Cell::from(format!("{} entries", units::count(after))),
        );
    }
    context.table(&table)
}
