//! The page of a proof: claims first, then what each rests on, then what stays open.

use maud::{Markup, html};

use super::{Section, document, prose, scrolling};
use crate::{
    proof::{
        Accidents, Claim, CovertChannel, Escape, Fate, Hostile, Judgement, Proof, ProofRun, Residue, Walls,
    },
    units,
};

/// The proof as a complete HTML document.
pub fn proof_html(proof: &Proof) -> String {
    let claims = proof.claims();
    let sections = sections(proof);
    let main = html! {
        header.title {
            p.eyebrow { "Locket evidence" }
            h1 { "What leaves the worker" }
            p.asked { "Model " b { (proof.model) } ", " (proof.pictures) "; run as " (users(proof)) "." }
        }
        (verdict(proof, &claims))
        (claim_table(&claims))
        nav aria-label="Contents" {
            ol { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } }
        }
        @for section in &sections {
            section id=(section.id) { h2 { (section.title) } (section.body) }
        }
    };
    let written = format!("Written by Locket {}, {}", proof.tool_version, proof.date);
    document("Locket proof", "Skip to the claims", None, &main, &written)
}

fn users(proof: &Proof) -> String {
    let users: Vec<&str> = proof.runs.iter().map(|run| run.user.as_str()).collect();
    users.join(" and as ")
}

fn verdict(proof: &Proof, claims: &[Claim]) -> Markup {
    let failed = claims.iter().filter(|claim| !claim.holds).count();
    let holds = proof.holds();
    html! {
        div.verdict.(if holds { "good" } else { "bad" }) {
            p.outcome {
                @if holds { "Every claim holds" }
                @else if failed == 0 { "Nothing was run" }
                @else { (failed) " of " (claims.len()) " claims fail" }
            }
            p.sentence { (prose(SCOPE)) }
        }
    }
}

const SCOPE: &str = "Counts of what was tried on this machine, with this kernel. A bound holds for trials like those that were drawn, \
                     not for an attacker who chooses; what no wall stops is listed and measured below.";

fn claim_table(claims: &[Claim]) -> Markup {
    let table = html! {
        table.data {
            thead { tr { @for title in ["Claim", "as", "demanded", "found", ""] { th scope="col" { (title) } } } }
            tbody {
                @for claim in claims {
                    tr {
                        th scope="row" { (crate::prose::capitalise(claim.what)) }
                        td { (claim.user) }
                        td { (prose(&claim.demanded)) }
                        td { (prose(&claim.found)) }
                        td { (badge(claim.holds, "holds", "fails")) }
                    }
                }
            }
        }
    };
    scrolling("Claims", &table)
}

fn badge(good: bool, yes: &str, no: &str) -> Markup {
    html! { @if good { span.badge.good { (yes) } } @else { span.badge.bad { (no) } } }
}

