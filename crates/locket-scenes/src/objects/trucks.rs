//! Trucks: four bodies on one frame.

use super::vehicles::{CHROME, GLASS, lights, wheel};
use super::{BALL, Look, ROLL};
use crate::canvas::{Paint, Painter, Shape};
use crate::maths::{Rgb, p};

/// A truck: a box truck, a tanker, a tipper or a pick-up, seen from the side.
pub(super) fn truck(painter: &mut Painter<'_>, look: &mut Look) {
    let kind = look.random.below(4);
    let radius = look.random.range(0.07, 0.082);
    let frame = Paint::new(Rgb::display(0.16, 0.16, 0.17));
    painter.fill(Shape::Slab(p(0.0, radius + 0.03), p(0.46, 0.022), 0.0), frame);
    let cab_back = match kind {
        3 => -0.02,
        _ => 0.2,
    };
    match kind {
        0 => load_box(painter, look),
        1 => tank(painter, look),
        2 => tipper(painter, look),
        _ => pick_up_bed(painter, look),
    }
    if kind == 3 {
        pick_up_cab(painter, look, cab_back);
    } else {
        cab(painter, look, cab_back);
    }
    let wheels: &[f32] = if kind == 3 {
        &[-0.3, 0.31]
    } else {
        &[-0.36, -0.2, 0.33]
    };
    for &x in wheels {
        let size = if kind == 3 { radius * 1.15 } else { radius };
        painter.fill(
            Shape::Circle(p(x, size + 0.01), size * 1.2),
            Paint::new(look.colour * 0.2),
        );
        wheel(painter, p(x, size), size);
    }
    lights(painter, look, p(0.475, 0.15), p(-0.475, 0.15));
}

fn load_box(painter: &mut Painter<'_>, look: &mut Look) {
    let top = look.random.range(0.48, 0.6);
    let same = look.random.chance(0.6);
    let colour = if same {
        look.colour
    } else {
        Rgb::display(0.90, 0.90, 0.88)
    };
    let half = p(0.325, (top - 0.13) * 0.5);
    let centre = p(-0.155, 0.13 + half.y);
    painter.fill(
        Shape::Slab(centre, half, 0.008),
        Paint::new(colour).grain(0.06, 6.0),
    );
    painter.fill(
        Shape::Slab(centre, p(half.x * 0.86, half.y * 0.28), 0.0),
        Paint::new(look.accent).opacity(0.8),
    );
    painter.fill(
        Shape::Slab(p(centre.x, top - 0.01), p(half.x, 0.012), 0.0),
        Paint::new(colour * 0.7),
    );
}

fn tank(painter: &mut Painter<'_>, look: &mut Look) {
    let centre = p(-0.15, 0.27);
    let shell = if look.random.chance(0.5) {
        CHROME
    } else {
        look.colour
    };
    painter.fill(
        Shape::Slab(centre, p(0.33, 0.135), 0.12),
        Paint::new(shell).relief(ROLL),
    );
    for x in [-0.32, -0.15, 0.02] {
        painter.fill(
            Shape::Slab(p(x, centre.y), p(0.008, 0.135), 0.0),
            Paint::new(shell * 0.55).relief(ROLL),
        );
    }
    painter.fill(
        Shape::Slab(p(-0.15, 0.41), p(0.05, 0.015), 0.01),
        Paint::new(CHROME),
    );
}

fn tipper(painter: &mut Painter<'_>, look: &mut Look) {
    let heap = look.random.range(0.08, 0.16);
    painter.fill(
        Shape::Dome(p(-0.15, 0.32), p(0.26, heap)),
        Paint::new(Rgb::display(0.52, 0.42, 0.30))
            .relief(BALL)
            .grain(0.5, 22.0),
    );
    painter.fill(
        Shape::Polygon(
            &[p(-0.42, 0.13), p(0.12, 0.13), p(0.17, 0.35), p(-0.48, 0.35)],
            0.0,
        ),
        Paint::new(look.colour).grain(0.12, 10.0),
    );
    for x in [-0.3, -0.15, 0.0] {
        painter.fill(
            Shape::Slab(p(x, 0.24), p(0.01, 0.11), 0.0),
            Paint::new(look.colour * 0.6),
        );
    }
}

fn pick_up_bed(painter: &mut Painter<'_>, look: &mut Look) {
    if look.random.chance(0.5) {
        for x in [-0.38, -0.22] {
            let half = p(0.07, look.random.range(0.05, 0.09));
            painter.fill(
                Shape::Slab(p(x, 0.24 + half.y), half, 0.0),
                Paint::new(Rgb::display(0.58, 0.42, 0.26)).grain(0.3, 20.0),
            );
        }
    }
    painter.fill(
        Shape::Slab(p(-0.21, 0.175), p(0.265, 0.085), 0.012),
        Paint::new(look.colour).relief(ROLL).grain(0.06, 8.0),
    );
}

fn cab(painter: &mut Painter<'_>, look: &mut Look, back: f32) {
    let top = look.random.range(0.38, 0.46);
    let body = Paint::new(look.colour).grain(0.06, 8.0);
    let snub = look.random.chance(0.55);
    let front = 0.47;
    if snub {
        painter.fill(
            Shape::Polygon(
                &[
                    p(back, 0.1),
                    p(front, 0.1),
                    p(front, 0.25),
                    p(front - 0.05, top),
                    p(back, top),
                ],
                0.012,
            ),
            body,
        );
        painter.fill(
            Shape::Polygon(
                &[
                    p(back + 0.06, 0.26),
                    p(front - 0.015, 0.26),
                    p(front - 0.06, top - 0.025),
                    p(back + 0.06, top - 0.025),
                ],
                0.0,
            ),
            Paint::new(GLASS).grain(0.5, 5.0),
        );
    } else {
        painter.fill(
            Shape::Polygon(
                &[
                    p(back, 0.1),
                    p(front, 0.1),
                    p(front, 0.21),
                    p(back + 0.17, 0.25),
                    p(back + 0.13, top),
                    p(back, top),
                ],
                0.012,
            ),
            body,
        );
        painter.fill(
            Shape::Polygon(
                &[
                    p(back + 0.03, 0.26),
                    p(back + 0.14, 0.26),
                    p(back + 0.11, top - 0.02),
                    p(back + 0.03, top - 0.02),
                ],
                0.0,
            ),
            Paint::new(GLASS).grain(0.5, 5.0),
        );
    }
    painter.fill(
        Shape::Slab(p(0.38, 0.105), p(0.1, 0.02), 0.01),
        Paint::new(Rgb::display(0.22, 0.22, 0.23)),
    );
}

fn pick_up_cab(painter: &mut Painter<'_>, look: &Look, back: f32) {
    let body = Paint::new(look.colour).grain(0.06, 8.0);
    painter.fill(
        Shape::Polygon(
            &[p(back, 0.24), p(back + 0.03, 0.39), p(0.17, 0.39), p(0.27, 0.24)],
            0.012,
        ),
        body,
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(back + 0.03, 0.25),
                p(back + 0.05, 0.37),
                p(0.15, 0.37),
                p(0.235, 0.25),
            ],
            0.0,
        ),
        Paint::new(GLASS).grain(0.5, 5.0),
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(back, 0.09),
                p(0.46, 0.09),
                p(0.475, 0.2),
                p(0.45, 0.235),
                p(back, 0.25),
            ],
            0.012,
        ),
        body.relief(ROLL),
    );
}
