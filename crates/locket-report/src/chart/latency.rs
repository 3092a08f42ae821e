//! Latency: the distribution of one variant under its limit, and all variants as bands on one axis.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, Size, figure, horizontal_axis, px, spread, text_width, tick_text};
use crate::evidence::LatencyRun;
use crate::{prose, table, units};

const LEFT: f64 = 52.0;
const TOP: f64 = 54.0;
/// Height of the tallest bin.
const BARS: f64 = 120.0;
/// A limit or a longest run beyond this multiple of the 99th percentile is named at the edge rather than drawn, or the
/// distribution would be a sliver.
const IN_SIGHT: f64 = 2.2;
/// A non-empty bin is drawn at least this high, so that no run is invisible.
const LEAST_BAR: f64 = 1.5;
/// Height of one variant among the bands.
const BAND: f64 = 44.0;

/// The distribution of one variant; `budget_ms` is the limit on every run.
pub(crate) fn distribution(run: &LatencyRun, budget_ms: Option<f64>) -> Markup {
    let budget_ms = usable(budget_ms);
    let caption = Caption {
        id: "latency",
        title: &format!("Latency distribution, {}", run.label),
        description: &format!(
            "Median {}, 99th percentile {}, longest {}.",
            units::milliseconds(run.p50_ms),
            units::milliseconds(run.p99_ms),
            units::milliseconds(run.max_ms)
        ),
        reading: &format!(
            "{}. Each bar is the share of runs of that duration; the thin foot to the right is the tail, down to single runs. {}",
            run.label,
            prose::overrun_sentence(run, budget_ms)
        ),
    };
    figure(&caption, |size| histogram(run, budget_ms, size))
}

/// Every variant as a band from its median to its 99th percentile, with a line to its longest run.
pub(crate) fn bands(runs: &[LatencyRun], budget_ms: Option<f64>) -> Markup {
    let budget_ms = usable(budget_ms);
    let names: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    let caption = Caption {
        id: "latency-bands",
        title: "Latency of all variants",
        description: &format!(
            "{} on one axis; the figures are in the table below.",
            names.join(", ")
        ),
        reading: "Each band reaches from the median to the 99th percentile, its line on to the longest run, or off the axis.",
    };
    figure(&caption, |size| band_drawing(runs, budget_ms, size))
}

fn usable(budget_ms: Option<f64>) -> Option<f64> {
    budget_ms.filter(|budget| budget.is_finite() && *budget > 0.0)
}

fn histogram(run: &LatencyRun, budget_ms: Option<f64>, size: Size) -> Drawing {
    let right = size.width() - 14.0;
    let base = TOP + BARS;
    let scale = time_scale(run, budget_ms, right);
    let bins: Vec<(f64, f64, u64)> = run.histogram.bins().collect();
    let total = bins
        .iter()
        .fold(0_u64, |sum, bin| sum.saturating_add(bin.2))
        .max(1) as f64;
    let unit_ms = median_width(&bins);
    // Bins may differ in width, so a bar's height is a density, told as the share in a bin of the usual width.
    let density = |low: f64, high: f64, count: u64| count as f64 / total * unit_ms / (high - low) * 100.0;
    let tallest = bins
        .iter()
        .map(|&(low, high, count)| density(low, high, count))
        .fold(0.0, f64::max);
    let heights = Scale::linear(0.0, tallest, base, TOP);
    let body = html! {
        (super::vertical_axis(&heights, LEFT, right, &format!("% of runs per {}", units::nanoseconds((unit_ms * 1e6).round() as u64)), 3, tick_text))
        @for &(low, high, count) in bins.iter().filter(|bin| bin.2 > 0 && bin.0 <= scale.high()) {
            @let (from, to) = (scale.at(low), scale.at(high));
            @let top = heights.at(density(low, high, count)).min(base - LEAST_BAR);
            rect.bar x=(px(from)) y=(px(top)) width=(px((to - from - 0.5).max(0.7))) height=(px(base - top)) {
                title { (units::count(count)) " runs from " (units::milliseconds(low)) " to " (units::milliseconds(high)) }
            }
        }
        (marks(run, &scale, budget_ms, right))
        (horizontal_axis(&scale, base, "milliseconds", tick_text))
    };
    Drawing {
        height: base + 42.0,
        body,
    }
}

/// The quantiles and the limit, named on one line above the bars; what is out of sight has an arrow and no line.
fn marks(run: &LatencyRun, scale: &Scale, budget_ms: Option<f64>, right: f64) -> Markup {
    let base = TOP + BARS;
    let quantiles = [
        ("p50", Some(run.p50_ms)),
        ("p99", Some(run.p99_ms)),
        ("max", Some(run.max_ms)),
    ];
    let marks: Vec<Mark> = quantiles
        .into_iter()
        .map(|(name, value)| (name, value, "leader"))
        .chain([("limit", budget_ms, "limit")])
        .filter_map(|(name, value, class)| Mark::new(name, value?, class, scale))
        .collect();
    let wanted: Vec<(f64, f64)> = marks
        .iter()
        .map(|mark| (mark.x, text_width(&mark.text)))
        .collect();
    let centres = spread(&wanted, 0.0, right + 14.0);
    html! {
        @for (mark, centre) in marks.iter().zip(&centres) {
            @if mark.in_sight {
                line.(mark.class) x1=(px(mark.x)) x2=(px(mark.x)) y1=(px(TOP - 8.0)) y2=(px(base)) {}
                path.(mark.class).open d={ "M" (px(mark.x)) " " (px(TOP - 8.0)) "L" (px(*centre)) " " (px(TOP - 15.0)) } {}
            }
            text.tick.limit-text[mark.class == "limit"] x=(px(*centre)) y=(px(TOP - 19.0)) text-anchor="middle" { (mark.text) }
        }
    }
}

