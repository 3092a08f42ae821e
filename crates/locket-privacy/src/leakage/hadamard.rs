//! The Walsh-Hadamard transform, and random projections that are made of it.
//!
//! A subsampled randomised Hadamard transform (Ailon and Chazelle 2006; Tropp 2011) keeps distances as a dense Gaussian
//! projection does, in `n log n` operations and without a matrix to store: random signs, transform, a random choice of
//! coordinates. Any prefix of the chosen coordinates is such a projection itself.

use crate::random::Random;

/// Transforms in place, scaled so that the length of a vector stays.
///
/// # Panics
///
/// If the length is no power of two.
pub(crate) fn transform(values: &mut [f32]) {
    let length = values.len();
    assert!(
        length.is_power_of_two(),
        "the transform has a length of 2^k, found {length}"
    );
    let mut half = 1;
    while half < length {
        for block in values.chunks_exact_mut(2 * half) {
            let (left, right) = block.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (length as f32).sqrt();
    values.iter_mut().for_each(|value| *value *= scale);
}

/// A random projection from `inputs` to `chosen.len()` numbers.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    signs: Vec<f32>,
    chosen: Vec<usize>,
    length: usize,
}

impl Projection {
    /// A projection; `outputs` is at most the next power of two of `inputs`.
    pub(crate) fn new(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        let length = inputs.next_power_of_two();
        let mut order: Vec<usize> = (0..length).collect();
        random.shuffle(&mut order);
        order.truncate(outputs);
        Self {
            signs: (0..inputs).map(|_| random.sign()).collect(),
            chosen: order,
            length,
        }
    }

    /// How many numbers come out.
    pub(crate) fn outputs(&self) -> usize {
        self.chosen.len()
    }

    /// The projection of one vector; squared lengths stay on average.
    pub(crate) fn apply(&self, values: &[f32]) -> Vec<f32> {
        let mut padded: Vec<f32> = values
            .iter()
            .zip(&self.signs)
            .map(|(value, sign)| value * sign)
            .collect();
        padded.resize(self.length, 0.0);
        transform(&mut padded);
        let scale = (self.length as f32 / self.chosen.len().max(1) as f32).sqrt();
        self.chosen.iter().map(|&place| padded[place] * scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Projection, transform};
    use crate::random::Random;

    #[test]
    fn the_transform_is_its_own_inverse() {
        let mut random = Random::new(1, 1);
        let original: Vec<f32> = (0..64).map(|_| random.normal()).collect();
        let mut values = original.clone();
        transform(&mut values);
        assert_ne!(values, original);
        transform(&mut values);
        for (found, wanted) in values.iter().zip(&original) {
            // Six butterflies of rounding each way.
            assert!((found - wanted).abs() < 1e-5);
        }
    }

    #[test]
    fn a_projection_keeps_distances() {
        let mut random = Random::new(2, 1);
        let projection = Projection::new(5000, 1024, &mut random);
        for _ in 0..10 {
            let values: Vec<f32> = (0..5000).map(|_| random.normal()).collect();
            let length = |values: &[f32]| values.iter().map(|value| f64::from(value * value)).sum::<f64>();
            let ratio = length(&projection.apply(&values)) / length(&values);
            // The standard deviation of the ratio is about sqrt(2 / 1024) = 0.044.
            assert!((ratio - 1.0).abs() < 0.22, "{ratio}");
        }
    }
}
