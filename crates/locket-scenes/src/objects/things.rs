//! Balloons, mugs and trees.

use super::{BALL, Look, PILLAR};
use crate::canvas::{Paint, Painter, Relief, Shape};
use crate::maths::{Point, Rgb, p};

/// A hot-air balloon: an envelope in stripes, ropes and a basket.
pub(super) fn balloon(painter: &mut Painter<'_>, look: &mut Look) {
    let radius = look.random.range(0.30, 0.36);
    let centre = p(0.0, 0.97 - radius);
    let mouth = look.random.range(0.20, 0.25);
    let rope = Paint::new(Rgb::display(0.25, 0.2, 0.16));
    for side in [-1.0, 1.0] {
        painter.fill(
            Shape::Limb(p(side * 0.065, mouth + 0.02), p(side * 0.055, 0.1), 0.005, 0.005),
            rope,
        );
    }
    if look.lamps_on {
        painter.fill(
            Shape::Circle(p(0.0, mouth - 0.02), 0.03),
            Paint::new(Rgb::linear(1.2, 0.7, 0.2)).glow(1.0).softness(0.03),
        );
    }
    let glow = if look.lamps_on { 0.3 } else { 0.0 };
    let gores = look.random.choose(&[1_usize, 3, 5, 7]);
    let band = look.random.chance(0.4);
    // Stripes from the outermost to the middle: each a narrower copy of the envelope.
    let steps = gores.div_ceil(2);
    for step in 0..steps {
        let share = 1.0 - step as f32 / steps as f32;
        let colour = if step % 2 == 0 { look.colour } else { look.accent };
        let half = radius * share;
        let paint = Paint::new(colour).relief(BALL).glow(glow);
        let skirt = [
            p(-half * 0.93, centre.y - radius * 0.36),
            p(half * 0.93, centre.y - radius * 0.36),
            p(0.075 * share, mouth),
            p(-0.075 * share, mouth),
        ];
        painter.fill(Shape::Polygon(&skirt, 0.0), paint.relief(PILLAR));
        painter.fill(Shape::Ellipse(centre, p(half, radius)), paint);
    }
    if band {
        let y = centre.y - radius * 0.1;
        painter.fill(
            Shape::Slab(p(0.0, y), p(radius * 0.985, 0.035), 0.0),
            Paint::new(look.accent).relief(PILLAR).glow(glow),
        );
    }
    painter.fill(
        Shape::Slab(p(0.0, 0.055), p(0.065, 0.05), 0.012),
        Paint::new(Rgb::display(0.45, 0.30, 0.17))
            .grain(0.4, 40.0)
            .relief(PILLAR),
    );
}

/// A mug with a handle, something hot in it, and at times a stripe or a dot.
pub(super) fn mug(painter: &mut Painter<'_>, look: &mut Look) {
    let half = look.random.range(0.27, 0.34);
    let top = look.random.range(0.62, 0.86);
    let foot = half * look.random.range(0.78, 1.0);
    let tilt = look.random.range(0.05, 0.1);
    let glaze = Paint::new(look.colour).relief(PILLAR);
    let grip = p(half * 0.95, top * 0.52);
    painter.fill(
        Shape::Ring(grip, top * 0.24, 0.045),
        Paint::new(look.colour).relief(BALL),
    );
    let body = [p(-foot, 0.03), p(foot, 0.03), p(half, top), p(-half, top)];
    painter.fill(Shape::Ellipse(p(0.0, 0.04), p(foot, tilt * 0.8)), glaze);
    painter.fill(Shape::Polygon(&body, 0.0), glaze);
    match look.random.below(4) {
        0 => painter.fill(
            Shape::Slab(p(0.0, top * 0.55), p(half * 0.93, 0.06), 0.0),
            Paint::new(look.accent).relief(PILLAR),
        ),
        1 => painter.fill(
            Shape::Circle(p(-0.03, top * 0.5), 0.11),
            Paint::new(look.accent).relief(PILLAR),
        ),
        2 => painter.fill(
            Shape::Slab(p(0.0, 0.12), p(foot * 0.99, 0.09), 0.0),
            Paint::new(look.accent).relief(PILLAR),
        ),
        _ => {}
    }
    painter.fill(
        Shape::Ellipse(p(0.0, top), p(half, tilt)),
        Paint::new(look.colour * 1.1),
    );
    let drink = look.random.choose(&[
        Rgb::display(0.22, 0.13, 0.08),
        Rgb::display(0.62, 0.36, 0.14),
        Rgb::display(0.55, 0.40, 0.28),
    ]);
    painter.fill(
        Shape::Ellipse(p(0.0, top - 0.008), p(half * 0.88, tilt * 0.78)),
        Paint::new(look.colour * 0.45),
    );
    painter.fill(
        Shape::Ellipse(p(0.0, top - 0.025), p(half * 0.82, tilt * 0.6)),
        Paint::new(drink),
    );
    // A streak of light on the glaze.
    painter.fill(
        Shape::Limb(p(-half * 0.6, top * 0.85), p(-foot * 0.6, 0.2), 0.018, 0.012),
        Paint::new(Rgb::display(1.0, 1.0, 1.0))
            .opacity(0.35)
            .softness(0.02),
    );
    if look.random.chance(0.5) {
        let steam = Paint::new(Rgb::display(0.9, 0.9, 0.9))
            .opacity(0.25)
            .softness(0.04);
        for x in [-0.1, 0.06] {
            painter.fill(
                Shape::Limb(p(x, top + 0.02), p(x + 0.05, top + 0.12), 0.012, 0.02),
                steam,
            );
            painter.fill(
                Shape::Limb(p(x + 0.05, top + 0.12), p(x, top + 0.24), 0.02, 0.008),
                steam,
            );
        }
    }
}

