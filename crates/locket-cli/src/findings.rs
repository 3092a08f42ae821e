//! Diagnostics, as lines and as paragraphs.

use std::fmt::Write as _;

use locket_mil::{Diagnostic, Severity, Target};
use locket_report::table::Tone;

/// Parses a deployment target.
///
/// # Errors
///
/// Names the targets there are.
pub(crate) fn parse_target(name: &str) -> Result<Target, String> {
    Target::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Target::ALL.into_iter().map(Target::name).collect();
        format!("expected one of {}, found {name}", known.join(", "))
    })
}

/// The severity as a word.
pub(crate) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A finding in one line.
pub(crate) fn line(finding: &Diagnostic) -> String {
    format!(
        "{}[{}] {}: {}",
        word(finding.severity),
        finding.code,
        finding.node,
        finding.message
    )
}

/// A finding with everything that it says; `nodes` are all the places where the same was found.
pub(crate) fn paragraph(finding: &Diagnostic, nodes: &[&str], colour: bool) -> String {
    const LISTED: usize = 4;
    let tone = match finding.severity {
        Severity::Note => Tone::Faint,
        Severity::Warning => Tone::Warning,
        Severity::Error => Tone::Bad,
    };
    let head = tone.paint(&format!("{}[{}]", word(finding.severity), finding.code), colour);
    let mut text = format!("{head} {}\n", finding.message);
    let mut at = nodes.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    if let Some(more) = nodes.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = write!(at, " and {more} more");
    }
    let rewritten = finding.rewritten_to.clone().unwrap_or_default();
    let works_from = finding
        .works_from
        .map(|target| format!("{target} ({})", target.systems()));
    for (name, value) in [
        ("at", at),
        ("why", finding.why.clone()),
        ("becomes", rewritten),
        ("works from", works_from.unwrap_or_default()),
        ("help", finding.help.clone()),
    ] {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<10}  {value}");
        }
    }
    text
}
