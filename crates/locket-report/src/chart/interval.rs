//! The certificate as an interval: the observed drop, its upper bound, and the drop that is allowed.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, figure, horizontal_axis, px, text_width, tick_text};
use crate::evidence::Certificate;
use crate::{prose, units};

const LEFT: f64 = 12.0;
const LINE: f64 = 56.0;

/// The figure; the axis is in percent of top-1.
pub(crate) fn draw(certificate: &Certificate) -> Markup {
    let sentence = prose::certificate_sentence(certificate);
    let caption = Caption {
        id: "certificate",
        title: "Accuracy drop with its upper 95 % bound",
        description: &sentence,
        reading: "The dot is the observed drop of top-1 against the source, the bar reaches to its upper 95 % bound. \
                  The claim holds if the bar ends inside the shaded region.",
    };
    figure(&caption, |size| {
        let (drop, upper, allowed) = (
            certificate.drop * 100.0,
            certificate.upper_bound * 100.0,
            certificate.max_drop * 100.0,
        );
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        let low = finite(drop).min(0.0) - 0.12 * finite(allowed).abs().max(0.1);
        let high = finite(allowed).max(finite(upper)).max(finite(drop));
        let right = size.width() - LEFT;
        let scale = Scale::linear(low, high + (high - low) * 0.12, LEFT, right);
        let state = if certificate.certified { "good" } else { "warn" };
        let allowed_text = format!("allowed {}", units::percent_limit(certificate.max_drop));
        let body = html! {
            rect.region x=(px(LEFT)) y="24" width=(px(scale.at(allowed) - LEFT)) height="64" {}
            line.axis x1=(px(scale.at(0.0))) x2=(px(scale.at(0.0))) y1="24" y2="88" {}
            line.limit x1=(px(scale.at(allowed))) x2=(px(scale.at(allowed))) y1="20" y2="92" {}
            text.tick.limit-text y="14" text-anchor="middle"
                x=(px(scale.at(allowed).min(right - text_width(&allowed_text) / 2.0))) { (allowed_text) }
            @if drop.is_finite() && upper.is_finite() {
                line.whisker.(state) x1=(px(scale.at(drop))) x2=(px(scale.at(upper))) y1=(px(LINE)) y2=(px(LINE)) {}
                line.whisker.(state) x1=(px(scale.at(upper))) x2=(px(scale.at(upper))) y1=(px(LINE - 8.0)) y2=(px(LINE + 8.0)) {}
                circle.dot.(state) cx=(px(scale.at(drop))) cy=(px(LINE)) r="6" {}
                text.tick x=(px(scale.at(drop))) y=(px(LINE - 14.0)) text-anchor="middle" { (units::percent(certificate.drop)) }
                text.tick x=(px(scale.at(upper))) y=(px(LINE + 24.0)) text-anchor="middle" {
                    "≤ " (units::percent(certificate.upper_bound))
                }
            }
            (horizontal_axis(&scale, 92.0, "drop of top-1 against the source, %", tick_text))
        };
        Drawing { height: 132.0, body }
    })
}
