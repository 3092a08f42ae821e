//! An Apple privacy manifest against what was measured: which of its keys the counts contradict, and which they say nothing of.

use serde::{Deserialize, Serialize};

use super::{Claim, Escape, Fate, Proof};
use crate::units;

/// What a privacy manifest says, and what else is known of the interfaces that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The file, as the user named it.
    pub file: String,
    /// `NSPrivacyTracking`.
    pub tracking: bool,
    /// `NSPrivacyTrackingDomains`.
    pub tracking_domains: Vec<String>,
    /// `NSPrivacyCollectedDataTypes`, their names.
    pub collected: Vec<String>,
    /// `NSPrivacyAccessedAPITypes`, their categories.
    pub accessed: Vec<String>,
    /// What the program imports of each category; one for each of [`CATEGORIES`].
    pub imports: Vec<CategoryImports>,
}

/// Functions of a category that the program takes from shared libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryImports {
    /// The category's name in a manifest.
    pub category: String,
    /// Those that were found.
    pub found: Vec<String>,
}

/// Interfaces for which Apple asks for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its name in a manifest.
    pub name: &'static str,
    /// Functions that belong to it: those that Apple lists, and under which names Linux has them.
    pub functions: &'static [&'static str],
    /// Named attempts that use it, as family and name.
    attempts: &'static [(&'static str, &'static str)],
    /// Why nothing is measured where neither an attempt nor an import tells.
    otherwise: &'static str,
}

/// Apple's categories (Describing use of required reason API).
pub const CATEGORIES: [Category; 5] = [
    Category {
        name: "NSPrivacyAccessedAPICategoryFileTimestamp",
        functions: &[
            "stat",
            "stat64",
            "fstat",
            "fstat64",
            "lstat",
            "lstat64",
            "fstatat",
            "fstatat64",
            "statx",
            "getattrlist",
            "getattrlistbulk",
            "fgetattrlist",
            "getattrlistat",
        ],
        attempts: &[("files", "size"), ("files", "statx")],
        otherwise: "no attempt at it could be made here",
    },
    Category {
        name: "NSPrivacyAccessedAPICategorySystemBootTime",
        functions: &["mach_absolute_time", "sysinfo"],
        attempts: &[],
        otherwise: "no wall keeps a worker from clocks that count from the start of the system",
    },
    Category {
        name: "NSPrivacyAccessedAPICategoryDiskSpace",
        functions: &[
            "statfs",
            "statfs64",
            "fstatfs",
            "fstatfs64",
            "statvfs",
            "statvfs64",
            "fstatvfs",
            "fstatvfs64",
        ],
        attempts: &[("files", "file-system")],
        otherwise: "no attempt at it could be made here",
    },
    Category {
        name: "NSPrivacyAccessedAPICategoryActiveKeyboards",
        functions: &["OBJC_CLASS_$_UITextInputMode"],
        attempts: &[],
        otherwise: "this system has no such interface",
    },
    Category {
        name: "NSPrivacyAccessedAPICategoryUserDefaults",
        functions: &["OBJC_CLASS_$_NSUserDefaults"],
        attempts: &[],
        otherwise: "this system has no such interface",
    },
];

/// What measurement says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Nothing that was measured speaks against it.
    Agrees,
    /// It is not so.
    Contradicted,
    /// Nothing that was measured has to do with it.
    NotMeasured,
}

/// A key of a manifest, or a category of its interfaces, with what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManifestLine {
    /// The key or category.
    pub key: &'static str,
    /// What the manifest says.
    pub says: String,
    /// What was measured, or why nothing was.
    pub measured: String,
    /// What follows.
    pub judgement: Judgement,
}

impl Proof {
    /// The manifest key by key; empty if none was given.
    pub fn manifest_lines(&self) -> Vec<ManifestLine> {
        let Some(manifest) = &self.manifest else {
            return Vec::new();
        };
        let mut lines = vec![
            tracking(self, manifest),
            domains(self, manifest),
            collected(self, manifest),
        ];
        lines.extend(CATEGORIES.iter().map(|known| category(self, manifest, known)));
        lines
    }

    /// That nothing of the manifest is contradicted; none without a manifest.
    pub(super) fn manifest_claim(&self) -> Option<Claim> {
        let manifest = self.manifest.as_ref()?;
        let lines = self.manifest_lines();
        let count = |judgement| lines.iter().filter(|line| line.judgement == judgement).count();
        let against: Vec<String> = lines
            .iter()
            .filter(|line| line.judgement == Judgement::Contradicted)
            .map(|line| format!("{} says {}, but {}", line.key, line.says, line.measured))
            .collect();
        let agree = count(Judgement::Agrees);
        Some(Claim {
            user: String::new(),
            what: "the privacy manifest is not contradicted",
            demanded: format!("no key of {}", manifest.file),
            found: if against.is_empty() {
                let open = count(Judgement::NotMeasured);
                format!("{agree} of {} keys agree, {open} not measured", lines.len())
            } else {
                against.join("; ")
            },
            holds: against.is_empty() && agree > 0,
        })
    }
}

/// Something that got out, over all runs: by named attempts, by random ones, by mistakes.
struct Escaped {
    named: u64,
    network: u64,
    drawn: u64,
    trials: u64,
}

