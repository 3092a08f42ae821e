//! The twelve kinds of objects. Each is painted back to front in its own coordinates: foot at the origin, x the
//! way it looks, y up, the larger side about one unit long.

mod animals;
mod buildings;
mod things;
mod trucks;
mod vehicles;

use crate::attributes::{Class, Colour};
use crate::canvas::{Painter, Relief};
use crate::maths::Rgb;
use crate::random::Random;
use crate::scene::Pose;

/// What an object's painter may vary.
#[derive(Debug)]
pub(crate) struct Look {
    /// The colour that the caption names.
    pub(crate) colour: Rgb,
    /// A second colour that goes with it.
    pub(crate) accent: Rgb,
    /// True if windows and lamps shine.
    pub(crate) lamps_on: bool,
    /// How the object rests.
    pub(crate) pose: Pose,
    /// The source of its proportions.
    pub(crate) random: Random,
}

impl Look {
    /// The look of an object of this colour and style seed.
    pub(crate) fn new(colour: Colour, lamps_on: bool, pose: Pose, style: u64) -> Self {
        let mut random = Random::new(style, 5);
        let base = colour.rgb();
        let light_accents = [Rgb::display(0.93, 0.91, 0.86), Rgb::display(0.90, 0.84, 0.68)];
        let dark_accents = [Rgb::display(0.20, 0.21, 0.25), Rgb::display(0.34, 0.18, 0.16)];
        let accent = if base.luma() > 0.5 {
            random.choose(&dark_accents)
        } else {
            random.choose(&light_accents)
        };
        let shade = random.range(0.85, 1.12);
        Self {
            colour: base * shade,
            accent,
            lamps_on,
            pose,
            random,
        }
    }
}

/// Paints an object of the given class.
pub(crate) fn paint_object(painter: &mut Painter<'_>, class: Class, look: &mut Look) {
    match class {
        Class::Balloon => things::balloon(painter, look),
        Class::Bicycle => vehicles::bicycle(painter, look),
        Class::Bird => animals::bird(painter, look),
        Class::Car => vehicles::car(painter, look),
        Class::Cat => animals::cat(painter, look),
        Class::Dog => animals::dog(painter, look),
        Class::House => buildings::house(painter, look),
        Class::Lighthouse => buildings::lighthouse(painter, look),
        Class::Mug => things::mug(painter, look),
        Class::Sailboat => vehicles::sailboat(painter, look),
        Class::Tree => things::tree(painter, look),
        Class::Truck => trucks::truck(painter, look),
    }
}

/// Half the width of the object where it meets the ground, in own units.
pub(crate) fn half_footprint(class: Class) -> f32 {
    match class {
        Class::Balloon => 0.3,
        Class::Bicycle | Class::Car | Class::Truck => 0.5,
        Class::Bird | Class::Cat => 0.26,
        Class::Dog => 0.34,
        Class::House => 0.48,
        Class::Lighthouse => 0.22,
        Class::Mug => 0.36,
        Class::Sailboat => 0.38,
        Class::Tree => 0.12,
    }
}

/// How tall the object is, in own units; for the length of its shadow.
pub(crate) fn height(class: Class) -> f32 {
    match class {
        Class::Bicycle => 0.6,
        Class::Car => 0.4,
        Class::Truck => 0.5,
        Class::House | Class::Dog => 0.8,
        Class::Bird => 0.6,
        _ => 1.0,
    }
}

/// Reliefs that several objects share, by short names.
pub(crate) const BALL: Relief = Relief::Ball;
pub(crate) const PILLAR: Relief = Relief::Pillar;
pub(crate) const ROLL: Relief = Relief::Roll;
pub(crate) const ROOF: Relief = Relief::Roof;
pub(crate) const SIDE: Relief = Relief::Side;
