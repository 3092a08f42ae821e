//! The evidence that nothing leaves: what was tried against the boundary of the worker, and what came of it.
//!
//! Counts are raw; what is claimed from them is judged here ([`Proof::claims`]), so that no document can say more than its counts. Every
//! run is of one user, because root and an ordinary user have different walls to begin with.

mod claims;
mod manifest;

use serde::{Deserialize, Serialize};

pub use claims::Claim;
pub use manifest::{CATEGORIES, Category, CategoryImports, Judgement, Manifest, ManifestLine};

use crate::evidence::{Machine, Schema};

/// Everything one proof says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The version of this form.
    pub schema: Schema,
    /// Version of the tool.
    pub tool_version: String,
    /// Date of the run.
    pub date: String,
    /// The command as it was typed.
    pub command_line: String,
    /// Where it ran.
    pub machine: Machine,
    /// The model in the worker, as the user named it.
    pub model: String,
    /// Which pictures, and how many.
    pub pictures: String,
    /// Confidence of every bound, for example 0.99.
    pub confidence: f64,
    /// Where random numbers began.
    pub seed: u64,
    /// The policy in words, one line for each layer and each allowed call.
    pub policy_text: String,
    /// Hash of the policy that is compiled in.
    pub policy_hash: String,
    /// What the program imports.
    pub imports: Imports,
    /// The privacy manifest that is held against the counts, if one was given.
    #[serde(default)]
    pub manifest: Option<Manifest>,
    /// One for each user.
    pub runs: Vec<ProofRun>,
    /// What no wall stops, in words, one sentence each.
    pub open: Vec<String>,
    /// What was not run or could not be, one sentence each.
    #[serde(default)]
    pub not_measured: Vec<String>,
}

/// Functions that the program takes from shared libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imports {
    /// How many; 0 shows nothing, because a program that is linked statically imports none.
    pub all: u64,
    /// Names that were looked for: those that open, accept or name a connection.
    pub looked_for: Vec<String>,
    /// Those that were found.
    pub found: Vec<String>,
}

/// What was found as one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProofRun {
    /// `root` or the user's number.
    pub user: String,
    /// Named attempts against layers.
    pub escape: Escape,
    /// Random hostile trials.
    pub hostile: Hostile,
    /// The whole work on pictures, with mistakes.
    pub accidents: Accidents,
    /// What is left of pictures, if it was looked for.
    #[serde(default)]
    pub residue: Option<Residue>,
    /// What a running worker says of its walls.
    pub walls: Walls,
    /// What no wall stops, measured.
    pub covert: Vec<CovertChannel>,
    /// How long all of it took.
    pub seconds: f64,
}

/// Named attempts to get something out, against layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escape {
    /// What each column stands for.
    pub columns: Vec<EscapeColumn>,
    /// One for each attempt.
    pub rows: Vec<EscapeRow>,
}

/// A set of layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscapeColumn {
    /// The layer's name, `all` or `product`.
    pub name: String,
    /// True if all layers are up.
    pub whole: bool,
}

/// An attempt and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscapeRow {
    /// What it is about.
    pub family: String,
    /// Unique in the family.
    pub name: String,
    /// One sentence.
    pub what: String,
    /// Why it counts for nothing here: its control did not arrive where there was no layer.
    #[serde(default)]
    pub not_testable: Option<String>,
    /// In the order of the columns; empty if it is not testable.
    pub outcomes: Vec<EscapeOutcome>,
    /// How many single layers stop it, each alone.
    pub walls: u64,
}

/// What became of an attempt under a set of layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscapeOutcome {
    /// Whether it arrived.
    pub fate: Fate,
    /// How it failed, in the system's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
}

/// Whether an attempt arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It did not.
    Blocked,
    /// It did.
    Reached,
    /// It could not be tried.
    #[default]
    Untried,
}

/// Random system calls and attempts from locked workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hostile {
    /// How many trials.
    pub trials: u64,
    /// In how many something arrived.
    pub hits: u64,
    /// System calls and attempts made.
    pub calls: u64,
    /// Trials whose process crashed, was killed, or hung.
    pub ended: u64,
    /// Controls that the canaries saw, and how many were made.
    pub controls: (u64, u64),
    /// Upper bound of the chance of a hit.
    pub upper_bound: f64,
}

