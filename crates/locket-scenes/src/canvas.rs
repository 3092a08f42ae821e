//! The picture while it is painted: a square of linear light, shapes as signed distances, and paint.
//!
//! Shapes have smooth edges because coverage is read off the distance to the outline. A [`Frame`] maps an
//! object's own coordinates (x right, y up, about one unit large, foot at the origin) to the picture's
//! (x right, y down, both 0 to 1).

use crate::light::Light;
use crate::maths::{Point, Rgb, cosine_of_turns, lerp, p, saturate, sine_of_turns};
use crate::random::layered_noise;

/// A square picture in linear light, row by row from the top.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub(crate) size: usize,
    pub(crate) pixels: Vec<Rgb>,
}

impl Canvas {
    /// A black picture of `size` × `size`.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            pixels: vec![Rgb::linear(0.0, 0.0, 0.0); size * size],
        }
    }

    /// Calls `paint` with every pixel and its centre in picture coordinates.
    pub(crate) fn for_each(&mut self, mut paint: impl FnMut(Point, &mut Rgb)) {
        let step = 1.0 / self.size as f32;
        for (row, line) in self.pixels.chunks_exact_mut(self.size).enumerate() {
            let y = (row as f32 + 0.5) * step;
            for (column, pixel) in line.iter_mut().enumerate() {
                paint(p((column as f32 + 0.5) * step, y), pixel);
            }
        }
    }

    /// The colour at a point, blended from the four nearest pixels; outside, the border goes on.
    pub(crate) fn sample(&self, at: Point) -> Rgb {
        let last = (self.size - 1) as f32;
        let x = (at.x * self.size as f32 - 0.5).clamp(0.0, last);
        let y = (at.y * self.size as f32 - 0.5).clamp(0.0, last);
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.size - 1), (top + 1).min(self.size - 1));
        let (part_x, part_y) = (x - left as f32, y - top as f32);
        let row = |line: usize| {
            self.pixels[line * self.size + left].mix(self.pixels[line * self.size + right], part_x)
        };
        row(top).mix(row(bottom), part_y)
    }
}

/// The rolled camera: picture coordinates to level coordinates and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Camera {
    cosine: f32,
    sine: f32,
}

impl Camera {
    /// A camera rolled by `turns`.
    pub(crate) fn new(turns: f32) -> Self {
        Self {
            cosine: cosine_of_turns(turns),
            sine: sine_of_turns(turns),
        }
    }

    /// Where a point of the picture is in a level picture.
    pub(crate) fn level(self, at: Point) -> Point {
        let (x, y) = (at.x - 0.5, at.y - 0.5);
        p(
            0.5 + self.cosine * x + self.sine * y,
            0.5 - self.sine * x + self.cosine * y,
        )
    }

    /// Where a point of a level picture is in the picture.
    pub(crate) fn picture(self, at: Point) -> Point {
        let (x, y) = (at.x - 0.5, at.y - 0.5);
        p(
            0.5 + self.cosine * x - self.sine * y,
            0.5 + self.sine * x + self.cosine * y,
        )
    }
}

/// Where an object stands: its own coordinates to the picture's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) camera: Camera,
    /// The foot in level coordinates.
    pub(crate) foot: Point,
    /// Picture units per own unit.
    pub(crate) scale: f32,
    /// -1 if mirrored, else 1.
    pub(crate) direction: f32,
}

impl Frame {
    fn to_picture(self, own: Point) -> Point {
        self.camera.picture(p(
            self.foot.x + own.x * self.direction * self.scale,
            self.foot.y - own.y * self.scale,
        ))
    }

    fn to_own(self, picture: Point) -> Point {
        let level = self.camera.level(picture);
        p(
            (level.x - self.foot.x) * self.direction / self.scale,
            (self.foot.y - level.y) / self.scale,
        )
    }
}

/// An outline, in own coordinates.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// Centre and radius.
    Circle(Point, f32),
    /// Centre and the two half axes.
    Ellipse(Point, Point),
    /// The upper half of an ellipse: centre of its flat side and the two half axes.
    Dome(Point, Point),
    /// Centre, half sides, and radius of the corners.
    Slab(Point, Point, f32),
    /// A line from one point to another with a radius at each end.
    Limb(Point, Point, f32, f32),
    /// Centre, radius and half width.
    Ring(Point, f32, f32),
    /// Corners in order, and radius of the corners.
    Polygon(&'a [Point], f32),
}

