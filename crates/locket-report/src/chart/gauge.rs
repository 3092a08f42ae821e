//! One limit as a bullet bar: the value, the bound beyond it, and the limit as a line.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, px, svg};
use crate::evidence::{Gauge, GaugeState, Limit};
use crate::prose;

const WIDTH: f64 = 280.0;
const HEIGHT: f64 = 50.0;
/// Top of the bar.
const BAR: f64 = 18.0;

/// The class that colours a gauge.
pub(crate) const fn state_class(state: GaugeState) -> &'static str {
    match state {
        GaugeState::Free => "free",
        GaugeState::Met => "good",
        GaugeState::Unproven => "warn",
        GaugeState::Exceeded => "bad",
    }
}

/// The bullet bar; `frame_ms` marks the end of the frame that a latency limit is part of.
pub(crate) fn draw(limit: Limit, gauge: &Gauge, frame_ms: Option<f64>) -> Markup {
    let frame = frame_ms.filter(|_| limit == Limit::Latency);
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let reach = [
        gauge.limit.unwrap_or(0.0) * 1.12,
        gauge.value * 1.05,
        gauge.judged() * 1.05,
        frame.unwrap_or(0.0),
    ];
    let high = reach.into_iter().map(finite).fold(0.0, f64::max);
    let low = finite(gauge.value).min(0.0) * 1.1;
    let scale = Scale::linear(low, high, 1.0, WIDTH - 1.0);
    let zero = scale.at(0.0);
    let (value, judged) = (scale.at(gauge.value), scale.at(gauge.judged()));
    let body = html! {
        rect.track x="1" y=(px(BAR)) width=(px(WIDTH - 2.0)) height="12" rx="2" {}
        @if judged > value {
            rect.bar.bound.(state_class(gauge.state())) x=(px(value)) y=(px(BAR)) width=(px(judged - value)) height="12" {}
        }
        rect.bar.(state_class(gauge.state())) x=(px(zero.min(value))) y=(px(BAR)) width=(px((value - zero).abs().max(1.5))) height="12" {}
        @if low < 0.0 { line.axis x1=(px(zero)) x2=(px(zero)) y1=(px(BAR - 3.0)) y2=(px(BAR + 15.0)) {} }
        @if let Some(most) = gauge.limit {
            @let x = scale.at(most);
            line.limit x1=(px(x)) x2=(px(x)) y1=(px(BAR - 5.0)) y2=(px(BAR + 17.0)) {}
            text.tick.limit-text x=(px(x.min(WIDTH))) y=(px(BAR + 29.0)) text-anchor=(anchor(x)) {
                "limit " (prose::limit_text(limit, most))
            }
        }
        @if let Some(frame) = frame {
            text.tick x=(px(WIDTH)) y="11" text-anchor="end" { "frame " (crate::units::milliseconds_limit(frame)) }
        }
    };
    let caption = Caption {
        id: "",
        title: &format!("{} gauge", prose::capitalise(limit.word())),
        description: &prose::gauge_sentence(limit, gauge),
        reading: "",
    };
    html! { div.gauge-chart { (svg(&format!("gauge-{}", limit.word()), &caption, WIDTH, &Drawing { height: HEIGHT, body })) } }
}

/// Keeps a label inside the drawing.
fn anchor(x: f64) -> &'static str {
    match x {
        ..60.0 => "start",
        ..220.0 => "middle",
        _ => "end",
    }
}
