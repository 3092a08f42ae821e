//! A scene as a list of attributes, drawn at random from a seed and an index; its label and its caption.
//!
//! A scene says everything that the renderer needs, so rendering takes no further randomness.

use crate::attributes::{Class, Colour, Setting, TimeOfDay};
use crate::random::Random;

/// Which objects rest where: on the ground, in the air, on water, or on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pose {
    /// Stands on the ground.
    Standing,
    /// In the air, above the horizon as a rule.
    Flying,
    /// Swims or sails on water.
    Floating,
    /// Stands on a table close to the camera, or (large things) is a toy on one.
    OnTable,
}

/// A second, smaller object of another class, behind the main one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Companion {
    /// What it is.
    pub class: Class,
    /// Its colour.
    pub colour: Colour,
    /// Horizontal centre as a share of the picture's width.
    pub x: f32,
    /// Larger side as a share of the picture.
    pub extent: f32,
    /// Seed of its shape.
    pub style: u64,
}

/// Everything that decides one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The main object.
    pub class: Class,
    /// The main object's colour.
    pub colour: Colour,
    /// Where the scene is.
    pub setting: Setting,
    /// When the scene is.
    pub time: TimeOfDay,
    /// How the main object rests.
    pub pose: Pose,
    /// Horizontal centre of the main object as a share of the picture's width.
    pub x: f32,
    /// Height of the main object's foot as a share of the picture, from the top.
    pub base: f32,
    /// Larger side of the main object as a share of the picture.
    pub extent: f32,
    /// True if the main object looks to the left.
    pub mirrored: bool,
    /// Height of the horizon (indoors: of the floor's or table's far edge), from the top.
    pub horizon: f32,
    /// Camera roll in turns; a few thousandths.
    pub tilt: f32,
    /// A second object, if there is one.
    pub companion: Option<Companion>,
    /// How many small things stand about (bushes, rocks, posts).
    pub clutter: u32,
    /// True if something out of focus in the foreground covers a part of the picture.
    pub occluded: bool,
    /// How much of the sky is cloud, 0 to 1.
    pub cloudiness: f32,
    /// How much distance fades things, 0 to 1.
    pub haze: f32,
    /// Blur radius of the background as a share of the picture.
    pub background_blur: f32,
    /// Blur radius of the whole picture as a share of the picture.
    pub lens_blur: f32,
    /// Factor on all light.
    pub exposure: f32,
    /// Standard deviation of the sensor's noise at mid-grey, 1 being full scale.
    pub noise: f32,
    /// Colour cast: positive is warm, negative is cold.
    pub warmth: f32,
    /// Seed of every detail that has no attribute of its own.
    pub style: u64,
}

impl Scene {
    /// The scene number `index` of the data set `seed`.
    ///
    /// Each run of twelve indices from a multiple of twelve holds every class once, in an order of its own, so
    /// any long range is balanced.
    pub fn sample(seed: u64, index: u64) -> Self {
        let class = class_of(seed, index);
        let mut random = Random::new(seed, index);
        let setting = random.choose(class.settings());
        let time = random.choose(&TimeOfDay::ALL);
        let colour = random.choose(class.colours());
        let pose = pose_of(class, setting, &mut random);
        let place = place_object(class, setting, pose, &mut random);
        let night = time == TimeOfDay::Night;
        let mut scene = Self {
            class,
            colour,
            setting,
            time,
            pose,
            x: place.x,
            base: place.base,
            extent: place.extent,
            mirrored: random.chance(0.5),
            horizon: place.horizon,
            tilt: 0.018 * random.centred(),
            companion: None,
            clutter: random.below(5) as u32,
            occluded: random.chance(0.3),
            cloudiness: random.unit(),
            haze: random.unit() * random.unit(),
            background_blur: if random.chance(0.35) {
                random.range(0.006, 0.022)
            } else {
                0.0
            },
            lens_blur: 0.010 * random.unit() * random.unit() * random.unit(),
            exposure: random.range(0.72, 1.25),
            noise: noise_of(night, &mut random),
            warmth: 0.12 * random.centred(),
            style: random.bits(),
        };
        if random.chance(0.22) {
            scene.companion = companion_of(&scene, &mut random);
        }
        scene
    }

    /// The label: the main object's index in [`crate::CLASSES`].
    pub fn label(&self) -> usize {
        self.class.label()
    }

    /// True if the main object is a toy of what it shows.
    pub fn is_toy(&self) -> bool {
        self.pose == Pose::OnTable && self.class != Class::Mug
    }

