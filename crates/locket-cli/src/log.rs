//! A local log of what ran, never of what it ran on: one JSON object a line, chained by hashes.
//!
//! ```text
//! {"previous":HASH,"time":…,"command":…,"model":…,…,"hash":HASH}
//! ```
//!
//! `hash` is BLAKE3 of the line's bytes with the member `hash` left out, `previous` is the `hash` of the line before it, or zeros. So no byte
//! of a line can be changed, and no line taken away, added or moved, without a line that does not fit; but whoever may write the file can
//! make a whole new one, and lines missing at the end are seen only by one who knows the last hash.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::surroundings;

/// Longest line: entries have some hundred bytes.
const MOST_LINE_BYTES: usize = 16 << 10;
/// What stands before the hash at the end of a line, and after it.
const BEFORE_HASH: &str = ",\"hash\":\"";
const AFTER_HASH: &str = "\"}";
const HASH_CHARACTERS: usize = 64;

/// The option of commands that predict.
#[derive(Debug, clap::Args)]
pub(crate) struct LogOptions {
    /// Appends to this log that the model ran: time, model's hash, isolation, count and outcome, nothing of inputs or outputs
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// What a log says of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The hash of the entry before it, or zeros.
    previous: String,
    /// When it began, in UTC.
    pub(crate) time: String,
    /// The command's name.
    pub(crate) command: String,
    /// Hash of the model's files.
    pub(crate) model: String,
    /// `in-process` or `worker`.
    pub(crate) isolation: String,
    /// Hash of the worker's policy; none in process.
    pub(crate) policy: Option<String>,
    /// The memory budget in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// The latency budget in milliseconds.
    pub(crate) latency_ms: Option<f64>,
    /// Predictions that were made.
    pub(crate) predictions: u64,
    /// Whether the command came to its end.
    pub(crate) outcome: RunOutcome,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunOutcome {
    /// As it should.
    Done,
    /// With an error, which is not written down: it could hold content.
    #[default]
    Failed,
}

/// A run that will be written down, as failed if it is dropped before [`Ran::done`].
#[derive(Debug)]
pub(crate) struct Ran {
    /// What will be written.
    pub(crate) entry: Entry,
    log: Option<PathBuf>,
}

impl LogOptions {
    /// Begins a run in this process, before anything is predicted: a run that cannot be written down does not happen.
    ///
    /// # Errors
    ///
    /// If the log cannot be opened or its last entry is no entry, or the model cannot be read.
    pub(crate) fn begin(&self, command: &str, model: &Path) -> Result<Ran> {
        let mut entry = Entry {
            command: command.to_owned(),
            isolation: "in-process".to_owned(),
            ..Entry::default()
        };
        if let Some(log) = &self.log {
            entry.time = surroundings::time();
            entry.model = surroundings::hash(model)?;
            Tail::open(log)?;
        }
        Ok(Ran {
            entry,
            log: self.log.clone(),
        })
    }
}

impl Ran {
    /// Writes down that the run came to its end.
    ///
    /// # Errors
    ///
    /// If the log cannot be written.
    pub(crate) fn done(mut self, predictions: u64) -> Result<()> {
        self.entry.predictions = predictions;
        self.entry.outcome = RunOutcome::Done;
        match self.log.take() {
            Some(log) => append(&log, &self.entry).map(drop),
            None => Ok(()),
        }
    }
}

impl Drop for Ran {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            // The command tells its own error, which came first.
            let _ = append(&log, &self.entry);
        }
    }
}

/// The end of a log, which nobody else can append to while this lives.
struct Tail {
    file: File,
    /// The hash of the last entry, or zeros.
    head: String,
}

impl Tail {
    fn open(path: &Path) -> Result<Self> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        // What ran is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let context = || path.display().to_string();
        let mut file = options.open(path).with_context(context)?;
        file.lock().with_context(context)?;
        let length = file.seek(SeekFrom::End(0)).with_context(context)?;
        let tail = length.min(MOST_LINE_BYTES as u64 + 1);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(length - tail))
            .and_then(|_| (&file).take(tail).read_to_end(&mut bytes))
            .with_context(context)?;
        let head = match bytes.split_last() {
            None => zeros(),
            Some((b'\n', lines)) => {
                let start = lines
                    .iter()
                    .rposition(|&byte| byte == b'\n')
                    .map_or(0, |at| at + 1);
                let (_, hash) = read_line(&lines[start..])
                    .with_context(|| format!("{}: the last line", path.display()))?;
                hash
            }
            Some(_) => bail!(
                "{}: the last line has no end: a process ended while it wrote; take the line away to go on",
                path.display()
            ),
        };
        Ok(Self { file, head })
    }
}