fn sections(proof: &Proof) -> Vec<Section> {
    let each = |draw: &dyn Fn(&ProofRun) -> Markup| {
        html! {
            @for run in &proof.runs {
                @if proof.runs.len() > 1 { h3 { "As " (run.user) } }
                (draw(run))
            }
        }
    };
    let with_residue = proof.runs.iter().any(|run| run.residue.is_some());
    let section = |id, title, body: Option<Markup>| body.map(|body| Section { id, title, body });
    [
        section(
            "escape",
            "Named attempts against each layer",
            Some(each(&|run| escape(&run.escape))),
        ),
        section(
            "accidents",
            "Mistakes in the worker's own work",
            Some(html! { (mistakes_lead(proof)) (each(&|run| accidents(&run.accidents))) }),
        ),
        section(
            "hostile",
            "Random hostile workers",
            Some(each(&|run| hostile(&run.hostile))),
        ),
        section(
            "residue",
            "What is left of a picture",
            with_residue.then(|| {
                each(&|run| {
                    run.residue
                        .as_ref()
                        .map_or_else(|| html! { p { "Not looked for." } }, residue)
                })
            }),
        ),
        section("policy", "The policy", Some(policy(proof))),
        section("imports", "What the program imports", Some(imports(proof))),
        section("manifest", "The privacy manifest", manifest(proof)),
        section(
            "open",
            "What stays open",
            Some(open(proof, &each(&|run| covert(&run.covert)))),
        ),
        section(
            "not-measured",
            "What was not measured",
            super::findings::list(&proof.not_measured),
        ),
        section("provenance", "Provenance", Some(provenance(proof))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn escape(escape: &Escape) -> Markup {
    let mut families: Vec<&str> = escape.rows.iter().map(|row| row.family.as_str()).collect();
    families.dedup();
    let (blocked, testable) = escape.blocked();
    html! {
        p {
            (units::count(escape.rows.len() as u64)) " attempts, of which " (testable) " get out where there is no layer; of these "
            (blocked) " are blocked by all layers together"
            @if escape.columns.iter().any(|column| !column.whole) { ", and " (escape.by_two()) " by two or more layers, each alone" }
            "."
        }
        @for family in families {
            details {
                summary { (family) ": " (escape.rows.iter().filter(|row| row.family == family).count()) " attempts" }
                (walls_table(escape, family))
            }
        }
    }
}

fn walls_table(escape: &Escape, family: &str) -> Markup {
    let table = html! {
        table.data.walls {
            thead {
                tr {
                    th scope="col" { "Attempt" }
                    @for column in &escape.columns { th scope="col" { (column.name) } }
                    th.number scope="col" { "layers" }
                }
            }
            tbody {
                @for row in escape.rows.iter().filter(|row| row.family == family) {
                    tr {
                        th scope="row" { (row.name) span.reason { (row.what) } }
                        @if let Some(why) = &row.not_testable {
                            td.none colspan=(escape.columns.len() + 1) { "not testable here: " (why) }
                        } @else {
                            @for (column, outcome) in escape.columns.iter().zip(&row.outcomes) {
                                td title=(outcome.how) { (fate(outcome.fate, column.whole)) }
                            }
                            td.number { (row.walls) }
                        }
                    }
                }
            }
        }
    };
    scrolling(&format!("Attempts on {family}"), &table)
}

/// A layer that lets by what it is not for is no failure; all of them together are.
fn fate(fate: Fate, whole: bool) -> Markup {
    match fate {
        Fate::Blocked => html! { span.badge.good { "stops" } },
        Fate::Reached if whole => html! { span.badge.bad { "got out" } },
        Fate::Reached => html! { span.none { "lets by" } },
        Fate::Untried => html! { span.none { "untried" } },
    }
}

fn mistakes_lead(proof: &Proof) -> Markup {
    let stages = proof
        .runs
        .first()
        .map(|run| run.accidents.stages.join(", "))
        .unwrap_or_default();
    html! {
        p {
            "The whole work on a picture in a locked worker (" (stages) "), with one mistake, or none, at one of these stages, all drawn at \
             random. Every mistake was first made at every stage without a layer, where a canary must see it. Half of the trials run as in \
             the product, where the first forbidden call kills; in the others it fails and the work goes on."
        }
    }
}

fn accidents(accidents: &Accidents) -> Markup {
    let stages = accidents.stages.len() as u64;
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Mistake" }
                    @for title in ["seen without layers", "trials", "worker killed", "answered all the same", "hits"] {
                        th.number scope="col" { (title) }
                    }
                }
            }
            tbody {
                @for mistake in &accidents.mistakes {
                    tr {
                        th scope="row" { (mistake.name) span.reason { (mistake.what) } }
                        td.number { (mistake.controls) " of " (stages) @if mistake.controls < stages { br; "not testable here" } }
                        @for number in [mistake.trials, mistake.killed, mistake.answered] { td.number { (units::count(number)) } }
                        td.number { @if mistake.hits == 0 { "0" } @else { span.badge.bad { (mistake.hits) } } }
                    }
                }
            }
        }
    };
    html! {
        p {
            (units::count(accidents.trials)) " trials, " (accidents.hits) " hits: the chance of one is at most "
            (units::chance(accidents.upper_bound)) ". The worker was killed in " (units::count(accidents.killed)) ", ended otherwise in "
            (units::count(accidents.failed)) ", and answered in " (units::count(accidents.answered.0)) ", rightly in "
            (units::count(accidents.answered.1)) "."
        }
        (scrolling("Mistakes", &table))
    }
}

fn hostile(hostile: &Hostile) -> Markup {
    html! {
        p {
            (units::count(hostile.trials)) " locked processes made " (units::count(hostile.calls))
            " random system calls and named attempts: " (hostile.hits) " hits, the chance of one is at most "
            (units::chance(hostile.upper_bound)) ". " (units::count(hostile.ended)) " of them crashed, were killed, or hung. Of "
            (hostile.controls.1) " attempts without any layer, made to try the canaries, " (hostile.controls.0) " were seen."
        }
    }
}

