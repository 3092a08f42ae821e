//! Memory over time: weights, activations and scratch stacked, operator by operator, under the arena's peak and the
//! budget.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, Size, figure, horizontal_axis, path, px, text_width, tick_text, vertical_axis};
use crate::evidence::{MemoryPoint, MemoryTimeline};
use crate::units::{self, ByteScale};
use crate::{prose, table};

const LEFT: f64 = 52.0;
const TOP: f64 = 34.0;
const HEIGHT: f64 = 230.0;
/// More operators than this are merged, the largest of neighbours standing for all, so that no peak is lost.
const MOST_COLUMNS: usize = 400;
/// A budget beyond this multiple of the peak is told in words rather than drawn, or the drawing would be empty.
const BUDGET_IN_SIGHT: f64 = 2.5;

/// The figure; `budget_bytes` is the memory limit.
pub(crate) fn draw(memory: &MemoryTimeline, budget_bytes: Option<u64>) -> Markup {
    let sentence = prose::memory_sentence(memory, budget_bytes);
    let caption = Caption {
        id: "memory",
        title: "Memory over time",
        description: &sentence,
        reading: &format!(
            "From left to right the operators run; the height is what is alive meanwhile, exact from the plan. {sentence}"
        ),
    };
    figure(&caption, |size| drawing(memory, budget_bytes, size))
}

fn drawing(memory: &MemoryTimeline, budget_bytes: Option<u64>, size: Size) -> Drawing {
    let right = size.width() - 14.0;
    let peak = memory.peak_bytes();
    let in_sight = |budget: &u64| *budget > 0 && (*budget as f64) < peak.max(1) as f64 * BUDGET_IN_SIGHT;
    let budget = budget_bytes.filter(in_sight);
    let unit = ByteScale::for_largest(peak.max(budget.unwrap_or(0)));
    let in_unit = |bytes: u64| bytes as f64 / unit.divisor;
    let highest = in_unit(peak.max(budget.unwrap_or(0))) * 1.06;
    let vertical = Scale::linear(0.0, highest, TOP + HEIGHT, TOP);
    let count = memory.points.len().max(1);
    let horizontal = Scale::linear(0.5, count as f64 + 0.5, LEFT, right);
    let layers = layers(memory);
    let axis_title = format!("{} alive", unit.unit);
    let body = html! {
        (vertical_axis(&vertical, LEFT, right, &axis_title, 5, tick_text))
        @for (class, name, tops, bottoms) in &layers {
            path.area.(*class) d=(area(tops, bottoms, &horizontal, |bytes| vertical.at(in_unit(bytes)))) {
                title { (*name) }
            }
        }
        (peak_mark(memory, &horizontal, &vertical, in_unit, right))
        (level("planned", &format!("weights + arena {}", units::bytes(peak)), vertical.at(in_unit(peak)), right, LEFT + 4.0, false))
        @if let Some(budget) = budget {
            @let text = format!("limit {}", units::bytes(budget));
            (level("limit", &text, vertical.at(in_unit(budget)), right, right - text_width(&text), budget < peak))
        } @else if let Some(budget) = budget_bytes.filter(|&budget| budget > 0) {
            text.tick.limit-text x=(px(right)) y="12" text-anchor="end" { "limit " (units::bytes(budget)) ", above this axis ↑" }
        }
        (horizontal_axis(&horizontal, TOP + HEIGHT, "operator, in order of execution", tick_text))
    };
    Drawing { height: TOP + HEIGHT + 42.0, body }
}

/// A level across the drawing with its name, which stands above the line or, if `below`, under it.
fn level(class: &str, text: &str, y: f64, right: f64, text_left: f64, below: bool) -> Markup {
    html! {
        line.(class) x1=(px(LEFT)) x2=(px(right)) y1=(px(y)) y2=(px(y)) {}
        text.tick.(format!("{class}-text")) x=(px(text_left)) y=(px(if below { y + 15.0 } else { y - 5.0 })) { (text) }
    }
}

type Layer = (&'static str, &'static str, Vec<(f64, f64, u64)>, Vec<(f64, f64, u64)>);

/// The stacked layers, lowest first: class, name, and upper and lower edge as (from, to, bytes) by operator.
fn layers(memory: &MemoryTimeline) -> Vec<Layer> {
    let columns = columns(&memory.points);
    let edge = |height: &dyn Fn(&MemoryPoint) -> u64| -> Vec<(f64, f64, u64)> {
        columns.iter().map(|(from, to, point)| (*from, *to, memory.weight_bytes.saturating_add(height(point)))).collect()
    };
    let ground: Vec<(f64, f64, u64)> = columns.iter().map(|(from, to, _)| (*from, *to, 0)).collect();
    let weights = edge(&|_| 0);
    let live = edge(&|point| point.live_bytes);
    let scratch = edge(&MemoryPoint::total_bytes);
    vec![
        ("weights", "weights", weights.clone(), ground),
        ("live", "activations", live.clone(), weights),
        ("scratch", "scratch", scratch, live),
    ]
}

/// The operators as columns (from, to, the largest point between), at most [`MOST_COLUMNS`] of them.
fn columns(points: &[MemoryPoint]) -> Vec<(f64, f64, &MemoryPoint)> {
    let chunk = points.len().div_ceil(MOST_COLUMNS).max(1);
    points
        .chunks(chunk)
        .enumerate()
        .filter_map(|(index, chunk_points)| {
            let from = index * chunk;
            let largest = chunk_points.iter().max_by_key(|point| point.total_bytes())?;
            Some((from as f64 + 0.5, (from + chunk_points.len()) as f64 + 0.5, largest))
        })
        .collect()
}

fn area(tops: &[(f64, f64, u64)], bottoms: &[(f64, f64, u64)], horizontal: &Scale, y: impl Fn(u64) -> f64) -> String {
    let corners = |&(from, to, bytes): &(f64, f64, u64)| [(horizontal.at(from), y(bytes)), (horizontal.at(to), y(bytes))];
    let mut points: Vec<(f64, f64)> = tops.iter().flat_map(corners).collect();
    points.extend(bottoms.iter().rev().flat_map(|bottom| {
        let [first, second] = corners(bottom);
        [second, first]
    }));
    path(&points, true)
}

fn peak_mark(
    memory: &MemoryTimeline,
    horizontal: &Scale,
    vertical: &Scale,
    in_unit: impl Fn(u64) -> f64,
    right: f64,
) -> Markup {
    let Some((index, point)) = memory.peak_point() else { return html! {} };
    let x = horizontal.at(index as f64 + 1.0);
    let y = vertical.at(in_unit(memory.weight_bytes.saturating_add(point.total_bytes())));
    let text = table::shorten(&format!("peak: {}", point.operator), 34);
    let half = text_width(&text) / 2.0;
    let text_y = (y + 22.0).min(TOP + HEIGHT - 8.0);
    html! {
        circle.ring cx=(px(x)) cy=(px(y)) r="5" {}
        text.tick.on-area x=(px(x.clamp(LEFT + half, (right - half).max(LEFT + half)))) y=(px(text_y)) text-anchor="middle" { (text) }
    }
}
