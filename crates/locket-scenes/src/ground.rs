//! What lies below the horizon outdoors: water, grass, asphalt, sand, snow; each seen in perspective.

use crate::attributes::{Setting, TimeOfDay};
use crate::backdrop::View;
use crate::maths::{Point, Rgb, bell, lerp, p, saturate, smooth_step};
use crate::random::{lattice, layered_noise, noise};

/// A place on the ground plane.
struct Ground {
    /// Share of the way from the horizon to the lower border, 0 to 1.
    near: f32,
    /// Position across, growing towards the horizon as perspective has it.
    across: f32,
    /// Distance from the viewer.
    away: f32,
    /// How much of fine detail survives the distance, 0 to 1.
    detail: f32,
}

/// The colour of the ground at a level point below the horizon.
pub(crate) fn ground_colour(view: &View<'_>, at: Point) -> Rgb {
    let horizon = view.scene.horizon;
    let near = saturate((at.y - horizon) / (1.0 - horizon));
    let slant = near + 0.07;
    let ground = Ground {
        near,
        across: (at.x - 0.5) / slant,
        away: 1.0 / slant,
        detail: saturate(near * 2.5 + 0.1),
    };
    let colour = match view.scene.setting {
        Setting::Sea => return water(view, at, &ground, Rgb::display(0.07, 0.26, 0.36)),
        Setting::Lake => return water(view, at, &ground, Rgb::display(0.10, 0.27, 0.28)),
        Setting::Beach => return beach(view, at, &ground),
        Setting::Street => street(view, &ground),
        Setting::Desert => sand(view, &ground, Rgb::display(0.84, 0.66, 0.43)),
        Setting::Snow => snow(view, &ground),
        Setting::Field | Setting::Room => grass(view, &ground),
    };
    lit(view, colour, near)
}

fn lit(view: &View<'_>, surface: Rgb, near: f32) -> Rgb {
    let fade = (1.0 - near) * (1.0 - near) * (0.25 + 0.5 * view.scene.haze);
    surface
        .lit_by(view.light.on_ground())
        .mix(view.light.haze, fade * 0.8)
}

fn water(view: &View<'_>, at: Point, ground: &Ground, depth_colour: Rgb) -> Rgb {
    let calm = if view.scene.setting == Setting::Lake {
        0.45
    } else {
        1.0
    };
    let wave = layered_noise(
        ground.across * 2.2,
        ground.away * 5.0 + at.y * 26.0,
        3,
        view.salt ^ 0x11,
    ) - 0.5;
    let swell = wave * calm * ground.detail;
    // The mirror image of the sky, torn vertically by the waves.
    let mirrored = p(at.x, 2.0 * view.scene.horizon - at.y - 0.35 * swell);
    let sky = view.sky(p(mirrored.x, mirrored.y.clamp(0.0, view.scene.horizon)));
    let mirror_share = saturate(lerp(0.82, 0.36, ground.near) + 0.7 * swell);
    let body = depth_colour.lit_by(view.light.on_ground()) * (1.0 + 0.9 * swell);
    let mut colour = body.mix(sky, mirror_share);
    if view.light.disc_at.y < view.scene.horizon {
        let column = bell(at.x - view.light.disc_at.x, 0.05 + 0.09 * ground.near);
        let sparkle = smooth_step(0.08, 0.3, wave);
        let strength = if view.scene.time == TimeOfDay::Night {
            0.35
        } else {
            0.75
        };
        colour = colour + view.light.disc * (strength * column * sparkle);
    }
    if view.scene.setting == Setting::Sea && view.surface == 0 {
        let crest = smooth_step(0.27, 0.36, wave) * ground.detail;
        colour = colour.mix(
            Rgb::display(0.93, 0.95, 0.96).lit_by(view.light.on_ground()),
            0.7 * crest,
        );
    }
    colour
}

fn beach(view: &View<'_>, at: Point, ground: &Ground) -> Rgb {
    let shore = 0.34 + 0.05 * noise(at.x * 4.0, 0.5, view.salt ^ 0x21);
    let inland = ground.near - shore;
    let sand_colour = sand(view, ground, Rgb::display(0.88, 0.79, 0.62));
    let wet = sand_colour.mix(
        Rgb::display(0.50, 0.44, 0.38),
        0.6 * (1.0 - smooth_step(0.0, 0.12, inland)),
    );
    let dry = lit(view, wet, ground.near);
    if inland > 0.02 {
        return dry;
    }
    let sea = water(view, at, ground, Rgb::display(0.10, 0.42, 0.48));
    let foam_line = bell(inland + 0.005, 0.018) * (0.5 + 0.5 * noise(at.x * 22.0, 0.5, view.salt ^ 0x22));
    let foam = Rgb::display(0.95, 0.97, 0.97).lit_by(view.light.on_ground());
    sea.mix(dry, smooth_step(-0.005, 0.015, inland))
        .mix(foam, saturate(foam_line * 1.3))
}

