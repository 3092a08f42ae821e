//! What a report says about where it was made.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use locket_report::{Machine, Provenance, SourceModel};

use crate::{
    context::Context,
    facts,
    model::{self, Loaded},
};

/// Today in UTC, as `2026-03-01`.
pub(crate) fn date() -> String {
    let time = time();
    time.split('T').next().unwrap_or(&time).to_owned()
}

/// Now in UTC, as `2026-03-01T09:30:00Z`.
pub(crate) fn time() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let (year, month, day) = civil(i64::try_from(seconds / 86_400).unwrap_or(0));
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar, by counting 400-year cycles of
/// 146 097 days that begin in March, so that leap days come last.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The command as it was typed, without the folder of the program.
pub(crate) fn command_line() -> String {
    let words = std::env::args().enumerate().map(|(at, word)| {
        let name = Path::new(&word)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        if at == 0 { name.unwrap_or(word) } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// This machine. What the system does not tell is left empty.
pub(crate) fn machine() -> Machine {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Machine {
        cpu: facts::processor(),
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        instruction_set: String::new(),
        memory_bytes: facts::memory_bytes(),
        kernel: facts::kernel(),
    }
}

/// What every report says of its run; data and package are for the caller to add.
pub(crate) fn provenance(context: &Context, seed: u64, source: SourceModel) -> Provenance {
    Provenance {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: None,
        date: date(),
        command_line: command_line(),
        machine: Machine {
            instruction_set: context.isa.name().to_owned(),
            ..machine()
        },
        threads: u32::try_from(context.threads).unwrap_or(u32::MAX),
        seed,
        source,
        ..Provenance::default()
    }
}

/// The model that a report is about, as it was read; its parameters and multiply-adds are for the caller to add.
///
/// # Errors
///
/// If it cannot be read again, to be hashed.
pub(crate) fn source_model(path: &Path, loaded: &Loaded) -> Result<SourceModel> {
    let function = loaded.program.main();
    let outputs = function.outputs.iter();
    Ok(SourceModel {
        path: path.display().to_string(),
        hash: hash(path)?,
        format: loaded.format.to_string(),
        file_bytes: loaded.file_bytes,
        inputs: function
            .inputs
            .iter()
            .map(|&id| model::signature(function, id))
            .collect(),
        outputs: outputs
            .map(|output| model::signature(function, output.value))
            .collect(),
        ..SourceModel::default()
    })
}

/// The hash of a file, or of all files of a folder in the order of their names.
///
/// # Errors
///
/// If something cannot be read.
pub(crate) fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    add(path, &mut hasher)?;
    Ok(format!("blake3:{}", hasher.finalize().to_hex()))
}

fn add(path: &Path, hasher: &mut blake3::Hasher) -> Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .with_context(|| format!("reading {}", path.display()))?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add(entry, hasher));
    }
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    hasher.update(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_become_dates() {
        // `date -u -d @$((day * 86400)) +%F`
        for (day, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_778, (2026, 11, 21)),
        ] {
            assert_eq!(civil(day), date, "{day}");
        }
    }
}
