//! Small things around the object: bushes, rocks, posts, lamps; things out of focus in front; falling snow.

use crate::attributes::{Setting, TimeOfDay};
use crate::backdrop::View;
use crate::canvas::{Canvas, Frame, Paint, Painter, Relief, Shape};
use crate::light::Light;
use crate::maths::{Rgb, p};
use crate::random::Random;
use crate::scene::Scene;

/// Paints the small things behind the object.
pub(crate) fn paint_clutter(view: &View<'_>, canvas: &mut Canvas) {
    let scene = view.scene;
    if scene.setting == Setting::Room || scene.setting.is_water() {
        return;
    }
    let mut random = Random::new(scene.style, 6);
    let mut places: Vec<(f32, f32)> = (0..scene.clutter)
        .map(|_| {
            (
                random.range(scene.horizon + 0.01, scene.base.max(scene.horizon + 0.06)),
                random.unit(),
            )
        })
        .collect();
    // Far things first.
    places.sort_by(|left, right| left.0.total_cmp(&right.0));
    for (y, x) in places {
        let nearness = (y - scene.horizon) / (1.0 - scene.horizon);
        let mut painter = Painter {
            canvas,
            frame: Frame {
                camera: view.camera,
                foot: p(x, y),
                scale: 0.05 + 0.22 * nearness,
                direction: 1.0,
            },
            light: view.light,
            haze: 0.5 * scene.haze * (1.0 - nearness),
            defocus: scene.background_blur,
            salt: view.salt ^ 0x5150,
        };
        small_thing(&mut painter, scene.setting, &mut random);
    }
}

fn small_thing(painter: &mut Painter<'_>, setting: Setting, random: &mut Random) {
    painter.shadow(Shape::Ellipse(p(0.05, 0.0), p(0.45, 0.08)), 0.4, 0.1);
    match (setting, random.below(3)) {
        (Setting::Street, 0) => lamp_post(painter),
        (Setting::Street, 1) => {
            let colour = Rgb::display(0.35, 0.38, 0.40);
            painter.fill(
                Shape::Slab(p(0.0, 0.3), p(0.16, 0.3), 0.05),
                Paint::new(colour).relief(Relief::Pillar),
            );
            painter.fill(
                Shape::Slab(p(0.0, 0.6), p(0.19, 0.05), 0.03),
                Paint::new(colour * 0.6),
            );
        }
        (Setting::Street, _) => {
            for x in [-0.3, 0.0, 0.3] {
                painter.fill(
                    Shape::Limb(p(x, 0.0), p(x, 0.35), 0.04, 0.04),
                    Paint::new(Rgb::display(0.24, 0.24, 0.26)),
                );
            }
        }
        (Setting::Desert, 0) => {
            let green = Paint::new(Rgb::display(0.34, 0.46, 0.28))
                .relief(Relief::Pillar)
                .grain(0.3, 20.0);
            painter.fill(Shape::Limb(p(0.0, 0.0), p(0.0, 0.9), 0.09, 0.08), green);
            painter.fill(Shape::Limb(p(0.0, 0.4), p(0.25, 0.45), 0.06, 0.06), green);
            painter.fill(Shape::Limb(p(0.25, 0.45), p(0.25, 0.7), 0.06, 0.055), green);
        }
        (Setting::Field, 0) => fence(painter),
        (Setting::Snow | Setting::Desert | Setting::Beach, _) | (_, 1) => rocks(painter, random, setting),
        _ => bush(painter, random),
    }
}

fn lamp_post(painter: &mut Painter<'_>) {
    let iron = Paint::new(Rgb::display(0.20, 0.21, 0.23));
    painter.fill(Shape::Limb(p(0.0, 0.0), p(0.0, 1.9), 0.05, 0.03), iron);
    painter.fill(Shape::Limb(p(0.0, 1.9), p(0.3, 1.95), 0.03, 0.03), iron);
    if painter.light.lamps_on {
        let lamp = Paint::new(Rgb::linear(1.4, 1.05, 0.55)).glow(1.0);
        painter.fill(Shape::Circle(p(0.32, 1.88), 0.2), lamp.opacity(0.5).softness(0.5));
        painter.fill(Shape::Ellipse(p(0.32, 1.9), p(0.12, 0.07)), lamp);
    } else {
        painter.fill(Shape::Ellipse(p(0.32, 1.9), p(0.12, 0.07)), iron);
    }
}

fn fence(painter: &mut Painter<'_>) {
    let wood = Paint::new(Rgb::display(0.48, 0.38, 0.28)).grain(0.3, 12.0);
    for x in [-1.2, -0.4, 0.4, 1.2] {
        painter.fill(Shape::Limb(p(x, 0.0), p(x, 0.62), 0.05, 0.05), wood);
    }
    for y in [0.25, 0.5] {
        painter.fill(Shape::Limb(p(-1.35, y), p(1.35, y), 0.03, 0.03), wood);
    }
}

fn rocks(painter: &mut Painter<'_>, random: &mut Random, setting: Setting) {
    for _ in 0..3 {
        let at = p(random.range(-0.35, 0.35), -0.02);
        let half = p(random.range(0.12, 0.32), random.range(0.1, 0.3));
        let stone = Paint::new(Rgb::display(0.46, 0.43, 0.40))
            .relief(Relief::Ball)
            .grain(0.4, 9.0);
        painter.fill(Shape::Dome(at, half), stone);
        if setting == Setting::Snow {
            let cap = Paint::new(Rgb::display(0.94, 0.95, 0.98)).relief(Relief::Ball);
            painter.fill(
                Shape::Dome(at + p(0.0, half.y * 0.5), p(half.x * 0.8, half.y * 0.55)),
                cap,
            );
        }
    }
}

