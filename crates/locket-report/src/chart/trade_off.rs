//! The variants as points: accuracy drop against memory, package size or latency, with the front that no other variant
//! beats and the region that the budgets allow.

use maud::{Markup, html};

use super::{Caption, Drawing, Scale, horizontal_axis, path, px, svg, text_width, tick_text, vertical_axis};
use crate::evidence::{Budgets, Evidence, Figure, Kind, Variant};
use crate::table;
use crate::units::{self, ByteScale};

const WIDTH: f64 = 450.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 320.0;
/// The drop axis ends at this multiple of the allowed drop; what is worse is pinned to the upper edge.
const DROPS_IN_SIGHT: f64 = 2.6;
/// Without an allowed drop, the axis ends here (fraction).
const DROP_IN_SIGHT: f64 = 0.05;

/// A limit beyond this multiple of the largest cost is named at the edge rather than drawn.
const LIMIT_IN_SIGHT: f64 = 3.0;

/// What stands on the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Memory,
    Package,
    Latency,
}

impl Cost {
    const fn id(self) -> &'static str {
        match self {
            Self::Memory => "trade-off-memory",
            Self::Package => "trade-off-package",
            Self::Latency => "trade-off-latency",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "peak memory",
            Self::Package => "package size",
            Self::Latency => "latency",
        }
    }

    /// The axis's unit and what one of it is in bytes or milliseconds.
    fn unit(self, largest: f64) -> (&'static str, f64) {
        match self {
            Self::Memory | Self::Package => {
                let scale = ByteScale::for_largest(largest as u64);
                (scale.unit, scale.divisor)
            }
            Self::Latency => ("ms", 1.0),
        }
    }

    /// The cost in bytes or milliseconds.
    fn value(self, variant: &Variant) -> Option<(f64, Kind)> {
        let bytes = |figure: Figure<u64>| (figure.value as f64, figure.kind);
        match self {
            Self::Memory => variant.peak_memory_bytes.map(bytes),
            Self::Package => variant.package_bytes.map(bytes),
            Self::Latency => variant.latency_ms.map(|figure| (figure.value, figure.kind)),
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Self::Memory | Self::Package => units::bytes(value as u64),
            Self::Latency => units::milliseconds(value),
        }
    }

    fn limit(self, budgets: &Budgets) -> Option<(f64, String)> {
        match self {
            Self::Memory => budgets
                .memory_bytes
                .map(|limit| (limit as f64, units::bytes_limit(limit))),
            Self::Package => None,
            Self::Latency => budgets
                .latency_ms
                .map(|limit| (limit, units::milliseconds_limit(limit))),
        }
    }
}

/// A variant in one panel; the drop is in percent.
struct Point<'a> {
    variant: &'a Variant,
    cost: f64,
    drop: f64,
    upper: Option<f64>,
    modelled: bool,
    on_front: bool,
}

/// The panels for which there are at least two points; empty markup if there is none.
pub(crate) fn draw(evidence: &Evidence) -> Option<Markup> {
    // Where memory is limited, the peak is the size that matters; the package is in the table.
    let has_peaks = evidence
        .variants
        .iter()
        .filter(|variant| variant.peak_memory_bytes.is_some())
        .count()
        > 1;
    let by_peak = evidence.budgets.memory_bytes.is_some() && has_peaks;
    let panels: Vec<(Cost, Vec<Point<'_>>)> =
        [if by_peak { Cost::Memory } else { Cost::Package }, Cost::Latency]
            .into_iter()
            .map(|cost| (cost, points(&evidence.variants, cost)))
            .filter(|(_, points)| points.len() > 1)
            .collect();
    if panels.is_empty() {
        return None;
    }
    Some(html! {
        figure.chart.panels {
            @for (cost, points) in &panels { (panel(*cost, points, &evidence.budgets)) }
            figcaption {
                "Lower and further left is better; the line joins the variants that no other beats on both axes. Shaded: what \
                 the limits allow. A ring marks the packaged variant, a hollow dot a "
                em { "modelled" }
                " one, a triangle at the upper edge a drop beyond the axis. The thin line above a dot reaches to its upper 95 % bound."
            }
        }
    })
}

fn points(variants: &[Variant], cost: Cost) -> Vec<Point<'_>> {
    let mut points: Vec<Point<'_>> = variants
        .iter()
        .filter_map(|variant| {
            let (value, kind) = cost.value(variant)?;
            let drop = variant.drop?;
            (value.is_finite() && value >= 0.0 && drop.value.is_finite()).then(|| Point {
                variant,
                cost: value,
                drop: drop.value * 100.0,
                upper: variant
                    .drop_upper
                    .map(|upper| upper * 100.0)
                    .filter(|upper| upper.is_finite()),
                modelled: kind == Kind::Modelled || drop.kind == Kind::Modelled,
                on_front: false,
            })
        })
        .collect();
    points.sort_by(|left, right| {
        left.cost
            .total_cmp(&right.cost)
            .then(left.drop.total_cmp(&right.drop))
    });
    let mut best = f64::INFINITY;
    for point in &mut points {
        point.on_front = point.drop < best;
        best = best.min(point.drop);
    }
    points
}

