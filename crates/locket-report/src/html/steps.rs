//! The three-column table: size, latency and accuracy before and after each step.

use maud::{Markup, html};

use super::{figure, maybe, meter, prose, scrolling};
use crate::evidence::{Decision, Evidence, Figure, Interval, Step};
use crate::units::{self, ByteScale};

const READING: &str = "Row by row from the source to what was packaged. Bars are to the scale of the column; the red tick \
     is the limit, where it is near. The drop is paired with the source sample by sample, in percentage points of top-1, \
     with its 95 % interval. A refused step was tried, measured and taken back.";

/// A limit beyond this multiple of the largest value is not drawn.
const LIMIT_IN_SIGHT: f64 = 3.0;

/// What the columns are drawn to scale with.
struct Scales {
    package: ByteScale,
    peak: ByteScale,
    most_package: u64,
    most_peak: u64,
    most_ms: f64,
    memory_limit: Option<u64>,
    latency_limit: Option<f64>,
}

/// The table with its reading line and the details below; `None` without steps.
pub(super) fn draw(evidence: &Evidence) -> Option<Markup> {
    if evidence.steps.is_empty() {
        return None;
    }
    let scales = scales(evidence);
    let packaged = evidence.packaged_step();
    Some(html! {
            table.steps {
                thead {
                    tr { th rowspan="2" scope="col" { "Step" } th colspan="2" scope="colgroup" { "Size" } th colspan="2" scope="colgroup" { "Latency" } th colspan="2" scope="colgroup" { "Accuracy" } }
                    tr {
                        th.number scope="col" { "package" } th.number scope="col" { "peak memory" }
                        th.number scope="col" { "median" } th.number scope="col" { "p99" }
                        th.number scope="col" { "top-1" } th.number scope="col" { "drop (95 %)" }
                    }
                }
                tbody {
                    @for step in &evidence.steps { (row(step, &scales, packaged.is_some_and(|chosen| std::ptr::eq(chosen, step)))) }
                }
            }
            p.reading {
    (prose(READING))
            }
            (details(&evidence.steps))
        })
}

fn scales(evidence: &Evidence) -> Scales {
    let largest = |pick: fn(&Step) -> Option<Figure<u64>>| {
        evidence
            .steps
            .iter()
            .filter_map(pick)
            .map(|figure| figure.value)
            .max()
            .unwrap_or(0)
    };
    let most_package = largest(|step| step.package_bytes);
    let most_peak = largest(|step| step.peak_memory_bytes);
    let latencies = |step: &Step| [step.latency_p50_ms, step.latency_p99_ms];
    let most_ms = evidence
        .steps
        .iter()
        .flat_map(latencies)
        .flatten()
        .map(|figure| figure.value);
    let most_ms = most_ms.filter(|ms| ms.is_finite()).fold(0.0, f64::max);
    // A limit far beyond every value would leave no bar to see; it then has no tick.
    let memory_limit = evidence
        .budgets
        .memory_bytes
        .filter(|&limit| limit as f64 <= most_peak as f64 * LIMIT_IN_SIGHT);
    let latency_limit = evidence
        .budgets
        .latency_ms
        .filter(|&limit| limit <= most_ms * LIMIT_IN_SIGHT);
    Scales {
        package: ByteScale::for_largest(most_package),
        peak: ByteScale::for_largest(most_peak),
        most_package,
        most_peak: most_peak.max(memory_limit.unwrap_or(0)),
        most_ms: most_ms.max(latency_limit.unwrap_or(0.0)),
        memory_limit,
        latency_limit,
    }
}

fn row(step: &Step, scales: &Scales, packaged: bool) -> Markup {
    let refused = matches!(step.decision, Decision::Refused { .. });
    html! {
        tr.refused[refused].packaged[packaged] {
            th scope="row" {
                span.name { (step.name) } (decision(step, packaged))
                @if !step.recipe.is_empty() { span.recipe { (step.recipe) } }
                @if let Decision::Refused { reason } = &step.decision { span.reason { (prose(reason)) } }
            }
            (byte_cell("package", step.package_bytes, scales.package, scales.most_package, None))
            (byte_cell("peak memory", step.peak_memory_bytes, scales.peak, scales.most_peak, scales.memory_limit))
            (time_cell("median", step.latency_p50_ms, scales))
            (time_cell("p99", step.latency_p99_ms, scales))
            td.number data-label="top-1" { (maybe(step.top1, units::percent)) }
            td.number data-label="drop" { @match step.drop { Some(drop) => (interval(drop)), None => span.none { (units::NONE) } } }
        }
    }
}

fn decision(step: &Step, packaged: bool) -> Markup {
    let (class, word) = match (&step.decision, packaged) {
        (Decision::Refused { .. }, _) => ("bad", "refused"),
        (_, true) => ("good", "packaged"),
        (Decision::Accepted, false) => ("plain", "accepted"),
        (Decision::Source, false) => return html! {},
    };
    html! { " " span.badge.(class) { (word) } }
}

fn byte_cell(
    label: &str,
    value: Option<Figure<u64>>,
    scale: ByteScale,
    most: u64,
    limit: Option<u64>,
) -> Markup {
    let part = |count: u64| count as f64 / most.max(1) as f64;
    html! {
        td.number data-label=(label) {
            @match value {
                Some(value) => {
                    (figure(value, |count| scale.text(count)))
                    (meter(over(limit.is_some_and(|limit| value.value > limit)), part(value.value), limit.map(part)))
                }
                None => span.none { (units::NONE) },
            }
        }
    }
}

fn time_cell(label: &str, value: Option<Figure<f64>>, scales: &Scales) -> Markup {
    let part = |ms: f64| ms / scales.most_ms;
    html! {
        td.number data-label=(label) {
            @match value {
                Some(value) => {
                    (figure(value, units::milliseconds))
                    @let limit = scales.latency_limit;
                    (meter(over(limit.is_some_and(|limit| value.value > limit)), part(value.value), limit.map(part)))
                }
                None => span.none { (units::NONE) },
            }
        }
    }
}

const fn over(over: bool) -> &'static str {
    if over { "over" } else { "within" }
}

fn interval(drop: Interval) -> Markup {
    html! {
        span.figure { (units::percent(drop.estimate)) (super::mark(drop.kind)) }
        span.range { (units::percent(drop.lower).replace(" %", "")) " to " (units::percent(drop.upper)) }
    }
}

/// The columns that the main table has no room for.
fn details(steps: &[Step]) -> Markup {
    let known = |step: &Step| step.weight_bytes.is_some() || step.top5.is_some() || step.agreement.is_some();
    if !steps.iter().any(known) {
        return html! {};
    }
    let most = steps
        .iter()
        .filter_map(|step| step.weight_bytes)
        .map(|figure| figure.value)
        .max()
        .unwrap_or(0);
    let scale = ByteScale::for_largest(most);
    let table = html! {
        table.data {
            thead { tr { th scope="col" { "Step" } th.number scope="col" { "weights" } th.number scope="col" { "top-5" } th.number scope="col" { "same answer as the source" } } }
            tbody {
                @for step in steps {
                    tr {
                        th scope="row" { (step.name) }
                        td.number { (maybe(step.weight_bytes, |count| scale.text(count))) }
                        td.number { (maybe(step.top5, units::percent)) }
                        td.number { (maybe(step.agreement, units::percent)) }
                    }
                }
            }
        }
    };
    html! { details { summary { "Weights, top-5 and agreement" } (scrolling("Weights, top-5 and agreement", &table)) } }
}