/// Appends an entry and gives its hash.
fn append(path: &Path, entry: &Entry) -> Result<String> {
    let mut tail = Tail::open(path)?;
    let entry = Entry {
        previous: std::mem::take(&mut tail.head),
        ..entry.clone()
    };
    let (line, hash) = line(&entry)?;
    tail.file
        .write_all(line.as_bytes())
        .and_then(|()| tail.file.sync_data())
        .with_context(|| path.display().to_string())?;
    Ok(hash)
}

fn zeros() -> String {
    "0".repeat(HASH_CHARACTERS)
}

/// An entry as its line, and its hash.
fn line(entry: &Entry) -> Result<(String, String)> {
    let body = serde_json::to_string(entry)?;
    let hash = blake3::hash(body.as_bytes()).to_hex().to_string();
    let open = body.strip_suffix('}').context("an entry is a JSON object")?;
    Ok((format!("{open}{BEFORE_HASH}{hash}{AFTER_HASH}\n"), hash))
}

/// Reads a line without its end: the entry and its hash.
fn read_line(line: &[u8]) -> Result<(Entry, String)> {
    let parts = std::str::from_utf8(line).ok().and_then(|line| {
        let line = line.strip_suffix(AFTER_HASH)?;
        let (open, hash) = line.split_at_checked(line.len().checked_sub(HASH_CHARACTERS)?)?;
        Some((open.strip_suffix(BEFORE_HASH)?, hash))
    });
    let (open, hash) = parts.context("expected an entry with its hash, found something else")?;
    let body = format!("{open}}}");
    if blake3::hash(body.as_bytes()).to_hex().as_str() != hash {
        bail!("the entry is not what its hash is of: it was changed");
    }
    let entry = serde_json::from_str(&body).context("expected an entry")?;
    Ok((entry, hash.to_owned()))
}

/// What a log holds, as far as it fits.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Entries that fit.
    pub(crate) entries: u64,
    /// The first and the last of them.
    pub(crate) first: Option<Entry>,
    /// See `first`.
    pub(crate) last: Option<Entry>,
    /// The hash of the last of them, or zeros.
    pub(crate) head: String,
    /// Predictions of all of them.
    pub(crate) predictions: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// The number of the first line that does not fit, from 1, and why.
    pub(crate) broken: Option<(u64, String)>,
    /// How many entries stand after the one with the hash that was looked for, if there is one.
    pub(crate) after_known: Option<u64>,
}

/// Checks a log from its beginning, up to the first line that does not fit. `known` is a hash that an entry is to have.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn check(path: &Path, known: Option<&str>) -> Result<Checked> {
    let context = || path.display().to_string();
    let file = File::open(path).with_context(context)?;
    // Nobody is in the middle of a line while this reads.
    file.lock_shared().with_context(context)?;
    let mut reader = BufReader::new(file);
    let mut checked = Checked {
        head: zeros(),
        ..Checked::default()
    };
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let limit = MOST_LINE_BYTES as u64 + 1;
        let length = reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut bytes)
            .with_context(context)?;
        if length == 0 {
            return Ok(checked);
        }
        if let Err(why) = checked.add(&bytes, known) {
            checked.broken = Some((checked.entries + 1, why));
            return Ok(checked);
        }
    }
}

impl Checked {
    /// Takes the next line, with its end, or says why it does not fit.
    fn add(&mut self, line: &[u8], known: Option<&str>) -> Result<(), String> {
        let Some((b'\n', line)) = line.split_last() else {
            return Err(if line.len() > MOST_LINE_BYTES {
                format!("expected at most {MOST_LINE_BYTES} bytes, found more")
            } else {
                "it has no end: a process ended while it wrote, or the file was cut".to_owned()
            });
        };
        let (entry, hash) = read_line(line).map_err(|error| crate::errors::chain(&error))?;
        if entry.previous != self.head {
            return Err(format!(
                "it follows an entry with the hash {}, found one with {}: lines were taken away, added or moved",
                entry.previous, self.head
            ));
        }
        self.after_known = match self.after_known {
            Some(after) => Some(after + 1),
            None if known == Some(hash.as_str()) => Some(0),
            None => None,
        };
        self.entries += 1;
        self.predictions += entry.predictions;
        self.failed += u64::from(entry.outcome == RunOutcome::Failed);
        self.head = hash;
        self.first.get_or_insert_with(|| entry.clone());
        self.last = Some(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
