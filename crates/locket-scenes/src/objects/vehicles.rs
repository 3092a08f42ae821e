//! Cars, bicycles and sailboats, and the parts that cars share with trucks.

use super::{BALL, Look, PILLAR, ROLL, SIDE};
use crate::canvas::{Paint, Painter, Shape};
use crate::maths::{Point, Rgb, cosine_of_turns, p, sine_of_turns};

/// Rubber.
pub(super) const TYRE: Rgb = Rgb::display(0.12, 0.12, 0.13);
/// Bright metal.
pub(super) const CHROME: Rgb = Rgb::display(0.70, 0.71, 0.73);
/// A pane from outside.
pub(super) const GLASS: Rgb = Rgb::display(0.30, 0.38, 0.44);

/// A wheel with its hub cap.
pub(super) fn wheel(painter: &mut Painter<'_>, centre: Point, radius: f32) {
    painter.fill(Shape::Circle(centre, radius), Paint::new(TYRE));
    painter.fill(
        Shape::Circle(centre, radius * 0.6),
        Paint::new(CHROME).relief(BALL),
    );
    painter.fill(Shape::Circle(centre, radius * 0.2), Paint::new(TYRE));
}

/// Head and tail lamp, with a beam if they shine.
pub(super) fn lights(painter: &mut Painter<'_>, look: &Look, front: Point, rear: Point) {
    let (glow, lamp) = if look.lamps_on {
        (1.0, Rgb::linear(1.3, 1.1, 0.7))
    } else {
        (0.0, Rgb::display(0.92, 0.90, 0.82))
    };
    painter.fill(
        Shape::Ellipse(front, p(0.018, 0.022)),
        Paint::new(lamp).glow(glow),
    );
    painter.fill(
        Shape::Slab(rear, p(0.012, 0.026), 0.006),
        Paint::new(Rgb::linear(0.7, 0.03, 0.02)).glow(glow * 0.8),
    );
    if look.lamps_on {
        let beam = [
            front,
            p(front.x + 0.5, front.y - 0.16),
            p(front.x + 0.5, front.y + 0.03),
        ];
        painter.fill(
            Shape::Polygon(&beam, 0.0),
            Paint::new(lamp).glow(1.0).opacity(0.22).softness(0.05),
        );
    }
}

/// A car: seen from the side (saloon, hatchback, estate, beetle) or from the front.
pub(super) fn car(painter: &mut Painter<'_>, look: &mut Look) {
    match look.random.below(5) {
        0 => car_front(painter, look),
        kind => car_side(painter, look, kind),
    }
}

fn car_side(painter: &mut Painter<'_>, look: &mut Look, kind: usize) {
    let body = Paint::new(look.colour).relief(ROLL).grain(0.06, 8.0);
    let radius = look.random.range(0.075, 0.09);
    let roof = look.random.range(0.32, 0.37);
    let (rear_foot, rear_top, front_top, front_foot) = match kind {
        1 => (-0.36, -0.19, 0.08, 0.25),
        2 => (-0.47, -0.38, 0.08, 0.26),
        3 => (-0.46, -0.42, 0.12, 0.26),
        _ => (-0.40, -0.14, 0.04, 0.30),
    };
    let belt = 0.22;
    // Cabin first, then the windows into it, then the body across its lower edge.
    painter.fill(
        Shape::Polygon(
            &[
                p(rear_foot, belt),
                p(rear_top, roof - 0.02),
                p(front_top, roof - 0.02),
                p(front_foot, belt),
            ],
            0.02,
        ),
        body.relief(crate::canvas::Relief::Flat),
    );
    let pane = Paint::new(GLASS).grain(0.5, 5.0);
    let split = 0.5 * (rear_top + front_top) + 0.03;
    let inset = 0.03;
    painter.fill(
        Shape::Polygon(
            &[
                p(rear_foot + 0.06, belt),
                p(rear_top + inset, roof - 0.03),
                p(split - 0.015, roof - 0.03),
                p(split - 0.015, belt),
            ],
            0.0,
        ),
        pane,
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(split + 0.015, belt),
                p(split + 0.015, roof - 0.03),
                p(front_top - 0.01, roof - 0.03),
                p(front_foot - 0.05, belt),
            ],
            0.0,
        ),
        pane,
    );
    let nose = look.random.range(0.185, 0.21);
    painter.fill(
        Shape::Polygon(
            &[
                p(-0.46, 0.09),
                p(0.46, 0.08),
                p(0.475, nose - 0.04),
                p(0.42, nose),
                p(front_foot, belt + 0.005),
                p(rear_foot, belt + 0.005),
                p(-0.47, belt - 0.03),
            ],
            0.022,
        ),
        body,
    );
    painter.fill(
        Shape::Slab(p(0.0, 0.075), p(0.46, 0.018), 0.015),
        Paint::new(Rgb::display(0.18, 0.18, 0.19)),
    );
    painter.fill(
        Shape::Limb(p(split, 0.10), p(split, 0.2), 0.004, 0.004),
        Paint::new(look.colour * 0.5),
    );
    for x in [-0.29, 0.29] {
        painter.fill(
            Shape::Circle(p(x, radius + 0.005), radius * 1.2),
            Paint::new(look.colour * 0.3),
        );
        wheel(painter, p(x, radius), radius);
    }
    lights(painter, look, p(0.465, 0.165), p(-0.475, 0.175));
}

