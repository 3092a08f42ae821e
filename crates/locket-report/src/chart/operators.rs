//! Time by operator type: one bar, divided.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, Size, figure, px, text_width};
use crate::evidence::Profile;
use crate::units;

/// Types beyond this many are drawn as one, `other`.
const MOST_TYPES: usize = 6;
const LEFT: f64 = 1.0;

/// The figure.
pub(crate) fn draw(profile: &Profile) -> Markup {
    let types = by_type(profile);
    let total = profile.total_ns().max(1) as f64;
    let parts: Vec<String> = types
        .iter()
        .map(|(name, ns)| format!("{name} {}", units::share(*ns as f64 / total)))
        .collect();
    let caption = Caption {
        id: "operator-types",
        title: "Time by operator type",
        description: &parts.join(", "),
        reading: "One inference, divided by the type of operator that the time goes to.",
    };
    figure(&caption, |size| drawing(&types, total, size))
}

/// Wall time by operator type in nanoseconds, most first.
fn by_type(profile: &Profile) -> Vec<(String, u64)> {
    let mut types: Vec<(String, u64)> = Vec::new();
    for operator in &profile.operators {
        match types.iter_mut().find(|(name, _)| *name == operator.operator) {
            Some((_, total)) => *total = total.saturating_add(operator.wall_ns),
            None => types.push((operator.operator.clone(), operator.wall_ns)),
        }
    }
    types.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    if types.len() > MOST_TYPES {
        let rest = types.split_off(MOST_TYPES - 1);
        types.push((
            "other".to_owned(),
            rest.iter().fold(0, |sum: u64, part| sum.saturating_add(part.1)),
        ));
    }
    types
}

fn drawing(types: &[(String, u64)], total: f64, size: Size) -> Drawing {
    let right = size.width() - 1.0;
    let scale = Scale::linear(0.0, total, LEFT, right);
    let mut bar = Vec::new();
    let mut legend = Vec::new();
    let mut passed = 0.0;
    let (mut x, mut y) = (LEFT, 56.0);
    for (index, (name, ns)) in types.iter().enumerate() {
        let (from, to) = (scale.at(passed), scale.at(passed + *ns as f64));
        passed += *ns as f64;
        let text = format!(
            "{} {}",
            crate::table::shorten(name, 30),
            units::share(*ns as f64 / total)
        );
        let class = format!("series-{index}");
        bar.push(html! {
            rect.(class) x=(px(from)) y="6" width=(px((to - from - 1.0).max(0.0))) height="24" { title { (text) } }
        });
        let width = text_width(&text) + 34.0;
        if x + width > right && x > LEFT {
            (x, y) = (LEFT, y + 22.0);
        }
        legend.push(html! {
            rect.(class) x=(px(x)) y=(px(y - 10.0)) width="11" height="11" {}
            text.tick x=(px(x + 17.0)) y=(px(y)) { (text) }
        });
        x += width;
    }
    let body = html! { @for part in bar.iter().chain(&legend) { (part) } };
    Drawing {
        height: y + 8.0,
        body,
    }
}
