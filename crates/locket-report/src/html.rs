//! The report as one HTML file: no script, nothing fetched, readable offline and on paper.
//!
//! A content security policy in the page forbids every load, so a reviewer need not take that on trust. The theme control
//! is a group of radio buttons that the style sheet reads; the choice lives in the page and nowhere else.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

pub use proof::proof_html;

use crate::evidence::{Evidence, Figure, Kind, Provenance};

mod accuracy;
mod findings;
mod glossary;
mod leakage;
mod matrix;
mod memory;
mod operators;
mod proof;
mod provenance;
mod steps;
mod theme;
mod trade_off;
mod verdict;

pub use leakage::leakage_html;

/// The report as a complete HTML document.
pub fn html(evidence: &Evidence) -> String {
    let title = if evidence.title.is_empty() {
        "Unnamed model"
    } else {
        &evidence.title
    };
    page(&Page {
        title,
        sample_data: evidence.sample_data,
        skip: "Skip to the verdict",
        top: html! {
            (verdict::draw(evidence, title))
            (legend())
        },
        sections: sections(evidence),
        provenance: &evidence.provenance,
    })
}

/// What differs between the documents.
struct Page<'a> {
    title: &'a str,
    sample_data: bool,
    skip: &'a str,
    /// What stands before the contents.
    top: Markup,
    sections: Vec<Section>,
    provenance: &'a Provenance,
}

/// A report of sections.
fn page(content: &Page<'_>) -> String {
    let main = html! {
        (content.top)
        nav aria-label="Contents" {
            ol { @for section in &content.sections { li { a href={ "#" (section.id) } { (section.title) } } } }
        }
        @for section in &content.sections {
            section id=(section.id) {
                h2 { (section.title) }
                (section.body)
            }
        }
    };
    let note = content.sample_data.then(|| {
        html! { p.sample role="note" { strong { "Sample data." } " Every figure in this report is invented to show its form." } }
    });
    let written = format!(
        "Written by Locket {}, {}",
        content.provenance.tool_version, content.provenance.date
    );
    document(
        &format!("{} – Locket report", content.title),
        content.skip,
        note.as_ref(),
        &main,
        &written,
    )
}

/// A page around its main part: the head with the policy that forbids every load, the theme's control, the foot.
fn document(title: &str, skip: &str, note: Option<&Markup>, main: &Markup, written: &str) -> String {
    // Pictures stand in the page itself; nothing else may be loaded.
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(theme::style_sheet())) }
            }
            body {
                a.skip href="#main" { (skip) }
                div.top {
                    @if let Some(note) = note { (note) }
                    (theme::control())
                }
                main id="main" { (main) }
                footer { p { (written) ". This file loads nothing and runs no script." } }
            }
        }
    };
    markup.into_string()
}

/// A part of the report with its place in the contents.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// The sections that the evidence fills, in the order of a reader's questions.
fn sections(evidence: &Evidence) -> Vec<Section> {
    let section = |id, title, body: Option<Markup>| body.map(|body| Section { id, title, body });
    [
        section("steps", "What each step did", steps::draw(evidence)),
        section("latency-section", "Latency", operators::latency(evidence)),
        section("accuracy", "Accuracy", accuracy::certificate(evidence)),
        section("memory-section", "Memory", memory::draw(evidence)),
        section("operators", "Where the time goes", operators::profile(evidence)),
        section("trade-off", "Trade-offs", trade_off::draw(evidence)),
        section("matrix", "Privacy trade-off matrix", matrix::draw(evidence)),
        section(
            "sensitivity",
            "Sensitivity by layer",
            accuracy::sensitivity(evidence),
        ),
        section("diagnostics", "Diagnostics", findings::diagnostics(evidence)),
        section(
            "ways-down",
            crate::prose::ways_down_title(evidence.verdict.as_ref()),
            findings::ways_down(evidence),
        ),
        section(
            "not-measured",
            "What was not measured",
            findings::list(&evidence.not_measured),
        ),
        section("notes", "Notes", findings::list(&evidence.notes)),
        section(
            "provenance",
            "Provenance",
            Some(provenance::draw(
                &evidence.provenance,
                evidence.budgets.device.as_ref(),
            )),
        ),
        section("glossary", "Terms", Some(glossary::draw(&glossary::TERMS))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The marks of the four kinds of figure.
fn legend() -> Markup {
    html! {
        aside.legend aria-label="Marks" {
            @for kind in Kind::ALL {
                span { span.mark.(kind.word()) aria-hidden="true" {} b { (kind.word()) } " " (kind.meaning()) }
            }
        }
    }
}

/// The mark of a kind; a modelled figure also says so in letters.
fn mark(kind: Kind) -> Markup {
    html! {
        span.mark.(kind.word()) title=(kind.word()) {
            @if kind == Kind::Modelled { "modelled" } @else { span.spoken { " " (kind.word()) } }
        }
    }
}

/// A figure with its mark.
fn figure<T>(figure: Figure<T>, text: impl Fn(T) -> String) -> Markup {
    html! { span.figure { (text(figure.value)) (mark(figure.kind)) } }
}

/// A figure with its mark, or a dash.
fn maybe<T>(value: Option<Figure<T>>, text: impl Fn(T) -> String) -> Markup {
    match value {
        Some(value) => figure(value, text),
        None => html! { span.none { (crate::units::NONE) } },
    }
}

/// A table that scrolls sideways on narrow pages, reachable by keyboard.
fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// A horizontal bar behind or below a figure, as decoration: the figure itself is in the text.
fn meter(class: &str, fraction: f64, limit: Option<f64>) -> Markup {
    let part = |value: f64| {
        crate::chart::px(if value.is_finite() {
            value.clamp(0.0, 1.0) * 100.0
        } else {
            0.0
        })
    };
    html! {
        span.meter aria-hidden="true" {
            span.(class) style={ "width:" (part(fraction)) "%" } {}
            @if let Some(limit) = limit { i style={ "left:" (part(limit)) "%" } {} }
        }
    }
}

/// Running text in which a number and its unit stay on one line.
pub(crate) fn prose(text: &str) -> Markup {
    const UNITS: [&str; 12] = [
        "B", "kB", "MB", "GB", "ns", "µs", "ms", "s", "%", "nats", "µJ", "mJ",
    ];
    let mut joined = String::with_capacity(text.len() + 16);
    for (index, word) in text.split(' ').enumerate() {
        let bare = word.trim_end_matches([',', '.', ';', ':', ')']);
        let after_digit = joined.ends_with(|character: char| character.is_ascii_digit());
        if index > 0 {
            joined.push(if after_digit && UNITS.contains(&bare) {
                '\u{a0}'
            } else {
                ' '
            });
        }
        joined.push_str(word);
    }
    joined.render()
}
