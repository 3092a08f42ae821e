//! Memory over time: weights, activations and scratch stacked, operator by operator, under the arena's peak and the
//! budget.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{
    Caption, Drawing, Scale, Size, figure, horizontal_axis, px, text_width, tick_text, vertical_axis,
};
use crate::evidence::{MemoryPoint, MemoryTimeline};
use crate::units::{self, ByteScale};
use crate::{prose, table};

const LEFT: f64 = 52.0;
const TOP: f64 = 40.0;
/// Baseline of the labels above the drawing.
const LABELS: f64 = 12.0;
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
    let columns = columns(&memory.points);
    let axis_title = format!("{} alive", unit.unit);
    let beyond = budget_bytes.filter(|&bytes| bytes > 0 && budget.is_none());
    let beyond = beyond
        .map(|bytes| format!("limit {} ↑", units::bytes_limit(bytes)))
        .unwrap_or_default();
    let arena_text = format!("weights + arena {}", units::bytes(peak));
    // The name stands where the peak does not.
    let peak_is_left = memory.peak_point().is_some_and(|(index, _)| index * 2 < count);
    let arena_y = vertical.at(in_unit(peak));
    let near_limit = budget.is_some_and(|budget| (vertical.at(in_unit(budget)) - arena_y).abs() < 18.0);
    let room = if near_limit { 110.0 } else { 4.0 };
    let arena_left = if peak_is_left {
        right - text_width(&arena_text) - room
    } else {
        LEFT + 4.0
    };
    let body = html! {
        (vertical_axis(&vertical, LEFT, right, &axis_title, 5, tick_text))
        @for (class, name, height) in LAYERS {
            @let tops: Vec<(f64, f64, u64)> = columns
                .iter()
                .map(|(from, to, point)| (*from, *to, memory.weight_bytes.saturating_add(height(point))))
                .collect();
            path.(class) d=(silhouette(&tops, &horizontal, |bytes| vertical.at(in_unit(bytes)))) { title { (name) } }
        }
        (level("planned", &arena_text, arena_y, right, arena_left, false))
        @if let Some(budget) = budget {
            @let text = format!("limit {}", units::bytes_limit(budget));
            (level("limit", &text, vertical.at(in_unit(budget)), right, right - text_width(&text), budget < peak))
        } @else if !beyond.is_empty() {
            text.tick.limit-text x=(px(right)) y=(px(LABELS)) text-anchor="end" { (beyond) }
        }
        (peak_mark(memory, &horizontal, &vertical, in_unit, right, if budget.is_none() { text_width(&beyond) + 8.0 } else { 0.0 }))
        (horizontal_axis(&horizontal, TOP + HEIGHT, "operator, in order of execution", tick_text))
    };
    Drawing {
        height: TOP + HEIGHT + 42.0,
        body,
    }
}

/// A level across the drawing with its name, which stands above the line or, if `below`, under it.
fn level(class: &str, text: &str, y: f64, right: f64, text_left: f64, below: bool) -> Markup {
    html! {
        line.(class) x1=(px(LEFT)) x2=(px(right)) y1=(px(y)) y2=(px(y)) {}
        text.tick.(format!("{class}-text")) x=(px(text_left)) y=(px(if below { y + 15.0 } else { y - 5.0 })) { (text) }
    }
}

/// The layers as silhouettes down to the ground, the whole first, so that each one painted later leaves of the earlier
/// only what lies above it: class, name, height in bytes.
const LAYERS: [(&str, &str, fn(&MemoryPoint) -> u64); 3] = [
    ("scratch", "scratch", MemoryPoint::total_bytes),
    ("live", "activations", |point| point.live_bytes),
    ("weights", "weights", |_| 0),
];

/// The operators as columns (from, to, the largest point between), at most [`MOST_COLUMNS`] of them.
fn columns(points: &[MemoryPoint]) -> Vec<(f64, f64, &MemoryPoint)> {
    let chunk = points.len().div_ceil(MOST_COLUMNS).max(1);
    points
        .chunks(chunk)
        .enumerate()
        .filter_map(|(index, chunk_points)| {
            let from = index * chunk;
            let largest = chunk_points.iter().max_by_key(|point| point.total_bytes())?;
            Some((
                from as f64 + 0.5,
                (from + chunk_points.len()) as f64 + 0.5,
                largest,
            ))
        })
        .collect()
}

/// A silhouette: up, along and up or down at each column whose height differs, and down to the ground at the end.
fn silhouette(columns: &[(f64, f64, u64)], horizontal: &Scale, y: impl Fn(u64) -> f64) -> String {
    let Some(first) = columns.first() else {
        return String::new();
    };
    let ground = px(y(0));
    let mut text = format!("M{} {ground}", px(horizontal.at(first.0)));
    for run in columns.chunk_by(|left, right| left.2 == right.2) {
        let Some((_, to, bytes)) = run.last() else {
            continue;
        };
        write!(text, "V{}H{}", px(y(*bytes)), px(horizontal.at(*to))).expect("a string takes every write");
    }
    write!(text, "V{ground}H{}Z", px(horizontal.at(first.0))).expect("a string takes every write");
    text
}

fn peak_mark(
    memory: &MemoryTimeline,
    horizontal: &Scale,
    vertical: &Scale,
    in_unit: impl Fn(u64) -> f64,
    right: f64,
    label_room: f64,
) -> Markup {
    let Some((index, point)) = memory.peak_point() else {
        return html! {};
    };
    let x = horizontal.at(index as f64 + 1.0);
    let y = vertical.at(in_unit(memory.weight_bytes.saturating_add(point.total_bytes())));
    let prefix = table::shared_prefix(memory.points.iter().map(|point| point.operator.as_str()));
    let text = format!("peak: {}", table::short_name(&point.operator, prefix, 30));
    let half = text_width(&text) / 2.0;
    // The axis title stands left of the label, a budget beyond the axis may stand right of it.
    let (least, most) = (LEFT + half + 30.0, right - half - label_room);
    html! {
        line.leader x1=(px(x)) x2=(px(x)) y1=(px(LABELS + 4.0)) y2=(px(y - 5.0)) {}
        circle.ring cx=(px(x)) cy=(px(y)) r="5" {}
        text.tick.on-area x=(px(x.min(most).max(least))) y=(px(LABELS)) text-anchor="middle" { (text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_operators_keeps_the_peak() {
        let mut points = vec![
            MemoryPoint {
                live_bytes: 10,
                ..MemoryPoint::default()
            };
            5 * MOST_COLUMNS + 3
        ];
        points[777].live_bytes = 99;
        points[1234].scratch_bytes = 500;
        let columns = columns(&points);
        assert!(columns.len() <= MOST_COLUMNS);
        assert_eq!(
            columns.iter().map(|column| column.2.total_bytes()).max(),
            Some(510)
        );
        assert!(columns.iter().any(|column| column.2.live_bytes == 99));
        let (first, last) = (columns[0], columns[columns.len() - 1]);
        assert_eq!((first.0, last.1), (0.5, points.len() as f64 + 0.5));
        assert!(columns.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn a_silhouette_steps_only_where_the_height_changes() {
        let horizontal = Scale::linear(0.0, 4.0, 0.0, 4.0);
        let columns = [(0.0, 1.0, 2), (1.0, 2.0, 2), (2.0, 4.0, 3)];
        assert_eq!(
            silhouette(&columns, &horizontal, |bytes| 10.0 - bytes as f64),
            "M0 10V8H2V7H4V10H0Z"
        );
        assert_eq!(silhouette(&[], &horizontal, |_| 0.0), "");
    }
}
