//! How good reconstructions are: four figures, because each of them alone can be fooled.
//!
//! * `r2`: the share of variance explained over the set, `1 - Σ‖x - x̂‖² / Σ‖x - x̄‖²`, where `x̄` is the mean of the attacked
//!   pictures. Mean errors such as PSNR are left out on purpose: flat pictures dominate them.
//! * `ssim`: the mean structural similarity.
//! * *success*: the share of pictures with `SSIM > 0.5` and `R²_sample > 0.5`. `R²_sample` explains the variance of one picture
//!   about its own mean colour, so that a flat patch of the right brightness is no success.
//! * *identification*: the share of pictures that are the nearest to their reconstruction in a gallery of attacked
//!   pictures. Nearest is by the cosine about the attacker's mean picture, which forgives a reconstruction that shrinks towards
//!   the mean. A tie identifies nobody. Galleries hold at most [`GALLERY`] pictures; larger sets are cut into
//!   galleries of nearly equal size.

use locket_data::statistics::proportion::wilson_interval;
use locket_kernels::Isa;

use super::{PictureShape, matrix::Matrix, ssim::ssim};

/// Most pictures in a gallery.
pub const GALLERY: usize = 1000;

/// Both measures of one picture must be above this for a success.
const SUCCESS: f64 = 0.5;

/// Confidence of the two-sided Wilson intervals whose upper ends are stated.
pub const CONFIDENCE: f64 = 0.95;

/// A share with the upper end of its 95 % interval (Wilson, two-sided).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How often.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The upper bound of the chance.
    pub upper: f64,
}

impl Share {
    /// Nothing at all, with no chance of it.
    pub(crate) const NONE: Self = Self {
        count: 0,
        of: 0,
        upper: 0.0,
    };

    /// A share of at least one.
    pub(crate) fn new(count: usize, of: usize) -> Self {
        let (_, upper) = wilson_interval(count as u64, of as u64, CONFIDENCE);
        Self { count, of, upper }
    }

    /// The share as it was seen.
    pub fn seen(self) -> f64 {
        self.count as f64 / self.of.max(1) as f64
    }
}

/// What one attack reached on one tap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Share of variance explained over the set; below 0 for what is worse than the mean picture.
    pub r2: f64,
    /// Mean structural similarity.
    pub ssim: f64,
    /// Pictures reconstructed well.
    pub success: Share,
    /// Pictures identified.
    pub identification: Share,
    /// Pictures in the smallest gallery.
    pub gallery: usize,
}

/// Scores reconstructions of `originals`; both hold one picture a row. `mean` is the attacker's mean picture.
pub(crate) fn score(
    isa: Isa,
    originals: &Matrix,
    reconstructions: &Matrix,
    mean: &[f32],
    shape: PictureShape,
) -> Score {
    let own_mean = originals.column_means();
    let (mut error, mut variance, mut similarity, mut good) = (0.0, 0.0, 0.0, 0);
    for (original, made) in originals.iter_rows().zip(reconstructions.iter_rows()) {
        let of_picture = squared_distance(original, made);
        error += of_picture;
        variance += squared_distance(original, &own_mean);
        let alike = ssim(original, made, shape);
        similarity += alike;
        let explained = 1.0 - of_picture / variance_within(original, shape.channels).max(f64::MIN_POSITIVE);
        good += usize::from(alike > SUCCESS && explained > SUCCESS);
    }
    let count = originals.rows;
    let (hits, gallery) = identified(isa, originals, reconstructions, mean);
    Score {
        r2: 1.0 - error / variance.max(f64::MIN_POSITIVE),
        ssim: similarity / count.max(1) as f64,
        success: Share::new(good, count),
        identification: Share::new(hits, count),
        gallery,
    }
}

