//! The ladder of attacks: each an honest attempt to get the pictures back, from the weakest to the strongest.
//!
//! Every attack knows the model, the attacker's own pictures with their features, and the features of the attacked
//! pictures; never those pictures. What it chooses (strength of a penalty, width of a kernel, when to stop) it chooses on the
//! last fifth of its own pictures. Whatever comes out is a lower bound on what a better attacker would get.

mod decoder;
mod mean_image;
mod nearest;
mod probe;
mod random_features;
mod ridge;

use locket_kernels::Isa;

use super::matrix::Matrix;

pub(crate) use probe::{Probe, probe};

/// What an attack is given: features are standardised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) isa: Isa,
    pub(crate) seed: u64,
    /// Features of the attacker's pictures.
    pub(crate) features: &'a Matrix,
    /// The attacker's pictures less their mean.
    pub(crate) pictures: &'a Matrix,
    /// Features of the attacked pictures.
    pub(crate) attacked: &'a Matrix,
    /// Rows that stand together for one of the attacker's pictures: what is held out is held out with all its variants.
    pub(crate) variants: usize,
}

impl Problem<'_> {
    /// How many of the attacker's pictures are fitted to; the others are held out to choose by.
    pub(crate) fn fitted(&self) -> usize {
        let pictures = self.features.rows / self.variants.max(1);
        (pictures - pictures / 5).max(1) * self.variants
    }
}

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// A0: the mean of the attacker's pictures, whatever the features.
    MeanImage,
    /// A1: the attacker's pictures with the nearest features.
    Nearest,
    /// A2: ridge regression, in closed form.
    Ridge,
    /// A3: ridge regression on random features of a Gaussian kernel.
    RandomFeatures,
    /// A4: a network of two layers, trained.
    Decoder,
}

impl Attack {
    /// The whole ladder.
    pub const ALL: [Self; 5] = [
        Self::MeanImage,
        Self::Nearest,
        Self::Ridge,
        Self::RandomFeatures,
        Self::Decoder,
    ];

    /// The attack's name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MeanImage => "mean image",
            Self::Nearest => "nearest neighbour",
            Self::Ridge => "ridge",
            Self::RandomFeatures => "random features",
            Self::Decoder => "trained decoder",
        }
    }

    /// Its rung.
    pub const fn rung(self) -> &'static str {
        match self {
            Self::MeanImage => "A0",
            Self::Nearest => "A1",
            Self::Ridge => "A2",
            Self::RandomFeatures => "A3",
            Self::Decoder => "A4",
        }
    }

    /// Reconstructions less the attacker's mean picture, one row for each attacked picture.
    pub(crate) fn run(self, problem: &Problem<'_>) -> Matrix {
        match self {
            Self::MeanImage => mean_image::attack(problem),
            Self::Nearest => nearest::attack(problem),
            Self::Ridge => ridge::attack(problem),
            Self::RandomFeatures => random_features::attack(problem),
            Self::Decoder => decoder::attack(problem),
        }
    }
}
