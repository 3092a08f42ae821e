//! Accuracy: the certificate, and the sensitivity of each layer as a heat table.

use maud::{Markup, html};

use super::{prose, scrolling};
use crate::chart::{self, px};
use crate::evidence::{Evidence, LayerSensitivity, Sensitivity};
use crate::{prose as words, table, units};

/// Layers shown before the rest is folded away.
const SHOWN: usize = 16;

/// The certificate; `None` if there is none.
pub(super) fn certificate(evidence: &Evidence) -> Option<Markup> {
    let certificate = evidence.certificate.as_ref()?;
    let rows = [
        ("samples", units::count(certificate.samples)),
        ("right before, wrong after", units::count(certificate.lost)),
        ("wrong before, right after", units::count(certificate.gained)),
        (
            "disagreement",
            certificate
                .disagreement()
                .map_or(units::NONE.to_owned(), units::percent),
        ),
        ("observed drop", units::percent(certificate.drop)),
        ("upper 95 % bound", units::percent(certificate.upper_bound)),
        ("allowed drop", units::percent_limit(certificate.max_drop)),
        (
            "samples missing",
            certificate
                .missing_samples
                .map_or(units::NONE.to_owned(), units::count),
        ),
    ];
    let (class, word) = if certificate.certified {
        ("good", "certified")
    } else {
        ("warn", "not certified")
    };
    Some(html! {
        p { span.badge.(class) { (word) } " " (prose(&words::certificate_sentence(certificate))) }
        (chart::interval::draw(certificate))
        dl.pairs { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
        p.reading {
            "Data: " (certificate.data_set) "."
            @if !certificate.method.is_empty() { " Method: " (certificate.method) "." }
        }
    })
}

/// The heat table; `None` without layers.
pub(super) fn sensitivity(evidence: &Evidence) -> Option<Markup> {
    let sensitivity = evidence
        .sensitivity
        .as_ref()
        .filter(|sensitivity| !sensitivity.layers.is_empty())?;
    let greatest = |layer: &&LayerSensitivity| finite(layer).fold(0.0, f64::max);
    let mut worst: Vec<&LayerSensitivity> = sensitivity.layers.iter().collect();
    worst.sort_by(|left, right| greatest(right).total_cmp(&greatest(left)));
    let (shown, rest) = worst.split_at(worst.len().min(SHOWN));
    Some(html! {
        p {
            "Divergence of the output, in nats, when that layer alone is compressed with that option: the mean over "
            (units::count(sensitivity.samples)) " samples, most sensitive layer first."
        }
        (scrolling("Sensitivity by layer", &heat_table(sensitivity, shown)))
        p.reading {
            "The stronger the colour, the worse, on a logarithmic scale. The outlined cell is the option that was chosen; a row without one stays as it was. "
            "Single-layer divergences nearly add up, which is what the search relies on."
        }
        @if !rest.is_empty() {
            details {
                summary { "Show the other " (rest.len()) " layers" }
                (scrolling("Sensitivity of the other layers", &heat_table(sensitivity, rest)))
            }
        }
    })
}

fn finite(layer: &LayerSensitivity) -> impl Iterator<Item = f64> {
    layer
        .divergence_nats
        .iter()
        .copied()
        .filter(|value| value.is_finite() && *value > 0.0)
}

fn heat_table(sensitivity: &Sensitivity, layers: &[&LayerSensitivity]) -> Markup {
    let values = || sensitivity.layers.iter().flat_map(finite);
    let low = values().fold(f64::INFINITY, f64::min);
    let prefix = table::shared_prefix(sensitivity.layers.iter().map(|layer| layer.layer.as_str()));
    let high = values().fold(0.0, f64::max);
    html! {
        table.data.heat {
            thead {
                tr { th scope="col" { "Layer" } @for option in &sensitivity.options { th.number scope="col" { (option) } } }
            }
            tbody {
                @for layer in layers {
                    tr {
                        th scope="row" title=(layer.layer) { (table::short_name(&layer.layer, prefix, 44)) }
                        @for index in 0..sensitivity.options.len() {
                            @let value = layer.divergence_nats.get(index).copied().unwrap_or(f64::NAN);
                            td.number.chosen[layer.chosen == Some(index)] style={ "--heat:" (px(heat(value, low, high))) "%" } {
                                (divergence(value))
                                @if layer.chosen == Some(index) { span.spoken { " chosen" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The strength of a cell's colour in percent; at most 55, so that the text on it stays readable.
fn heat(value: f64, low: f64, high: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 0.0;
    }
    let span = (high / low).ln();
    if span > 0.0 {
        ((value / low).ln() / span * 55.0).clamp(2.0, 55.0)
    } else {
        20.0
    }
}

/// A divergence with two significant digits, small ones with an exponent.
fn divergence(value: f64) -> String {
    match value {
        _ if !value.is_finite() => units::NONE.to_owned(),
        _ if value.abs() < 1e-12 => "0".to_owned(),
        _ if value.abs() < 0.001 => format!("{value:.1e}").replace("e-", "e−"),
        ..0.01 => format!("{value:.4}"),
        ..0.1 => format!("{value:.3}"),
        _ => format!("{value:.2}"),
    }
}