fn bush(painter: &mut Painter<'_>, random: &mut Random) {
    let green = Rgb::display(0.24, 0.38, 0.17) * random.range(0.7, 1.3);
    for _ in 0..6 {
        let at = p(random.range(-0.38, 0.38), random.range(0.06, 0.26));
        let leaf = Paint::new(green * random.range(0.7, 1.2))
            .relief(Relief::Ball)
            .grain(0.5, 12.0);
        painter.fill(Shape::Circle(at, random.range(0.14, 0.24)), leaf.softness(0.03));
    }
}

/// Paints what stands between the camera and the object: blades, twigs, railings, all out of focus; and snow.
pub(crate) fn paint_foreground(scene: &Scene, light: &Light, view: &View<'_>, canvas: &mut Canvas) {
    let mut random = Random::new(scene.style, 7);
    let mut painter = Painter {
        canvas,
        frame: Frame {
            camera: view.camera,
            foot: p(0.0, 1.0),
            scale: 1.0,
            direction: 1.0,
        },
        light,
        haze: 0.0,
        defocus: 0.0,
        salt: view.salt ^ 0x7171,
    };
    if scene.setting == Setting::Snow && random.chance(0.5) {
        snowfall(&mut painter, &mut random);
    }
    if !scene.occluded {
        return;
    }
    painter.defocus = random.range(0.006, 0.03);
    match (scene.setting, random.below(3)) {
        (Setting::Room, _) => blurred_things(&mut painter, &mut random),
        (Setting::Street, 0) | (_, 2) => railing(&mut painter, &mut random),
        (Setting::Street | Setting::Sea, _) => blurred_things(&mut painter, &mut random),
        (_, 0) => grass_blades(&mut painter, &mut random),
        _ => twig(&mut painter, &mut random),
    }
    if scene.time == TimeOfDay::Night && random.chance(0.4) {
        for _ in 0..3 {
            let at = p(random.unit(), random.range(0.3, 1.0));
            let bokeh = Paint::new(Rgb::linear(0.9, 0.6, 0.25)).glow(1.0).opacity(0.35);
            painter.fill(Shape::Circle(at, random.range(0.02, 0.05)), bokeh);
        }
    }
}

fn snowfall(painter: &mut Painter<'_>, random: &mut Random) {
    for _ in 0..46 {
        let at = p(random.unit(), random.unit());
        let size = random.range(0.003, 0.011);
        let flake = Paint::new(Rgb::display(0.96, 0.97, 1.0))
            .opacity(0.75)
            .softness(size * 0.6);
        painter.fill(Shape::Circle(at, size), flake);
    }
}

fn grass_blades(painter: &mut Painter<'_>, random: &mut Random) {
    let green = Rgb::display(0.28, 0.40, 0.14) * random.range(0.6, 1.3);
    for _ in 0..14 {
        let x = random.unit();
        let tip = p(x + random.range(-0.1, 0.1), random.range(0.12, 0.42));
        let blade = Paint::new(green * random.range(0.6, 1.2)).opacity(0.92);
        painter.fill(Shape::Limb(p(x, -0.02), tip, 0.014, 0.002), blade);
    }
}

fn twig(painter: &mut Painter<'_>, random: &mut Random) {
    let left = random.chance(0.5);
    let start = p(if left { -0.03 } else { 1.03 }, random.range(0.55, 0.95));
    let reach = random.range(0.35, 0.62) * if left { 1.0 } else { -1.0 };
    let end = start + p(reach, random.range(-0.3, 0.1));
    painter.fill(
        Shape::Limb(start, end, 0.014, 0.005),
        Paint::new(Rgb::display(0.26, 0.19, 0.13)),
    );
    let green = Rgb::display(0.26, 0.40, 0.15) * random.range(0.6, 1.2);
    for _ in 0..9 {
        let at =
            start + (end - start) * random.unit() + p(random.range(-0.04, 0.04), random.range(-0.06, 0.06));
        let leaf = Paint::new(green * random.range(0.7, 1.2)).opacity(0.93);
        painter.fill(
            Shape::Ellipse(at, p(random.range(0.025, 0.05), random.range(0.015, 0.03))),
            leaf,
        );
    }
}

fn railing(painter: &mut Painter<'_>, random: &mut Random) {
    let bar = Paint::new(Rgb::display(0.30, 0.28, 0.27) * random.range(0.6, 1.4));
    let top = random.range(0.12, 0.36);
    painter.fill(
        Shape::Limb(
            p(-0.1, top),
            p(1.1, top + random.range(-0.04, 0.04)),
            0.016,
            0.016,
        ),
        bar,
    );
    let gap = random.range(0.12, 0.3);
    let mut x = random.unit() * gap;
    while x < 1.0 {
        painter.fill(Shape::Limb(p(x, -0.1), p(x, top), 0.011, 0.011), bar);
        x += gap;
    }
}

fn blurred_things(painter: &mut Painter<'_>, random: &mut Random) {
    for _ in 0..1 + random.below(2) {
        let side = if random.chance(0.5) {
            random.range(-0.02, 0.2)
        } else {
            random.range(0.8, 1.02)
        };
        let tint = Rgb::display(
            random.range(0.1, 0.7),
            random.range(0.1, 0.6),
            random.range(0.1, 0.6),
        );
        let half = p(random.range(0.06, 0.16), random.range(0.1, 0.34));
        painter.fill(
            Shape::Slab(p(side, half.y - 0.05), half, 0.04),
            Paint::new(tint).relief(Relief::Pillar),
        );
    }
}
