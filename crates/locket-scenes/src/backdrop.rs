//! What is behind the object outdoors: sky, sun, clouds, stars, and the silhouettes along the horizon.

use crate::attributes::{Setting, TimeOfDay};
use crate::canvas::{Camera, Canvas};
use crate::ground::ground_colour;
use crate::light::Light;
use crate::maths::{Point, Rgb, bell, lerp, p, saturate, smooth_step};
use crate::random::{Random, lattice, layered_noise, noise};
use crate::scene::Scene;

/// A scene's view outdoors: everything that the colour of a far point depends on.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) light: &'a Light,
    pub(crate) camera: Camera,
    /// Salt of all noise.
    pub(crate) salt: u32,
    /// Which look of the ground: picks among a setting's surfaces.
    pub(crate) surface: u32,
    /// Height of the far silhouettes, as a share of the picture.
    relief: f32,
    /// One pixel, as a share of the picture.
    pub(crate) pixel: f32,
}

impl<'a> View<'a> {
    /// The view of `scene` for a picture of `size` pixels.
    pub(crate) fn new(scene: &'a Scene, light: &'a Light, size: usize) -> Self {
        let mut random = Random::new(scene.style, 2);
        Self {
            scene,
            light,
            camera: Camera::new(scene.tilt),
            salt: random.bits() as u32,
            surface: random.below(3) as u32,
            relief: random.range(0.05, 0.26),
            pixel: 1.0 / size as f32,
        }
    }

    /// Paints the whole backdrop.
    pub(crate) fn paint(&self, canvas: &mut Canvas) {
        canvas.for_each(|at, pixel| *pixel = self.colour(self.camera.level(at)));
    }

    fn colour(&self, at: Point) -> Rgb {
        let edge = self.pixel;
        let below = smooth_step(-edge, edge, at.y - self.scene.horizon);
        if below >= 1.0 {
            return ground_colour(self, at);
        }
        let above = self.far_colour(at);
        if below <= 0.0 {
            above
        } else {
            above.mix(ground_colour(self, p(at.x, at.y.max(self.scene.horizon))), below)
        }
    }

    /// The colour above the horizon: sky and what stands before it.
    fn far_colour(&self, at: Point) -> Rgb {
        let height = self.scene.horizon - at.y;
        let sky = self.sky(at);
        match self.scene.setting {
            Setting::Street => self.buildings(at, height, sky),
            Setting::Sea => self.ridge(
                at,
                height,
                sky,
                0.25 * self.relief - 0.03,
                Rgb::display(0.36, 0.42, 0.46),
                0,
            ),
            Setting::Beach => self.ridge(
                at,
                height,
                sky,
                0.5 * self.relief - 0.04,
                Rgb::display(0.45, 0.46, 0.40),
                0,
            ),
            Setting::Desert => self.mesas(at, height, sky),
            Setting::Lake | Setting::Snow => self.mountains(at, height, sky),
            Setting::Field | Setting::Room => {
                let far = self.ridge(
                    at,
                    height,
                    sky,
                    0.7 * self.relief,
                    Rgb::display(0.34, 0.43, 0.42),
                    0,
                );
                self.ridge(
                    at,
                    height,
                    far,
                    0.32 * self.relief,
                    Rgb::display(0.24, 0.36, 0.20),
                    1,
                )
            }
        }
    }

    /// The colour of the sky in a direction.
    pub(crate) fn sky(&self, at: Point) -> Rgb {
        let light = self.light;
        let height = saturate((self.scene.horizon - at.y) / self.scene.horizon.max(0.1));
        let mut colour = light.sky_edge.mix(light.zenith, height.sqrt());
        if self.scene.time == TimeOfDay::Night {
            colour = colour + Rgb::linear(0.55, 0.58, 0.65) * self.stars(at);
        }
        let from_disc = at - light.disc_at;
        let away = from_disc.length();
        let night = self.scene.time == TimeOfDay::Night;
        colour = colour + light.disc * (if night { 0.10 } else { 0.35 } * bell(away, 0.16));
        let disc = 1.0
            - smooth_step(
                light.disc_radius - self.pixel,
                light.disc_radius + self.pixel,
                away,
            );
        colour = colour.mix(light.disc, disc);
        self.clouds(at, height, colour)
    }

