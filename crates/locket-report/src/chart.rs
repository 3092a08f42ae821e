//! Charts as inline SVG: scales, axes and the frame that gives every chart a title, a description and a reading line.
//!
//! Every coordinate goes through [`px`], which cannot print anything but a finite number. Colours come from the page's
//! theme by class name. A chart is drawn twice, for wide and for narrow pages, because text inside a scaled-down drawing
//! could not be read; the page shows one of the two.

use std::fmt;

use maud::{Markup, html};

pub(crate) mod gauge;
pub(crate) mod interval;
pub(crate) mod latency;
pub(crate) mod leakage;
pub(crate) mod matrix;
pub(crate) mod memory;
pub(crate) mod operators;
pub(crate) mod trade_off;

/// The width that a chart is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Wide,
    Narrow,
}

impl Size {
    pub(crate) const fn width(self) -> f64 {
        match self {
            Self::Wide => 920.0,
            Self::Narrow => 360.0,
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// What a chart says in words.
pub(crate) struct Caption<'a> {
    /// Unique in the page, letters and dashes.
    pub(crate) id: &'a str,
    /// What is shown.
    pub(crate) title: &'a str,
    /// The same for those who cannot see it: the axes and the main figures.
    pub(crate) description: &'a str,
    /// How to read it and what it says.
    pub(crate) reading: &'a str,
}

/// A drawing with its height.
pub(crate) struct Drawing {
    pub(crate) height: f64,
    pub(crate) body: Markup,
}

/// A figure with both drawings and the reading line.
pub(crate) fn figure(caption: &Caption<'_>, draw: impl Fn(Size) -> Drawing) -> Markup {
    html! {
        figure.chart {
            @for size in [Size::Wide, Size::Narrow] {
                div.(size.class()) {
                    (svg(&format!("{}-{}", caption.id, size.class()), caption, size.width(), &draw(size)))
                }
            }
            figcaption { (crate::html::prose(caption.reading)) }
        }
    }
}

/// One drawing as an SVG element that is named and described.
pub(crate) fn svg(id: &str, caption: &Caption<'_>, width: f64, drawing: &Drawing) -> Markup {
    html! {
        svg viewBox={ "0 0 " (px(width)) " " (px(drawing.height)) } role="img" aria-labelledby={ (id) "-t " (id) "-d" } {
            title id={ (id) "-t" } { (caption.title) }
            desc id={ (id) "-d" } { (caption.description) }
            (drawing.body)
        }
    }
}

/// A coordinate as SVG text: finite, at most one decimal.
pub(crate) fn px(value: f64) -> Coordinate {
    Coordinate(if value.is_finite() {
        value.clamp(-1e5, 1e5)
    } else {
        0.0
    })
}

/// A finite number that prints as short as it can.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coordinate(f64);

impl fmt::Display for Coordinate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        let (whole, tenth) = ((tenths / 10).abs(), (tenths % 10).abs());
        let sign = if tenths < 0 { "-" } else { "" };
        if tenth == 0 {
            write!(formatter, "{sign}{whole}")
        } else {
            write!(formatter, "{sign}{whole}.{tenth}")
        }
    }
}

impl maud::Render for Coordinate {
    fn render_to(&self, buffer: &mut String) {
        use fmt::Write as _;
        write!(buffer, "{self}").expect("a string takes every write");
    }
}

