//! Houses and lighthouses.

use super::{BALL, Look, PILLAR, ROOF, SIDE};
use crate::canvas::{Paint, Painter, Shape};
use crate::maths::{Point, Rgb, p};

/// Glass that shows a lamp behind it, or the dark of a room.
fn glass(look: &Look) -> Paint {
    if look.lamps_on {
        Paint::new(Rgb::linear(0.90, 0.62, 0.22)).glow(1.0)
    } else {
        Paint::new(Rgb::display(0.24, 0.32, 0.40)).grain(0.4, 6.0)
    }
}

fn window(painter: &mut Painter<'_>, look: &Look, centre: Point, half: Point) {
    painter.fill(
        Shape::Slab(centre, half + p(0.018, 0.018), 0.0),
        Paint::new(Rgb::display(0.90, 0.89, 0.86)),
    );
    painter.fill(Shape::Slab(centre, half, 0.0), glass(look));
    painter.fill(
        Shape::Slab(centre, p(0.007, half.y), 0.0),
        Paint::new(Rgb::display(0.90, 0.89, 0.86)),
    );
}

fn door(painter: &mut Painter<'_>, centre: f32, half_width: f32, height: f32, colour: Rgb) {
    painter.fill(
        Shape::Slab(p(centre, height * 0.5), p(half_width, height * 0.5), 0.0),
        Paint::new(colour).grain(0.2, 12.0),
    );
    painter.fill(
        Shape::Circle(p(centre + half_width * 0.6, height * 0.48), 0.009),
        Paint::new(Rgb::display(0.8, 0.7, 0.4)),
    );
}

/// A house: gable to the viewer with a long side wall, eaves to the viewer, or tall with two storeys.
pub(super) fn house(painter: &mut Painter<'_>, look: &mut Look) {
    let kind = look.random.below(3);
    let roof = look.random.choose(&[
        Rgb::display(0.56, 0.25, 0.18),
        Rgb::display(0.33, 0.33, 0.36),
        Rgb::display(0.42, 0.30, 0.22),
        Rgb::display(0.62, 0.42, 0.26),
    ]);
    let tiles = Paint::new(roof).relief(ROOF).grain(0.3, 26.0);
    let wall = Paint::new(look.colour).grain(0.12, 18.0);
    let wall_height = look.random.range(0.34, 0.44);
    let chimney_x = look.random.range(0.1, 0.3);
    painter.fill(
        Shape::Slab(p(chimney_x, wall_height + 0.3), p(0.045, 0.12), 0.0),
        Paint::new(Rgb::display(0.50, 0.30, 0.25)).grain(0.3, 30.0),
    );
    match kind {
        0 => gabled(painter, look, wall, tiles, wall_height),
        1 => long(painter, look, wall, tiles, wall_height),
        _ => tall(painter, look, wall, tiles),
    }
}

fn gabled(painter: &mut Painter<'_>, look: &mut Look, wall: Paint, tiles: Paint, height: f32) {
    let (left, middle, right) = (-0.46, look.random.range(-0.08, 0.1), 0.46);
    let ridge = height + look.random.range(0.28, 0.4);
    let peak = (left + middle) * 0.5;
    // The side wall and its roof go back to the right.
    painter.fill(
        Shape::Polygon(
            &[
                p(middle, 0.0),
                p(right, 0.03),
                p(right, height - 0.02),
                p(middle, height),
            ],
            0.0,
        ),
        wall.relief(SIDE),
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(middle + 0.04, height - 0.04),
                p(right + 0.04, height - 0.05),
                p(right - 0.18, ridge - 0.02),
                p(peak, ridge),
            ],
            0.0,
        ),
        tiles,
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(left, 0.0),
                p(middle, 0.0),
                p(middle, height),
                p(peak, ridge),
                p(left, height),
            ],
            0.0,
        ),
        wall,
    );
    for end in [p(left - 0.05, height - 0.05), p(middle + 0.05, height - 0.05)] {
        painter.fill(Shape::Limb(p(peak, ridge), end, 0.02, 0.02), tiles);
    }
    let door_colour = look.accent;
    door(painter, peak - 0.08, 0.055, 0.22, door_colour);
    window(painter, look, p(peak + 0.1, 0.2), p(0.05, 0.06));
    window(painter, look, p(peak, height + 0.06), p(0.04, 0.045));
    for x in [middle + 0.12, middle + 0.28] {
        window(painter, look, p(x, height * 0.52), p(0.04, 0.06));
    }
}

fn long(painter: &mut Painter<'_>, look: &mut Look, wall: Paint, tiles: Paint, height: f32) {
    let half = look.random.range(0.4, 0.48);
    let ridge = height + look.random.range(0.2, 0.32);
    painter.fill(
        Shape::Slab(p(0.0, height * 0.5), p(half, height * 0.5), 0.0),
        wall,
    );
    let inset = look.random.range(0.0, 0.16);
    painter.fill(
        Shape::Polygon(
            &[
                p(-half - 0.05, height - 0.03),
                p(half + 0.05, height - 0.03),
                p(half - inset, ridge),
                p(inset - half, ridge),
            ],
            0.0,
        ),
        tiles,
    );
    let door_x = look.random.range(-0.15, 0.15);
    let door_colour = look.accent;
    door(painter, door_x, 0.055, height * 0.66, door_colour);
    for x in [-0.3, door_x + 0.2, 0.34] {
        if (x - door_x).abs() > 0.12 {
            window(painter, look, p(x.min(half - 0.08), height * 0.55), p(0.05, 0.06));
        }
    }
}

