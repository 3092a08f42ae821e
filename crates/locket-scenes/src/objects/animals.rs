//! Cats, dogs and birds.

use super::{BALL, Look, ROLL};
use crate::canvas::{Paint, Painter, Shape};
use crate::maths::{Point, Rgb, p};
use crate::scene::Pose;

const EYE: Rgb = Rgb::display(0.06, 0.06, 0.07);

fn fur(colour: Rgb) -> Paint {
    Paint::new(colour).relief(BALL).grain(0.22, 24.0)
}

fn eye(painter: &mut Painter<'_>, at: Point, radius: f32, iris: Rgb) {
    painter.fill(Shape::Circle(at, radius), Paint::new(iris));
    painter.fill(Shape::Circle(at, radius * 0.55), Paint::new(EYE));
}

/// A curved tail or neck: three limbs through four points.
fn curve(painter: &mut Painter<'_>, points: [Point; 4], radii: [f32; 4], paint: Paint) {
    for part in 0..3 {
        painter.fill(
            Shape::Limb(points[part], points[part + 1], radii[part], radii[part + 1]),
            paint,
        );
    }
}

/// A cat: sitting, walking or lying.
pub(super) fn cat(painter: &mut Painter<'_>, look: &mut Look) {
    match look.random.below(3) {
        0 => cat_sitting(painter, look),
        1 => cat_walking(painter, look),
        _ => cat_lying(painter, look),
    }
}

fn cat_head(painter: &mut Painter<'_>, look: &mut Look, at: Point, size: f32) {
    let coat = fur(look.colour);
    for side in [-1.0, 1.0] {
        let ear = [
            p(at.x + side * size * 0.92, at.y + size * 0.25),
            p(at.x + side * size * 0.80, at.y + size * 1.5),
            p(at.x + side * size * 0.12, at.y + size * 0.72),
        ];
        painter.fill(Shape::Polygon(&ear, 0.005), fur(look.colour * 0.85));
        let inner = [
            ear[0].x * 0.45 + ear[1].x * 0.25 + ear[2].x * 0.30,
            ear[0].y * 0.45 + ear[1].y * 0.25 + ear[2].y * 0.30,
        ];
        painter.fill(
            Shape::Circle(p(inner[0], inner[1]), size * 0.16),
            Paint::new(Rgb::display(0.72, 0.45, 0.42)).opacity(0.7),
        );
    }
    painter.fill(Shape::Ellipse(at, p(size * 1.05, size * 0.88)), coat);
    let muzzle = look.colour.mix(Rgb::display(0.93, 0.90, 0.86), 0.55);
    painter.fill(
        Shape::Ellipse(at - p(0.0, size * 0.36), p(size * 0.42, size * 0.3)),
        fur(muzzle),
    );
    let iris = look.random.choose(&[
        Rgb::display(0.72, 0.78, 0.22),
        Rgb::display(0.85, 0.62, 0.18),
        Rgb::display(0.45, 0.68, 0.72),
    ]);
    for side in [-1.0, 1.0] {
        eye(painter, at + p(side * size * 0.42, size * 0.1), size * 0.17, iris);
    }
    painter.fill(
        Shape::Circle(at - p(0.0, size * 0.24), size * 0.1),
        Paint::new(Rgb::display(0.62, 0.32, 0.32)),
    );
}

fn stripes(painter: &mut Painter<'_>, look: &mut Look, from: Point, to: Point, length: f32) {
    if !look.random.chance(0.4) {
        return;
    }
    for stripe in 0..5 {
        let at = from + (to - from) * (stripe as f32 / 4.0);
        painter.fill(
            Shape::Limb(at, at - p(0.01, length), 0.012, 0.005),
            Paint::new(look.colour * 0.45).opacity(0.7),
        );
    }
}

fn cat_sitting(painter: &mut Painter<'_>, look: &mut Look) {
    let coat = fur(look.colour);
    let sway = look.random.range(-0.06, 0.1);
    curve(
        painter,
        [
            p(-0.16, 0.06),
            p(-0.34, 0.05),
            p(-0.42, 0.16 + sway),
            p(-0.36, 0.30 + sway),
        ],
        [0.045, 0.04, 0.036, 0.028],
        coat,
    );
    painter.fill(Shape::Ellipse(p(-0.03, 0.24), p(0.23, 0.25)), coat);
    painter.fill(Shape::Ellipse(p(0.0, 0.42), p(0.16, 0.22)), coat);
    stripes(painter, look, p(-0.2, 0.32), p(-0.12, 0.5), 0.1);
    for x in [-0.06, 0.07] {
        painter.fill(Shape::Limb(p(x, 0.34), p(x, 0.045), 0.055, 0.045), coat);
        painter.fill(Shape::Ellipse(p(x, 0.03), p(0.06, 0.034)), fur(look.colour * 1.1));
    }
    let chest = look.colour.mix(Rgb::display(0.93, 0.90, 0.86), 0.5);
    painter.fill(Shape::Ellipse(p(0.01, 0.42), p(0.075, 0.12)), fur(chest));
    let tilt = look.random.range(-0.03, 0.05);
    cat_head(painter, look, p(tilt, 0.70), 0.165);
}