fn panel(cost: Cost, points: &[Point<'_>], budgets: &Budgets) -> Markup {
    let limit = cost
        .limit(budgets)
        .filter(|(limit, _)| limit.is_finite() && *limit > 0.0);
    let largest = points.iter().map(|point| point.cost).fold(0.0, f64::max);
    let in_sight = limit
        .as_ref()
        .map(|(limit, _)| *limit)
        .filter(|limit| *limit <= largest * LIMIT_IN_SIGHT);
    let allowed = budgets
        .max_drop
        .map(|drop| drop * 100.0)
        .filter(|drop| drop.is_finite());
    let horizontal = cost_scale(points, in_sight);
    let vertical = drop_scale(points, allowed);
    let front: Vec<&str> = points
        .iter()
        .filter(|point| point.on_front)
        .map(|point| point.variant.name.as_str())
        .collect();
    let caption = Caption {
        id: cost.id(),
        title: &format!("Accuracy drop against {}", cost.name()),
        description: &format!(
            "{} variants; those that no other beats: {}.",
            points.len(),
            front.join(", ")
        ),
        reading: "",
    };
    let (unit, divisor) = cost.unit(largest);
    let axis_title = format!("{}, {unit}", cost.name());
    let axis_text = |tick: f64, ticks: &[f64]| {
        let ticks: Vec<f64> = ticks.iter().map(|tick| tick / divisor).collect();
        tick_text(tick / divisor, &ticks)
    };
    let body = html! {
        (region(in_sight, allowed, &horizontal, &vertical))
        (vertical_axis(&vertical, LEFT, RIGHT, "drop of top-1, %", 5, tick_text))
        (limits(limit, allowed, &horizontal, &vertical))
        path.front d=(path(&corners(points, &horizontal, &vertical), false)) {}
        @for point in points { (dot(point, cost, &horizontal, &vertical)) }
        @for (x, y, anchor, point) in place_labels(points, &horizontal, &vertical) {
            text.tick.point-label.strong[point.variant.chosen] x=(px(x)) y=(px(y)) text-anchor=(anchor) { (label(point)) }
        }
        (horizontal_axis(&horizontal, BOTTOM, &axis_title, axis_text))
    };
    svg(
        cost.id(),
        &caption,
        WIDTH,
        &Drawing {
            height: BOTTOM + 42.0,
            body,
        },
    )
}

fn cost_scale(points: &[Point<'_>], limit: Option<f64>) -> Scale {
    let values = || points.iter().map(|point| point.cost).chain(limit);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    if low > 0.0 && high > low * 20.0 {
        Scale::logarithmic(low * 0.8, high * 1.15, LEFT, RIGHT)
    } else {
        Scale::linear(0.0, high * 1.08, LEFT, RIGHT)
    }
}

fn drop_scale(points: &[Point<'_>], allowed: Option<f64>) -> Scale {
    let sight = allowed.map_or(DROP_IN_SIGHT * 100.0, |allowed| {
        allowed.max(0.05) * DROPS_IN_SIGHT
    });
    let values = || points.iter().map(|point| point.drop);
    let highest = values()
        .filter(|drop| *drop <= sight)
        .chain(allowed)
        .fold(0.1, f64::max);
    let low = values().fold(0.0, f64::min).max(-sight);
    let pad = (highest - low) * 0.12;
    Scale::linear(
        if low < 0.0 { low - pad } else { -pad * 0.6 },
        highest + pad,
        BOTTOM,
        TOP,
    )
}

fn region(limit: Option<f64>, allowed: Option<f64>, horizontal: &Scale, vertical: &Scale) -> Markup {
    if limit.is_none() && allowed.is_none() {
        return html! {};
    }
    let right = limit.map_or(RIGHT, |limit| horizontal.at(limit));
    let top = allowed.map_or(TOP, |allowed| vertical.at(allowed));
    html! { rect.region x=(px(LEFT)) y=(px(top)) width=(px(right - LEFT)) height=(px(BOTTOM - top)) {} }
}

fn limits(
    limit: Option<(f64, String)>,
    allowed: Option<f64>,
    horizontal: &Scale,
    vertical: &Scale,
) -> Markup {
    html! {
        @if let Some((limit, limit_text)) = limit {
            @let x = horizontal.at(limit);
            @let in_sight = horizontal.contains(limit);
            @if in_sight { line.limit x1=(px(x)) x2=(px(x)) y1=(px(TOP - 12.0)) y2=(px(BOTTOM)) {} }
            text.tick.limit-text x=(px(x)) y=(px(TOP - 16.0)) text-anchor=(if x > WIDTH * 0.75 { "end" } else { "middle" }) {
                "limit " (limit_text) @if !in_sight { " →" }
            }
        }
        @if let Some(allowed) = allowed {
            @let y = vertical.at(allowed);
            line.limit x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y)) y2=(px(y)) {}
            text.tick.limit-text x=(px(RIGHT)) y=(px(y - 5.0)) text-anchor="end" { "allowed " (units::percent_limit(allowed / 100.0)) }
        }
    }
}

/// The front as a line that goes right before it goes down: between two variants nothing better is known.
fn corners(points: &[Point<'_>], horizontal: &Scale, vertical: &Scale) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for point in points.iter().filter(|point| point.on_front) {
        let (x, y) = (horizontal.at(point.cost), vertical.at(point.drop));
        if let Some(&(_, last_y)) = corners.last() {
            corners.push((x, last_y));
        }
        corners.push((x, y));
    }
    corners
}

fn dot(point: &Point<'_>, cost: Cost, horizontal: &Scale, vertical: &Scale) -> Markup {
    let (x, y) = (horizontal.at(point.cost), vertical.at(point.drop));
    let class = match (point.on_front, point.modelled) {
        (true, false) => "dot front-dot",
        (true, true) => "dot front-dot hollow",
        (false, false) => "dot",
        (false, true) => "dot hollow",
    };
    let beyond = point.drop > vertical.high();
    html! {
        g {
            title {
                (point.variant.name) ": " (cost.text(point.cost)) ", drop "
                (units::percent(point.drop / 100.0))
            }
            @if let Some(upper) = point.upper.filter(|_| !beyond) {
                line.bound-line x1=(px(x)) x2=(px(x)) y1=(px(y)) y2=(px(vertical.at(upper))) {}
            }
            @if point.variant.chosen { circle.ring cx=(px(x)) cy=(px(y)) r="9" {} }
            @if beyond {
                path class=(class) d=(path(&[(x, y - 5.0), (x + 5.5, y + 5.0), (x - 5.5, y + 5.0)], true)) {}
            } @else {
                circle class=(class) cx=(px(x)) cy=(px(y)) r="4.5" {}
            }
        }
    }
}

impl Point<'_> {
    fn chosen_or_front(&self) -> bool {
        self.variant.chosen || self.on_front
    }
}

