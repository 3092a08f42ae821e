//! Names of what can be done to a layer, and to a whole program.

use std::{fmt, str::FromStr};

/// How the weight of a layer is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeightForm {
    /// As it is: `float`.
    #[default]
    Float,
    /// As float16: `f16`.
    Float16,
    /// Symmetric 8-bit integers with a scale for each output channel: `w8`.
    Int8,
    /// Symmetric 4-bit integers with a scale for each block of 32 input channels, or for each output channel where 32 does
    /// not divide them: `w4`.
    Int4,
    /// Indices into a palette: `pal4`, or `pal4g16` for one palette for each group of 16 output channels.
    Palette {
        /// Bits of an index: 1, 2, 3, 4, 6 or 8.
        bits: u8,
        /// Output channels that share a palette; all of them if `None`.
        group: Option<u16>,
    },
    /// Zeros left out: `prune50` sets the least half to zero.
    Pruned {
        /// Share of weights that become zero, in percent: 1 to 99.
        percent: u8,
    },
    /// Zeros left out, the others as [`WeightForm::Int8`]: `prune50+w8`.
    PrunedInt8 {
        /// Share of weights that become zero, in percent: 1 to 99.
        percent: u8,
    },
}

/// What is done to one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerChoice {
    /// How its weight is stored.
    pub weights: WeightForm,
    /// True if it computes on 8-bit integers: its operand is quantised too. Only with forms that are integers once expanded:
    /// [`WeightForm::Int8`], [`WeightForm::PrunedInt8`], and [`WeightForm::Palette`], whose entries then are 8-bit integers.
    pub activations: bool,
}

impl LayerChoice {
    /// Nothing is done.
    pub const FLOAT: Self = Self {
        weights: WeightForm::Float,
        activations: false,
    };

    /// 8-bit weights and operands.
    pub const W8A8: Self = Self {
        weights: WeightForm::Int8,
        activations: true,
    };

    /// Only the weight changes.
    pub const fn weights(weights: WeightForm) -> Self {
        Self {
            weights,
            activations: false,
        }
    }
}

impl fmt::Display for LayerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.weights, self.activations) {
            (WeightForm::Int8, true) => f.write_str("w8a8"),
            (weights, true) => write!(f, "{weights}a8"),
            (weights, false) => write!(f, "{weights}"),
        }
    }
}

impl FromStr for LayerChoice {
    type Err = UnknownRecipe;

    fn from_str(text: &str) -> Result<Self, UnknownRecipe> {
        let Some(weights) = text.strip_suffix("a8") else {
            return text.parse().map(Self::weights);
        };
        let weights = weights.parse()?;
        if !matches!(
            weights,
            WeightForm::Int8 | WeightForm::PrunedInt8 { .. } | WeightForm::Palette { .. }
        ) {
            return Err(UnknownRecipe {
                found: text.to_owned(),
                why: ", 8-bit operands go with w8, palettes and pruned w8",
            });
        }
        Ok(Self {
            weights,
            activations: true,
        })
    }
}

/// One named compression step, the same for every layer: `w8a8`, or the name of a [`WeightForm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe(
    /// What is done to every layer that it suits.
    pub LayerChoice,
);

impl Recipe {
    /// Names that are known, for messages and help.
    pub const KNOWN: &str = "w8a8, w8, w4, pal1, pal2, pal3, pal4, pal6, pal8 (each also with g16 and the like for groups of output \
         channels), prune50 (1 to 99 percent), prune50+w8, f16; a8 after a palette or prune50+w8 makes activations 8-bit too, as in pal4g1a8";

    /// True if it cannot be applied without calibration samples.
    pub fn needs_calibration(self) -> bool {
        self.0.activations
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(text: &str) -> Result<Self, UnknownRecipe> {
        text.parse().map(Self)
    }
}

/// The name of a recipe that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a recipe, found {found:?}{why}; known are {}", Recipe::KNOWN)]
pub struct UnknownRecipe {
    /// The name.
    found: String,
    /// More about it, or empty.
    why: &'static str,
}

impl fmt::Display for WeightForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float => f.write_str("float"),
            Self::Float16 => f.write_str("f16"),
            Self::Int8 => f.write_str("w8"),
            Self::Int4 => f.write_str("w4"),
            Self::Palette { bits, group: None } => write!(f, "pal{bits}"),
            Self::Palette {
                bits,
                group: Some(group),
            } => write!(f, "pal{bits}g{group}"),
            Self::Pruned { percent } => write!(f, "prune{percent}"),
            Self::PrunedInt8 { percent } => write!(f, "prune{percent}+w8"),
        }
    }
}

