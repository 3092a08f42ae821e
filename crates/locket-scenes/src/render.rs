//! The order in which a picture is painted: backdrop, clutter, companion, object, reflection, foreground, lens.

use crate::attributes::{Class, Setting};
use crate::backdrop::View;
use crate::canvas::{Canvas, Frame, Paint, Painter, Shape};
use crate::clutter::{paint_clutter, paint_foreground};
use crate::finish::{blur, develop, reflect};
use crate::light::Light;
use crate::maths::{Rgb, p};
use crate::objects::{Look, half_footprint, height, paint_object};
use crate::room::{paint_room, paint_table};
use crate::scene::{Pose, Scene};

/// The largest picture that [`Scene::render`] makes, in pixels a side.
pub const MAX_SIZE: usize = 4096;

impl Scene {
    /// Renders the scene as RGB bytes, shape `[size, size, 3]`, row by row from the top.
    ///
    /// The same scene and size give the same bytes on every machine.
    ///
    /// # Panics
    /// If `size` is 0 or above [`MAX_SIZE`].
    pub fn render(&self, size: usize) -> Vec<u8> {
        assert!(
            (1..=MAX_SIZE).contains(&size),
            "a picture has 1 to {MAX_SIZE} pixels a side, not {size}"
        );
        let light = Light::of(self);
        let view = View::new(self, &light, size);
        let mut canvas = Canvas::new(size);
        if self.setting == Setting::Room {
            paint_room(&view, &mut canvas);
        } else {
            view.paint(&mut canvas);
        }
        paint_clutter(&view, &mut canvas);
        self.paint_companion(&view, &mut canvas);
        blur(&mut canvas, self.background_blur);
        if self.pose == Pose::OnTable {
            paint_table(self, &light, &view, &mut canvas);
        }
        self.paint_subject(&view, &mut canvas);
        paint_foreground(self, &light, &view, &mut canvas);
        blur(&mut canvas, self.lens_blur);
        develop(self, &canvas)
    }

    fn paint_subject(&self, view: &View<'_>, canvas: &mut Canvas) {
        let frame = Frame {
            camera: view.camera,
            foot: p(self.x, self.base),
            scale: self.extent,
            direction: if self.mirrored { -1.0 } else { 1.0 },
        };
        let look = Look::new(self.colour, view.light.lamps_on, self.pose, self.style);
        let far = 1.0 - ((self.base - self.horizon) / (1.0 - self.horizon)).clamp(0.0, 1.0);
        let haze = self.haze * 0.45 * if self.pose == Pose::OnTable { 0.0 } else { far };
        place(view, canvas, frame, self.class, look, haze);
    }

    fn paint_companion(&self, view: &View<'_>, canvas: &mut Canvas) {
        let Some(companion) = &self.companion else {
            return;
        };
        let pose = companion_pose(companion.class);
        let flying = pose == Pose::Flying;
        let foot = if flying {
            self.horizon * 0.35 + companion.extent
        } else {
            self.horizon + 0.06 + 0.25 * (self.base - self.horizon).max(0.0)
        };
        let frame = Frame {
            camera: view.camera,
            foot: p(companion.x, foot),
            scale: companion.extent,
            direction: if companion.style & 1 == 0 { -1.0 } else { 1.0 },
        };
        let look = Look::new(companion.colour, view.light.lamps_on, pose, companion.style);
        place(
            view,
            canvas,
            frame,
            companion.class,
            look,
            0.15 + 0.45 * self.haze,
        );
    }
}

fn companion_pose(class: Class) -> Pose {
    match class {
        Class::Balloon | Class::Bird => Pose::Flying,
        Class::Sailboat => Pose::Floating,

        _ => Pose::Standing,
    }
}

/// Paints an object with its shadow or its reflection.
fn place(view: &View<'_>, canvas: &mut Canvas, frame: Frame, class: Class, mut look: Look, haze: f32) {
    let pose = look.pose;
    let on_water = view.scene.setting.is_water() && pose != Pose::Flying && pose != Pose::OnTable;
    let light = view.light;
    let mut painter = Painter {
        canvas,
        frame,
        light,
        haze,
        defocus: 0.0,
        salt: view.salt ^ 0x0b1e,
    };
    if !on_water && pose != Pose::Flying {
        cast_shadow(&mut painter, class);
    }
    if on_water && pose == Pose::Standing && class != Class::Lighthouse {
        island(&mut painter, half_footprint(class));
    }
    paint_object(&mut painter, class, &mut look);
    if on_water || pose == Pose::Floating {
        let half = frame.scale * 0.62;
        reflect(
            canvas,
            frame.camera,
            frame.foot,
            half,
            frame.scale * 0.8,
            view.salt ^ 0x3e,
        );
    }
}

/// A strip of land for what cannot swim.
fn island(painter: &mut Painter<'_>, half: f32) {
    let bank = Paint::new(Rgb::display(0.46, 0.40, 0.30)).grain(0.4, 12.0);
    let grass = Paint::new(Rgb::display(0.32, 0.46, 0.20)).grain(0.4, 16.0);
    painter.fill(Shape::Ellipse(p(0.0, -0.005), p(half * 0.6 + 0.4, 0.075)), bank);
    painter.fill(Shape::Ellipse(p(0.0, 0.012), p(half * 0.6 + 0.36, 0.062)), grass);
    painter.shadow(Shape::Ellipse(p(0.0, 0.008), p(half, 0.03)), 0.4, 0.03);
}

/// A dark patch under the object and a longer, fainter one away from the light.
fn cast_shadow(painter: &mut Painter<'_>, class: Class) {
    let half = half_footprint(class);
    let strength = painter.light.shadow_strength;
    // Shapes live in own coordinates, which may be mirrored; light does not mirror.
    let slope = painter.light.shadow_slope() * painter.frame.direction;
    let reach = slope * height(class) * 0.6;
    let flat = 0.07;
    painter.shadow(
        Shape::Limb(p(0.0, 0.01), p(reach, 0.05), half * 0.35, half * 0.22),
        strength * 0.55,
        0.08,
    );
    painter.shadow(
        Shape::Ellipse(p(slope * 0.05, 0.015), p(half * 1.1, flat)),
        strength,
        0.06,
    );
    painter.shadow(
        Shape::Ellipse(p(0.0, 0.008), p(half * 0.97, flat * 0.42)),
        strength * 0.8,
        0.03,
    );
}
