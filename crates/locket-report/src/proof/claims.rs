//! What is claimed, what it demands, what was found, and whether it holds.

use super::{Accidents, Escape, Hostile, Proof, ProofRun, Residue};
use crate::units;

/// Least share of the attempts that two layers must stop, each alone.
const BY_TWO: f64 = 0.8;

/// A claim that was judged on counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The user of the run; empty for what does not depend on one.
    pub user: String,
    /// What is claimed.
    pub what: &'static str,
    /// What that demands.
    pub demanded: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Proof {
    /// Every claim with its judgement.
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self.runs.iter().flat_map(|run| self.of_run(run)).collect();
        let imports = &self.imports;
        claims.push(Claim {
            user: String::new(),
            what: "the program imports no network function",
            demanded: format!("0 of {} names", imports.looked_for.len()),
            found: match (imports.all, imports.found.as_slice()) {
                (0, _) => "nothing is imported at all: linked statically".to_owned(),
                (all, []) => format!("0, among {} imports", units::count(all)),
                (_, found) => found.join(", "),
            },
            holds: imports.all > 0 && imports.found.is_empty() && !imports.looked_for.is_empty(),
        });
        claims.extend(self.manifest_claim());
        claims
    }

    /// True if there is a run and every claim holds.
    pub fn holds(&self) -> bool {
        !self.runs.is_empty() && self.claims().iter().all(|claim| claim.holds)
    }

    fn of_run(&self, run: &ProofRun) -> Vec<Claim> {
        let mut claims = vec![blocked(&run.escape)];
        // Without a column for each layer nothing is known of single ones.
        if run.escape.columns.iter().any(|column| !column.whole) {
            claims.push(by_two(&run.escape));
        }
        claims.push(hostile(&run.hostile, self.confidence));
        claims.push(accidents(&run.accidents, self.confidence));
        claims.extend(run.residue.as_ref().map(residue));
        claims.push(Claim {
            user: String::new(),
            what: "the running worker has the policy that is compiled in",
            demanded: short(&self.policy_hash).to_owned(),
            found: short(&run.walls.policy_hash).to_owned(),
            holds: !self.policy_hash.is_empty() && run.walls.policy_hash == self.policy_hash,
        });
        for claim in &mut claims {
            claim.user.clone_from(&run.user);
        }
        claims
    }
}

fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

fn claim(what: &'static str, demanded: impl Into<String>, found: String, holds: bool) -> Claim {
    Claim {
        user: String::new(),
        what,
        demanded: demanded.into(),
        found,
        holds,
    }
}

fn blocked(escape: &Escape) -> Claim {
    let (blocked, testable) = escape.blocked();
    let aside = escape.rows.len() as u64 - testable;
    claim(
        "named attempts are blocked",
        "all that get out without layers",
        format!("{blocked} of {testable}; {aside} not testable here"),
        testable > 0 && blocked == testable,
    )
}

fn by_two(escape: &Escape) -> Claim {
    let (two, testable) = (escape.by_two(), escape.testable().count() as u64);
    let share = two as f64 / testable.max(1) as f64;
    claim(
        "attempts are stopped by two layers or more, each alone",
        format!("at least {}", units::percent_limit(BY_TWO)),
        format!("{two} of {testable}, {}", units::percent(share)),
        testable > 0 && share >= BY_TWO,
    )
}

fn bound(chance: f64, confidence: f64) -> String {
    format!(
        "chance at most {} at {}",
        units::chance(chance),
        units::percent_limit(confidence)
    )
}

fn hostile(hostile: &Hostile, confidence: f64) -> Claim {
    let (seen, made) = hostile.controls;
    claim(
        "random hostile workers reach nothing",
        "0 hits, every control seen",
        format!(
            "{} in {} trials, {}; controls {seen} of {made}",
            hostile.hits,
            units::count(hostile.trials),
            bound(hostile.upper_bound, confidence)
        ),
        hostile.trials > 0 && hostile.hits == 0 && made > 0 && seen == made,
    )
}

fn accidents(accidents: &Accidents, confidence: f64) -> Claim {
    let stages = accidents.stages.len() as u64;
    let (seen, made) = (
        accidents
            .mistakes
            .iter()
            .filter(|mistake| mistake.controls == stages)
            .count(),
        accidents.mistakes.len(),
    );
    let (clean, right) = accidents.clean;
    claim(
        "mistakes in the worker's own work upload nothing",
        "0 hits, pictures without a mistake answered",
        format!(
            "{} in {} trials, {}; {seen} of {made} mistakes testable; {right} of {clean} answered",
            accidents.hits,
            units::count(accidents.trials),
            bound(accidents.upper_bound, confidence)
        ),
        accidents.trials > 0
            && accidents.hits == 0
            && seen > 0
            && clean > 0
            && right == clean
            && accidents
                .mistakes
                .iter()
                .all(|mistake| mistake.trials == 0 || mistake.controls == stages),
    )
}

fn residue(residue: &Residue) -> Claim {
    let found: u64 = residue.places.iter().map(|place| place.found).sum();
    let controls = residue.places.iter().all(|place| place.control > 0);
    claim(
        "nothing of a picture is left after its request",
        "0 windows, what is kept on purpose found",
        format!(
            "{found} in {} pictures of {} windows; controls {}",
            units::count(residue.pictures),
            units::count(residue.windows),
            if controls { "found" } else { "not all found" }
        ),
        residue.pictures > 0 && residue.windows > 0 && found == 0 && controls && !residue.places.is_empty(),
    )
}
