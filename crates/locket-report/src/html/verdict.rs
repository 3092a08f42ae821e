//! The top of the report: which model, for which device, whether it fits, and the gauges of the limits.

use maud::{Markup, html};

use super::{mark, prose};
use crate::chart::gauge;
use crate::evidence::{Evidence, Gauge, Limit, Shortfall, Verdict};
use crate::prose as words;

/// Title, verdict and gauges.
pub(super) fn draw(evidence: &Evidence, title: &str) -> Markup {
    let verdict = evidence.verdict.as_ref();
    let class = match verdict {
        Some(Verdict::Met) => "good",
        Some(Verdict::Unproven { .. }) => "warn",
        Some(Verdict::Infeasible { .. }) => "bad",
        None => "free",
    };
    let gauges: Vec<(Limit, &Gauge)> = evidence.gauges.iter().collect();
    html! {
        header.title {
            p.eyebrow { "Locket deployment report" }
            h1 { (title) }
            p.asked { (asked(evidence)) }
        }
        div.verdict.(class) {
            p.outcome { (words::verdict_title(verdict)) }
            p.sentence { (prose(&words::verdict_sentence(verdict, &evidence.gauges))) }
            @if let Some(contradiction) = evidence.contradiction() {
                p.contradiction { b { "This report contradicts itself: " } (contradiction) "." }
            }
            @if let Some(headline) = words::headline(evidence) { p.headline { (prose(&headline)) } }
            @for shortfall in verdict.map(Verdict::shortfalls).unwrap_or_default() { (fix(shortfall)) }
        }
        @if !gauges.is_empty() {
            div.gauges {
                @for (limit, gauge) in gauges { (one_gauge(limit, gauge, evidence.budgets.frame_ms)) }
            }
        }
    }
}

fn asked(evidence: &Evidence) -> Markup {
    let device = evidence.budgets.device.as_ref();
    let budgets = words::budgets_line(&evidence.budgets);
    html! {
        @if let Some(device) = device { b { (device.name) } @if !device.description.is_empty() { ", " (device.description) } }
        @if let Some(budgets) = budgets {
            @if device.is_some() { br; }
            "Asked for: " (prose(&budgets)) "."
        }
    }
}

fn fix(shortfall: &Shortfall) -> Markup {
    html! {
        p.fix { b { (words::capitalise(shortfall.limit.word())) ": " } (prose(&shortfall.fix)) }
    }
}

/// A whole percentage, rounded away from the limit: 99.6 % is not all of it, 100.2 % is more.
fn percent_of(value: f64, most: f64) -> String {
    let percent = value / most * 100.0;
    let whole = if percent <= 100.0 {
        percent.floor()
    } else {
        percent.ceil()
    };
    match percent {
        ..1.0 => "under 1 %".to_owned(),
        ..1000.0 => format!("{whole:.0} %"),
        _ => "over 1000 %".to_owned(),
    }
}

fn one_gauge(limit: Limit, gauge: &Gauge, frame_ms: Option<f64>) -> Markup {
    let state = gauge::state_class(gauge.state());
    let title = match limit {
        Limit::Memory => "Memory",
        Limit::Size => "Size",
        Limit::Latency => "Latency",
        Limit::Accuracy => "Accuracy drop",
    };
    let share = gauge
        .limit
        .filter(|most| *most > 0.0 && gauge.judged().is_finite() && gauge.judged() >= 0.0);
    html! {
        div.gauge.(state) {
            h3 { (title) }
            p.value {
                @if limit == Limit::Accuracy && gauge.bound.is_some() { "≤ " }
                (words::in_unit(limit, gauge.judged())) (mark(gauge.kind))
                @if let Some(most) = share { span.of { (percent_of(gauge.judged(), most)) " of the limit" } }
            }
            (gauge::draw(limit, gauge, frame_ms))
            p.reading { (prose(&words::gauge_sentence(limit, gauge))) }
        }
    }
}
