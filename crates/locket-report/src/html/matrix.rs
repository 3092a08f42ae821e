//! The privacy trade-off matrix: picture, table with raw values beside scores, rules, and how far the ranking stands.

use maud::{Markup, html};

use super::{figure, prose, scrolling};
use crate::chart;
use crate::evidence::{Evidence, TradeOffRow};
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
                    th.number scope="col" { "drop" } th.number scope="col" { "accuracy" }
                    th.number scope="col" { "p99" } th.number scope="col" { "peak" } th.number scope="col" { "resources" }
                    th scope="col" { "leakage" } th.number scope="col" { "privacy" }
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
            td.number { (figure(row.drop, units::percent)) }
            td.number { b { (row.accuracy) } }
            td.number { (figure(row.latency_ms, units::milliseconds)) }
            td.number { (figure(row.peak_bytes, units::bytes)) }
            td.number { b { (row.resources) } span.recipe { (row.bottleneck) ": " (load(row.load)) } }
            td.leaks {
                @match &row.leakage {
                    Some(leakage) => {
                        "level " (leakage.level)
                        span.recipe {
                            (leakage.tap) ": R² " (share(leakage.r2)) ", identified at most " (units::percent(leakage.identification.upper))
                            ", reconstructed at most " (units::percent(leakage.success.upper))
                        }
                    }
                    None => span.none { "not measured" },
                }
            }
            td.number { @match row.privacy { Some(score) => b { (score) }, None => span.none { (units::NONE) } } }
            td.number { @match row.product { Some(product) => b { (product) }, None => span.none { (units::NONE) } } }
        }
    }
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
