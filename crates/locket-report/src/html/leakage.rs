//! The report on leakage: levels, controls, what attacks saw and what they made of it.

use maud::{Markup, Render, html};

use super::{Page, Section, findings, glossary, meter, page, prose, provenance, scrolling};
use crate::chart;
use crate::evidence::{LeakageEvidence, Rate, TapLeakage};
use crate::units;

const TERMS: [glossary::Term; 9] = [
    (
        "Tap",
        "A place in the network whose numbers an attacker is given: a layer's activation, an embedding, an output.",
    ),
    (
        "Level",
        "1 (least leakage) to 5 (most), by the rules in docs/privacy.md, from the worst attack for each figure.",
    ),
    (
        "R²",
        "The share of the pictures' variance that reconstructions explain; 0 is no better than the mean picture, 1 is exact.",
    ),
    (
        "SSIM",
        "Structural similarity (Wang et al. 2004): 11 x 11 Gaussian window, luma; 1 is the same picture.",
    ),
    (
        "Reconstructed",
        "Pictures with SSIM above 0.5 and with more than half of their own variance explained.",
    ),
    (
        "Identified",
        "Pictures that are the nearest of the gallery to their reconstruction, by the cosine about the attacker's mean picture.",
    ),
    ("At most", "The upper end of the two-sided 95 % Wilson interval."),
    (
        "Not saturated",
        "With all of the attacker's pictures, attacks explain more than with half of them: more pictures would leak more.",
    ),
    (
        "dFIL",
        "Fisher information by pixel about the input in a noisy embedding; no unbiased attacker errs less than 1/√dFIL (RMS).",
    ),
];

/// The report on leakage as a complete HTML document.
pub fn leakage_html(evidence: &LeakageEvidence) -> String {
    let title = if evidence.title.is_empty() {
        "Unnamed model"
    } else {
        &evidence.title
    };
    page(&Page {
        title,
        sample_data: false,
        skip: "Skip to the levels",
        top: top(evidence, title),
        sections: sections(evidence),
        provenance: &evidence.provenance,
    })
}

fn sections(evidence: &LeakageEvidence) -> Vec<Section> {
    let section = |id, title, body: Option<Markup>| body.map(|body| Section { id, title, body });
    let mut by_depth = vec![&evidence.identity];
    by_depth.extend(evidence.taps.iter().filter(|tap| tap.form == "float32"));
    [
        section("depth", "Leakage by depth", chart::leakage::draw(&by_depth)),
        section("taps", "What each tap gives away", Some(taps(evidence))),
        section("pictures", "Originals and reconstructions", pictures(evidence)),
        section("attacks", "Every attack", Some(attacks(evidence))),
        section("attributes", "Attributes", attributes(evidence)),
        section("noise", "Noise and its bound", noise(evidence)),
        section(
            "not-measured",
            "What was not measured",
            findings::list(&evidence.not_measured),
        ),
        section(
            "provenance",
            "Provenance",
            Some(provenance::draw(&evidence.provenance, None)),
        ),
        section("glossary", "Terms", Some(glossary::draw(&TERMS))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What leaves the model decides the colour at the top.
fn top(evidence: &LeakageEvidence, title: &str) -> Markup {
    let leaving = || {
        evidence
            .taps
            .iter()
            .filter(|tap| tap.role == "output" || tap.role == "embedding")
    };
    // Of equals the first, which is float32.
    let worst = leaving().rev().max_by_key(|tap| tap.level);
    let all = evidence.taps.iter().map(|tap| tap.level);
    let (least, most) = (all.clone().min().unwrap_or(0), all.max().unwrap_or(0));
    let [height, width, _] = evidence.picture;
    html! {
        header.title {
            p.eyebrow { "Locket leakage report" }
            h1 { (title) }
            p.asked {
                "Attacked: " b { (units::count(evidence.attacked)) " pictures" } " at " (width) " x " (height) " pixels, by attackers with the model and "
                b { (units::count(evidence.auxiliary)) " pictures" } " of their own"
                @if evidence.variants > 1 { ", each in " (evidence.variants) " variants" } "."
            }
        }
        div.verdict.(worst.map_or("free", |tap| class(tap.level))) {
            @match worst {
                Some(tap) => {
                    p.outcome { "Leakage level " (tap.level) " of 5" }
                    p.sentence { "What leaves the model at " code { (tap.name) } " (" (tap.form) "): " (prose(&tap.reason)) "." }
                }
                None => {
                    p.outcome { "Levels " (least) " to " (most) " of 5" }
                    p.sentence { "Only inner layers were tapped." }
                }
            }
            p.headline {
                "At most " (units::percent(worst_rate(evidence, |tap| tap.success))) " of pictures can be reconstructed and "
                (units::percent(worst_rate(evidence, |tap| tap.identification)))
                " identified from what leaves the model, by the attacks named here, at 95 % confidence for each figure."
            }
        }
        div.gauges {
            (control("Control: the input itself", "must be 5", &evidence.identity))
            (control("Control: shuffled pairs", "must be 1", &evidence.shuffled))
        }
    }
}

/// The largest bound among taps that leave the model, or among all if none does.
fn worst_rate(evidence: &LeakageEvidence, of: fn(&TapLeakage) -> Rate) -> f64 {
    let leaving = evidence
        .taps
        .iter()
        .filter(|tap| tap.role != "layer")
        .map(|tap| of(tap).upper);
    let all = evidence.taps.iter().map(|tap| of(tap).upper);
    leaving
        .reduce(f64::max)
        .or_else(|| all.reduce(f64::max))
        .unwrap_or(f64::NAN)
}

fn control(title: &str, must: &str, tap: &TapLeakage) -> Markup {
    html! {
        div.gauge.good {
            h3 { (title) }
            p.value { "level " (tap.level) span.of { (must) } }
            p.reading { "R² " (number(tap.r2)) ", identified " (units::percent(tap.identification.share)) " of a gallery, reconstructed " (units::percent(tap.success.share)) "." }
        }
    }
}

const fn class(level: u8) -> &'static str {
    match level {
        1 | 2 => "good",
        3 => "warn",
        _ => "bad",
    }
}

fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.3}").replace('-', "−")
    } else {
        units::NONE.to_owned()
    }
}