fn escaped(proof: &Proof) -> Escaped {
    let named = |family: Option<&str>| -> u64 {
        let rows = |escape: &Escape| {
            let rows = escape.testable().filter(|row| {
                family.is_none_or(|family| row.family == family)
                    && fates(escape, row).any(|fate| fate == Fate::Reached)
            });
            rows.count() as u64
        };
        proof.runs.iter().map(|run| rows(&run.escape)).sum()
    };
    let sum = |of: fn(&super::ProofRun) -> u64| proof.runs.iter().map(of).sum();
    Escaped {
        named: named(None),
        network: named(Some("network")),
        drawn: sum(|run| run.hostile.hits + run.accidents.hits),
        trials: sum(|run| run.hostile.trials + run.accidents.trials),
    }
}

/// What became of an attempt wherever all layers were up.
fn fates<'a>(escape: &'a Escape, row: &'a super::EscapeRow) -> impl Iterator<Item = Fate> + 'a {
    let columns = escape.columns.iter().zip(&row.outcomes);
    columns
        .filter(|(column, _)| column.whole)
        .map(|(_, outcome)| outcome.fate)
}

fn judge(contradicted: bool) -> Judgement {
    if contradicted {
        Judgement::Contradicted
    } else {
        Judgement::Agrees
    }
}

fn hits(escaped: &Escaped) -> String {
    format!(
        "{} named attempts got out; {} hits in {} drawn trials",
        escaped.named,
        escaped.drawn,
        units::count(escaped.trials)
    )
}

fn network(proof: &Proof) -> String {
    match proof.imports.found.as_slice() {
        [] => "no network function is imported".to_owned(),
        found => format!("the program imports {}", found.join(", ")),
    }
}

const NOTHING_RUN: &str = "nothing was run";

fn tracking(proof: &Proof, manifest: &Manifest) -> ManifestLine {
    let escaped = escaped(proof);
    let gets_out = escaped.named + escaped.drawn > 0 || !proof.imports.found.is_empty();
    let (measured, judgement) = match (proof.runs.is_empty(), manifest.tracking) {
        (true, _) => (NOTHING_RUN.to_owned(), Judgement::NotMeasured),
        (false, tracking) => (
            format!("{}; {}", hits(&escaped), network(proof)),
            judge(gets_out && !tracking),
        ),
    };
    ManifestLine {
        key: "NSPrivacyTracking",
        says: manifest.tracking.to_string(),
        measured,
        judgement,
    }
}

fn domains(proof: &Proof, manifest: &Manifest) -> ManifestLine {
    let escaped = escaped(proof);
    let reaches = escaped.network > 0 || !proof.imports.found.is_empty();
    let (measured, judgement) = match (proof.runs.is_empty(), manifest.tracking_domains.is_empty()) {
        (true, _) => (NOTHING_RUN.to_owned(), Judgement::NotMeasured),
        (false, true) => (
            format!("{} network attempts got out; {}", escaped.network, network(proof)),
            judge(reaches),
        ),
        (false, false) => (
            "which domains are reached is seen in an app only".to_owned(),
            Judgement::NotMeasured,
        ),
    };
    ManifestLine {
        key: "NSPrivacyTrackingDomains",
        says: list(&manifest.tracking_domains),
        measured,
        judgement,
    }
}

fn collected(proof: &Proof, manifest: &Manifest) -> ManifestLine {
    let escaped = escaped(proof);
    let (measured, judgement) = if proof.runs.is_empty() {
        (NOTHING_RUN.to_owned(), Judgement::NotMeasured)
    } else {
        let gets_out = escaped.named + escaped.drawn > 0;
        (hits(&escaped), judge(gets_out && manifest.collected.is_empty()))
    };
    ManifestLine {
        key: "NSPrivacyCollectedDataTypes",
        says: list(&manifest.collected),
        measured,
        judgement,
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn category(proof: &Proof, manifest: &Manifest, known: &Category) -> ManifestLine {
    let declared = manifest.accessed.iter().any(|name| name == known.name);
    let imports = manifest
        .imports
        .iter()
        .find(|imports| imports.category == known.name);
    let imported = imports.map_or(&[] as &[String], |imports| imports.found.as_slice());
    let (mut refused, mut reached) = (0_u64, 0_u64);
    for run in &proof.runs {
        let of_category =
            |row: &&super::EscapeRow| known.attempts.contains(&(row.family.as_str(), row.name.as_str()));
        for row in run.escape.testable().filter(of_category) {
            let mut fates = fates(&run.escape, row).peekable();
            let tried = fates.peek().is_some();
            match fates.fold(Fate::Blocked, worse) {
                Fate::Reached => reached += 1,
                Fate::Blocked if tried => refused += 1,
                _ => {}
            }
        }
    }
    let names = match imported {
        [] => "nothing of it is imported".to_owned(),
        names => format!("the program imports {}", names.join(", ")),
    };
    let (measured, judgement) = if reached > 0 {
        (
            format!("{reached} attempts at it in the worker got through; {names}"),
            judge(!declared),
        )
    } else if refused > 0 {
        (
            format!("the worker is refused it in all of {refused} attempts; {names}"),
            Judgement::Agrees,
        )
    } else if !imported.is_empty() {
        (
            format!("{names}, and nothing shows that the worker is refused it"),
            judge(!declared),
        )
    } else {
        (known.otherwise.to_owned(), Judgement::NotMeasured)
    };
    ManifestLine {
        key: known.name,
        says: if declared { "used" } else { "not used" }.to_owned(),
        measured,
        judgement,
    }
}

/// What got through counts before what was not tried, and that before what was refused.
fn worse(one: Fate, other: Fate) -> Fate {
    match (one, other) {
        (Fate::Reached, _) | (_, Fate::Reached) => Fate::Reached,
        (Fate::Untried, _) | (_, Fate::Untried) => Fate::Untried,
        (Fate::Blocked, Fate::Blocked) => Fate::Blocked,
    }
}
