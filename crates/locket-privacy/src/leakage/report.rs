//! A measurement as plain data for a report.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use locket_report::{
    AttackScore, AttributeProbe, LeakageEvidence, LearningPoint, NoiseFigures, Provenance, Rate, TapLeakage,
};

use super::{Attack, Leak, Outcome, PictureShape, Share, matrix::Matrix, noise};

/// Pixels between pictures.
const GAP: usize = 2;

/// What the measurement does not know of itself.
#[derive(Clone, Debug)]
pub struct Around {
    /// The model's name for a reader.
    pub title: String,
    /// Tool, machine, source, data.
    pub provenance: Provenance,
    /// Time that running and attacking took, in seconds.
    pub seconds: f64,
}

/// Puts an outcome into the form of a report.
pub fn report(outcome: &Outcome, around: Around) -> LeakageEvidence {
    let shape = outcome.shape;
    let all = || outcome.leaks.iter().chain([&outcome.identity]);
    let mut not_measured = vec![
        "What an attacker with another model of pictures, more pictures or more time gets: every figure is the best of the \
         attacks named, and so a lower bound."
            .to_owned(),
        "Optimisation through the model's own gradients (A5): there is no backward pass.".to_owned(),
        format!(
            "Detail finer than {} x {} pixels: pictures are compared at that size.",
            shape.width, shape.height
        ),
    ];
    if all().all(|leak| leak.attribute.is_none()) {
        not_measured.push(
            "Attributes (A6): the attacker has fewer than eight pictures of each class, from which nothing can be learnt."
                .to_owned(),
        );
    }
    if outcome.leaks.iter().any(|leak| !leak.saturated) {
        not_measured.push(
            "Where the learning curve ends: taps marked as not saturated leak more to an attacker with more pictures."
                .to_owned(),
        );
    }
    if outcome.leaks.iter().any(|leak| leak.bound.is_some()) {
        not_measured.push(format!(
            "The Fisher information itself: it is estimated from {} pictures with {} random directions each, and its bound \
             holds for unbiased attackers only.",
            noise::PICTURES,
            noise::PROBES
        ));
    }
    LeakageEvidence {
        title: around.title,
        provenance: around.provenance,
        attacked: outcome.attacked as u64,
        gallery: outcome
            .identity
            .scores
            .iter()
            .map(|(_, score)| score.gallery)
            .min()
            .unwrap_or(0) as u64,
        auxiliary: outcome.auxiliary as u64,
        variants: outcome.variants as u64,
        picture: [shape.height, shape.width, shape.channels].map(|side| side as u64),
        seconds: around.seconds,
        identity: tap(&outcome.identity, shape, "identity"),
        shuffled: tap(&outcome.shuffled, shape, "shuffled pairs"),
        taps: outcome
            .leaks
            .iter()
            .map(|leak| tap(leak, shape, &leak.tap.name))
            .collect(),
        not_measured,
        originals: strip(&outcome.originals, shape),
        ..LeakageEvidence::default()
    }
}

fn tap(leak: &Leak, shape: PictureShape, name: &str) -> TapLeakage {
    let (attack, strongest) = leak.strongest();
    let most = |of: fn(&super::Score) -> Share| {
        let shares = leak.scores.iter().map(|(_, score)| of(score));
        rate(
            shares
                .reduce(|best, next| if next.upper > best.upper { next } else { best })
                .expect("the ladder ran"),
        )
    };
    TapLeakage {
        name: name.to_owned(),
        operator: leak.tap.operator.clone(),
        role: leak.tap.role.word().to_owned(),
        form: leak.form.name(),
        depth: leak.tap.depth as u64,
        shape: leak.tap.shape.iter().map(|&side| side as u64).collect(),
        features: leak.features as u64,
        exact: leak.exact,
        level: leak.level.value,
        reason: leak.level.reason.clone(),
        r2: strongest.r2,
        strongest: attack_name(attack),
        success: most(|score| score.success),
        identification: most(|score| score.identification),
        attacks: leak
            .scores
            .iter()
            .map(|(attack, score)| AttackScore {
                attack: attack_name(*attack),
                r2: score.r2,
                ssim: score.ssim,
                success: rate(score.success),
                identification: rate(score.identification),
            })
            .collect(),
        curve: leak
            .curve
            .iter()
            .map(|point| LearningPoint {
                auxiliary: point.auxiliary as u64,
                r2: point.r2,
                identification: rate(point.identified),
            })
            .collect(),
        saturated: leak.saturated,
        attribute: leak.attribute.map(|attribute| AttributeProbe {
            right: rate(attribute.right),
            chance: attribute.chance,
            classes: attribute.classes as u64,
        }),
        noise: leak.bound.map(|bound| NoiseFigures {
            sigma: bound.sigma,
            dfil_estimate: bound.dfil,
            rmse_bound_estimate: bound.rmse,
        }),
        examples: strip(&leak.examples, shape),
    }
}

fn attack_name(attack: Attack) -> String {
    format!("{} {}", attack.rung(), attack.name())
}

fn rate(share: Share) -> Rate {
    Rate {
        count: share.count as u64,
        of: share.of as u64,
        share: share.seen(),
        upper: share.upper,
    }
}

/// Pictures side by side as a PNG file with an alpha channel, so that gaps have no colour; empty if there is none.
fn strip(pictures: &Matrix, shape: PictureShape) -> Vec<u8> {
    if pictures.rows == 0 {
        return Vec::new();
    }
    let width = pictures.rows * (shape.width + GAP) - GAP;
    let mut pixels = vec![0_u8; width * shape.height * 4];
    for (index, picture) in pictures.iter_rows().enumerate() {
        let left = index * (shape.width + GAP);
        for (at, pixel) in picture.chunks_exact(shape.channels).enumerate() {
            let place = (at / shape.width * width + left + at % shape.width) * 4;
            for channel in 0..3 {
                pixels[place + channel] = (pixel[channel.min(shape.channels - 1)] * 255.0).round() as u8;
            }
            pixels[place + 3] = 255;
        }
    }
    let mut file = Vec::new();
    let (columns, rows) = (width as u32, shape.height as u32);
    PngEncoder::new(&mut file)
        .write_image(&pixels, columns, rows, ExtendedColorType::Rgba8)
        .expect("memory takes a picture whose sides fit");
    file
}
