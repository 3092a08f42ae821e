//! Time: the latency distributions, and the profile by operator.

use maud::{Markup, html};

use super::{Kind, meter, prose, scrolling};
use crate::chart;
use crate::evidence::{Evidence, LatencyRun, OperatorCost, Profile};
use crate::units::{self, ByteScale};
use crate::{prose as words, table};

/// Operators shown before the rest is folded away.
const SHOWN: usize = 12;

/// The latency distributions and their quantiles; `None` without runs.
pub(super) fn latency(evidence: &Evidence) -> Option<Markup> {
    let packaged = evidence.latency.last()?;
    let quantiles = html! {
        table.data {
            thead {
                tr {
                    th scope="col" { "Variant" }
                    @for title in ["runs", "over limit", "first run", "p50", "p90", "p99", "p99.9", "max"] { th.number scope="col" { (title) } }
                }
            }
            tbody { @for run in &evidence.latency { (quantile_row(run)) } }
        }
    };
    Some(html! {
        (chart::latency::distribution(packaged, evidence.budgets.latency_ms))
        @if evidence.latency.len() > 1 { (chart::latency::bands(&evidence.latency, evidence.budgets.latency_ms)) }
        (scrolling("Latency quantiles", &quantiles))
        @for (labels, run) in conditions(&evidence.latency) {
            p.reading { b { (labels.join(", ")) ": " } (run.kind.word()) @if run.kind == Kind::Modelled { " for " } @else { " on " } (run.measured_on) "." }
        }
    })
}

/// The conditions of measurement, each once with the variants that it holds for.
fn conditions(runs: &[LatencyRun]) -> Vec<(Vec<&str>, &LatencyRun)> {
    let mut conditions: Vec<(Vec<&str>, &LatencyRun)> = Vec::new();
    for run in runs.iter().filter(|run| !run.measured_on.is_empty()) {
        let same = |other: &LatencyRun| other.measured_on == run.measured_on && other.kind == run.kind;
        match conditions.iter_mut().find(|(_, other)| same(other)) {
            Some((labels, _)) => labels.push(&run.label),
            None => conditions.push((vec![&run.label], run)),
        }
    }
    conditions
}

fn quantile_row(run: &LatencyRun) -> Markup {
    html! {
        tr {
            th scope="row" { (run.label) (super::mark(run.kind)) }
            td.number { (units::count(run.runs)) }
            td.number { (units::count(run.overruns)) }
            td.number { (run.first_ms.map_or(units::NONE.to_owned(), units::milliseconds)) }
            @for value in [run.p50_ms, run.p90_ms, run.p99_ms, run.p999_ms, run.max_ms] { td.number { (units::milliseconds(value)) } }
        }
    }
}

/// Time by operator type and by operator; `None` without a profile.
pub(super) fn profile(evidence: &Evidence) -> Option<Markup> {
    let profile = evidence
        .profile
        .as_ref()
        .filter(|profile| !profile.operators.is_empty())?;
    let mut order: Vec<&OperatorCost> = profile.operators.iter().collect();
    order.sort_by_key(|operator| std::cmp::Reverse(operator.wall_ns));
    let (shown, rest) = order.split_at(order.len().min(SHOWN));
    let rest_share: f64 = rest.iter().map(|operator| profile.share(operator)).sum();
    let most = order.first().map_or(0.0, |operator| profile.share(operator));
    Some(html! {
        p { (prose(&words::profile_sentence(profile))) }
        (chart::operators::draw(profile))
        (scrolling("Operators by time", &operator_table(profile, shown, most)))
        p.reading {
            "Slowest first; the bar is the share of the whole." @if profile.kind == Kind::Modelled { " The times are " em { "modelled" } "." }
            " Traffic counts inputs, weights and outputs once."
        }
        @if !rest.is_empty() {
            details {
                summary { "Show the other " (rest.len()) " operators (" (units::share(rest_share)) " of the time)" }
                (scrolling("Other operators", &operator_table(profile, rest, most)))
            }
        }
    })
}

fn operator_table(profile: &Profile, operators: &[&OperatorCost], most: f64) -> Markup {
    let largest = profile
        .operators
        .iter()
        .map(|operator| operator.traffic_bytes)
        .max()
        .unwrap_or(0);
    let scale = ByteScale::for_largest(largest);
    let prefix = table::shared_prefix(profile.operators.iter().map(|operator| operator.name.as_str()));
    let fused = |operator: &OperatorCost| {
        let names: Vec<String> = operator
            .fused_from
            .iter()
            .map(|name| table::short_name(name, prefix, 40))
            .collect();
        names.join(" + ")
    };
    let has_cycles = profile.operators.iter().any(|operator| operator.cycles.is_some());
    html! {
        table.data.operators {
            thead {
                tr {
                    th scope="col" { "Operator, what it was fused from, kernel" } th.number scope="col" { "wall" (super::mark(profile.kind)) }
                    th.share scope="col" { "share" } th.number scope="col" { "multiply-adds" } th.number scope="col" { "traffic" }
                    th.number scope="col" { "GMAC/s" }
                    @if has_cycles { th.number scope="col" { "instr./cycle" } }
                }
            }
            tbody {
                @for operator in operators {
                    tr {
                        th scope="row" {
                            span.name title=(operator.name) { (table::short_name(&operator.name, prefix, 40)) }
                            span.recipe { (operator.operator) @if !operator.fused_from.is_empty() { " from " (fused(operator)) } }
                            @if !operator.kernel.is_empty() { span.recipe { code { (operator.kernel) } } }
                        }
                        td.number { (units::nanoseconds(operator.wall_ns)) }
                        td.share {
                            @let share = profile.share(operator);
                            span.figure { (units::share(share)) } (meter("within", share / most, None))
                        }
                        td.number { (units::short_count(operator.macs)) }
                        td.number { (scale.text(operator.traffic_bytes)) }
                        td.number { (operator.gmacs_per_second().map_or(units::NONE.to_owned(), units::significant)) }
                        @if has_cycles { td.number { (instructions_per_cycle(operator)) } }
                    }
                }
            }
        }
    }
}

fn instructions_per_cycle(operator: &OperatorCost) -> String {
    match (operator.instructions, operator.cycles) {
        (Some(instructions), Some(cycles)) if cycles > 0 => {
            units::significant(instructions as f64 / cycles as f64)
        }
        _ => units::NONE.to_owned(),
    }
}