/// The width of a point's label; the chosen one is bold.
fn label_width(point: &Point<'_>) -> f64 {
    text_width(&label(point)) * if point.variant.chosen { 1.15 } else { 1.0 }
}

fn label(point: &Point<'_>) -> String {
    table::shorten(&point.variant.name, 22)
}

type Label<'a, 'b> = (f64, f64, &'static str, &'b Point<'a>);

/// Labels beside the points, none over another label or point: the chosen variant and the front first, the rest as there
/// is room. A label without room is left out; the point's tooltip and the table below still name it.
fn place_labels<'a, 'b>(points: &'b [Point<'a>], horizontal: &Scale, vertical: &Scale) -> Vec<Label<'a, 'b>> {
    let at = |point: &Point<'_>| (horizontal.at(point.cost), vertical.at(point.drop));
    let mut taken: Vec<Area> = points
        .iter()
        .map(|point| {
            let (x, y) = at(point);
            let reach = if point.variant.chosen { 9.0 } else { 5.0 };
            Area {
                left: x - reach,
                top: y - reach,
                right: x + reach,
                bottom: y + reach,
            }
        })
        .collect();
    let lines = line_areas(points, horizontal, vertical);
    let mut order: Vec<&Point<'_>> = points.iter().collect();
    order.sort_by_key(|point| (!point.variant.chosen, !point.on_front));
    let mut labels = Vec::new();
    for point in order {
        let (x, y) = at(point);
        let width = label_width(point);
        let reach = if point.variant.chosen { 14.0 } else { 9.0 };
        let candidates = [
            (x + reach, y + 4.0, "start"),
            (x - reach, y + 4.0, "end"),
            (x, y - reach - 2.0, "middle"),
            (x, y + reach + 11.0, "middle"),
            (x + reach, y - 9.0, "start"),
            (x + reach, y + 17.0, "start"),
            (x - reach, y - 9.0, "end"),
            (x - reach, y + 17.0, "end"),
        ];
        let place = |obstacles: &[Area]| {
            candidates.into_iter().find_map(|(text_x, text_y, anchor)| {
                let area = Area::of_text(text_x, text_y, width, anchor);
                let clear =
                    area.is_inside() && taken.iter().chain(obstacles).all(|other| !area.overlaps(other));
                clear.then_some((text_x, text_y, anchor, area))
            })
        };
        // A label across a line can still be read, one across another label cannot.
        let free = place(&lines).or_else(|| if point.chosen_or_front() { place(&[]) } else { None });
        if let Some((text_x, text_y, anchor, area)) = free {
            taken.push(area);
            labels.push((text_x, text_y, anchor, point));
        }
    }
    labels
}

