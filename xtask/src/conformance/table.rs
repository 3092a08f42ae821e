//! Options of the command, and its result as a page.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::Row;
use crate::ground;

/// What the command was asked for.
pub(super) struct Options {
    pub(super) kit: PathBuf,
    pub(super) locket: Option<PathBuf>,
    date: String,
    output: PathBuf,
}

impl Options {
    pub(super) fn parse(root: &Path, arguments: &[&str]) -> Result<Self> {
        const USAGE: &str = "usage: cargo xtask conformance --date YYYY-MM-DD [--kit DIR] [--locket PROGRAM] [--output FILE.md]";
        let mut options = Self {
            kit: ground::kit(root),
            locket: None,
            date: String::new(),
            output: root.join("docs").join("conformance.md"),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = *rest.next().with_context(|| USAGE.to_owned())?;
            match *name {
                "--date" => options.date = value.to_owned(),
                "--kit" => options.kit = value.into(),
                "--locket" => options.locket = Some(value.into()),
                "--output" => options.output = value.into(),
                _ => bail!("{USAGE}"),
            }
        }
        if options.date.is_empty() {
            bail!("{USAGE}");
        }
        Ok(options)
    }
}

/// Says how far the run is.
pub(super) fn say(row: &Row) -> Result<()> {
    let mut err = io::stderr().lock();
    writeln!(
        err,
        "{:<40} {:<16} {}",
        row.model,
        row.form,
        cells(row)[3..].join("  ")
    )?;
    Ok(())
}

/// Writes the page.
pub(super) fn write(options: &Options, rows: &[Row], checked: bool) -> Result<()> {
    let mut text = String::from(
        "# Conformance\n\n\
         Models of other people, run by `locket` from their own files, and again from the Core ML packages that `locket convert`\n\
         writes of them, against the outputs that other runtimes gave. The models, data and stored outputs are a test kit that\n\
         is not part of this repository.\n\n\
         | model | form | against | largest difference / range | at most | same top-1 | two conversions | independent checker | verdict |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    let _ = write!(
        text,
        "\nBounds: largest difference at most 1e-4 of the range in float32. In float16 4 / 2048 for each layer with weights: a weight\n\
         rounded to float16 moves by at most 1 / 2048 of itself, so a layer's result by at most that part of the sum of the magnitudes of\n\
         its terms, which is taken to be 4 times the range, and layers add up. Same top-1 on at least 99.9 % of the dev samples in\n\
         float32 and 98 % in float16; the oracle's scores of photos are stored in float16, and where two classes tie there, either is the\n\
         same answer (counted as *tied*). The difference is taken on the stored run where there is one, else on the whole dev set.\n\n\
         - Date: {}\n- Machine: {}\n- Command: `cargo xtask conformance --date {}`{}\n",
        options.date,
        ground::machine(),
        options.date,
        if checked {
            ", with `LOCKET_CT_PYTHON` naming a Python that has coremltools"
        } else {
            "; packages were not shown to the independent checker (`LOCKET_CT_PYTHON` was not set)"
        },
    );
    ground::write_page(&options.output, &text)
}

fn cells(row: &Row) -> Vec<String> {
    let none = || "–".to_owned();
    let word = |value: Option<bool>, good: &str, bad: &str| {
        value.map_or_else(none, |ok| (if ok { good } else { bad }).to_owned())
    };
    let verdict = if row.failures.is_empty() {
        "ok".to_owned()
    } else {
        format!("**{}**", row.failures.join("; "))
    };
    vec![
        row.model.clone(),
        row.form.to_owned(),
        row.against.to_owned(),
        row.parity.map_or_else(none, |value| format!("{value:.1e}")),
        format!("{:.1e}", row.bound),
        row.same.map_or_else(none, |found| {
            let ties = match found.tied {
                0 => String::new(),
                tied => format!(", {tied} tied"),
            };
            let share = 100.0 * found.same as f64 / found.rows.max(1) as f64;
            format!("{} of {} ({share:.2} %{ties})", found.same, found.rows)
        }),
        word(row.identical, "identical", "differ"),
        word(row.checked, "passed", "failed"),
        verdict,
    ]
}
