//! Points, colours and the few curves that the renderer needs, in operations that round the same everywhere.
//!
//! Only `+ - * /`, `sqrt`, `floor`, `abs`, `min` and `max` are used: IEEE-754 fixes their last bit. Library
//! sines and powers do not promise that, so the sine here is a polynomial.

use std::ops::{Add, Mul, Sub};

/// A point or a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f32,
    pub(crate) y: f32,
}

/// Shorthand for a [`Point`]; shapes are lists of them.
pub(crate) const fn p(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Point {
    pub(crate) fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    pub(crate) fn length(self) -> f32 {
        self.dot(self).sqrt()
    }
}

impl Add for Point {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        p(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        p(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        p(self.x * factor, self.y * factor)
    }
}

/// A colour in linear light: red, green, blue, 0 is black and 1 is a white sheet in full light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rgb {
    pub(crate) r: f32,
    pub(crate) g: f32,
    pub(crate) b: f32,
}

impl Rgb {
    /// A colour as screens name it (0 to 1 per channel); the display curve of this crate is a square root.
    pub(crate) const fn display(r: f32, g: f32, b: f32) -> Self {
        Self {
            r: r * r,
            g: g * g,
            b: b * b,
        }
    }

    /// A colour by its linear light.
    pub(crate) const fn linear(r: f32, g: f32, b: f32) -> Self {
        Self { r, g, b }
    }

    /// Channel by channel product: a surface under a light.
    pub(crate) fn lit_by(self, light: Self) -> Self {
        Self::linear(self.r * light.r, self.g * light.g, self.b * light.b)
    }

    /// The colour `share` of the way from `self` to `other`.
    pub(crate) fn mix(self, other: Self, share: f32) -> Self {
        self * (1.0 - share) + other * share
    }

    /// Brightness as eyes weigh the channels.
    pub(crate) fn luma(self) -> f32 {
        0.299 * self.r + 0.587 * self.g + 0.114 * self.b
    }
}

impl Add for Rgb {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::linear(self.r + other.r, self.g + other.g, self.b + other.b)
    }
}

impl Mul<f32> for Rgb {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self::linear(self.r * factor, self.g * factor, self.b * factor)
    }
}

/// A number limited to `[0, 1]`.
pub(crate) fn saturate(value: f32) -> f32 {
    value.clamp(0.0, 1.0)
}

/// The number `share` of the way from `from` to `to`.
pub(crate) fn lerp(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// A smooth step: 0 below `low`, 1 above `high`, a cubic between.
pub(crate) fn smooth_step(low: f32, high: f32, value: f32) -> f32 {
    let share = saturate((value - low) / (high - low));
    share * share * (3.0 - 2.0 * share)
}

/// A bell around 0 that is 1 at the middle and has fallen to 1/4 at `width`; it never quite reaches 0.
pub(crate) fn bell(distance: f32, width: f32) -> f32 {
    let ratio = distance / width;
    let falloff = 1.0 / (1.0 + ratio * ratio);
    falloff * falloff
}

/// Sine of an angle given in turns (1 turn = 360 degrees); error below 0.0012.
///
/// The polynomial is Bhaskara's parabola through the zeros and peaks with one refinement step.
pub(crate) fn sine_of_turns(turns: f32) -> f32 {
    let part = turns - turns.floor();
    let signed = if part > 0.5 { part - 1.0 } else { part };
    // A parabola through 0, 1/4 (value 1) and 1/2, then blended with its square.
    let parabola = 8.0 * signed - 16.0 * signed * signed.abs();
    parabola * (0.775 + 0.225 * parabola.abs())
}

/// Cosine of an angle given in turns; error below 0.0012.
pub(crate) fn cosine_of_turns(turns: f32) -> f32 {
    sine_of_turns(turns + 0.25)
}

#[cfg(test)]
mod tests {
    use super::{bell, cosine_of_turns, sine_of_turns, smooth_step};

    #[test]
    fn sine_follows_the_library_sine() {
        for step in -400..400 {
            let turns = step as f32 / 200.0;
            let angle = f64::from(turns) * std::f64::consts::TAU;
            assert!(
                (f64::from(sine_of_turns(turns)) - angle.sin()).abs() < 1.2e-3,
                "{turns}"
            );
            assert!(
                (f64::from(cosine_of_turns(turns)) - angle.cos()).abs() < 1.2e-3,
                "{turns}"
            );
        }
    }

    #[test]
    fn curves_hit_their_ends() {
        assert_eq!(smooth_step(1.0, 2.0, 0.5), 0.0);
        assert_eq!(smooth_step(1.0, 2.0, 1.5), 0.5);
        assert_eq!(smooth_step(1.0, 2.0, 9.0), 1.0);
        assert_eq!(bell(0.0, 2.0), 1.0);
        assert_eq!(bell(2.0, 2.0), 0.25);
    }
}
