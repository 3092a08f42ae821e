//! The light of a scene: sky colours, sun or moon, lamps, and how they fall on a surface.

use crate::attributes::{Setting, TimeOfDay};
use crate::canvas::Relief;
use crate::maths::{Point, Rgb, p};
use crate::random::Random;
use crate::scene::Scene;

/// The light of one scene.
#[derive(Debug, Clone)]
pub(crate) struct Light {
    /// Light from everywhere.
    ambient: Rgb,
    /// Light from the sun, the moon, the window or the lamp.
    key: Rgb,
    /// Where the key light comes from: right, up, towards the viewer; length 1.
    towards: [f32; 3],
    /// Colour of the sky overhead.
    pub(crate) zenith: Rgb,
    /// Colour of the sky at the horizon.
    pub(crate) sky_edge: Rgb,
    /// Colour of the sun's or moon's disc and glow.
    pub(crate) disc: Rgb,
    /// The disc's centre in level coordinates.
    pub(crate) disc_at: Point,
    /// Radius of the disc as a share of the picture.
    pub(crate) disc_radius: f32,
    /// What distance fades to.
    pub(crate) haze: Rgb,
    /// Colour of a full shadow.
    pub(crate) shadow: Rgb,
    /// How dark cast shadows are, 0 to 1.
    pub(crate) shadow_strength: f32,
    /// True if lamps and windows shine.
    pub(crate) lamps_on: bool,
}

struct Hour {
    ambient: Rgb,
    key: Rgb,
    zenith: Rgb,
    sky_edge: Rgb,
    disc: Rgb,
    elevation: (f32, f32),
}

impl Light {
    /// The light of `scene`.
    pub(crate) fn of(scene: &Scene) -> Self {
        let mut random = Random::new(scene.style, 1);
        let hour = hour_of(scene.time, &mut random);
        let elevation = random.range(hour.elevation.0, hour.elevation.1);
        let side = if random.chance(0.5) { 1.0 } else { -1.0 };
        let sideways = random.range(0.35, 0.9) * side;
        let forward = random.range(0.15, 0.85);
        let overcast = if scene.cloudiness > 0.7 { 0.55 } else { 1.0 };
        let mut light = Self {
            ambient: hour.ambient * (1.0 + 0.3 * (1.0 - overcast)),
            key: hour.key * overcast,
            towards: unit([sideways, elevation, forward]),
            zenith: hour.zenith,
            sky_edge: hour.sky_edge,
            disc: hour.disc * overcast,
            disc_at: p(
                0.5 + 0.45 * side * random.unit(),
                scene.horizon * (1.0 - elevation * 0.75),
            ),
            disc_radius: random.range(0.025, 0.05),
            haze: hour.sky_edge.mix(hour.zenith, 0.15),
            shadow: hour.ambient.lit_by(Rgb::linear(0.16, 0.17, 0.22)),
            shadow_strength: 0.62 * overcast,
            lamps_on: matches!(scene.time, TimeOfDay::Night)
                || (scene.time == TimeOfDay::Dusk && random.chance(0.6)),
        };
        if scene.setting == Setting::Room {
            light.move_indoors(scene.time, &mut random);
        } else if scene.setting == Setting::Street && light.lamps_on {
            light.ambient = light.ambient + Rgb::linear(0.10, 0.075, 0.04);
        }
        light
    }

    fn move_indoors(&mut self, time: TimeOfDay, random: &mut Random) {
        if time == TimeOfDay::Night || self.lamps_on {
            self.ambient = Rgb::linear(0.23, 0.165, 0.095);
            self.key = Rgb::linear(0.52, 0.36, 0.19);
        } else {
            self.ambient = self.ambient * 0.75 + Rgb::linear(0.06, 0.055, 0.05);
            self.key = self.key * 0.7;
        }
        self.towards = unit([
            random.range(-0.9, 0.9),
            random.range(0.3, 0.8),
            random.range(0.3, 0.9),
        ]);
        self.haze = self.ambient * 0.8;
        self.shadow = self.ambient * 0.14;
        self.shadow_strength = 0.5;
    }