fn badge(level: u8) -> Markup {
    html! { span.badge.(class(level)) { "level " (level) } }
}

fn rate(rate: Rate) -> Markup {
    html! {
        td.number { (units::percent(rate.share)) }
        td.number { span.none { (units::percent(rate.upper)) } (meter("within", rate.upper, None)) }
    }
}

fn taps(evidence: &LeakageEvidence) -> Markup {
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Tap" } th scope="col" { "form" } th scope="col" { "level" }
                    @for title in ["R²", "identified", "at most", "reconstructed", "at most"] { th.number scope="col" { (title) } }
                    th scope="col" { "strongest attack" }
                }
            }
            tbody {
                @for tap in &evidence.taps {
                    tr {
                        th scope="row" {
                            @if tap.form == "float32" { (tap.name) span.recipe { (tap.role) ", " (tap.operator) " " (shape(tap)) } }
                            @else { span.recipe { (tap.name) } }
                        }
                        td { (tap.form) }
                        td { (badge(tap.level)) }
                        td.number { (number(tap.r2)) (meter("within", tap.r2, None)) }
                        (rate(tap.identification))
                        (rate(tap.success))
                        td { (tap.strongest) @if !tap.saturated { span.recipe { "not saturated" } } }
                    }
                }
            }
        }
    };
    html! {
        p.reading {
            "Each figure is that of the attack that does best on it. Levels follow published rules: 5 where half of the pictures are "
            "identified or reconstructed or R² is at least 0.9, 1 where nothing is above ten times chance, 1 % or R² 0.1. "
            "A gallery holds " (units::count(evidence.gallery)) " pictures; guessing identifies one."
        }
        (scrolling("What each tap gives away", &table))
    }
}

fn shape(tap: &TapLeakage) -> String {
    let sides: Vec<String> = tap.shape.iter().map(u64::to_string).collect();
    sides.join(" x ")
}

/// The same pictures as they were and as the strongest attack on each tap makes them.
fn pictures(evidence: &LeakageEvidence) -> Option<Markup> {
    if evidence.originals.is_empty() {
        return None;
    }
    let strips = [&evidence.identity, &evidence.shuffled]
        .into_iter()
        .chain(&evidence.taps);
    Some(html! {
        p.reading { "The first pictures attacked, above, and what the strongest attack makes of each tap." }
        div.strips {
            figure.strip { (picture("The originals", &evidence.originals)) figcaption { b { "originals" } } }
            @for tap in strips.filter(|tap| !tap.examples.is_empty()) {
                figure.strip {
                    (picture(&format!("Reconstructions from {}, {}", tap.name, tap.form), &tap.examples))
                    figcaption {
                        (tap.name) @if tap.form != "float32" { ", " (tap.form) } " " (badge(tap.level)) " R² " (number(tap.r2)) ", " (tap.strongest)
                    }
                }
            }
        }
    })
}