impl Shape<'_> {
    /// Distance to the outline, negative inside. Exact but for ellipses, where it is right at the outline.
    fn distance(&self, at: Point) -> f32 {
        match *self {
            Self::Circle(centre, radius) => (at - centre).length() - radius,
            Self::Ellipse(centre, half) => ellipse_distance(at - centre, half),
            Self::Dome(centre, half) => ellipse_distance(at - centre, half).max(centre.y - at.y),
            Self::Slab(centre, half, round) => {
                let x = (at.x - centre.x).abs() - half.x + round;
                let y = (at.y - centre.y).abs() - half.y + round;
                p(x.max(0.0), y.max(0.0)).length() + x.max(y).min(0.0) - round
            }
            Self::Limb(from, to, radius_from, radius_to) => {
                let (along, line) = (at - from, to - from);
                let share = saturate(along.dot(line) / line.dot(line).max(1e-9));
                (along - line * share).length() - lerp(radius_from, radius_to, share)
            }
            Self::Ring(centre, radius, half_width) => ((at - centre).length() - radius).abs() - half_width,
            Self::Polygon(corners, round) => polygon_distance(at, corners) - round,
        }
    }

    /// The smallest upright rectangle around the shape: lowest and highest corner.
    fn bounds(&self) -> (Point, Point) {
        match *self {
            Self::Circle(centre, radius) => (centre - p(radius, radius), centre + p(radius, radius)),
            Self::Ellipse(centre, half) | Self::Slab(centre, half, _) => (centre - half, centre + half),
            Self::Dome(centre, half) => (p(centre.x - half.x, centre.y), centre + half),
            Self::Limb(from, to, a, b) => (
                p((from.x - a).min(to.x - b), (from.y - a).min(to.y - b)),
                p((from.x + a).max(to.x + b), (from.y + a).max(to.y + b)),
            ),
            Self::Ring(centre, radius, half_width) => {
                let outer = radius + half_width;
                (centre - p(outer, outer), centre + p(outer, outer))
            }
            Self::Polygon(corners, round) => {
                let start = (p(f32::MAX, f32::MAX), p(f32::MIN, f32::MIN));
                let (low, high) = corners.iter().fold(start, |(low, high), corner| {
                    (
                        p(low.x.min(corner.x), low.y.min(corner.y)),
                        p(high.x.max(corner.x), high.y.max(corner.y)),
                    )
                });
                (low - p(round, round), high + p(round, round))
            }
        }
    }
}

fn ellipse_distance(at: Point, half: Point) -> f32 {
    let scaled = p(at.x / half.x, at.y / half.y);
    let twice = p(scaled.x / half.x, scaled.y / half.y);
    let level = scaled.length();
    level * (level - 1.0) / twice.length().max(1e-6)
}

fn polygon_distance(at: Point, corners: &[Point]) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let (edge, offset) = (corner - previous, at - previous);
        let share = saturate(offset.dot(edge) / edge.dot(edge).max(1e-9));
        let gap = offset - edge * share;
        nearest = nearest.min(gap.dot(gap));
        if (corner.y > at.y) != (previous.y > at.y) {
            let crossing = previous.x + (at.y - previous.y) / (corner.y - previous.y) * edge.x;
            inside ^= at.x < crossing;
        }
        previous = corner;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// How a surface turns away from the viewer, which decides how light falls on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relief {
    /// A wall that faces the viewer.
    Flat,
    /// A wall that faces sideways, in the direction the object looks.
    Side,
    /// A ball or an egg over the shape's bounds.
    Ball,
    /// An upright pillar over the shape's bounds.
    Pillar,
    /// A lying roll over the shape's bounds.
    Roll,
    /// A roof: leans back and catches the light from above.
    Roof,
}

/// A surface: colour, relief, grain, own light, opacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    colour: Rgb,
    relief: Relief,
    grain: f32,
    grain_scale: f32,
    glow: f32,
    opacity: f32,
    softness: f32,
}

impl Paint {
    /// A flat, even, opaque surface.
    pub(crate) fn new(colour: Rgb) -> Self {
        Self {
            colour,
            relief: Relief::Flat,
            grain: 0.0,
            grain_scale: 1.0,
            glow: 0.0,
            opacity: 1.0,
            softness: 0.0,
        }
    }

    /// The same with a relief.
    pub(crate) fn relief(self, relief: Relief) -> Self {
        Self { relief, ..self }
    }

