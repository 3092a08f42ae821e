//! Structural similarity of two pictures.
//!
//! Z. Wang, A. Bovik, H. Sheikh and E. Simoncelli, "Image quality assessment: from error visibility to structural
//! similarity", IEEE Transactions on Image Processing 13 (4), 2004, equation 13: with local means `m`, variances `v` and
//! covariance `c` under a Gaussian window of 11 x 11 with a standard deviation of 1.5,
//!
//! `SSIM = (2 m1 m2 + C1) (2 c + C2) / ((m1² + m2² + C1) (v1 + v2 + C2))`, `C1 = 0.01²`, `C2 = 0.03²` for values from 0 to
//! 1, averaged over all windows that lie inside. Colours are compared by their luma (ITU-R BT.601: 0.299, 0.587, 0.114). On
//! pictures smaller than the window the window is cut to the smaller side (an odd number of pixels).

use super::PictureShape;

const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// The mean structural similarity of two pictures, -1 to 1.
pub(crate) fn ssim(first: &[f32], second: &[f32], shape: PictureShape) -> f64 {
    let (a, b) = (luma(first, shape.channels), luma(second, shape.channels));
    let (height, width) = (shape.height, shape.width);
    let side = WINDOW.min(height).min(width);
    let window = gaussian(if side % 2 == 0 { side - 1 } else { side });
    let blurred = |values: Vec<f64>| blur(&values, height, width, &window);
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<f64>>();
    let squares = [product(&a, &a), product(&b, &b), product(&a, &b)].map(blurred);
    let means = [a, b].map(blurred);
    let count = means[0].len();
    let total: f64 = (0..count)
        .map(|i| {
            let (m1, m2) = (means[0][i], means[1][i]);
            let (v1, v2, c) = (
                squares[0][i] - m1 * m1,
                squares[1][i] - m2 * m2,
                squares[2][i] - m1 * m2,
            );
            (2.0 * m1 * m2 + C1) * (2.0 * c + C2) / ((m1 * m1 + m2 * m2 + C1) * (v1 + v2 + C2))
        })
        .sum();
    total / count.max(1) as f64
}

fn luma(values: &[f32], channels: usize) -> Vec<f64> {
    match channels {
        3 => values
            .as_chunks::<3>()
            .0
            .iter()
            .map(|&[red, green, blue]| {
                0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)
            })
            .collect(),
        _ => values.iter().map(|&value| f64::from(value)).collect(),
    }
}

fn gaussian(side: usize) -> Vec<f64> {
    let centre = (side / 2) as f64;
    let weights: Vec<f64> = (0..side)
        .map(|i| (-(i as f64 - centre).powi(2) / (2.0 * SIGMA * SIGMA)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Weighted means over all windows inside, rows first, then columns.
fn blur(values: &[f64], height: usize, width: usize, window: &[f64]) -> Vec<f64> {
    let side = window.len();
    let (rows, columns) = (height + 1 - side, width + 1 - side);
    let mut across = Vec::with_capacity(height * columns);
    for row in values.chunks_exact(width) {
        across.extend((0..columns).map(|x| {
            row[x..x + side]
                .iter()
                .zip(window)
                .map(|(v, w)| v * w)
                .sum::<f64>()
        }));
    }
    let mut out = vec![0.0; rows * columns];
    for y in 0..rows {
        for (step, weight) in window.iter().enumerate() {
            let line = &across[(y + step) * columns..][..columns];
            out[y * columns..][..columns]
                .iter_mut()
                .zip(line)
                .for_each(|(out, value)| *out += weight * value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{PictureShape, ssim};
    use crate::random::Random;

    const SHAPE: PictureShape = PictureShape {
        height: 20,
        width: 24,
        channels: 1,
    };

    fn noise(seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed, 9);
        (0..SHAPE.elems()).map(|_| random.uniform() as f32).collect()
    }

    #[test]
    fn a_picture_is_like_itself_and_unlike_noise_and_its_negative() {
        let picture = noise(1);
        assert!((ssim(&picture, &picture, SHAPE) - 1.0).abs() < 1e-12);
        assert!(ssim(&picture, &noise(2), SHAPE).abs() < 0.1);
        let negative: Vec<f32> = picture.iter().map(|value| 1.0 - value).collect();
        assert!(ssim(&picture, &negative, SHAPE) < -0.8);
    }

    /// Flat pictures have no structure: what is left of the formula is the term of the means.
    #[test]
    fn flat_pictures_compare_by_their_brightness() {
        let (a, b) = (vec![0.25; SHAPE.elems()], vec![0.75; SHAPE.elems()]);
        let expected = (2.0 * 0.25 * 0.75 + 1e-4) / (0.25 * 0.25 + 0.75 * 0.75 + 1e-4);
        assert!((ssim(&a, &b, SHAPE) - expected).abs() < 1e-6);
    }

    #[test]
    fn small_pictures_have_smaller_windows() {
        let shape = PictureShape {
            height: 4,
            width: 6,
            channels: 3,
        };
        let picture: Vec<f32> = (0..72u8).map(|n| f32::from(n) / 72.0).collect();
        assert!((ssim(&picture, &picture, shape) - 1.0).abs() < 1e-12);
    }
}