/// A named duration on the time axis.
struct Mark {
    x: f64,
    text: String,
    class: &'static str,
    in_sight: bool,
}

impl Mark {
    fn new(name: &str, value_ms: f64, class: &'static str, scale: &Scale) -> Option<Self> {
        if !value_ms.is_finite() {
            return None;
        }
        let text = if class == "limit" {
            units::milliseconds_limit(value_ms)
        } else {
            units::milliseconds(value_ms)
        };
        let text = match () {
            () if scale.contains(value_ms) => format!("{name} {text}"),
            () if value_ms > scale.high() => format!("{name} {text} →"),
            () => format!("← {name} {text}"),
        };
        Some(Self {
            x: scale.at(value_ms),
            text,
            class,
            in_sight: scale.contains(value_ms),
        })
    }
}

/// From the shortest run, or a limit not far below it, to what is in sight.
fn time_scale(run: &LatencyRun, budget_ms: Option<f64>, right: f64) -> Scale {
    let usable = |value: &f64| value.is_finite() && *value > 0.0;
    let sight = run.p99_ms.max(run.p50_ms) * IN_SIGHT;
    let edges = run.histogram.bins().flat_map(|(low, high, _)| [low, high]);
    let values: Vec<f64> = [run.p50_ms, run.p99_ms, run.max_ms]
        .into_iter()
        .chain(edges)
        .chain(budget_ms.filter(|budget| *budget * IN_SIGHT >= run.p50_ms))
        .filter(usable)
        .filter(|value| *value <= sight)
        .collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if !low.is_finite() {
        return Scale::linear(0.0, 1.0, LEFT, right);
    }
    let pad = (high - low).max(high * 0.02) * 0.06;
    Scale::linear((low - pad).max(0.0), high + pad, LEFT, right)
}

fn band_drawing(runs: &[LatencyRun], budget_ms: Option<f64>, size: Size) -> Drawing {
    let right = size.width() - 14.0;
    let finite = |value: &f64| value.is_finite();
    let sight = runs
        .iter()
        .map(|run| run.p99_ms)
        .filter(finite)
        .fold(0.0, f64::max)
        * IN_SIGHT;
    let ends = runs
        .iter()
        .flat_map(|run| [run.p99_ms, run.max_ms])
        .chain(budget_ms);
    let highest = ends
        .filter(finite)
        .filter(|value| *value <= sight)
        .fold(0.0, f64::max);
    // From zero, so that the lengths compare as the durations do.
    let scale = Scale::linear(0.0, highest * 1.05, LEFT, right);
    let near_budget = budget_ms.filter(|budget| scale.contains(*budget));
    let foot = BAND * runs.len() as f64 + 8.0;
    let body = html! {
        @if let Some(budget) = near_budget {
            line.limit x1=(px(scale.at(budget))) x2=(px(scale.at(budget))) y1="4" y2=(px(foot)) {}
        }
        @for (index, run) in runs.iter().enumerate() {
            (band(run, &scale, BAND * index as f64 + 8.0))
        }
        (horizontal_axis(&scale, foot, "milliseconds", tick_text))
    };
    Drawing {
        height: foot + 42.0,
        body,
    }
}

fn band(run: &LatencyRun, scale: &Scale, top: f64) -> Markup {
    let shortest = run.histogram.bins().next().map_or(run.p50_ms, |bin| bin.0);
    let [least, median, most, longest] =
        [shortest, run.p50_ms, run.p99_ms, run.max_ms].map(|value| scale.at(value));
    let middle = top + 27.0;
    html! {
        text.label x=(px(LEFT)) y=(px(top + 12.0)) { (table::shorten(&run.label, 40)) }
        line.thin x1=(px(least)) x2=(px(longest)) y1=(px(middle)) y2=(px(middle)) {}
        @if scale.contains(run.max_ms) {
            line.thin x1=(px(longest)) x2=(px(longest)) y1=(px(middle - 4.0)) y2=(px(middle + 4.0)) {}
        }
        rect.bar x=(px(median)) y=(px(middle - 5.0)) width=(px((most - median).max(2.0))) height="10" {
            title { "p50 " (units::milliseconds(run.p50_ms)) ", p99 " (units::milliseconds(run.p99_ms)) }
        }
    }
}

fn median_width(bins: &[(f64, f64, u64)]) -> f64 {
    let mut widths: Vec<f64> = bins.iter().map(|(low, high, _)| high - low).collect();
    widths.sort_by(f64::total_cmp);
    widths.get(widths.len() / 2).copied().unwrap_or(1.0)
}