/// A map from values to coordinates; values outside the domain stick to its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// From `[low, high]` to `[from, to]`. A domain that is empty or not finite is replaced by one that is not.
    pub(crate) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high > low {
            high
        } else {
            low + low.abs().max(1.0)
        };
        Self {
            low,
            high,
            from,
            to,
            logarithmic: false,
        }
    }

    /// As [`Scale::linear`] but logarithmic; `low` must be positive or the scale is linear.
    pub(crate) fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Self {
        let linear = Self::linear(low, high, from, to);
        Self {
            logarithmic: linear.low > 0.0,
            ..linear
        }
    }

    /// The coordinate of `value`.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if value.is_nan() {
            self.low
        } else {
            value.clamp(self.low, self.high)
        };
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Whether `value` lies inside the domain.
    pub(crate) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    pub(crate) const fn high(&self) -> f64 {
        self.high
    }

    /// About `target` round values inside the domain, ascending.
    pub(crate) fn ticks(&self, target: usize) -> Vec<f64> {
        if self.logarithmic {
            return self.logarithmic_ticks(target);
        }
        let step = round_step((self.high - self.low) / target.max(1) as f64);
        let first = (self.low / step - 1e-9).ceil();
        // Counted, not accumulated: a step too small to change a large value must not loop for ever.
        (0..=4 * target.max(1))
            .map(|index| (first + index as f64) * step)
            .take_while(|&tick| tick <= self.high + step * 1e-6)
            .collect()
    }

    fn logarithmic_ticks(&self, target: usize) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let factors: &[f64] = if decades > target as f64 / 2.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        (first..=last)
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)))
            .filter(|&tick| self.contains(tick))
            .collect()
    }
}

/// The next of 1, 2, 2.5 or 5 times a power of ten that is not below `raw`.
fn round_step(raw: f64) -> f64 {
    let raw = if raw.is_finite() && raw > 0.0 { raw } else { 1.0 };
    let power = 10_f64.powf(raw.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&step| step >= raw * 0.999)
        .unwrap_or(raw)
}

/// A tick's text: as many decimals as tell it from its neighbours.
pub(crate) fn tick_text(value: f64, ticks: &[f64]) -> String {
    let steps = || ticks.windows(2).map(|pair| pair[1] - pair[0]);
    let (least, most) = (steps().fold(f64::INFINITY, f64::min), steps().fold(0.0, f64::max));
    // On a logarithmic axis every tick has its own decimals.
    let step = if most > least * 1.5 { value } else { least };
    let decimals = (0..6).find(|&decimals| {
        let scaled = |value: f64| value * 10_f64.powi(decimals);
        [step, value]
            .into_iter()
            .all(|value| !value.is_finite() || (scaled(value) - scaled(value).round()).abs() < 1e-6)
    });
    let text = format!("{:.*}", decimals.unwrap_or(6) as usize, value);
    if text.trim_start_matches(['-', '0', '.']).is_empty() {
        "0".to_owned()
    } else {
        text.replace('-', "−")
    }
}

/// A horizontal axis below the drawing: line, ticks and the title with the unit, at the right end.
pub(crate) fn horizontal_axis(
    scale: &Scale,
    top: f64,
    title: &str,
    text: impl Fn(f64, &[f64]) -> String,
) -> Markup {
    let span = (scale.to - scale.from).abs();
    let ticks = scale.ticks(if span > 500.0 { 8 } else { 5 });
    html! {
        line.axis x1=(px(scale.from)) x2=(px(scale.to)) y1=(px(top)) y2=(px(top)) {}
        @for &tick in &ticks {
            line.axis x1=(px(scale.at(tick))) x2=(px(scale.at(tick))) y1=(px(top)) y2=(px(top + 4.0)) {}
            text.tick x=(px(scale.at(tick))) y=(px(top + 17.0)) text-anchor="middle" { (text(tick, &ticks)) }
        }
        text.axis-title x=(px(scale.to)) y=(px(top + 35.0)) text-anchor="end" { (title) }
    }
}

/// A vertical axis at the left: grid lines, tick texts and the title with the unit, above the axis.
pub(crate) fn vertical_axis(
    scale: &Scale,
    left: f64,
    right: f64,
    title: &str,
    target: usize,
    text: impl Fn(f64, &[f64]) -> String,
) -> Markup {
    let ticks = scale.ticks(target);
    html! {
        @for &tick in &ticks {
            line.grid x1=(px(left)) x2=(px(right)) y1=(px(scale.at(tick))) y2=(px(scale.at(tick))) {}
            text.tick x=(px(left - 6.0)) y=(px(scale.at(tick) + 4.0)) text-anchor="end" { (text(tick, &ticks)) }
        }
        text.axis-title x="0" y="12" { (title) }
    }
}