    fn clouds(&self, at: Point, height: f32, sky: Rgb) -> Rgb {
        let cloudiness = self.scene.cloudiness;
        if cloudiness < 0.15 {
            return sky;
        }
        // Clouds are long and thin near the horizon, round overhead.
        let depth = 0.35 + height;
        let place = p((at.x - 0.5) * 3.2 / depth, 2.6 / depth);
        let density = layered_noise(place.x, place.y * 2.0, 3, self.salt ^ 0x51);
        let cover = smooth_step(0.95 - 0.62 * cloudiness, 1.15 - 0.45 * cloudiness, density + 0.12);
        // Undersides are darker: compare with the density a little further up.
        let thickness = 0.75 + 0.5 * (density - 0.5);
        let cloud = self.light.on_clouds().mix(self.light.sky_edge, 0.35) * thickness;
        sky.mix(cloud, cover * 0.85)
    }

    fn stars(&self, at: Point) -> f32 {
        let grid = p(at.x * 26.0, at.y * 26.0);
        let (cell_x, cell_y) = (grid.x.floor(), grid.y.floor());
        let (column, row) = (cell_x as i32, cell_y as i32);
        if lattice(column, row, self.salt) < 0.92 {
            return 0.0;
        }
        let star = p(
            lattice(column, row, self.salt ^ 1) * 0.6 + 0.2,
            lattice(column, row, self.salt ^ 2) * 0.6 + 0.2,
        );
        let away = (grid - p(cell_x, cell_y) - star).length();
        lattice(column, row, self.salt ^ 3) * bell(away, 0.06 + 6.0 * self.pixel)
    }

    /// A line of hills of the given height; `row` 0 is the farthest.
    fn ridge(&self, at: Point, height: f32, behind: Rgb, top: f32, colour: Rgb, row: u32) -> Rgb {
        if top <= 0.0 || height > top {
            return behind;
        }
        let crest = top
            * layered_noise(
                at.x * lerp(2.2, 4.5, row as f32) + 7.0,
                0.5,
                3,
                self.salt ^ (0x71 + row),
            );
        let inside = smooth_step(-self.pixel, self.pixel, crest - height);
        if inside <= 0.0 {
            return behind;
        }
        let lit = colour.lit_by(self.light.on_ground());
        behind.mix(lit.mix(self.light.haze, self.far_haze(row)), inside)
    }

    fn far_haze(&self, row: u32) -> f32 {
        let base = if row == 0 { 0.5 } else { 0.22 };
        base + (0.9 - base) * self.scene.haze
    }

    fn mountains(&self, at: Point, height: f32, behind: Rgb) -> Rgb {
        let mut colour = behind;
        let top = 1.5 * self.relief + 0.05;
        // Most of the sky is above every summit: noise stays below 1.
        if height > 1.15 * top + self.pixel {
            return behind;
        }
        let shape = layered_noise(at.x * 2.6, 1.5, 4, self.salt ^ 0x91);
        let crest = top * (0.25 + 0.9 * shape);
        let inside = smooth_step(-self.pixel, self.pixel, crest - height);
        if inside > 0.0 {
            let face = layered_noise(at.x * 9.0 + height * 6.0, height * 9.0, 2, self.salt ^ 0x92);
            let snow_line = if self.scene.setting == Setting::Snow {
                0.15
            } else {
                0.62
            };
            let snowy = smooth_step(
                snow_line,
                snow_line + 0.2,
                height / crest.max(1e-3) + 0.6 * (face - 0.5),
            );
            let rock = Rgb::display(0.36, 0.37, 0.42) * (0.55 + 0.9 * face);
            let surface = rock.mix(Rgb::display(0.90, 0.93, 0.97) * (0.6 + 0.5 * face), snowy);
            let lit = surface
                .lit_by(self.light.on_ground())
                .mix(self.light.haze, self.far_haze(0) * 0.55);
            colour = colour.mix(lit, inside);
        }
        // A dark line of woods at the foot.
        if height > 0.062 + self.pixel {
            return colour;
        }
        let woods = 0.012 + 0.05 * layered_noise(at.x * 16.0, 2.5, 3, self.salt ^ 0x93);
        let wooded = smooth_step(-self.pixel, self.pixel, woods - height);
        let wood = Rgb::display(0.16, 0.24, 0.20)
            .lit_by(self.light.on_ground())
            .mix(self.light.haze, self.far_haze(1));
        colour.mix(wood, wooded)
    }

