//! The privacy trade-off matrix: picture, table with raw values beside scores, rules, and how far the ranking stands.

use maud::{Markup, html};

use super::{figure, prose, scrolling};
use crate::chart;
use crate::evidence::{Evidence, TradeOffLeakage, TradeOffRow};
use crate::prose as words;
use crate::units;

/// Picture, table and rules; `None` without a matrix.
pub(super) fn draw(evidence: &Evidence) -> Option<Markup> {
    let matrix = evidence
        .matrix
        .as_ref()
        .filter(|matrix| !matrix.rows.is_empty())?;
    let measured = matrix.rows.iter().any(|row| row.privacy.is_some());
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Variant" }
                    @for title in ["accuracy", "p99", "peak", "energy", "resources"] { th.number scope="col" { (title) } }
                    th scope="col" { "privacy" }
                    th.number scope="col" { "product" }
                }
            }
            tbody { @for row in &matrix.rows { (line(row)) } }
        }
    };
    Some(html! {
        @if !measured {
            p.reading { "Privacy was not measured: " code { "optimize --leakage" } " does, for each variant. Without it there is no product." }
        }
        @if let Some(picture) = chart::matrix::draw(matrix) { (picture) }
        (scrolling("Privacy trade-off matrix", &table))
        @if let Some(stability) = &matrix.stability { p.reading { (prose(&words::stability_sentence(stability))) } }
        details {
            summary { "How scores are made" }
            ul.sentences { @for rule in &matrix.rules { li { (prose(rule)) } } }
        }
    })
}

fn line(row: &TradeOffRow) -> Markup {
    html! {
        tr.packaged[row.chosen] {
            th scope="row" {
                (row.name)
                @if row.chosen { " " span.badge.good { "packaged" } }
                @if row.on_front { " " span.badge.plain { "front" } }
            }
            td.number { b { (row.accuracy) } span.recipe { "drop " (figure(row.drop, units::percent)) } }
            td.number { (figure(row.latency_ms, units::milliseconds)) }
            td.number { (figure(row.peak_bytes, units::bytes)) }
            td.number.modelled-cell { (figure(row.energy_uj, units::microjoules)) }
            td.number { b { (row.resources) } span.recipe { (row.bottleneck) ": " (load(row.load)) } }
            td.leaks {
                @match (row.privacy, &row.leakage) {
                    (Some(score), Some(leakage)) => { b { (score) } span.recipe { (prose(&leaks(leakage))) } },
                    _ => span.none { "not measured" },
                }
            }
            td.number { @match row.product { Some(product) => b { (product) }, None => span.none { (units::NONE) } } }
        }
    }
}

fn leaks(leakage: &TradeOffLeakage) -> String {
    format!(
        "level {} of leakage at {}: R²\u{a0}{}, identified at most {}, reconstructed at most {}",
        leakage.level,
        leakage.tap,
        share(leakage.r2),
        units::percent(leakage.identification.upper),
        units::percent(leakage.success.upper)
    )
}

fn load(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.2}")
    } else {
        units::NONE.to_owned()
    }
}

fn share(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.3}").replace('-', "−")
    } else {
        units::NONE.to_owned()
    }
}