fn cat_walking(painter: &mut Painter<'_>, look: &mut Look) {
    let coat = fur(look.colour);
    let step = look.random.range(-0.05, 0.05);
    for (x, shift) in [(-0.26, step), (0.16, -step)] {
        painter.fill(
            Shape::Limb(p(x, 0.28), p(x + shift, 0.03), 0.05, 0.034),
            fur(look.colour * 0.7),
        );
    }
    let lift = look.random.range(-0.12, 0.08);
    curve(
        painter,
        [
            p(-0.34, 0.36),
            p(-0.46, 0.46),
            p(-0.48, 0.62 + lift),
            p(-0.40, 0.74 + lift),
        ],
        [0.036, 0.034, 0.031, 0.024],
        coat,
    );
    painter.fill(
        Shape::Limb(p(-0.26, 0.33), p(0.18, 0.34), 0.115, 0.11),
        coat.relief(ROLL),
    );
    stripes(painter, look, p(-0.26, 0.43), p(0.12, 0.44), 0.12);
    for (x, shift) in [(-0.33, -step), (0.22, step)] {
        painter.fill(Shape::Limb(p(x, 0.28), p(x + shift, 0.03), 0.058, 0.036), coat);
    }
    cat_head(painter, look, p(0.34, 0.50), 0.14);
}

fn cat_lying(painter: &mut Painter<'_>, look: &mut Look) {
    let coat = fur(look.colour);
    curve(
        painter,
        [p(-0.36, 0.10), p(-0.48, 0.05), p(-0.36, 0.03), p(-0.16, 0.04)],
        [0.045, 0.042, 0.04, 0.032],
        coat,
    );
    painter.fill(Shape::Ellipse(p(-0.08, 0.19), p(0.38, 0.19)), coat);
    stripes(painter, look, p(-0.3, 0.33), p(0.05, 0.36), 0.13);
    painter.fill(Shape::Ellipse(p(-0.24, 0.13), p(0.17, 0.13)), coat);
    for y in [0.05, 0.035] {
        painter.fill(Shape::Limb(p(0.16, y + 0.05), p(0.40, y), 0.05, 0.036), coat);
    }
    cat_head(painter, look, p(0.27, 0.35), 0.15);
}

/// A dog: standing or sitting, with hanging or pricked ears.
pub(super) fn dog(painter: &mut Painter<'_>, look: &mut Look) {
    if look.random.chance(0.55) {
        dog_standing(painter, look);
    } else {
        dog_sitting(painter, look);
    }
}

/// A dog's head in profile, its nose towards +x.
fn dog_head(painter: &mut Painter<'_>, look: &mut Look, at: Point, size: f32) {
    let coat = fur(look.colour);
    let pricked = look.random.chance(0.3);
    let long = look.random.range(0.95, 1.35);
    if pricked {
        let ear = [
            at + p(-size * 0.75, size * 0.3),
            at + p(-size * 0.5, size * 1.35),
            at + p(size * 0.1, size * 0.75),
        ];
        painter.fill(Shape::Polygon(&ear, 0.006), fur(look.colour * 0.7));
    }
    painter.fill(
        Shape::Limb(
            at + p(size * 0.25, -size * 0.2),
            at + p(size * (0.5 + long), -size * 0.34),
            size * 0.56,
            size * 0.36,
        ),
        coat,
    );
    painter.fill(Shape::Circle(at, size * 0.88), coat);
    let muzzle = look.colour.mix(Rgb::display(0.93, 0.90, 0.86), 0.3);
    painter.fill(
        Shape::Ellipse(
            at + p(size * (0.4 + long), -size * 0.42),
            p(size * 0.42, size * 0.22),
        ),
        fur(muzzle),
    );
    painter.fill(
        Shape::Ellipse(
            at + p(size * (0.82 + long), -size * 0.16),
            p(size * 0.17, size * 0.14),
        ),
        Paint::new(EYE),
    );
    eye(
        painter,
        at + p(size * 0.38, size * 0.2),
        size * 0.14,
        Rgb::display(0.36, 0.22, 0.12),
    );
    painter.fill(
        Shape::Limb(
            at + p(size * 0.7, -size * 0.55),
            at + p(size * (0.7 + long), -size * 0.5),
            0.006,
            0.006,
        ),
        Paint::new(EYE).opacity(0.8),
    );
    if !pricked {
        painter.fill(
            Shape::Limb(
                at + p(-size * 0.4, size * 0.5),
                at + p(-size * 0.62, -size * 0.75),
                size * 0.22,
                size * 0.36,
            ),
            fur(look.colour * 0.62),
        );
    }
}