    fn mesas(&self, at: Point, height: f32, behind: Rgb) -> Rgb {
        let far = self.ridge(
            at,
            height,
            behind,
            0.35 * self.relief,
            Rgb::display(0.62, 0.42, 0.34),
            0,
        );
        if height > 0.8 * self.relief + self.pixel {
            return far;
        }
        // Steep sides and flat tops: the noise is squeezed through a step.
        let plateau = smooth_step(0.52, 0.58, noise(at.x * 3.1, 4.5, self.salt ^ 0xa1));
        let crest = self.relief * 0.8 * plateau * (0.7 + 0.3 * noise(at.x * 9.0, 1.5, self.salt ^ 0xa2));
        let inside = smooth_step(-self.pixel, self.pixel, crest - height) * plateau;
        let layers = 0.8 + 0.4 * noise(at.x * 2.0, height * 45.0, self.salt ^ 0xa3);
        let lit = (Rgb::display(0.70, 0.40, 0.26) * layers).lit_by(self.light.on_ground());
        far.mix(lit.mix(self.light.haze, self.far_haze(1)), inside)
    }

    fn buildings(&self, at: Point, height: f32, behind: Rgb) -> Rgb {
        let mut colour = behind;
        for row in 0..2_u32 {
            let scale = if row == 0 { 7.0 } else { 4.2 };
            let along = at.x * scale + row as f32 * 0.37 + (self.salt % 97) as f32 * 0.13;
            let house = along.floor() as i32;
            let salt = self.salt ^ (0xb0 + row * 8);
            let storeys = lattice(house, 0, salt);
            let top = (0.08 + 0.9 * self.relief + 0.5 * self.relief * storeys)
                * if row == 0 { 1.25 } else { 0.62 + 0.5 * storeys };
            let inside = smooth_step(-self.pixel, self.pixel, top - height);
            if inside <= 0.0 {
                continue;
            }
            let wall = self.wall_colour(house, salt);
            let lit = wall.lit_by(self.light.on_ground() * 0.72);
            let shown = self.windows(along, height, house, salt, lit);
            colour = colour.mix(shown.mix(self.light.haze, self.far_haze(row) * 0.7), inside);
        }
        colour
    }

    fn wall_colour(&self, house: i32, salt: u32) -> Rgb {
        let shade = 0.55 + 0.6 * lattice(house, 1, salt);
        let tone = lattice(house, 2, salt);
        let brick = Rgb::display(0.60, 0.36, 0.28);
        let plaster = Rgb::display(0.72, 0.66, 0.56);
        let concrete = Rgb::display(0.52, 0.54, 0.57);
        let colour = if tone < 0.35 {
            brick
        } else if tone < 0.7 {
            plaster
        } else {
            concrete
        };
        colour * shade
    }

    fn windows(&self, along: f32, height: f32, house: i32, salt: u32, wall: Rgb) -> Rgb {
        let (across, up) = ((along - along.floor()) * 4.0, height * 26.0);
        let (column, storey) = (across.floor(), up.floor());
        let inside = |share: f32| (0.22..0.78).contains(&share);
        if storey < 1.0 || !inside(across - column) || !inside(up - storey) {
            return wall;
        }
        let lamp = lattice(house * 8 + column as i32, storey as i32, salt ^ 5);
        if self.light.lamps_on && lamp > 0.55 {
            return Rgb::linear(0.62, 0.45, 0.18) * (0.5 + lamp);
        }
        wall * 0.35 + self.light.zenith * 0.18
    }
}