/// A closed or open path through points.
pub(crate) fn path(points: &[(f64, f64)], closed: bool) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(points.len() * 12);
    for (index, &(x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        write!(text, "{command}{} {}", px(x), px(y)).expect("a string takes every write");
    }
    if closed {
        text.push('Z');
    }
    text
}

/// The width that `text` takes at the tick size, near enough to keep labels apart.
pub(crate) fn text_width(text: &str) -> f64 {
    crate::table::width(text) as f64 * 6.8
}

/// Positions for labels on one line: as near to the wanted centres as they come without overlap, inside
/// `[left, right]`. The labels are (centre, width) and the result keeps their order.
pub(crate) fn spread(labels: &[(f64, f64)], left: f64, right: f64) -> Vec<f64> {
    const GAP: f64 = 12.0;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&first, &second| labels[first].0.total_cmp(&labels[second].0));
    let mut centres = vec![left; labels.len()];
    let mut edge = left;
    for &index in &order {
        let (centre, width) = labels[index];
        centres[index] = centre.max(edge + width / 2.0);
        edge = centres[index] + width / 2.0 + GAP;
    }
    let mut edge = right;
    for &index in order.iter().rev() {
        let (_, width) = labels[index];
        centres[index] = centres[index].min(edge - width / 2.0);
        edge = centres[index] - width / 2.0 - GAP;
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_always_numbers() {
        for (value, text) in [
            (0.04, "0"),
            (-0.04, "0"),
            (-0.5, "-0.5"),
            (12.0, "12"),
            (3.25, "3.3"),
            (f64::NAN, "0"),
            (f64::INFINITY, "0"),
            (1e300, "100000"),
        ] {
            assert_eq!(px(value).to_string(), text, "{value}");
        }
    }

    #[test]
    fn scales_survive_impossible_domains() {
        for (low, high) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
            (3.0, -3.0),
            (-1.0, 1e300),
        ] {
            for scale in [
                Scale::linear(low, high, 0.0, 100.0),
                Scale::logarithmic(low, high, 0.0, 100.0),
            ] {
                for value in [low, high, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0] {
                    let coordinate = scale.at(value);
                    assert!(
                        (-0.1..=100.1).contains(&coordinate),
                        "{scale:?} at {value}: {coordinate}"
                    );
                }
                let ticks = scale.ticks(5);
                assert!(
                    ticks.len() <= 21 && ticks.iter().all(|tick| tick.is_finite()),
                    "{scale:?}: {ticks:?}"
                );
            }
        }
    }

    #[test]
    fn ticks_are_round() {
        let texts = |low, high| {
            let ticks = Scale::linear(low, high, 0.0, 1.0).ticks(5);
            ticks
                .iter()
                .map(|&tick| tick_text(tick, &ticks))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(texts(0.0, 33.0), "0 10 20 30");
        assert_eq!(texts(-0.2, 0.83), "0 0.25 0.50 0.75");
        assert_eq!(texts(2.31, 2.42), "2.325 2.350 2.375 2.400");
        let ticks = Scale::logarithmic(0.8, 120.0, 0.0, 1.0).ticks(6);
        assert_eq!(ticks, [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(tick_text(0.5, &[0.5, 1.0, 10.0]), "0.5");
        assert_eq!(tick_text(10.0, &[0.5, 1.0, 10.0]), "10");
    }

    #[test]
    fn labels_do_not_overlap() {
        let labels = [(50.0, 40.0), (52.0, 40.0), (90.0, 40.0), (10.0, 40.0)];
        let centres = spread(&labels, 0.0, 300.0);
        for first in 0..labels.len() {
            for second in 0..first {
                assert!((centres[first] - centres[second]).abs() >= 40.0, "{centres:?}");
            }
        }
        assert_eq!(centres[3], 20.0);
    }
}
