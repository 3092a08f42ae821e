//! Diagnostics grouped by code, the ways down, what was not measured, and notes.

use maud::{Markup, html};

use super::{mark, prose, scrolling};
use crate::evidence::{Diagnostic, Evidence, Severity, WayDown};
use crate::units;

/// Operators shown for one code before the rest is folded away.
const SHOWN: usize = 6;

/// The diagnostics, most serious code first; `None` if there are none.
pub(super) fn diagnostics(evidence: &Evidence) -> Option<Markup> {
    let groups = by_code(&evidence.diagnostics);
    (!groups.is_empty()).then(|| {
        html! {
            p { (summary(&evidence.diagnostics)) }
            @for group in &groups { (diagnostic_group(group)) }
        }
    })
}

fn by_code(diagnostics: &[Diagnostic]) -> Vec<Vec<&Diagnostic>> {
    let mut order: Vec<&Diagnostic> = diagnostics.iter().collect();
    order.sort_by(|left, right| (left.severity, &left.code).cmp(&(right.severity, &right.code)));
    order
        .chunk_by(|left, right| left.code == right.code && left.severity == right.severity)
        .map(<[&Diagnostic]>::to_vec)
        .collect()
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity: Severity| {
        diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (severity, count(severity)))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| format!("{count} {}{}", severity.word(), if count == 1 { "" } else { "s" }))
        .collect();
    format!("{}, grouped by code.", parts.join(", "))
}

fn diagnostic_group(group: &[&Diagnostic]) -> Markup {
    let Some(first) = group.first() else {
        return html! {};
    };
    let class = match first.severity {
        Severity::Error => "bad",
        Severity::Warning => "warn",
        Severity::Note => "plain",
    };
    let (shown, rest) = group.split_at(group.len().min(SHOWN));
    html! {
        article.diagnostic.(class) {
            h3 { span.badge.(class) { (first.severity.word()) } " " code { (first.code) } " " (first.message) }
            @for (lead, texts) in [("Why it matters", distinct(group, |one| &one.why)), ("What to do", distinct(group, |one| &one.help))] {
                @for text in texts { p { b { (lead) ": " } (prose(text)) } }
            }
            @if let Some(target) = group.iter().find_map(|one| one.works_from.as_ref()) { p { b { "Works from: " } (target) } }
            @if group.iter().any(|one| !one.node.is_empty() || one.rewritten_to.is_some() || one.message != first.message) {
                (places(shown, &first.message))
                @if !rest.is_empty() {
                    details { summary { "Show the other " (rest.len()) " places" } (places(rest, &first.message)) }
                }
            }
        }
    }
}

fn distinct<'a>(group: &[&'a Diagnostic], text: impl Fn(&'a Diagnostic) -> &'a str) -> Vec<&'a str> {
    let mut texts: Vec<&str> = Vec::new();
    for one in group {
        let text = text(one);
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn places(group: &[&Diagnostic], heading: &str) -> Markup {
    html! {
        ul.places {
            @for one in group {
                li {
                    code { @if one.node.is_empty() { "whole model" } @else { (one.node) } }
                    @if one.message != heading { " " (one.message) }
                    @if let Some(rewritten) = &one.rewritten_to { span.rewritten { " → " code { (rewritten) } } }
                }
            }
        }
    }
}

/// What would be changed under a smaller budget; `None` if nothing is known.
pub(super) fn ways_down(evidence: &Evidence) -> Option<Markup> {
    if evidence.ways_down.is_empty() {
        return None;
    }
    let table = html! {
        table.data.ways {
            thead {
                tr {
                    th scope="col" { "What I would change" }
                    @for title in ["peak memory", "package", "latency", "accuracy drop"] { th.number scope="col" { (title) } }
                }
            }
            tbody { @for way in &evidence.ways_down { (way_row(way)) } }
        }
    };
    Some(html! {
        p { "Best first. Each line is a change from the packaged variant; a positive accuracy drop is a loss." }
        (scrolling("Ways to a smaller variant", &table))
    })
}

fn way_row(way: &WayDown) -> Markup {
    let cells = [
        way.memory_change_bytes.map(units::bytes_change),
        way.package_change_bytes.map(units::bytes_change),
        way.latency_change_ms.map(units::milliseconds_change),
        way.drop_change.map(units::percent_change),
    ];
    html! {
        tr {
            th scope="row" {
                span.name { (prose(&way.action)) (mark(way.kind)) }
                @if !way.remark.is_empty() { span.reason { (prose(&way.remark)) } }
            }
            @for cell in cells { td.number { @match cell { Some(text) => (text), None => span.none { (units::NONE) } } } }
        }
    }
}

/// Sentences as a list; `None` if there are none.
pub(super) fn list(sentences: &[String]) -> Option<Markup> {
    (!sentences.is_empty())
        .then(|| html! { ul.sentences { @for sentence in sentences { li { (prose(sentence)) } } } })
}