impl FromStr for WeightForm {
    type Err = UnknownRecipe;

    fn from_str(text: &str) -> Result<Self, UnknownRecipe> {
        let unknown = |why| UnknownRecipe {
            found: text.to_owned(),
            why,
        };
        match text {
            "float" | "f32" => return Ok(Self::Float),
            "f16" => return Ok(Self::Float16),
            "w8" => return Ok(Self::Int8),
            "w4" => return Ok(Self::Int4),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix("pal") {
            return palette(rest).map_err(unknown);
        }
        if let Some(rest) = text.strip_prefix("prune") {
            return pruned(rest).map_err(unknown);
        }
        if text.contains('+') {
            return Err(unknown(", a combination that cannot be stored"));
        }
        Err(unknown(""))
    }
}

fn palette(rest: &str) -> Result<WeightForm, &'static str> {
    let (bits, group) = match rest.split_once('g') {
        Some((bits, group)) => (bits, Some(group)),
        None => (rest, None),
    };
    let bits = bits
        .parse::<u8>()
        .ok()
        .filter(|bits| [1, 2, 3, 4, 6, 8].contains(bits))
        .ok_or(", palettes have indices of 1, 2, 3, 4, 6 or 8 bits")?;
    let group = group
        .map(|group| group.parse::<u16>().ok().filter(|&group| group > 0))
        .map(|group| group.ok_or(", a group is of 1 to 65535 output channels"))
        .transpose()?;
    Ok(WeightForm::Palette { bits, group })
}

fn pruned(rest: &str) -> Result<WeightForm, &'static str> {
    let (percent, joint) = match rest.split_once('+') {
        Some((percent, joint)) => (percent, Some(joint)),
        None => (rest, None),
    };
    let percent = percent
        .parse::<u8>()
        .ok()
        .filter(|percent| (1..=99).contains(percent))
        .ok_or(", a share of 1 to 99 percent can be pruned")?;
    match joint {
        None => Ok(WeightForm::Pruned { percent }),
        Some("w8") => Ok(WeightForm::PrunedInt8 { percent }),
        Some(_) => Err(", pruned weights combine with w8 only"),
    }
}

#[cfg(test)]
mod tests {
    use super::{LayerChoice, Recipe, WeightForm};

    #[test]
    fn names_round_trip() {
        let names = "w8a8 pal4a8 pal3g1a8 prune50+w8a8 w8 w4 f16 float pal1 pal2 pal3 pal4 pal6 pal8 pal4g16 pal3g1 prune1 prune50 prune99 prune75+w8";
        for name in names.split(' ') {
            assert_eq!(name.parse::<Recipe>().unwrap().to_string(), name);
        }
        assert_eq!("w8a8".parse::<Recipe>(), Ok(Recipe(LayerChoice::W8A8)));
        let grouped = WeightForm::Palette {
            bits: 4,
            group: Some(16),
        };
        assert_eq!("pal4g16".parse::<WeightForm>(), Ok(grouped));
    }

    #[test]
    fn unknown_names_say_what_is_known() {
        for (name, part) in [
            ("w3", "found \"w3\"; known are w8a8, w8"),
            ("", "found \"\"; known"),
            ("pal5", "1, 2, 3, 4, 6 or 8 bits"),
            ("pal4g0", "1 to 65535"),
            ("pal", "1, 2, 3, 4, 6 or 8 bits"),
            ("w4a8", "8-bit operands go with w8"),
            ("prune0", "1 to 99 percent"),
            ("prune100", "1 to 99 percent"),
            ("prune50+pal4", "combine with w8 only"),
            ("w8+w4", "cannot be stored"),
            ("W8A8", "found \"W8A8\""),
        ] {
            let message = name.parse::<Recipe>().unwrap_err().to_string();
            assert!(message.contains(part), "{name}: {message}");
        }
    }
}