/// Only the share of variance explained.
pub(crate) fn r2(originals: &Matrix, reconstructions: &Matrix) -> f64 {
    let own_mean = originals.column_means();
    let error: f64 = originals
        .iter_rows()
        .zip(reconstructions.iter_rows())
        .map(|(original, made)| squared_distance(original, made))
        .sum();
    let variance: f64 = originals
        .iter_rows()
        .map(|original| squared_distance(original, &own_mean))
        .sum();
    1.0 - error / variance.max(f64::MIN_POSITIVE)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Squared distances of a picture's pixels from its mean colour.
fn variance_within(picture: &[f32], channels: usize) -> f64 {
    let pixels = (picture.len() / channels) as f64;
    (0..channels)
        .map(|channel| {
            let values = || {
                picture
                    .iter()
                    .skip(channel)
                    .step_by(channels)
                    .map(|&value| f64::from(value))
            };
            let mean = values().sum::<f64>() / pixels;
            values().map(|value| (value - mean).powi(2)).sum::<f64>()
        })
        .sum()
}

/// How many pictures are the nearest to their reconstruction, and the size of the smallest gallery.
pub(crate) fn identified(
    isa: Isa,
    originals: &Matrix,
    reconstructions: &Matrix,
    mean: &[f32],
) -> (usize, usize) {
    let count = originals.rows;
    let galleries = count.div_ceil(GALLERY).max(1);
    let (mut hits, mut smallest) = (0, count);
    for gallery in 0..galleries {
        let range = gallery * count / galleries..(gallery + 1) * count / galleries;
        smallest = smallest.min(range.len());
        let known = directions(originals.slice(range.clone()), mean);
        let made = directions(reconstructions.slice(range), mean);
        let likeness = made.times_transposed(isa, &known);
        hits += likeness
            .iter_rows()
            .enumerate()
            .filter(|(own, row)| {
                row.iter()
                    .enumerate()
                    .all(|(other, value)| other == *own || *value < row[*own])
            })
            .count();
    }
    (hits, smallest)
}

/// Differences from the mean, of length 1; a picture that is the mean stays 0.
fn directions(mut pictures: Matrix, mean: &[f32]) -> Matrix {
    pictures.add_to_rows(mean, -1.0);
    for row in 0..pictures.rows {
        let row = pictures.row_mut(row);
        let length = row
            .iter()
            .map(|&value| f64::from(value).powi(2))
            .sum::<f64>()
            .sqrt();
        if length > 1e-12 {
            row.iter_mut()
                .for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    }
    pictures
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{PictureShape, score};
    use crate::{leakage::matrix::Matrix, random::Random};

    const SHAPE: PictureShape = PictureShape {
        height: 12,
        width: 12,
        channels: 3,
    };

    fn pictures(count: usize) -> Matrix {
        let mut random = Random::new(5, 5);
        let values = (0..count * SHAPE.elems())
            .map(|_| random.uniform() as f32)
            .collect();
        Matrix {
            rows: count,
            columns: SHAPE.elems(),
            values,
        }
    }

    #[test]
    fn the_pictures_themselves_score_everything_and_their_mean_nothing() {
        let originals = pictures(1003);
        let mean = originals.column_means();
        let all = score(Isa::best(), &originals, &originals, &mean, SHAPE);
        assert_eq!((all.success.count, all.identification.count), (1003, 1003));
        assert_eq!(all.gallery, 501);
        assert!(
            (all.r2 - 1.0).abs() < 1e-9 && (all.ssim - 1.0).abs() < 1e-9,
            "{all:?}"
        );
        let means = Matrix::from_rows(vec![mean.clone(); 1003], SHAPE.elems());
        let none = score(Isa::best(), &originals, &means, &mean, SHAPE);
        assert_eq!((none.success.count, none.identification.count), (0, 0));
        assert!(none.r2.abs() < 1e-4, "{none:?}");
    }

    #[test]
    fn a_flat_picture_of_the_right_brightness_is_no_success() {
        let originals = pictures(4);
        let flat = originals.iter_rows().map(|_| vec![0.5; SHAPE.elems()]).collect();
        let scores = score(
            Isa::best(),
            &originals,
            &Matrix::from_rows(flat, SHAPE.elems()),
            &originals.column_means(),
            SHAPE,
        );
        assert_eq!(scores.success.count, 0);
    }
}