/// The whole work on pictures in a locked worker that makes mistakes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accidents {
    /// How many trials.
    pub trials: u64,
    /// In how many something arrived.
    pub hits: u64,
    /// Trials in which the worker was killed for a forbidden call.
    pub killed: u64,
    /// Trials in which it ended otherwise.
    pub failed: u64,
    /// Trials that were answered, and how many rightly.
    pub answered: (u64, u64),
    /// Trials without a mistake, and how many of these were answered rightly.
    pub clean: (u64, u64),
    /// Stages of the work at which mistakes were made.
    pub stages: Vec<String>,
    /// One for each mistake.
    pub mistakes: Vec<MistakeRow>,
    /// Upper bound of the chance of a hit.
    pub upper_bound: f64,
}

/// A mistake and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MistakeRow {
    /// Short and unique.
    pub name: String,
    /// One sentence.
    pub what: String,
    /// At how many of the stages it reached a canary where there was no layer.
    pub controls: u64,
    /// Trials with it; none if a control failed.
    pub trials: u64,
    /// Of these, how many reached a canary.
    pub hits: u64,
    /// Of these, how many ended with the worker killed.
    pub killed: u64,
    /// Of these, how many were answered all the same.
    pub answered: u64,
}

/// Places in memory and files that still hold eight bytes of a picture after its request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residue {
    /// How many pictures.
    pub pictures: u64,
    /// Eight-byte windows that were looked for, of all pictures together: of the file, the pixels, and the model's input.
    pub windows: u64,
    /// Where was looked.
    pub places: Vec<ResiduePlace>,
}

/// One place that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResiduePlace {
    /// `worker`, `broker` or `files`.
    pub name: String,
    /// What of it was looked at.
    pub what: String,
    /// Bytes that were looked at, of all pictures together.
    pub scanned_bytes: u64,
    /// Windows found after requests.
    pub found: u64,
    /// Windows found when the content was kept on purpose: must not be 0.
    pub control: u64,
}

/// What a running worker says of its walls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Hash of the policy that it runs.
    pub policy_hash: String,
    /// Each layer, `enforced` or why not, and what the kernel said.
    pub layers: Vec<WallRow>,
}

/// A layer in a running worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallRow {
    /// Its name.
    pub name: String,
    /// `enforced`, or why it is missing.
    pub status: String,
    /// What the kernel said.
    pub detail: String,
}

/// A way to signal that no wall stops, measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CovertChannel {
    /// Short and unique.
    pub name: String,
    /// Who sends what to whom.
    pub what: String,
    /// The setting that carried most.
    pub setting: String,
    /// Symbols that were decoded.
    pub symbols: u64,
    /// Symbols in a second.
    pub symbols_per_second: f64,
    /// Bits of a symbol.
    pub bits_per_symbol: f64,
    /// Share of symbols that were decoded wrongly.
    pub error_rate: f64,
    /// Information in a second.
    pub bits_per_second: f64,
}

impl Proof {
    /// The proof as pretty JSON, ending in a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data with string keys serialises");
        text.push('\n');
        text
    }
}

impl ProofRun {
    /// One run as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data with string keys serialises")
    }

    /// Reads what [`ProofRun::to_json`] wrote; none if the text is anything else.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Escape {
    /// The rows whose control arrived.
    pub fn testable(&self) -> impl Iterator<Item = &EscapeRow> {
        self.rows.iter().filter(|row| row.not_testable.is_none())
    }

    /// Testable attempts that are blocked wherever all layers are up, and all testable ones.
    pub fn blocked(&self) -> (u64, u64) {
        let blocked = |row: &&EscapeRow| {
            let mut whole = self
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.whole)
                .peekable();
            whole.peek().is_some()
                && whole.all(|(at, _)| {
                    row.outcomes
                        .get(at)
                        .is_some_and(|outcome| outcome.fate == Fate::Blocked)
                })
        };
        (
            self.testable().filter(blocked).count() as u64,
            self.testable().count() as u64,
        )
    }

    /// Testable attempts that at least two layers stop, each alone.
    pub fn by_two(&self) -> u64 {
        self.testable().filter(|row| row.walls >= 2).count() as u64
    }
}