fn tall(painter: &mut Painter<'_>, look: &mut Look, wall: Paint, tiles: Paint) {
    let half = look.random.range(0.25, 0.33);
    let height = 0.62;
    painter.fill(
        Shape::Slab(p(0.0, height * 0.5), p(half, height * 0.5), 0.0),
        wall,
    );
    painter.fill(
        Shape::Polygon(
            &[
                p(-half - 0.06, height - 0.02),
                p(half + 0.06, height - 0.02),
                p(0.0, 0.96),
            ],
            0.0,
        ),
        tiles,
    );
    let door_colour = look.accent;
    door(painter, 0.0, 0.055, 0.2, door_colour);
    for y in [0.17, 0.43] {
        for x in [-0.6 * half, 0.6 * half] {
            window(painter, look, p(x, y), p(0.045, 0.055));
        }
    }
    window(painter, look, p(0.0, 0.43), p(0.04, 0.055));
}

/// A lighthouse: a tapering banded tower with a gallery, a lamp room and a cap, on rock.
pub(super) fn lighthouse(painter: &mut Painter<'_>, look: &mut Look) {
    let foot = look.random.range(0.10, 0.14);
    let head = foot * look.random.range(0.55, 0.72);
    let top = 0.74;
    rock(painter, look);
    if look.random.chance(0.45) {
        hut(painter, look);
    }
    let white = Rgb::display(0.93, 0.92, 0.89);
    let second = if look.colour.luma() > 0.55 {
        look.accent
    } else {
        white
    };
    let bands = look.random.choose(&[3_usize, 4, 5, 7]);
    for band in 0..bands {
        let (low, high) = (band as f32 / bands as f32, (band + 1) as f32 / bands as f32);
        let half = |share: f32| foot + (head - foot) * share;
        let colour = if band % 2 == 0 { look.colour } else { second };
        let (y_low, y_high) = (0.04 + (top - 0.04) * low, 0.04 + (top - 0.04) * high);
        painter.fill(
            Shape::Polygon(
                &[
                    p(-half(low), y_low),
                    p(half(low), y_low),
                    p(half(high), y_high),
                    p(-half(high), y_high),
                ],
                0.0,
            ),
            Paint::new(colour).relief(PILLAR).grain(0.08, 20.0),
        );
    }
    let dark = Paint::new(Rgb::display(0.22, 0.22, 0.25));
    for y in [0.26, 0.48] {
        painter.fill(
            Shape::Slab(p(0.01, y), p(0.014, 0.025), 0.0),
            if look.lamps_on { glass(look) } else { dark },
        );
    }
    painter.fill(Shape::Slab(p(0.0, top), p(head + 0.045, 0.014), 0.0), dark);
    lamp_room(painter, look, head, top);
}

fn rock(painter: &mut Painter<'_>, look: &mut Look) {
    for _ in 0..5 {
        let (x, wide) = (look.random.range(-0.2, 0.2), look.random.range(0.1, 0.2));
        let tall = look.random.range(0.04, 0.1);
        painter.fill(
            Shape::Dome(p(x, -0.015), p(wide, tall)),
            Paint::new(Rgb::display(0.40, 0.37, 0.34))
                .relief(BALL)
                .grain(0.5, 14.0),
        );
    }
}

fn hut(painter: &mut Painter<'_>, look: &Look) {
    painter.fill(
        Shape::Slab(p(0.21, 0.11), p(0.1, 0.08), 0.0),
        Paint::new(Rgb::display(0.90, 0.88, 0.84)),
    );
    painter.fill(
        Shape::Polygon(&[p(0.09, 0.18), p(0.33, 0.18), p(0.28, 0.26), p(0.14, 0.26)], 0.0),
        Paint::new(Rgb::display(0.55, 0.26, 0.20)).relief(ROOF),
    );
    window(painter, look, p(0.22, 0.12), p(0.025, 0.03));
}

fn lamp_room(painter: &mut Painter<'_>, look: &Look, head: f32, top: f32) {
    let half = head * 0.72;
    let centre = p(0.0, top + 0.075);
    if look.lamps_on {
        let beam = Paint::new(Rgb::linear(1.0, 0.88, 0.55)).glow(1.0);
        painter.fill(Shape::Circle(centre, 0.05), beam.opacity(0.5).softness(0.14));
        let far = [p(0.0, centre.y), p(1.4, centre.y + 0.16), p(1.4, centre.y - 0.08)];
        painter.fill(Shape::Polygon(&far, 0.0), beam.opacity(0.22).softness(0.03));
        painter.fill(Shape::Slab(centre, p(half, 0.06), 0.0), beam);
    } else {
        painter.fill(
            Shape::Slab(centre, p(half, 0.06), 0.0),
            Paint::new(Rgb::display(0.55, 0.66, 0.72)).relief(PILLAR),
        );
    }
    let dark = Paint::new(Rgb::display(0.20, 0.20, 0.23));
    for x in [-half, 0.0, half] {
        painter.fill(Shape::Slab(p(x, centre.y), p(0.006, 0.06), 0.0), dark);
    }
    let cap = if look.colour.luma() > 0.5 {
        Rgb::display(0.25, 0.26, 0.30)
    } else {
        look.colour
    };
    painter.fill(
        Shape::Dome(p(0.0, top + 0.13), p(half + 0.02, 0.075)),
        Paint::new(cap).relief(BALL),
    );
    painter.fill(Shape::Limb(p(0.0, top + 0.2), p(0.0, 0.99), 0.008, 0.004), dark);
}
