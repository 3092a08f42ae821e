//! The forms in which an embedding is stored: what fewer bits or noise take away from an attacker.

use super::matrix::Matrix;
use crate::random::Random;

/// The form of a tap's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// As computed.
    Float32,
    /// Eight bits, symmetric, with one scale: the largest magnitude of the attacker's samples is 127.
    Int8,
    /// One bit: above the mean of the attacker's samples, by feature, or not.
    OneBit,
    /// As computed, with Gaussian noise added.
    Noisy {
        /// Its standard deviation, in the units of the tap.
        sigma: f64,
    },
}

impl Form {
    /// The form's name in a table.
    pub fn name(self) -> String {
        match self {
            Self::Float32 => "float32".to_owned(),
            Self::Int8 => "int8".to_owned(),
            Self::OneBit => "1-bit".to_owned(),
            Self::Noisy { sigma } => format!("float32, noise {sigma}"),
        }
    }

    /// Brings both sets into the form. Scale and thresholds come from the first.
    pub(crate) fn apply(self, auxiliary: &mut Matrix, attacked: &mut Matrix, seed: u64) {
        match self {
            Self::Float32 => {}
            Self::Int8 => {
                let largest = auxiliary
                    .values
                    .iter()
                    .fold(0.0_f32, |most, value| most.max(value.abs()));
                let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
                for matrix in [auxiliary, attacked] {
                    matrix
                        .values
                        .iter_mut()
                        .for_each(|value| *value = (*value / scale).round().clamp(-127.0, 127.0));
                }
            }
            Self::OneBit => {
                let means = auxiliary.column_means();
                for matrix in [auxiliary, attacked] {
                    for row in 0..matrix.rows {
                        for (value, mean) in matrix.row_mut(row).iter_mut().zip(&means) {
                            *value = if *value > *mean { 1.0 } else { -1.0 };
                        }
                    }
                }
            }
            Self::Noisy { sigma } => {
                let mut random = Random::new(seed, 0x0015e);
                for matrix in [auxiliary, attacked] {
                    matrix
                        .values
                        .iter_mut()
                        .for_each(|value| *value += random.normal() * sigma as f32);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Matrix};

    #[test]
    fn forms_take_their_scales_from_the_attackers_samples() {
        let original = Matrix::from_rows(vec![vec![-2.0, 1.0], vec![2.0, 3.0]], 2);
        let other = Matrix::from_rows(vec![vec![9.0, 2.5]], 2);
        let (mut a, mut b) = (original.clone(), other.clone());
        Form::Int8.apply(&mut a, &mut b, 0);
        assert_eq!(a.values, [-85.0, 42.0, 85.0, 127.0]);
        assert_eq!(b.values, [127.0, 106.0]);
        let (mut a, mut b) = (original, other);
        Form::OneBit.apply(&mut a, &mut b, 0);
        assert_eq!(a.values, [-1.0, -1.0, 1.0, 1.0]);
        assert_eq!(b.values, [1.0, 1.0]);
    }
}