    /// The light that falls on a surface of this relief; `around` is the place on it, -1 to 1 each way.
    pub(crate) fn on(&self, relief: Relief, around: Point, direction: f32) -> Rgb {
        let bulge = |square: f32| (1.0 - square).max(0.0).sqrt();
        let normal = match relief {
            Relief::Flat => [0.0, 0.1, 0.995],
            Relief::Side => [0.86, 0.1, 0.5],
            Relief::Ball => [around.x, around.y, bulge(around.dot(around))],
            Relief::Pillar => [around.x, 0.0, bulge(around.x * around.x)],
            Relief::Roll => [0.0, around.y, bulge(around.y * around.y)],
            Relief::Roof => [0.0, 0.75, 0.66],
        };
        let [x, y, z] = [normal[0] * direction, normal[1], normal[2]];
        let facing = (x * self.towards[0] + y * self.towards[1] + z * self.towards[2]).max(0.0);
        self.ambient * (0.8 + 0.25 * y) + self.key * facing
    }

    /// The light on level ground.
    pub(crate) fn on_ground(&self) -> Rgb {
        self.ambient + self.key * (0.25 + 0.75 * self.towards[1])
    }

    /// The light on clouds and other white things in the air.
    pub(crate) fn on_clouds(&self) -> Rgb {
        self.ambient * 0.9 + self.key * 0.55
    }

    /// How far a shadow falls for each unit of height, to the right.
    pub(crate) fn shadow_slope(&self) -> f32 {
        (-self.towards[0] / (self.towards[1] + 0.25)).clamp(-1.3, 1.3)
    }
}

fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    [v[0] / length, v[1] / length, v[2] / length]
}

fn hour_of(time: TimeOfDay, random: &mut Random) -> Hour {
    // A little of the neighbouring colour makes each day its own.
    let shift = random.unit();
    match time {
        TimeOfDay::Dawn => Hour {
            ambient: Rgb::linear(0.34, 0.33, 0.43),
            key: Rgb::linear(0.62, 0.42, 0.34),
            zenith: Rgb::display(0.44, 0.52, 0.76).mix(Rgb::display(0.60, 0.60, 0.78), shift),
            sky_edge: Rgb::display(0.97, 0.76, 0.70).mix(Rgb::display(0.93, 0.80, 0.84), shift),
            disc: Rgb::linear(1.1, 0.72, 0.5),
            elevation: (0.12, 0.35),
        },
        TimeOfDay::Noon => Hour {
            ambient: Rgb::linear(0.42, 0.46, 0.53),
            key: Rgb::linear(0.74, 0.71, 0.65),
            zenith: Rgb::display(0.24, 0.48, 0.82).mix(Rgb::display(0.38, 0.58, 0.80), shift),
            sky_edge: Rgb::display(0.74, 0.86, 0.95),
            disc: Rgb::linear(1.5, 1.45, 1.3),
            elevation: (0.75, 1.15),
        },
        TimeOfDay::Dusk => Hour {
            ambient: Rgb::linear(0.25, 0.21, 0.29),
            key: Rgb::linear(0.78, 0.40, 0.18),
            zenith: Rgb::display(0.22, 0.24, 0.48).mix(Rgb::display(0.38, 0.28, 0.50), shift),
            sky_edge: Rgb::display(0.98, 0.58, 0.28).mix(Rgb::display(0.90, 0.42, 0.36), shift),
            disc: Rgb::linear(1.6, 0.75, 0.22),
            elevation: (0.08, 0.32),
        },
        TimeOfDay::Night => Hour {
            ambient: Rgb::linear(0.072, 0.082, 0.125),
            key: Rgb::linear(0.105, 0.125, 0.175),
            zenith: Rgb::display(0.05, 0.07, 0.16).mix(Rgb::display(0.09, 0.10, 0.20), shift),
            sky_edge: Rgb::display(0.17, 0.21, 0.35).mix(Rgb::display(0.27, 0.24, 0.36), shift),
            disc: Rgb::linear(0.75, 0.77, 0.70),
            elevation: (0.5, 1.0),
        },
    }
}
