//! A room: a wall with a window, pictures or shelves, a floor; and the table that small things stand on.

use crate::attributes::TimeOfDay;
use crate::backdrop::View;
use crate::canvas::{Canvas, Frame, Paint, Painter, Relief, Shape};
use crate::light::Light;
use crate::maths::{Point, Rgb, bell, lerp, p, smooth_step};
use crate::random::{Random, layered_noise, noise};
use crate::scene::Scene;

/// Paints wall, floor and furniture.
pub(crate) fn paint_room(view: &View<'_>, canvas: &mut Canvas) {
    let mut random = Random::new(view.scene.style, 3);
    let wall = random.choose(&[
        Rgb::display(0.82, 0.78, 0.70),
        Rgb::display(0.62, 0.70, 0.72),
        Rgb::display(0.74, 0.60, 0.52),
        Rgb::display(0.66, 0.72, 0.60),
        Rgb::display(0.80, 0.80, 0.82),
        Rgb::display(0.46, 0.52, 0.60),
    ]);
    let stripes = if random.chance(0.3) {
        random.range(6.0, 12.0)
    } else {
        0.0
    };
    let lamp = p(random.range(0.0, 1.0), random.range(0.0, 0.4));
    let floor = random.choose(&[
        Rgb::display(0.52, 0.36, 0.22),
        Rgb::display(0.68, 0.52, 0.36),
        Rgb::display(0.48, 0.46, 0.45),
        Rgb::display(0.56, 0.30, 0.28),
    ]);
    let horizon = view.scene.horizon;
    canvas.for_each(|at, pixel| {
        let level = view.camera.level(at);
        let wall_colour = wall_colour(view, level, wall, stripes, lamp);
        let below = smooth_step(-view.pixel, view.pixel, level.y - horizon);
        let floor_colour = if below > 0.0 {
            floor_colour(view, level, floor)
        } else {
            wall_colour
        };
        *pixel = wall_colour.mix(floor_colour, below);
    });
    furnish(view, canvas, &mut random);
}

fn wall_colour(view: &View<'_>, level: Point, wall: Rgb, stripes: f32, lamp: Point) -> Rgb {
    let stripe = if stripes > 0.0 {
        let along = level.x * stripes;
        0.9 + 0.2 * smooth_step(0.2, 0.3, (along - along.floor() - 0.5).abs())
    } else {
        1.0
    };
    let stain = 0.92 + 0.16 * layered_noise(level.x * 4.0, level.y * 4.0, 2, view.salt ^ 0x15);
    let glow = 0.55 + 0.6 * bell((level - lamp).length(), 0.6);
    let skirting = bell(level.y - view.scene.horizon + 0.015, 0.012);
    wall.mix(Rgb::display(0.88, 0.87, 0.85), skirting * 0.8)
        .lit_by(view.light.on_ground() * (glow * stripe * stain))
}

fn floor_colour(view: &View<'_>, level: Point, floor: Rgb) -> Rgb {
    let near = (level.y - view.scene.horizon) / (1.0 - view.scene.horizon);
    let slant = near + 0.25;
    let across = (level.x - 0.5) / slant * 5.0;
    let plank = across.floor();
    let tone = 0.85 + 0.3 * noise(plank * 3.7, (2.0 / slant).floor() + plank, view.salt ^ 0x16);
    let grain = 0.9 + 0.2 * noise(across * 6.0, 6.0 / slant, view.salt ^ 0x17);
    let joint = 1.0 - 0.35 * smooth_step(0.46, 0.5, (across - plank - 0.5).abs());
    (floor * (tone * grain * joint)).lit_by(view.light.on_ground() * lerp(0.55, 0.95, near))
}

fn furnish(view: &View<'_>, canvas: &mut Canvas, random: &mut Random) {
    let horizon = view.scene.horizon;
    let salt = view.salt;
    let mut painter = Painter {
        canvas,
        frame: Frame {
            camera: view.camera,
            foot: p(0.0, horizon),
            scale: 1.0,
            direction: 1.0,
        },
        light: view.light,
        haze: 0.0,
        defocus: 0.0,
        salt,
    };
    let mut x = random.range(-0.1, 0.15);
    while x < 1.0 {
        let width = random.range(0.2, 0.38);
        let height = random.unit();
        match random.below(5) {
            0 => window(&mut painter, view, p(x, 0.2 + 0.1 * height), width),
            1 => picture(&mut painter, random, p(x, 0.24 + 0.18 * height), width * 0.7),
            2 => shelf(&mut painter, random, p(x, 0.16 * height), width),
            3 => sofa(&mut painter, random, x, width * 1.5),
            _ => {}
        }
        x += width + random.range(0.03, 0.25);
    }
}