fn car_front(painter: &mut Painter<'_>, look: &mut Look) {
    let body = Paint::new(look.colour).relief(ROLL).grain(0.06, 8.0);
    for x in [-0.33, 0.33] {
        painter.fill(Shape::Slab(p(x, 0.08), p(0.07, 0.09), 0.03), Paint::new(TYRE));
    }
    let roof = look.random.range(0.60, 0.68);
    painter.fill(
        Shape::Polygon(
            &[p(-0.38, 0.36), p(-0.27, roof), p(0.27, roof), p(0.38, 0.36)],
            0.04,
        ),
        body,
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(-0.34, 0.38),
                p(-0.255, roof - 0.02),
                p(0.255, roof - 0.02),
                p(0.34, 0.38),
            ],
            0.0,
        ),
        Paint::new(GLASS).grain(0.5, 4.0),
    );
    painter.fill(Shape::Slab(p(0.0, 0.235), p(0.45, 0.155), 0.06), body);
    painter.fill(
        Shape::Slab(p(0.0, 0.2), p(0.2, 0.04), 0.02),
        Paint::new(Rgb::display(0.15, 0.15, 0.17)),
    );
    painter.fill(
        Shape::Slab(p(0.0, 0.1), p(0.44, 0.03), 0.02),
        Paint::new(Rgb::display(0.30, 0.30, 0.31)),
    );
    let (glow, lamp) = if look.lamps_on {
        (1.0, Rgb::linear(1.4, 1.2, 0.8))
    } else {
        (0.0, Rgb::display(0.94, 0.93, 0.88))
    };
    for x in [-0.32, 0.32] {
        if look.lamps_on {
            painter.fill(
                Shape::Circle(p(x, 0.25), 0.06),
                Paint::new(lamp).glow(1.0).opacity(0.6).softness(0.16),
            );
        }
        painter.fill(
            Shape::Ellipse(p(x, 0.25), p(0.075, 0.05)),
            Paint::new(lamp).glow(glow),
        );
        painter.fill(Shape::Ellipse(p(x * 1.42, 0.42), p(0.05, 0.03)), body);
    }
}

/// A bicycle seen from the side.
pub(super) fn bicycle(painter: &mut Painter<'_>, look: &mut Look) {
    let radius = look.random.range(0.195, 0.22);
    let (rear, front) = (p(-0.28, radius), p(0.28, radius));
    let thick = look.random.range(0.013, 0.02);
    let spin = look.random.unit();
    for hub in [rear, front] {
        for spoke in 0..8 {
            let turn = spin + spoke as f32 / 8.0;
            let end = hub + p(cosine_of_turns(turn), sine_of_turns(turn)) * radius;
            painter.fill(
                Shape::Limb(hub, end, 0.003, 0.003),
                Paint::new(CHROME).opacity(0.7),
            );
        }
        painter.fill(Shape::Ring(hub, radius, 0.016), Paint::new(TYRE));
        painter.fill(Shape::Circle(hub, 0.022), Paint::new(CHROME));
    }
    let step_through = look.random.chance(0.35);
    let (crank, seat) = (p(-0.04, radius * 0.95), p(-0.13, radius + 0.24));
    let head = p(0.19, radius + 0.27);
    let collar = head - p(-0.025, 0.09);
    let tube = Paint::new(look.colour);
    let bars = if step_through {
        [
            (rear, crank),
            (rear, p(-0.1, radius + 0.16)),
            (crank, seat),
            (crank, collar),
            (p(-0.07, radius + 0.1), collar),
        ]
    } else {
        [
            (rear, crank),
            (rear, seat - p(-0.01, 0.03)),
            (crank, seat),
            (crank, collar),
            (seat - p(0.0, 0.04), head - p(0.0, 0.03)),
        ]
    };
    for (from, to) in bars {
        painter.fill(Shape::Limb(from, to, thick, thick), tube);
    }
    painter.fill(Shape::Limb(head, front, thick * 0.9, thick * 0.7), tube);
    painter.fill(Shape::Ring(crank, 0.045, 0.01), Paint::new(CHROME));
    painter.fill(
        Shape::Limb(crank, crank + p(0.05, -0.08), 0.009, 0.009),
        Paint::new(TYRE),
    );
    painter.fill(
        Shape::Limb(seat, seat + p(-0.01, 0.05), 0.01, 0.01),
        Paint::new(CHROME),
    );
    painter.fill(
        Shape::Limb(seat + p(-0.07, 0.065), seat + p(0.055, 0.055), 0.026, 0.013),
        Paint::new(TYRE),
    );
    painter.fill(
        Shape::Limb(head, head + p(-0.015, 0.06), 0.01, 0.01),
        Paint::new(CHROME),
    );
    let grip = if look.random.chance(0.5) {
        p(0.07, 0.02)
    } else {
        p(-0.09, 0.01)
    };
    painter.fill(
        Shape::Limb(
            head + p(-0.015, 0.06),
            head + p(-0.015, 0.06) + grip,
            0.013,
            0.015,
        ),
        Paint::new(TYRE),
    );
    if look.random.chance(0.35) {
        painter.fill(
            Shape::Slab(head + p(0.09, 0.0), p(0.065, 0.05), 0.015),
            Paint::new(Rgb::display(0.62, 0.46, 0.28)).grain(0.5, 40.0),
        );
    }
    if look.lamps_on {
        let lamp = Paint::new(Rgb::linear(1.2, 1.1, 0.8)).glow(1.0);
        painter.fill(Shape::Circle(head + p(0.06, -0.03), 0.018), lamp);
    }
}

