//! `locket verify`: whether a model is what somebody signed.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use super::sign::place;
use crate::{
    context::Context,
    signature::{self, Entries},
};

/// Checks that a model's files are those that were signed with a key: none changed, missing or added
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket verify model.mlpackage --key their.key.pub")]
pub(crate) struct Options {
    /// The file or folder that was signed
    model: PathBuf,
    /// The public key of who signed it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The signature; beside the model, with .locket-sig at its end, if not given
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

#[derive(Serialize)]
struct Difference {
    file: String,
    what: &'static str,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    public_key: String,
    files: usize,
    bytes: u64,
    as_signed: bool,
    differences: Vec<Difference>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let key = signature::public_key(&options.key)?;
    let path = options.signature.clone().unwrap_or_else(|| place(&options.model));
    let text = signature::read(&path)?;
    let signed = signature::signed_entries(&text, &key).with_context(|| path.display().to_string())?;
    let found = signature::entries(&options.model)?;
    let differences = differences(&signed, &found);
    let outcome = Outcome {
        model: options.model.display().to_string(),
        public_key: signature::hex(key.as_bytes()),
        files: found.len(),
        bytes: found.values().map(|entry| entry.bytes).sum(),
        as_signed: differences.is_empty(),
        differences,
    };
    if context.json {
        context.print_json(&outcome)?;
    } else if outcome.as_signed {
        let (files, bytes) = (outcome.files, units::bytes(outcome.bytes));
        context.print(&format!(
            "{}: {files} files, {bytes}, as signed with {}\n",
            outcome.model, outcome.public_key
        ))?;
    } else {
        let mut table = Table::new([Column::left("file"), Column::left("")]);
        for difference in &outcome.differences {
            table.row([
                Cell::from(difference.file.clone()),
                Cell::new(difference.what, Tone::Bad),
            ]);
        }
        context.print(&context.table(&table))?;
    }
    Ok(u8::from(!outcome.as_signed))
}

fn differences(signed: &Entries, found: &Entries) -> Vec<Difference> {
    let difference = |file: &String, what| Difference {
        file: file.clone(),
        what,
    };
    let gone = signed.iter().filter_map(|(file, entry)| match found.get(file) {
        None => Some(difference(file, "missing")),
        Some(other) if other != entry => Some(difference(file, "changed")),
        Some(_) => None,
    });
    let added = found
        .keys()
        .filter(|file| !signed.contains_key(*file))
        .map(|file| difference(file, "added"));
    gone.chain(added).collect()
}