/// The front and the bound lines as thin areas.
fn line_areas(points: &[Point<'_>], horizontal: &Scale, vertical: &Scale) -> Vec<Area> {
    let between = |from: (f64, f64), to: (f64, f64)| Area {
        left: from.0.min(to.0) - 1.0,
        top: from.1.min(to.1) - 1.0,
        right: from.0.max(to.0) + 1.0,
        bottom: from.1.max(to.1) + 1.0,
    };
    let corners = corners(points, horizontal, vertical);
    let mut areas: Vec<Area> = corners.windows(2).map(|pair| between(pair[0], pair[1])).collect();
    areas.extend(points.iter().filter_map(|point| {
        let x = horizontal.at(point.cost);
        point
            .upper
            .map(|upper| between((x, vertical.at(point.drop)), (x, vertical.at(upper))))
    }));
    areas
}

/// A rectangle that a point or label takes.
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn of_text(x: f64, baseline: f64, width: f64, anchor: &str) -> Self {
        let left = match anchor {
            "start" => x,
            "end" => x - width,
            _ => x - width / 2.0,
        };
        Self {
            left,
            top: baseline - 11.0,
            right: left + width,
            bottom: baseline + 3.0,
        }
    }

    fn is_inside(&self) -> bool {
        self.left >= LEFT && self.right <= WIDTH && self.top >= TOP - 10.0 && self.bottom <= BOTTOM
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, latency_ms: f64, drop: f64) -> Variant {
        Variant {
            name: name.to_owned(),
            latency_ms: Some(Figure::measured(latency_ms)),
            drop: Some(Figure::measured(drop)),
            ..Variant::default()
        }
    }

    #[test]
    fn the_front_is_what_no_other_variant_beats() {
        let variants = [
            variant("slow exact", 60.0, 0.0),
            variant("good", 30.0, 0.002),
            variant("beaten", 35.0, 0.004),
            variant("equal but slower", 31.0, 0.002),
            variant("fast poor", 10.0, 0.1),
            variant("unknown", f64::NAN, 0.0),
        ];
        let points = points(&variants, Cost::Latency);
        let front: Vec<&str> = points
            .iter()
            .filter(|point| point.on_front)
            .map(|point| point.variant.name.as_str())
            .collect();
        assert_eq!(front, ["fast poor", "good", "slow exact"]);
        assert_eq!(points.len(), 5);
    }

    #[test]
    fn labels_of_crowded_points_stay_apart() {
        let variants: Vec<Variant> = (0..30)
            .map(|index| variant(&format!("variant {index}"), 20.0 + f64::from(index) * 0.1, 0.002))
            .collect();
        let points = points(&variants, Cost::Latency);
        let horizontal = cost_scale(&points, Some(25.0));
        let vertical = drop_scale(&points, Some(0.7));
        let labels = place_labels(&points, &horizontal, &vertical);
        assert!(!labels.is_empty());
        let areas: Vec<Area> = labels
            .iter()
            .map(|(x, y, anchor, point)| Area::of_text(*x, *y, label_width(point), anchor))
            .collect();
        for (index, area) in areas.iter().enumerate() {
            assert!(areas[..index].iter().all(|other| !area.overlaps(other)));
        }
    }
}