fn picture(description: &str, file: &[u8]) -> Markup {
    html! { img alt=(description) src=(Data(file)); }
}

/// A PNG file as the address of a picture that stands in the page.
struct Data<'a>(&'a [u8]);

impl Render for Data<'_> {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str("data:image/png;base64,");
        base64(self.0, buffer);
    }
}

/// Base64 as RFC 4648 section 4 has it.
fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let known = digit <= group.len();
            let value = (bits >> (18 - 6 * digit)) & 63;
            out.push(if known {
                char::from(DIGITS[value as usize])
            } else {
                '='
            });
        }
    }
}

fn attacks(evidence: &LeakageEvidence) -> Markup {
    let all = [&evidence.identity, &evidence.shuffled]
        .into_iter()
        .chain(&evidence.taps);
    let table = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Tap and attack" }
                    @for title in ["R²", "mean SSIM", "identified", "reconstructed"] { th.number scope="col" { (title) } }
                }
            }
            tbody {
                @for tap in all {
                    tr { th scope="rowgroup" colspan="5" { b { (tap.name) } ", " (tap.form) ": " (tap.reason) span.recipe { (curve(tap)) } } }
                    @for attack in &tap.attacks {
                        tr {
                            th scope="row" { span.recipe { (attack.attack) } }
                            td.number { (number(attack.r2)) }
                            td.number { (number(attack.ssim)) }
                            td.number { (units::count(attack.identification.count)) " of " (units::count(attack.identification.of)) }
                            td.number { (units::count(attack.success.count)) " of " (units::count(attack.success.of)) }
                        }
                    }
                }
            }
        }
    };
    html! { details { summary { "Scores of the ladder, and learning curves" } (scrolling("Every attack", &table)) } }
}

/// The learning curve in one line.
fn curve(tap: &TapLeakage) -> String {
    let points: Vec<String> = tap
        .curve
        .iter()
        .map(|point| {
            format!(
                "{} pictures: R² {}",
                units::count(point.auxiliary),
                number(point.r2)
            )
        })
        .collect();
    let end = if tap.saturated {
        "saturated"
    } else {
        "not saturated"
    };
    format!(
        "{} numbers seen{}; A1 to A3 with {}; {end}",
        units::count(tap.features),
        if tap.exact {
            ""
        } else {
            " after averaging or projection"
        },
        points.join(", ")
    )
}

fn attributes(evidence: &LeakageEvidence) -> Option<Markup> {
    let known: Vec<_> = evidence
        .taps
        .iter()
        .filter_map(|tap| Some((tap, tap.attribute?)))
        .collect();
    let (_, first) = known.first()?;
    let table = html! {
        table.data {
            thead { tr { th scope="col" { "Tap" } th scope="col" { "form" } @for title in ["class told", "at most", "guessing"] { th.number scope="col" { (title) } } } }
            tbody {
                @for (tap, attribute) in &known {
                    tr {
                        th scope="row" { (tap.name) }
                        td { (tap.form) }
                        (rate(attribute.right))
                        td.number { (units::percent(attribute.chance)) }
                    }
                }
            }
        }
    };
    Some(html! {
        p.reading {
            "Which of " (units::count(first.classes)) " classes a picture has, as logistic regression tells from the tap (A6). It stands beside "
            "the level and does not enter it: an output is meant to tell the class."
        }
        (scrolling("Attributes", &table))
    })
}

fn noise(evidence: &LeakageEvidence) -> Option<Markup> {
    let known: Vec<_> = evidence
        .taps
        .iter()
        .filter_map(|tap| Some((tap, tap.noise?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    let table = html! {
        table.data {
            thead { tr { th scope="col" { "Tap" } @for title in ["noise σ", "dFIL, estimated", "least RMS error, grey levels", "level by attacks"] { th.number scope="col" { (title) } } } }
            tbody {
                @for (tap, noise) in &known {
                    tr {
                        th scope="row" { (tap.name) }
                        td.number { (units::significant(noise.sigma)) }
                        td.number { (format!("{:.3e}", noise.dfil_estimate)) }
                        td.number { (units::significant(noise.rmse_bound_estimate * 255.0)) }
                        td.number { (tap.level) }
                    }
                }
            }
        }
    };
    Some(html! {
        p.reading { "The bound holds for every unbiased attacker, whatever their attack; it rests on an estimate of the Fisher information." }
        (scrolling("Noise and its bound", &table))
    })
}

#[cfg(test)]
mod tests {
    use super::base64;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = String::new();
            base64(plain.as_bytes(), &mut out);
            assert_eq!(out, coded);
        }
    }
}