fn window(painter: &mut Painter<'_>, view: &View<'_>, corner: Point, width: f32) {
    let half = p(width * 0.5, width * 0.62);
    let centre = corner + half;
    let outside = view.light.zenith.mix(view.light.sky_edge, 0.6);
    let bright = if view.scene.time == TimeOfDay::Night {
        0.6
    } else {
        1.1
    };
    painter.fill(
        Shape::Slab(centre, half + p(0.015, 0.015), 0.004),
        Paint::new(Rgb::display(0.86, 0.84, 0.80)),
    );
    painter.fill(
        Shape::Slab(centre, half, 0.0),
        Paint::new(outside * bright).glow(1.0),
    );
    let bar = Paint::new(Rgb::display(0.86, 0.84, 0.80));
    painter.fill(Shape::Slab(centre, p(0.007, half.y), 0.0), bar);
    painter.fill(
        Shape::Slab(centre + p(0.0, half.y * 0.2), p(half.x, 0.007), 0.0),
        bar,
    );
}

fn picture(painter: &mut Painter<'_>, random: &mut Random, corner: Point, width: f32) {
    let half = p(width * 0.5, width * random.range(0.3, 0.6));
    let centre = corner + half;
    let tint = Rgb::display(
        random.range(0.2, 0.8),
        random.range(0.2, 0.7),
        random.range(0.2, 0.7),
    );
    painter.fill(
        Shape::Slab(centre, half + p(0.014, 0.014), 0.0),
        Paint::new(Rgb::display(0.30, 0.22, 0.16)),
    );
    painter.fill(Shape::Slab(centre, half, 0.0), Paint::new(tint).grain(0.6, 9.0));
}

fn shelf(painter: &mut Painter<'_>, random: &mut Random, corner: Point, width: f32) {
    let wood = Paint::new(Rgb::display(0.40, 0.28, 0.18)).grain(0.2, 20.0);
    for storey in 0..2 {
        let base = corner.y + storey as f32 * 0.17;
        painter.fill(
            Shape::Slab(p(corner.x + width * 0.5, base), p(width * 0.55, 0.008), 0.0),
            wood,
        );
        let mut x = corner.x;
        while x < corner.x + width - 0.02 {
            let (thick, tall) = (random.range(0.012, 0.03), random.range(0.07, 0.13));
            let cover = Rgb::display(
                random.range(0.15, 0.8),
                random.range(0.15, 0.6),
                random.range(0.15, 0.6),
            );
            let half = p(thick * 0.5, tall * 0.5);
            painter.fill(
                Shape::Slab(p(x, base + 0.008) + half, half, 0.002),
                Paint::new(cover).relief(Relief::Pillar),
            );
            x += thick
                + if random.chance(0.2) {
                    random.range(0.01, 0.05)
                } else {
                    0.002
                };
        }
    }
}

fn sofa(painter: &mut Painter<'_>, random: &mut Random, x: f32, width: f32) {
    let cloth = Rgb::display(
        random.range(0.25, 0.7),
        random.range(0.25, 0.6),
        random.range(0.25, 0.6),
    );
    let paint = Paint::new(cloth).grain(0.15, 30.0).relief(Relief::Roll);
    let middle = x + width * 0.5;
    painter.fill(Shape::Slab(p(middle, 0.12), p(width * 0.5, 0.12), 0.03), paint);
    painter.fill(Shape::Slab(p(middle, 0.03), p(width * 0.5, 0.07), 0.025), paint);
    for side in [-1.0, 1.0] {
        painter.fill(
            Shape::Slab(p(middle + side * width * 0.5, 0.04), p(0.035, 0.1), 0.03),
            paint,
        );
    }
}

/// Paints the table top on which the object of `scene` stands.
pub(crate) fn paint_table(scene: &Scene, light: &Light, view: &View<'_>, canvas: &mut Canvas) {
    let mut random = Random::new(scene.style, 4);
    let wood = random.choose(&[
        Rgb::display(0.58, 0.40, 0.24),
        Rgb::display(0.74, 0.58, 0.40),
        Rgb::display(0.36, 0.24, 0.17),
        Rgb::display(0.84, 0.82, 0.78),
        Rgb::display(0.50, 0.54, 0.56),
    ]);
    let far_edge = scene.base - random.range(0.06, 0.16);
    let salt = view.salt;
    canvas.for_each(|at, pixel| {
        let level = view.camera.level(at);
        let inside = smooth_step(-view.pixel, view.pixel, level.y - far_edge);
        if inside <= 0.0 {
            return;
        }
        let near = (level.y - far_edge) / (1.0 - far_edge);
        let across = (level.x - 0.5) / (near + 0.8);
        let grain = layered_noise(across * 3.0, 14.0 / (near + 0.8), 3, salt ^ 0x18);
        let surface = wood * (0.7 + 0.6 * grain);
        let sheen = light.sky_edge * (0.12 * (1.0 - near));
        let colour = surface.lit_by(light.on_ground() * lerp(0.8, 1.0, near)) + sheen;
        *pixel = pixel.mix(colour, inside);
    });
}