/// A tree: broad-leaved or poplar, and if it is green also conifer or palm.
pub(super) fn tree(painter: &mut Painter<'_>, look: &mut Look) {
    let green = look.colour.g > look.colour.r;
    let kinds = if green { 4 } else { 2 };
    match look.random.below(kinds) {
        3 => conifer(painter, look),
        2 => palm(painter, look),
        1 => crown(painter, look, 0.17, 0.34),
        _ => crown(painter, look, 0.33, 0.27),
    }
}

fn bark() -> Paint {
    Paint::new(Rgb::display(0.34, 0.25, 0.18))
        .relief(Relief::Pillar)
        .grain(0.4, 22.0)
}

fn leaves(colour: Rgb) -> Paint {
    Paint::new(colour).relief(BALL).grain(0.45, 17.0)
}

fn crown(painter: &mut Painter<'_>, look: &mut Look, half_width: f32, half_height: f32) {
    let centre = p(0.0, 0.97 - half_height);
    let lean = look.random.range(-0.03, 0.03);
    painter.fill(Shape::Limb(p(0.0, 0.0), p(lean, centre.y), 0.045, 0.028), bark());
    for side in [-1.0, 1.0] {
        painter.fill(
            Shape::Limb(
                p(lean * 0.5, centre.y - 0.2),
                p(side * half_width * 0.5, centre.y),
                0.02,
                0.012,
            ),
            bark(),
        );
    }
    // Clumps from the dark inside to the light outside, the upper ones last.
    let clumps = if half_height > half_width { 24 } else { 16 };
    for clump in 0..clumps {
        let depth = clump as f32 / (clumps - 1) as f32;
        let (x, y) = (
            look.random.centred() * 0.95,
            look.random.centred() * 0.6 + 0.9 * (depth - 0.5),
        );
        let size = look.random.range(0.34, 0.52) * half_width.min(half_height);
        let at = centre + p(x * (half_width - size * 0.6), y * (half_height - size * 0.6));
        painter.fill(
            Shape::Circle(at, size + 0.02),
            leaves(look.colour * (0.7 + 0.4 * depth)).softness(0.02),
        );
    }
}

fn conifer(painter: &mut Painter<'_>, look: &mut Look) {
    painter.fill(Shape::Slab(p(0.0, 0.07), p(0.03, 0.08), 0.0), bark());
    let tiers = 3 + look.random.below(3);
    let broad = look.random.range(0.2, 0.32);
    for tier in 0..tiers {
        let share = tier as f32 / tiers as f32;
        let low = 0.1 + 0.84 * share;
        let high = (low + 1.5 / tiers as f32).min(0.99);
        let half = broad * (1.0 - share * 0.85);
        let fringe = [
            p(-half, low),
            p(-half * 0.45, low + 0.03),
            p(-half * 0.1, low - 0.015),
            p(half * 0.4, low + 0.025),
            p(half, low - 0.005),
            p(0.0, high),
        ];
        painter.fill(
            Shape::Polygon(&fringe, 0.004),
            Paint::new(look.colour * (0.62 + 0.3 * share))
                .relief(PILLAR)
                .grain(0.5, 20.0),
        );
    }
}

fn palm(painter: &mut Painter<'_>, look: &mut Look) {
    let lean = look.random.range(0.04, 0.16);
    let joints = [
        p(0.0, 0.0),
        p(lean * 0.35, 0.28),
        p(lean * 0.8, 0.55),
        p(lean * 1.2, 0.76),
    ];
    for part in 0..3 {
        let thick = 0.034 - 0.005 * part as f32;
        painter.fill(
            Shape::Limb(joints[part], joints[part + 1], thick, thick - 0.005),
            bark(),
        );
    }
    let top = joints[3];
    let fronds: [(Point, f32); 9] = [
        (p(-0.34, 0.0), 0.7),
        (p(0.34, 0.0), 0.7),
        (p(-0.3, 0.15), 0.85),
        (p(0.3, 0.15), 0.85),
        (p(-0.27, -0.16), 0.8),
        (p(0.27, -0.16), 0.8),
        (p(-0.13, 0.22), 1.0),
        (p(0.13, 0.22), 1.0),
        (p(0.02, 0.18), 1.1),
    ];
    for (reach, shade) in fronds {
        let end = top + reach * look.random.range(0.85, 1.1);
        let bend = top + reach * 0.55 + p(0.0, 0.07);
        let paint = Paint::new(look.colour * shade).grain(0.4, 26.0);
        painter.fill(Shape::Limb(top, bend, 0.018, 0.034), paint);
        painter.fill(Shape::Limb(bend, end, 0.034, 0.006), paint);
    }
    for x in [-0.02, 0.025] {
        painter.fill(
            Shape::Circle(top + p(x, -0.03), 0.022),
            Paint::new(Rgb::display(0.42, 0.28, 0.16)).relief(BALL),
        );
    }
}
