//! Latency distributions, one row per variant on one time axis, with the budget as a line across all of them.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, Size, figure, horizontal_axis, px, spread, text_width, tick_text};
use crate::evidence::LatencyRun;
use crate::{prose, units};

const LEFT: f64 = 52.0;
const TOP: f64 = 22.0;
const ROW: f64 = 132.0;
/// Height of the tallest bin.
const BARS: f64 = 66.0;
/// A time axis that spans more than this factor is logarithmic.
const LOGARITHMIC_FROM: f64 = 12.0;
/// A non-empty bin is drawn at least this high, so that no run is invisible.
const LEAST_BAR: f64 = 1.5;

/// The figure; `budget_ms` is the limit on every run.
pub(crate) fn draw(runs: &[LatencyRun], budget_ms: Option<f64>) -> Markup {
    let budget_ms = budget_ms.filter(|budget| budget.is_finite() && *budget > 0.0);
    let description: Vec<String> = runs
        .iter()
        .map(|run| {
            format!(
                "{}: median {}, 99th percentile {}, longest {}.",
                run.label,
                units::milliseconds(run.p50_ms),
                units::milliseconds(run.p99_ms),
                units::milliseconds(run.max_ms)
            )
        })
        .collect();
    let last = runs.last().map(|run| prose::overrun_sentence(run, budget_ms)).unwrap_or_default();
    let caption = Caption {
        id: "latency",
        title: "Latency distributions",
        description: &description.join(" "),
        reading: &format!(
            "Each bar is the share of runs of that duration; the thin foot to the right is the tail, down to single runs. {last}"
        ),
    };
    figure(&caption, |size| drawing(runs, budget_ms, size))
}

fn drawing(runs: &[LatencyRun], budget_ms: Option<f64>, size: Size) -> Drawing {
    let right = size.width() - 14.0;
    let (scale, axis_title) = time_scale(runs, budget_ms, right);
    let foot = TOP + ROW * runs.len() as f64;
    let body = html! {
        @for (index, run) in runs.iter().enumerate() {
            (row(run, TOP + ROW * index as f64, &scale, right))
        }
        @if let Some(budget) = budget_ms {
            @let x = scale.at(budget);
            @let text = format!("limit {}", units::milliseconds(budget));
            line.limit x1=(px(x)) x2=(px(x)) y1=(px(TOP - 4.0)) y2=(px(foot)) {}
            text.tick.limit-text x=(px(x.clamp(LEFT, right - text_width(&text) / 2.0))) y=(px(TOP - 9.0)) text-anchor="middle" { (text) }
        }
        (horizontal_axis(&scale, foot, axis_title, tick_text))
    };
    Drawing { height: foot + 42.0, body }
}

fn time_scale(runs: &[LatencyRun], budget_ms: Option<f64>, right: f64) -> (Scale, &'static str) {
    let positive = |values: Vec<f64>| values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
    let ends = |run: &LatencyRun| {
        let mut ends = vec![run.p50_ms, run.p99_ms, run.max_ms];
        ends.extend(run.histogram.bins().flat_map(|(low, high, _)| [low, high]));
        ends
    };
    let values = || runs.iter().flat_map(|run| positive(ends(run))).chain(budget_ms);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    if low.is_finite() && high > low * LOGARITHMIC_FROM {
        (Scale::logarithmic(low * 0.9, high * 1.1, LEFT, right), "milliseconds (logarithmic)")
    } else if low.is_finite() {
        let pad = (high - low).max(high * 0.02) * 0.06;
        (Scale::linear((low - pad).max(0.0), high + pad, LEFT, right), "milliseconds")
    } else {
        (Scale::linear(0.0, 1.0, LEFT, right), "milliseconds")
    }
}

fn row(run: &LatencyRun, top: f64, scale: &Scale, right: f64) -> Markup {
    let base = top + ROW - 18.0;
    let bins: Vec<(f64, f64, u64)> = run.histogram.bins().collect();
    let total = bins.iter().fold(0_u64, |sum, bin| sum.saturating_add(bin.2)).max(1) as f64;
    let unit_ms = median_width(&bins);
    // Bins may differ in width, so a bar's height is a density, told as the share in a bin of the usual width.
    let density = |low: f64, high: f64, count: u64| count as f64 / total * unit_ms / (high - low);
    let tallest = bins.iter().map(|&(low, high, count)| density(low, high, count)).fold(0.0, f64::max);
    let heights = Scale::linear(0.0, tallest, 0.0, BARS);
    let marks = [("p50", run.p50_ms), ("p99", run.p99_ms), ("max", run.max_ms)];
    let marks: Vec<(f64, String)> = marks
        .into_iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(name, value)| (scale.at(value), format!("{name} {}", units::significant(value))))
        .collect();
    let wanted: Vec<(f64, f64)> = marks.iter().map(|(x, text)| (*x, text_width(text))).collect();
    let centres = spread(&wanted, LEFT, right);
    html! {
        text.label x=(px(LEFT)) y=(px(top + 12.0)) { (crate::table::shorten(&run.label, 40)) }
        line.axis x1=(px(LEFT)) x2=(px(right)) y1=(px(base)) y2=(px(base)) {}
        @if tallest > 0.0 {
            text.tick x=(px(LEFT - 6.0)) y=(px(base - BARS + 4.0)) text-anchor="end" { (units::share(tallest).replace(".0 ", " ")) }
            text.tick x=(px(LEFT - 6.0)) y=(px(base)) text-anchor="end" { "0" }
        }
        @for &(low, high, count) in bins.iter().filter(|bin| bin.2 > 0) {
            @let (from, to) = (scale.at(low), scale.at(high));
            @let height = heights.at(density(low, high, count)).max(LEAST_BAR);
            rect.bar x=(px(from)) y=(px(base - height)) width=(px((to - from - 0.5).max(0.7))) height=(px(height)) {
                title { (units::count(count)) " runs from " (units::milliseconds(low)) " to " (units::milliseconds(high)) }
            }
        }
        @for ((x, text), centre) in marks.iter().zip(&centres) {
            path.leader d={ "M" (px(*x)) " " (px(base)) "V" (px(base - BARS - 4.0)) "L" (px(*centre)) " " (px(base - BARS - 10.0)) } {}
            text.tick x=(px(*centre)) y=(px(base - BARS - 14.0)) text-anchor="middle" { (text) }
        }
    }
}

fn median_width(bins: &[(f64, f64, u64)]) -> f64 {
    let mut widths: Vec<f64> = bins.iter().map(|(low, high, _)| high - low).collect();
    widths.sort_by(f64::total_cmp);
    widths.get(widths.len() / 2).copied().unwrap_or(1.0)
}