fn collar(painter: &mut Painter<'_>, look: &mut Look, from: Point, to: Point) {
    if look.random.chance(0.5) {
        let strap = look.random.choose(&[
            Rgb::display(0.75, 0.15, 0.15),
            Rgb::display(0.15, 0.3, 0.7),
            Rgb::display(0.2, 0.5, 0.3),
        ]);
        painter.fill(Shape::Limb(from, to, 0.022, 0.022), Paint::new(strap));
    }
}

fn patches(painter: &mut Painter<'_>, look: &mut Look, at: Point) {
    if look.random.chance(0.4) {
        let mark = look.accent.mix(look.colour, 0.3);
        let half = p(look.random.range(0.06, 0.11), look.random.range(0.05, 0.08));
        painter.fill(Shape::Ellipse(at, half), fur(mark));
    }
}

fn dog_standing(painter: &mut Painter<'_>, look: &mut Look) {
    let coat = fur(look.colour);
    let step = look.random.range(-0.05, 0.05);
    let body = 0.44;
    for (x, shift) in [(-0.24, step), (0.14, -step)] {
        painter.fill(
            Shape::Limb(p(x, body - 0.08), p(x + shift, 0.03), 0.055, 0.034),
            fur(look.colour * 0.65),
        );
    }
    let tail = p(look.random.range(-0.52, -0.42), look.random.range(0.58, 0.76));
    painter.fill(Shape::Limb(p(-0.32, body + 0.06), tail, 0.036, 0.018), coat);
    painter.fill(
        Shape::Limb(p(-0.25, body), p(0.16, body + 0.02), 0.115, 0.135),
        coat.relief(ROLL),
    );
    patches(painter, look, p(-0.1, body + 0.04));
    for (x, shift) in [(-0.30, -step), (0.20, step)] {
        painter.fill(
            Shape::Limb(p(x, body - 0.06), p(x + shift, 0.03), 0.066, 0.036),
            coat,
        );
        painter.fill(Shape::Ellipse(p(x + shift + 0.02, 0.025), p(0.05, 0.026)), coat);
    }
    painter.fill(
        Shape::Limb(p(0.2, body + 0.06), p(0.28, body + 0.24), 0.10, 0.08),
        coat,
    );
    collar(painter, look, p(0.19, body + 0.20), p(0.32, body + 0.14));
    dog_head(painter, look, p(0.29, body + 0.29), 0.105);
}

fn dog_sitting(painter: &mut Painter<'_>, look: &mut Look) {
    let coat = fur(look.colour);
    let wag = look.random.range(0.02, 0.2);
    painter.fill(Shape::Limb(p(-0.22, 0.08), p(-0.44, wag), 0.036, 0.02), coat);
    painter.fill(Shape::Ellipse(p(-0.14, 0.19), p(0.18, 0.19)), coat);
    painter.fill(Shape::Limb(p(-0.13, 0.24), p(0.06, 0.52), 0.15, 0.115), coat);
    patches(painter, look, p(-0.06, 0.38));
    painter.fill(Shape::Ellipse(p(-0.02, 0.035), p(0.1, 0.036)), coat);
    for x in [0.06, 0.13] {
        painter.fill(Shape::Limb(p(x - 0.01, 0.45), p(x, 0.04), 0.06, 0.038), coat);
        painter.fill(Shape::Ellipse(p(x + 0.025, 0.026), p(0.055, 0.028)), coat);
    }
    collar(painter, look, p(0.0, 0.66), p(0.15, 0.61));
    dog_head(painter, look, p(0.09, 0.76), 0.125);
}

/// A bird: flying, perched, or swimming.
pub(super) fn bird(painter: &mut Painter<'_>, look: &mut Look) {
    match look.pose {
        Pose::Flying => bird_flying(painter, look),
        Pose::Floating => bird_swimming(painter, look),
        _ => bird_standing(painter, look),
    }
}

fn beak(painter: &mut Painter<'_>, at: Point, length: f32, thick: f32) {
    let corners = [
        at + p(0.0, thick),
        at + p(length, -thick * 0.2),
        at - p(0.0, thick),
    ];
    painter.fill(
        Shape::Polygon(&corners, 0.003),
        Paint::new(Rgb::display(0.88, 0.58, 0.16)),
    );
}

