//! Leakage against depth: what each tap gives away, from the input to the output, in the order of execution.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, Size, figure, horizontal_axis, path, px, tick_text, vertical_axis};
use crate::evidence::TapLeakage;

const LEFT: f64 = 46.0;
const TOP: f64 = 30.0;
const HEIGHT: f64 = 220.0;

/// A line of the chart.
struct Series {
    class: &'static str,
    name: &'static str,
    value: fn(&TapLeakage) -> f64,
}

const SERIES: [Series; 3] = [
    Series {
        class: "leak-r2",
        name: "variance explained",
        value: |tap| tap.r2,
    },
    Series {
        class: "leak-identified",
        name: "identified, at most",
        value: |tap| tap.identification.upper,
    },
    Series {
        class: "leak-success",
        name: "reconstructed, at most",
        value: |tap| tap.success.upper,
    },
];

/// The figure; `taps` are in the order of execution, one form each. `None` with fewer than two.
pub(crate) fn draw(taps: &[&TapLeakage]) -> Option<Markup> {
    if taps.len() < 2 {
        return None;
    }
    let (first, last) = (taps[0], taps[taps.len() - 1]);
    let percent = |value: f64| crate::units::percent(value.clamp(0.0, 1.0));
    let description = format!(
        "{} taps. Variance explained falls from {} at {} to {} at {}.",
        taps.len(),
        percent(first.r2),
        first.name,
        percent(last.r2),
        last.name
    );
    let caption = Caption {
        id: "leakage-depth",
        title: "Leakage by depth",
        description: &description,
        reading: "From left to right the network goes deeper, from the input to what leaves it; each point is a tap, by its worst \
                  attack. Identification and reconstruction are upper 95 % bounds. Values below 0 stand at 0.",
    };
    Some(html! {
        ul.key {
            @for series in &SERIES { li { span.swatch.(series.class) {} (series.name) } }
        }
        (figure(&caption, |size| drawing(taps, size)))
    })
}

fn drawing(taps: &[&TapLeakage], size: Size) -> Drawing {
    let right = size.width() - 14.0;
    let vertical = Scale::linear(0.0, 1.0, TOP + HEIGHT, TOP);
    let horizontal = Scale::linear(0.0, (taps.len() - 1) as f64, LEFT, right);
    let percent = |tick: f64, ticks: &[f64]| {
        let ticks: Vec<f64> = ticks.iter().map(|tick| tick * 100.0).collect();
        tick_text(tick * 100.0, &ticks)
    };
    let body = html! {
        (vertical_axis(&vertical, LEFT, right, "%", 5, percent))
        @for series in &SERIES {
            @let points: Vec<(f64, f64)> = taps
                .iter()
                .enumerate()
                .map(|(at, tap)| (horizontal.at(at as f64), vertical.at((series.value)(tap))))
                .collect();
            path class={ "leak-line " (series.class) } d=(path(&points, false)) {}
            @for ((x, y), tap) in points.iter().zip(taps) {
                circle class={ "leak-dot " (series.class) } cx=(px(*x)) cy=(px(*y)) r="3.5" {
                    title { (tap.name) ": " (series.name) " " (crate::units::percent((series.value)(tap))) }
                }
            }
        }
        (horizontal_axis(&horizontal, TOP + HEIGHT, "tap, in order of execution; 0 is the input", tick_text))
    };
    Drawing {
        height: TOP + HEIGHT + 42.0,
        body,
    }
}