/// A sailboat with a hull, a mast and one to three sails.
pub(super) fn sailboat(painter: &mut Painter<'_>, look: &mut Look) {
    let coloured_sail = look.random.chance(0.4);
    let white = Rgb::display(0.94, 0.93, 0.90);
    let (hull, cloth) = if coloured_sail {
        (look.accent, look.colour)
    } else {
        (
            look.colour,
            if look.colour.luma() > 0.5 {
                look.accent.mix(white, 0.6)
            } else {
                white
            },
        )
    };
    let sail = Paint::new(cloth).relief(SIDE).grain(0.08, 6.0);
    let mast_x = look.random.range(-0.06, 0.08);
    let boom = 0.2;
    let top = look.random.range(0.9, 0.99);
    let wood = Paint::new(Rgb::display(0.45, 0.32, 0.20));
    painter.fill(Shape::Limb(p(mast_x, 0.08), p(mast_x, top), 0.011, 0.007), wood);
    match look.random.below(3) {
        0 => {
            let gaff = p(mast_x - 0.26, top - 0.02);
            painter.fill(
                Shape::Polygon(
                    &[
                        p(mast_x - 0.02, boom),
                        p(mast_x - 0.38, boom + 0.02),
                        gaff,
                        p(mast_x - 0.02, top - 0.2),
                    ],
                    0.0,
                ),
                sail,
            );
            painter.fill(Shape::Limb(p(mast_x, top - 0.22), gaff, 0.008, 0.006), wood);
        }
        1 => painter.fill(
            Shape::Polygon(
                &[
                    p(mast_x - 0.02, boom),
                    p(mast_x - 0.4, boom + 0.03),
                    p(mast_x - 0.26, 0.5),
                    p(mast_x - 0.02, top - 0.02),
                ],
                0.0,
            ),
            sail,
        ),
        _ => painter.fill(
            Shape::Polygon(
                &[
                    p(mast_x - 0.02, boom),
                    p(mast_x - 0.36, boom),
                    p(mast_x - 0.02, top - 0.04),
                ],
                0.0,
            ),
            sail,
        ),
    }
    if look.random.chance(0.8) {
        let peak = top - look.random.range(0.06, 0.25);
        painter.fill(
            Shape::Polygon(
                &[
                    p(mast_x + 0.02, boom - 0.02),
                    p(0.42, 0.16),
                    p(mast_x + 0.025, peak),
                ],
                0.0,
            ),
            sail.relief(crate::canvas::Relief::Flat),
        );
    }
    painter.fill(
        Shape::Limb(
            p(mast_x, boom - 0.02),
            p(mast_x - 0.37, boom - 0.005),
            0.009,
            0.007,
        ),
        wood,
    );
    let sheer = look.random.range(0.0, 0.03);
    painter.fill(
        Shape::Polygon(
            &[
                p(-0.4, 0.13),
                p(-0.1, 0.115 - sheer),
                p(0.2, 0.125 - sheer * 0.5),
                p(0.46, 0.165),
                p(0.33, -0.01),
                p(-0.34, -0.01),
            ],
            0.008,
        ),
        Paint::new(hull).relief(ROLL),
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(-0.395, 0.13),
                p(-0.1, 0.115 - sheer),
                p(0.2, 0.125 - sheer * 0.5),
                p(0.455, 0.165),
                p(0.44, 0.145),
                p(-0.39, 0.105),
            ],
            0.0,
        ),
        Paint::new(look.accent).relief(PILLAR),
    );
    if look.random.chance(0.4) {
        painter.fill(
            Shape::Slab(p(-0.05, 0.14), p(0.13, 0.035), 0.012),
            Paint::new(white),
        );
    }
}