    /// One English sentence without a full stop: "a red sailboat on the sea at dusk, with a white bird".
    pub fn caption(&self) -> String {
        let colour = self.colour.name();
        let an = article(colour);
        let toy = if self.is_toy() { "toy " } else { "" };
        let name = self.class.name();
        let place = match self.pose {
            Pose::Flying => format!("above {}", self.setting.place()),
            Pose::Standing if self.setting.is_water() => format!("by {}", self.setting.place()),
            Pose::OnTable => format!("on a table {}", self.setting.phrase()),
            _ => self.setting.phrase().to_owned(),
        };
        let mut caption = format!("{an} {colour} {toy}{name} {place} {}", self.time.phrase());
        if let Some(companion) = &self.companion {
            let colour = companion.colour.name();
            caption.push_str(&format!(
                ", with {} {colour} {} behind",
                article(colour),
                companion.class.name()
            ));
        }
        caption
    }
}

/// Noise is low as a rule; the dark raises it.
fn noise_of(night: bool, random: &mut Random) -> f32 {
    let draw = random.unit() * random.unit();
    if night {
        0.008 + 0.04 * draw
    } else {
        0.004 + 0.026 * draw
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// The class of a scene: the position of `index` in its block of twelve, shuffled by seed and block.
fn class_of(seed: u64, index: u64) -> Class {
    let count = Class::ALL.len();
    let mut order = Class::ALL;
    let block = index / count as u64;
    // A stream of its own: scenes use the stream of their index, blocks the one above every index.
    let mut random = Random::new(!seed, block);
    for last in (1..count).rev() {
        order.swap(last, random.below(last + 1));
    }
    order[(index % count as u64) as usize]
}

fn pose_of(class: Class, setting: Setting, random: &mut Random) -> Pose {
    match class {
        Class::Balloon => Pose::Flying,
        Class::Bird if setting.is_water() => random.choose(&[Pose::Flying, Pose::Floating]),
        Class::Bird => random.choose(&[Pose::Flying, Pose::Standing, Pose::Standing]),
        Class::Sailboat if setting != Setting::Room => Pose::Floating,
        Class::Mug => Pose::OnTable,
        Class::Car | Class::Truck | Class::Sailboat | Class::Lighthouse if setting == Setting::Room => {
            Pose::OnTable
        }
        _ => Pose::Standing,
    }
}

struct Place {
    x: f32,
    base: f32,
    extent: f32,
    horizon: f32,
}

fn place_object(class: Class, setting: Setting, pose: Pose, random: &mut Random) -> Place {
    let extent = match class {
        Class::Mug => random.range(0.26, 0.62),
        Class::Bird => random.range(0.24, 0.66),
        Class::Cat | Class::Dog => random.range(0.30, 0.78),
        Class::Balloon => random.range(0.26, 0.82),
        Class::Lighthouse => random.range(0.38, 0.86),
        _ => random.range(0.30, 0.84),
    };
    let horizon = if setting == Setting::Room {
        random.range(0.55, 0.78)
    } else {
        random.range(0.38, 0.72)
    };
    let x = 0.5 + (0.62 - 0.5 * extent) * 0.8 * random.centred();
    let base = match pose {
        Pose::Flying => {
            let centre = random.range(0.3, 0.5);
            (centre + 0.5 * extent).min(0.96)
        }
        Pose::OnTable => random.range(0.80, 0.92),
        _ => {
            // Near things are large and stand low in the picture.
            let nearness = 0.25 + 0.6 * extent + 0.12 * random.centred();
            let lowest = if setting == Setting::Beach && pose == Pose::Floating {
                0.30
            } else {
                0.92
            };
            horizon + (0.97 - horizon) * nearness.clamp(0.12, lowest)
        }
    };
    Place {
        x,
        base,
        extent,
        horizon: horizon.min(base - 0.04),
    }
}

fn companion_of(scene: &Scene, random: &mut Random) -> Option<Companion> {
    let options: Vec<Class> = Class::ALL
        .into_iter()
        .filter(|&class| class != scene.class && can_accompany(class, scene.setting))
        .collect();
    if options.is_empty() || scene.pose == Pose::OnTable {
        return None;
    }
    let class = random.choose(&options);
    // Opposite side, and clearly smaller, so that there is no doubt which object the picture is about.
    let side = if scene.x < 0.5 {
        random.range(0.72, 0.9)
    } else {
        random.range(0.1, 0.28)
    };
    Some(Companion {
        class,
        colour: random.choose(class.colours()),
        x: side,
        extent: scene.extent * random.range(0.28, 0.5),
        style: random.bits(),
    })
}

fn can_accompany(class: Class, setting: Setting) -> bool {
    class != Class::Mug
        && setting != Setting::Room
        && class.settings().contains(&setting)
        && !(class == Class::Sailboat && setting == Setting::Beach)
}