fn grass(view: &View<'_>, ground: &Ground) -> Rgb {
    let tone = [
        Rgb::display(0.30, 0.48, 0.18),
        Rgb::display(0.74, 0.62, 0.28),
        Rgb::display(0.44, 0.50, 0.24),
    ];
    let patches = layered_noise(ground.across * 1.3, ground.away * 1.7, 2, view.salt ^ 0x31);
    let blades = noise(ground.across * 14.0, ground.away * 34.0, view.salt ^ 0x32);
    let other = tone[(view.surface as usize + 1) % 3];
    let mut colour = tone[view.surface as usize % 3].mix(other, 0.45 * patches);
    colour = colour * (0.75 + 0.5 * patches + 0.55 * (blades - 0.5) * ground.detail);
    if view.surface != 1 {
        let flower = flowers(view, ground);
        colour = colour.mix(flower.0, flower.1);
    }
    let path = ground.across + 0.6 * noise(ground.away * 0.8, 0.5, view.salt ^ 0x33) - 0.9
        + view.surface as f32 * 0.5;
    let trodden = smooth_step(0.30, 0.18, path.abs()) * 0.75;
    colour.mix(Rgb::display(0.60, 0.50, 0.36) * (0.8 + 0.4 * blades), trodden)
}

fn flowers(view: &View<'_>, ground: &Ground) -> (Rgb, f32) {
    let grid = p(ground.across * 9.0, ground.away * 11.0);
    let (column, row) = (grid.x.floor(), grid.y.floor());
    let salt = view.salt ^ 0x41;
    if lattice(column as i32, row as i32, salt) < 0.8 {
        return (Rgb::linear(0.0, 0.0, 0.0), 0.0);
    }
    let away = (grid - p(column + 0.5, row + 0.5)).length();
    let kind = lattice(column as i32, row as i32, salt ^ 1);
    let colour = if kind < 0.4 {
        Rgb::display(0.95, 0.93, 0.85)
    } else if kind < 0.7 {
        Rgb::display(0.93, 0.78, 0.20)
    } else {
        Rgb::display(0.78, 0.30, 0.42)
    };
    (colour, smooth_step(0.36, 0.2, away) * ground.detail)
}

fn street(view: &View<'_>, ground: &Ground) -> Rgb {
    let grit = noise(ground.across * 30.0, ground.away * 60.0, view.salt ^ 0x51) - 0.5;
    let worn = layered_noise(ground.across * 1.5, ground.away * 4.0, 2, view.salt ^ 0x52);
    let asphalt = Rgb::display(0.38, 0.38, 0.40) * (0.7 + 0.55 * worn + 0.3 * grit * ground.detail);
    let slabs = {
        let joint = (ground.across * 1.6).floor() - ground.across * 1.6;
        let line = smooth_step(0.04, 0.0, (joint + 0.5).abs() - 0.46);
        Rgb::display(0.62, 0.60, 0.57) * (0.75 + 0.3 * worn) * (0.8 + 0.2 * line)
    };
    let kerb = 0.16 + 0.1 * view.surface as f32 * 0.5;
    let on_road = smooth_step(kerb - 0.015, kerb + 0.015, ground.near);
    let mut colour = slabs.mix(asphalt, on_road);
    let edge = bell(ground.near - kerb, 0.02);
    colour = colour.mix(Rgb::display(0.72, 0.72, 0.70), 0.6 * edge);
    let middle = kerb + 0.52;
    let dash = smooth_step(0.022, 0.012, (ground.near - middle).abs());
    let dashes = ground.across * 1.1 + view.surface as f32 * 0.3;
    let painted = if dashes - dashes.floor() < 0.55 { dash } else { 0.0 };
    colour.mix(Rgb::display(0.88, 0.87, 0.82), painted * (0.6 + 0.4 * worn))
}

fn sand(view: &View<'_>, ground: &Ground, tone: Rgb) -> Rgb {
    let dunes = layered_noise(ground.across * 0.8, ground.away * 1.2, 2, view.salt ^ 0x61);
    let bend = 1.5 * noise(ground.across * 1.2, ground.away, view.salt ^ 0x62);
    let ripples = noise(
        ground.across * 1.5 + bend,
        ground.away * 16.0 + bend * 4.0,
        view.salt ^ 0x63,
    );
    let grit = noise(ground.across * 40.0, ground.away * 70.0, view.salt ^ 0x64) - 0.5;
    tone * (0.72 + 0.45 * dunes + (0.22 * (ripples - 0.5) + 0.16 * grit) * ground.detail)
}

fn snow(view: &View<'_>, ground: &Ground) -> Rgb {
    let drifts = layered_noise(ground.across * 0.9, ground.away * 1.6, 3, view.salt ^ 0x71);
    let shade = smooth_step(0.25, 0.75, drifts);
    let grit = noise(ground.across * 30.0, ground.away * 50.0, view.salt ^ 0x72) - 0.5;
    Rgb::display(0.70, 0.77, 0.89).mix(Rgb::display(0.96, 0.97, 0.99), shade)
        * (1.0 + 0.08 * grit * ground.detail)
}
