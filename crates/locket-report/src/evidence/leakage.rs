//! What a model's activations give away of its input.

use serde::{Deserialize, Serialize};

use super::{Provenance, Schema, number};

/// Everything that one measurement of leakage says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeakageEvidence {
    /// The version of this form.
    pub schema: Schema,
    /// The model's name as the reader knows it.
    pub title: String,
    /// Where the figures come from.
    pub provenance: Provenance,
    /// Pictures attacked.
    pub attacked: u64,
    /// Pictures in the smallest gallery that they were looked for in.
    pub gallery: u64,
    /// The attacker's own pictures.
    pub auxiliary: u64,
    /// What the attacker made of each of those: as it is, flipped, cropped. 1 if it was taken as it is only.
    pub variants: u64,
    /// Height, width and channels of what is reconstructed.
    pub picture: [u64; 3],
    /// Time that running and attacking took, in seconds.
    #[serde(deserialize_with = "number")]
    pub seconds: f64,
    /// The control that must score 5: the input itself.
    pub identity: TapLeakage,
    /// The control that must score 1: shuffled pairs.
    pub shuffled: TapLeakage,
    /// The taps in the order of execution; further forms of a tap follow its float32.
    pub taps: Vec<TapLeakage>,
    /// What the report does not know, one sentence each.
    #[serde(default)]
    pub not_measured: Vec<String>,
    /// The attacked pictures whose reconstructions are shown, side by side, as a PNG file. Not in the JSON form.
    #[serde(skip)]
    pub originals: Vec<u8>,
}

impl LeakageEvidence {
    /// The evidence as pretty JSON, ending in a newline. Pictures are left out.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data with string keys serialises");
        text.push('\n');
        text
    }
}

/// What one form of one tap gives away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TapLeakage {
    /// The operation's name.
    pub name: String,
    /// Its kind, such as `relu`.
    #[serde(default)]
    pub operator: String,
    /// `input`, `layer`, `embedding` or `output`.
    pub role: String,
    /// The form of the numbers: `float32`, `int8`, `1-bit`, or with noise.
    pub form: String,
    /// Operations before it.
    pub depth: u64,
    /// Shape, as computed.
    pub shape: Vec<u64>,
    /// Numbers that attacks saw.
    pub features: u64,
    /// True if those are all the tap's numbers, neither averaged nor projected.
    pub exact: bool,
    /// 1 (least leakage) to 5 (most).
    pub level: u8,
    /// The rule that decided the level, with its figures.
    pub reason: String,
    /// Share of variance explained by the attack that explains most.
    #[serde(deserialize_with = "number")]
    pub r2: f64,
    /// That attack.
    pub strongest: String,
    /// Pictures reconstructed well, by the attack that reaches most.
    pub success: Rate,
    /// Pictures identified, by the attack that identifies most.
    pub identification: Rate,
    /// Every rung of the ladder.
    pub attacks: Vec<AttackScore>,
    /// What the attacks in closed form reach with fewer pictures.
    pub curve: Vec<LearningPoint>,
    /// False if leakage still rises with the attacker's pictures.
    pub saturated: bool,
    /// How often the class of the picture was told; `None` if there are too few pictures of each class.
    #[serde(default)]
    pub attribute: Option<AttributeProbe>,
    /// With noise, the bound against unbiased attackers.
    #[serde(default)]
    pub noise: Option<NoiseFigures>,
    /// Reconstructions by the strongest attack, side by side, as a PNG file. Not in the JSON form.
    #[serde(skip)]
    pub examples: Vec<u8>,
}

/// A share with its upper bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How often.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// The share as a fraction.
    #[serde(deserialize_with = "number")]
    pub share: f64,
    /// The upper end of its two-sided 95 % Wilson interval, as a fraction.
    #[serde(deserialize_with = "number")]
    pub upper: f64,
}

/// What one attack reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttackScore {
    /// The rung and the name, such as `A2 ridge`.
    pub attack: String,
    /// Share of variance explained over the set.
    #[serde(deserialize_with = "number")]
    pub r2: f64,
    /// Mean structural similarity.
    #[serde(deserialize_with = "number")]
    pub ssim: f64,
    /// Pictures reconstructed well.
    pub success: Rate,
    /// Pictures identified.
    pub identification: Rate,
}

/// A point of the learning curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LearningPoint {
    /// The attacker's pictures.
    pub auxiliary: u64,
    /// Largest share of variance explained by an attack in closed form, at least 0.
    #[serde(deserialize_with = "number")]
    pub r2: f64,
    /// Most pictures identified by one of them.
    pub identification: Rate,
}

/// How often the class of a picture was told from a tap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributeProbe {
    /// Pictures whose class was told.
    pub right: Rate,
    /// What guessing the most frequent class reaches, as a fraction.
    #[serde(deserialize_with = "number")]
    pub chance: f64,
    /// Classes there are.
    pub classes: u64,
}

/// Noise with the bound that follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseFigures {
    /// Its standard deviation, in the units of the tap.
    #[serde(deserialize_with = "number")]
    pub sigma: f64,
    /// Estimated Fisher information leakage by pixel value (dFIL).
    #[serde(deserialize_with = "number")]
    pub dfil_estimate: f64,
    /// Least root-mean-square error of an unbiased reconstruction for pixels from 0 to 1; follows from the estimate.
    #[serde(deserialize_with = "number")]
    pub rmse_bound_estimate: f64,
}
