//! What a scene can be about: object class, colour, setting, time of day; their names and what goes with what.
//!
//! The tables here decide which combinations exist (a car never stands on the sea). Captions are built from the
//! names here, so a name is an English word that fits into a sentence.

use crate::maths::Rgb;

/// Names of the object classes; a label is an index into this list.
pub const CLASSES: [&str; 12] = [
    "balloon",
    "bicycle",
    "bird",
    "car",
    "cat",
    "dog",
    "house",
    "lighthouse",
    "mug",
    "sailboat",
    "tree",
    "truck",
];

/// The kind of object a scene shows; the order is that of [`CLASSES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "each variant is the English word")]
pub enum Class {
    Balloon,
    Bicycle,
    Bird,
    Car,
    Cat,
    Dog,
    House,
    Lighthouse,
    Mug,
    Sailboat,
    Tree,
    Truck,
}

impl Class {
    /// Every class, in the order of its label.
    pub const ALL: [Self; 12] = [
        Self::Balloon,
        Self::Bicycle,
        Self::Bird,
        Self::Car,
        Self::Cat,
        Self::Dog,
        Self::House,
        Self::Lighthouse,
        Self::Mug,
        Self::Sailboat,
        Self::Tree,
        Self::Truck,
    ];

    /// The class's index in [`CLASSES`].
    pub fn label(self) -> usize {
        self as usize
    }

    /// The class's English name.
    pub fn name(self) -> &'static str {
        CLASSES[self.label()]
    }

    /// The settings in which this class can stand.
    pub(crate) fn settings(self) -> &'static [Setting] {
        use Setting::{Beach, Desert, Field, Lake, Room, Sea, Snow, Street};
        match self {
            Self::Balloon => &[Field, Sea, Lake, Desert, Snow, Beach, Street],
            Self::Bicycle => &[Street, Field, Beach, Snow, Room],
            Self::Bird => &[Sea, Lake, Field, Beach, Snow, Desert, Street],
            Self::Car | Self::Truck => &[Street, Field, Desert, Snow, Beach, Room],
            Self::Cat | Self::Dog => &[Room, Street, Field, Snow, Beach],
            Self::House => &[Field, Snow, Desert, Beach, Street, Lake],
            Self::Lighthouse => &[Sea, Beach, Snow, Field, Lake, Room],
            Self::Mug => &[Room, Room, Field, Beach, Snow, Street],
            Self::Sailboat => &[Sea, Lake, Sea, Lake, Beach, Room],
            Self::Tree => &[Field, Street, Snow, Desert, Beach, Lake],
        }
    }

    /// The colours that this class comes in.
    pub(crate) fn colours(self) -> &'static [Colour] {
        use Colour::{Black, Blue, Brown, Green, Grey, Orange, Pink, Purple, Red, Teal, White, Yellow};
        match self {
            Self::Cat => &[Black, White, Grey, Orange, Brown],
            Self::Dog => &[Black, White, Grey, Yellow, Brown, Orange],
            Self::Bird => &[Black, White, Grey, Blue, Red, Yellow, Brown, Teal],
            Self::Tree => &[Green, Green, Green, Orange, Yellow, Red, Pink],
            Self::House => &[White, Red, Yellow, Blue, Brown, Green, Pink, Grey, Orange],
            Self::Lighthouse => &[Red, Blue, White, Black, Green, Yellow],
            _ => &[Red, Orange, Yellow, Green, Blue, Purple, White, Black, Pink, Teal],
        }
    }
}

/// The colour an object is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the English word")]
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    White,
    Black,
    Brown,
    Grey,
    Pink,
    Teal,
}

impl Colour {
    /// Every colour.
    pub const ALL: [Self; 12] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Blue,
        Self::Purple,
        Self::White,
        Self::Black,
        Self::Brown,
        Self::Grey,
        Self::Pink,
        Self::Teal,
    ];

    /// The colour's English name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::White => "white",
            Self::Black => "black",
            Self::Brown => "brown",
            Self::Grey => "grey",
            Self::Pink => "pink",
            Self::Teal => "teal",
        }
    }

    /// The colour of the surface in white light.
    pub(crate) fn rgb(self) -> Rgb {
        match self {
            Self::Red => Rgb::display(0.82, 0.14, 0.13),
            Self::Orange => Rgb::display(0.92, 0.47, 0.12),
            Self::Yellow => Rgb::display(0.95, 0.80, 0.22),
            Self::Green => Rgb::display(0.24, 0.52, 0.20),
            Self::Blue => Rgb::display(0.16, 0.34, 0.74),
            Self::Purple => Rgb::display(0.46, 0.22, 0.62),
            Self::White => Rgb::display(0.93, 0.92, 0.89),
            Self::Black => Rgb::display(0.13, 0.13, 0.14),
            Self::Brown => Rgb::display(0.45, 0.29, 0.17),
            Self::Grey => Rgb::display(0.52, 0.52, 0.53),
            Self::Pink => Rgb::display(0.93, 0.56, 0.67),
            Self::Teal => Rgb::display(0.12, 0.56, 0.56),
        }
    }
}

/// Where a scene takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the English word")]
pub enum Setting {
    Sea,
    Lake,
    Beach,
    Field,
    Street,
    Desert,
    Snow,
    Room,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 8] = [
        Self::Sea,
        Self::Lake,
        Self::Beach,
        Self::Field,
        Self::Street,
        Self::Desert,
        Self::Snow,
        Self::Room,
    ];

    /// The setting as a phrase that says where: "on the sea".
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Sea => "on the sea",
            Self::Lake => "on a lake",
            Self::Beach => "on the beach",
            Self::Field => "in a field",
            Self::Street => "on the street",
            Self::Desert => "in the desert",
            Self::Snow => "in the snow",
            Self::Room => "in a room",
        }
    }

    /// The setting's noun with its article, for "above …" and "by …".
    pub fn place(self) -> &'static str {
        match self {
            Self::Sea => "the sea",
            Self::Lake => "a lake",
            Self::Beach => "the beach",
            Self::Field => "a field",
            Self::Street => "the street",
            Self::Desert => "the desert",
            Self::Snow => "the snow",
            Self::Room => "a room",
        }
    }

    /// True where the ground is water.
    pub fn is_water(self) -> bool {
        matches!(self, Self::Sea | Self::Lake)
    }
}

/// When a scene takes place; it decides the light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the English word")]
pub enum TimeOfDay {
    Dawn,
    Noon,
    Dusk,
    Night,
}

impl TimeOfDay {
    /// Every time of day.
    pub const ALL: [Self; 4] = [Self::Dawn, Self::Noon, Self::Dusk, Self::Night];

    /// The time as a phrase that says when: "at dusk".
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Dawn => "at dawn",
            Self::Noon => "at noon",
            Self::Dusk => "at dusk",
            Self::Night => "at night",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Class, Setting};

    #[test]
    fn labels_follow_the_list_of_names() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.label(), index);
            assert_eq!(format!("{class:?}").to_lowercase(), CLASSES[index]);
        }
    }

    #[test]
    fn no_setting_gives_the_class_away() {
        for setting in Setting::ALL {
            let classes = Class::ALL
                .iter()
                .filter(|class| class.settings().contains(&setting))
                .count();
            assert!(classes >= 4, "{setting:?} has only {classes} classes");
        }
    }
}