fn bird_flying(painter: &mut Painter<'_>, look: &mut Look) {
    let plumage = Paint::new(look.colour).grain(0.15, 14.0);
    let raise = look.random.range(-0.12, 0.36);
    let y = 0.4;
    let far = look.colour * 0.75;
    // Two wings of inner and outer part; the outer one droops.
    let droop = look.random.range(0.0, 0.14);
    for (side, colour) in [(1.0_f32, far), (-1.0, look.colour)] {
        let elbow = p(side * 0.24, y + raise * 0.8 + 0.06);
        let tip = p(side * 0.5, y + raise * 1.3 - droop);
        let wing = [
            p(0.10, y + 0.03),
            elbow + p(0.05, 0.02),
            tip,
            elbow - p(0.03, 0.10),
            p(-0.12, y),
        ];
        painter.fill(Shape::Polygon(&wing, 0.008), Paint::new(colour).grain(0.2, 18.0));
        painter.fill(
            Shape::Polygon(
                &[
                    tip,
                    (elbow + (tip - elbow) * 0.4) + p(0.0, 0.02),
                    (elbow + (tip - elbow) * 0.5) - p(0.0, 0.05),
                ],
                0.0,
            ),
            Paint::new(look.accent).opacity(0.6),
        );
    }
    painter.fill(
        Shape::Polygon(
            &[
                p(-0.12, y + 0.02),
                p(-0.34, y + 0.07),
                p(-0.32, y - 0.05),
                p(-0.12, y - 0.03),
            ],
            0.004,
        ),
        plumage,
    );
    painter.fill(Shape::Ellipse(p(0.0, y), p(0.2, 0.075)), plumage.relief(BALL));
    painter.fill(Shape::Circle(p(0.2, y + 0.035), 0.062), plumage.relief(BALL));
    beak(painter, p(0.25, y + 0.03), 0.08, 0.022);
    painter.fill(Shape::Circle(p(0.225, y + 0.05), 0.013), Paint::new(EYE));
}

fn bird_standing(painter: &mut Painter<'_>, look: &mut Look) {
    let plumage = fur(look.colour);
    let legs = look.random.range(0.1, 0.26);
    let shank = Paint::new(Rgb::display(0.70, 0.48, 0.20));
    for x in [-0.03, 0.05] {
        painter.fill(
            Shape::Limb(p(x, legs + 0.06), p(x + 0.01, 0.01), 0.012, 0.01),
            shank,
        );
        painter.fill(
            Shape::Limb(p(x - 0.02, 0.008), p(x + 0.06, 0.008), 0.009, 0.007),
            shank,
        );
    }
    let y = legs + 0.2;
    painter.fill(
        Shape::Polygon(
            &[
                p(-0.18, y + 0.06),
                p(-0.44, y - 0.10),
                p(-0.42, y - 0.16),
                p(-0.14, y - 0.1),
            ],
            0.006,
        ),
        Paint::new(look.colour * 0.6),
    );
    painter.fill(
        Shape::Limb(p(-0.12, y - 0.02), p(0.08, y + 0.06), 0.13, 0.15),
        plumage,
    );
    let breast = look
        .random
        .choose(&[look.accent, look.colour * 1.15, Rgb::display(0.86, 0.50, 0.26)]);
    painter.fill(Shape::Ellipse(p(0.1, y + 0.02), p(0.1, 0.13)), fur(breast));
    painter.fill(
        Shape::Limb(p(-0.26, y - 0.06), p(0.02, y + 0.04), 0.02, 0.09),
        fur(look.colour * 0.62),
    );
    let head = p(0.16, y + 0.22);
    painter.fill(Shape::Circle(head, 0.115), plumage);
    beak(
        painter,
        head + p(0.1, -0.005),
        look.random.range(0.08, 0.18),
        0.03,
    );
    eye(
        painter,
        head + p(0.045, 0.03),
        0.022,
        Rgb::display(0.95, 0.93, 0.85),
    );
}

fn bird_swimming(painter: &mut Painter<'_>, look: &mut Look) {
    let plumage = fur(look.colour);
    let neck = look.random.range(0.2, 0.42);
    painter.fill(
        Shape::Polygon(&[p(-0.3, 0.04), p(-0.48, 0.2), p(-0.26, 0.2)], 0.01),
        plumage,
    );
    painter.fill(Shape::Ellipse(p(-0.06, 0.08), p(0.34, 0.15)), plumage);
    painter.fill(
        Shape::Ellipse(p(-0.12, 0.14), p(0.22, 0.085)),
        fur(look.colour * 0.72),
    );
    curve(
        painter,
        [
            p(0.2, 0.1),
            p(0.3, 0.18),
            p(0.26, 0.16 + neck * 0.6),
            p(0.28, 0.16 + neck),
        ],
        [0.09, 0.07, 0.055, 0.055],
        plumage,
    );
    let head = p(0.3, 0.19 + neck);
    painter.fill(Shape::Circle(head, 0.085), fur(look.colour * 0.9));
    beak(painter, head + p(0.07, -0.015), 0.13, 0.028);
    painter.fill(Shape::Circle(head + p(0.03, 0.025), 0.016), Paint::new(EYE));
}