fn residue(residue: &Residue) -> Markup {
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Place" }
                    @for title in ["looked through", "windows found", "found when kept on purpose"] { th.number scope="col" { (title) } }
                }
            }
            tbody {
                @for place in &residue.places {
                    tr {
                        th scope="row" { (place.name) span.reason { (place.what) } }
                        td.number { (units::bytes(place.scanned_bytes)) }
                        td.number { @if place.found == 0 { "0" } @else { span.badge.bad { (units::count(place.found)) } } }
                        td.number { (units::count(place.control)) }
                    }
                }
            }
        }
    };
    html! {
        p {
            "After each of " (units::count(residue.pictures)) " requests everything writable was searched for "
            (units::count(residue.windows)) " windows of eight bytes in all: of the file as it is sent, of the pixels, and of the model's input."
        }
        (scrolling("Residue", &table))
    }
}

fn policy(proof: &Proof) -> Markup {
    html! {
        p { "Compiled in: " code { (proof.policy_hash) } }
        @for run in &proof.runs { p { "Running as " (run.user) ": " code { (run.walls.policy_hash) } } (walls(&run.walls)) }
        details { summary { "The policy's text, which the hash is of" } pre.command { code { (proof.policy_text) } } }
    }
}

fn walls(walls: &Walls) -> Markup {
    let table = html! {
        table.data {
            thead { tr { @for title in ["Layer", "", "What the kernel said"] { th scope="col" { (title) } } } }
            tbody {
                @for layer in &walls.layers {
                    tr {
                        th scope="row" { (layer.name) }
                        td { (badge(layer.status == "enforced", "enforced", &layer.status)) }
                        td { (layer.detail) }
                    }
                }
            }
        }
    };
    scrolling("Layers", &table)
}

fn imports(proof: &Proof) -> Markup {
    let imports = &proof.imports;
    html! {
        p { (units::count(imports.all)) " functions and variables come from shared libraries. Looked for: " (imports.looked_for.join(", ")) "." }
        @if imports.found.is_empty() { p { "None of these is among them." } }
        @else { p { "Found: " b { (imports.found.join(", ")) } "." } }
    }
}

/// The manifest key by key; `None` if none was given.
fn manifest(proof: &Proof) -> Option<Markup> {
    let manifest = proof.manifest.as_ref()?;
    let table = html! {
        table.data {
            thead { tr { @for title in ["Key", "says", "measured", ""] { th scope="col" { (title) } } } }
            tbody {
                @for line in proof.manifest_lines() {
                    tr {
                        th scope="row" { (line.key) }
                        td { (line.says) }
                        td { (prose(&line.measured)) }
                        td {
                            @match line.judgement {
                                Judgement::Agrees => span.badge.good { "agrees" },
                                Judgement::Contradicted => span.badge.bad { "contradicted" },
                                Judgement::NotMeasured => span.none { "not measured" },
                            }
                        }
                    }
                }
            }
        }
    };
    Some(html! {
        p {
            code { (manifest.file) } " against the counts above. They are of the worker after it was locked: what an app around it does \
            is not seen here. A key that says more than was seen is not contradicted."
        }
        (scrolling("Privacy manifest", &table))
    })
}

fn open(proof: &Proof, channels: &Markup) -> Markup {
    html! {
        @if let Some(list) = super::findings::list(&proof.open) { (list) }
        (channels)
        p.reading {
            "Measured with a worker that sends a known message under all layers and a receiver that decodes it. The codes are plain; a \
             cleverer one may carry more."
        }
    }
}

fn covert(channels: &[CovertChannel]) -> Markup {
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Channel" }
                    @for title in ["symbols/s", "bits each", "decoded wrongly", "bit/s"] { th.number scope="col" { (title) } }
                }
            }
            tbody {
                @for channel in channels {
                    tr {
                        th scope="row" { (channel.name) span.reason { (channel.what) "; " (channel.setting) } }
                        td.number { (units::significant(channel.symbols_per_second)) }
                        td.number { (units::significant(channel.bits_per_symbol)) }
                        td.number { (units::percent(channel.error_rate)) " of " (units::count(channel.symbols)) }
                        td.number { (units::significant(channel.bits_per_second)) }
                    }
                }
            }
        }
    };
    scrolling("Channels that stay open", &table)
}

fn provenance(proof: &Proof) -> Markup {
    let machine = &proof.machine;
    let seconds: f64 = proof.runs.iter().map(|run| run.seconds).sum();
    let rows = [
        ("processor", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("kernel", machine.kernel.clone()),
        ("tool", format!("Locket {}", proof.tool_version)),
        ("date", proof.date.clone()),
        ("seed", proof.seed.to_string()),
        ("confidence", units::percent_limit(proof.confidence)),
        ("time", format!("{} s", units::significant(seconds))),
    ];
    html! {
        dl.pairs { @for (name, value) in &rows { @if !value.is_empty() { div { dt { (name) } dd { (value) } } } } }
        @if !proof.command_line.is_empty() { pre.command { code { (proof.command_line) } } }
    }
}
