//! The claims as a table and as JSON.

use locket_report::{
    proof::{Claim, Judgement, ManifestLine, Proof},
    table::{Cell, Column, Table, Tone},
    units,
};
use serde::Serialize;

use crate::context::Context;

/// What `--json` prints: the proof with its judgement.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    holds: bool,
    claims: Vec<Judged>,
    /// The privacy manifest key by key; empty if none was given.
    manifest: Vec<ManifestLine>,
    proof: &'a Proof,
}

#[derive(Serialize)]
struct Judged {
    user: String,
    claim: &'static str,
    demanded: String,
    found: String,
    holds: bool,
}

impl<'a> Outcome<'a> {
    pub(super) fn of(proof: &'a Proof) -> Self {
        let judged = |claim: Claim| Judged {
            user: claim.user,
            claim: claim.what,
            demanded: claim.demanded,
            found: claim.found,
            holds: claim.holds,
        };
        Self {
            holds: proof.holds(),
            claims: proof.claims().into_iter().map(judged).collect(),
            manifest: proof.manifest_lines(),
            proof,
        }
    }
}

/// Two tables: what is claimed, and what stays open.
pub(super) fn text(proof: &Proof, context: &Context) -> String {
    let mut claims = Table::new([
        Column::left("as"),
        Column::left("claim"),
        Column::left("found"),
        Column::left(""),
    ]);
    for claim in proof.claims() {
        let (word, tone) = if claim.holds {
            ("holds", Tone::Good)
        } else {
            ("fails", Tone::Bad)
        };
        claims.row([
            Cell::from(claim.user),
            Cell::from(claim.what),
            Cell::from(claim.found),
            Cell::new(word, tone),
        ]);
    }
    let mut channels = Table::new([
        Column::left("as"),
        Column::left("what stays open"),
        Column::right("bit/s"),
        Column::right("wrong"),
        Column::left("setting"),
    ]);
    for run in &proof.runs {
        for channel in &run.covert {
            channels.row([
                run.user.clone(),
                channel.name.clone(),
                units::significant(channel.bits_per_second),
                units::percent(channel.error_rate),
                channel.setting.clone(),
            ]);
        }
    }
    let manifest = match proof.manifest {
        Some(_) => format!("\n{}", context.table(&manifest(proof))),
        None => String::new(),
    };
    let verdict = if proof.holds() {
        "every claim holds, for what was tried here: a bound is one for trials like those that were drawn"
    } else {
        "not every claim holds"
    };
    format!(
        "{}\n{}{manifest}\n{verdict}\n",
        context.table(&claims),
        context.table(&channels)
    )
}

fn manifest(proof: &Proof) -> Table {
    let mut table = Table::new([
        Column::left("privacy manifest"),
        Column::left("says"),
        Column::left("measured"),
        Column::left(""),
    ]);
    for line in proof.manifest_lines() {
        let (word, tone) = match line.judgement {
            Judgement::Agrees => ("agrees", Tone::Good),
            Judgement::Contradicted => ("contradicted", Tone::Bad),
            Judgement::NotMeasured => ("not measured", Tone::Faint),
        };
        table.row([
            Cell::from(line.key),
            Cell::from(line.says),
            Cell::from(line.measured),
            Cell::new(word, tone),
        ]);
    }
    table
}