    /// The same with grain: strength (0.3 is strong) and grains per own unit.
    pub(crate) fn grain(self, grain: f32, grain_scale: f32) -> Self {
        Self {
            grain,
            grain_scale,
            ..self
        }
    }

    /// The same giving light of its own: 1 shows the colour in full even in the dark.
    pub(crate) fn glow(self, glow: f32) -> Self {
        Self { glow, ..self }
    }

    /// The same letting the ground shine through.
    pub(crate) fn opacity(self, opacity: f32) -> Self {
        Self { opacity, ..self }
    }

    /// The same with an edge that fades over this many own units.
    pub(crate) fn softness(self, softness: f32) -> Self {
        Self { softness, ..self }
    }
}

/// Paints the parts of one object: where it stands, in which light, seen through how much air.
#[derive(Debug)]
pub(crate) struct Painter<'a> {
    pub(crate) canvas: &'a mut Canvas,
    pub(crate) frame: Frame,
    pub(crate) light: &'a Light,
    /// Share of haze colour in everything that is painted.
    pub(crate) haze: f32,
    /// Edge blur in picture units, for things out of focus.
    pub(crate) defocus: f32,
    /// Salt of the grain.
    pub(crate) salt: u32,
}

impl Painter<'_> {
    /// Paints the inside of `shape`.
    pub(crate) fn fill(&mut self, shape: Shape<'_>, paint: Paint) {
        let frame = self.frame;
        let (low, high) = shape.bounds();
        let edge =
            (self.defocus / frame.scale + paint.softness).max(0.5 / (frame.scale * self.canvas.size as f32));
        let Some((columns, rows)) = self.pixel_bounds(low - p(edge, edge), high + p(edge, edge)) else {
            return;
        };
        let (centre, half) = ((low + high) * 0.5, (high - low) * 0.5);
        let step = 1.0 / self.canvas.size as f32;
        for row in rows {
            let y = (row as f32 + 0.5) * step;
            for column in columns.clone() {
                let own = frame.to_own(p((column as f32 + 0.5) * step, y));
                let coverage = saturate(0.5 - 0.5 * shape.distance(own) / edge) * paint.opacity;
                if coverage <= 0.0 {
                    continue;
                }
                let offset = own - centre;
                let around = p(offset.x / half.x.max(1e-6), offset.y / half.y.max(1e-6));
                let colour = self.shade(&paint, own, around);
                let pixel = &mut self.canvas.pixels[row * self.canvas.size + column];
                *pixel = pixel.mix(colour, coverage);
            }
        }
    }

    /// Darkens what is already there, under `shape`; `strength` 1 is black.
    pub(crate) fn shadow(&mut self, shape: Shape<'_>, strength: f32, softness: f32) {
        let paint = Paint::new(self.light.shadow)
            .glow(1.0)
            .opacity(strength)
            .softness(softness);
        let haze = std::mem::replace(&mut self.haze, 0.0);
        self.fill(shape, paint);
        self.haze = haze;
    }

    fn shade(&self, paint: &Paint, own: Point, around: Point) -> Rgb {
        let mut base = paint.colour;
        if paint.grain > 0.0 {
            let grain = layered_noise(own.x * paint.grain_scale, own.y * paint.grain_scale, 2, self.salt);
            base = base * (1.0 + paint.grain * (2.0 * grain - 1.0));
        }
        let lit = base.lit_by(self.light.on(paint.relief, around, self.frame.direction));
        let seen = if paint.glow > 0.0 {
            lit.mix(base, paint.glow)
        } else {
            lit
        };
        seen.mix(self.light.haze, self.haze)
    }

    /// The pixels that an own rectangle can touch: columns and rows; none if it is outside the picture.
    fn pixel_bounds(
        &self,
        low: Point,
        high: Point,
    ) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        let corners =
            [low, p(high.x, low.y), high, p(low.x, high.y)].map(|corner| self.frame.to_picture(corner));
        let size = self.canvas.size as f32;
        let span = |values: [f32; 4]| {
            let least = values.into_iter().fold(f32::MAX, f32::min) * size;
            let most = values.into_iter().fold(f32::MIN, f32::max) * size;
            (least.floor().clamp(0.0, size) as usize)..(most.ceil().clamp(0.0, size) as usize)
        };
        let columns = span(corners.map(|corner| corner.x));
        let rows = span(corners.map(|corner| corner.y));
        (!columns.is_empty() && !rows.is_empty()).then_some((columns, rows))
    }
}

#[cfg(test)]
mod tests;
