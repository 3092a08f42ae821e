//! Empirical bias correction: what compression shifts on average is taken back in the bias.
//!
//! The layer is run as it is now, on what the layers before it now give, on all calibration samples. First the mean of each channel
//! before the activation is brought to that of the float network. Then, if an activation cuts values off, the mean behind it:
//! the same shift means less where most values are cut.

use locket_mil::{Function, ValueId};
use locket_ops::Node;
use locket_tensor::Tensor;

use crate::{
    CompressError,
    calibrate::{RowChoice, Stream, Target},
};

/// Steps towards equal means behind the activation. Each is a Newton step on a piecewise linear function: a few are enough.
const STEPS: usize = 8;
/// Least share of rows that an activation must let through for its mean to say something about the bias.
const LEAST_SHARE: f64 = 0.01;

/// A layer whose bias is to be corrected.
pub(super) struct Correction<'a> {
    pub(super) function: &'a Function,
    /// Position of the layer.
    pub(super) position: usize,
    /// What it should give.
    pub(super) target: &'a Target,
    pub(super) rows: RowChoice,
    /// Its bias now.
    pub(super) bias: Vec<f32>,
}

/// The corrected bias. The stream is advanced to the layer.
pub(super) fn correct(layer: &Correction<'_>, stream: &mut Stream<'_>) -> Result<Vec<f32>, CompressError> {
    let point = layer.target.point;
    let seen = stream.advance(
        layer.function,
        layer.position,
        &[point.value],
        &|sample, values: &[Tensor]| {
            let values = values[0].to_f32().unwrap_or_default();
            (
                point.sums(&values),
                point.gather(&values, &layer.rows.of(&point, sample)),
            )
        },
    )?;
    let total = (seen.len() * point.rows()).max(1) as f64;
    let mut shift = layer.target.mean.clone();
    let mut rows: Vec<f32> = Vec::with_capacity(layer.target.rows.len());
    for (sums, some) in &seen {
        shift
            .iter_mut()
            .zip(sums)
            .for_each(|(shift, sum)| *shift -= sum / total);
        rows.extend_from_slice(some);
    }
    if let Some(clamp) = clamp_behind(layer.function, point.value) {
        for (channel, shift) in shift.iter_mut().enumerate() {
            let pick = |rows: &[f32]| -> Vec<f64> {
                let of_channel = rows.iter().skip(channel).step_by(point.channels);
                of_channel.map(|&value| f64::from(value)).collect()
            };
            *shift = behind_clamp(&pick(&rows), &pick(&layer.target.rows), clamp, *shift);
        }
    }
    let corrected = layer.bias.iter().zip(&shift);
    Ok(corrected
        .map(|(&bias, &shift)| (f64::from(bias) + if shift.is_finite() { shift } else { 0.0 }) as f32)
        .collect())
}

/// The shift of `values` that brings their mean behind a clamp to that of `wanted`, from a first guess.
fn behind_clamp(values: &[f64], wanted: &[f64], [low, high]: [f64; 2], guess: f64) -> f64 {
    let count = values.len().max(1) as f64;
    let goal: f64 = wanted.iter().map(|value| value.clamp(low, high)).sum::<f64>() / count;
    let mut shift = guess;
    for _ in 0..STEPS {
        let (mut mean, mut open) = (0.0, 0usize);
        for value in values {
            let moved = value + shift;
            mean += moved.clamp(low, high);
            open += usize::from(moved > low && moved < high);
        }
        let share = open as f64 / count;
        if share <= LEAST_SHARE {
            break;
        }
        shift -= (mean / count - goal) / share;
    }
    shift
}

/// The bounds of the activation that is the only reader of a value, if it is one that cuts values off.
fn clamp_behind(function: &Function, id: ValueId) -> Option<[f64; 2]> {
    let mut readers = function
        .operations
        .iter()
        .filter(|operation| operation.input_values().any(|read| read == id));
    let (reader, None) = (readers.next()?, readers.next()) else {
        return None;
    };
    let node = Node::new(function, reader);
    let number = |param: &str, default: f32| node.float(param, default).ok().map(f64::from);
    match &*reader.kind {
        "relu" => Some([0.0, f64::INFINITY]),
        "relu6" => Some([0.0, 6.0]),
        "clip" => Some([
            number("alpha", f32::NEG_INFINITY)?,
            number("beta", f32::INFINITY)?,
        ])
        .filter(|[low, high]| low < high),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::behind_clamp;

    #[test]
    fn means_behind_a_clamp_become_equal() {
        let wanted: Vec<f64> = (0..1000).map(|n| f64::from(n) / 100.0 - 6.0).collect();
        // The same values, compressed and shifted: their plain means would need another shift.
        let values: Vec<f64> = wanted.iter().map(|value| value * 0.9 - 0.7).collect();
        let clamp = [0.0, 6.0];
        let shift = behind_clamp(&values, &wanted, clamp, 0.0);
        let mean = |values: &[f64], shift: f64| {
            values
                .iter()
                .map(|value| (value + shift).clamp(clamp[0], clamp[1]))
                .sum::<f64>()
                / 1000.0
        };
        assert!((mean(&values, shift) - mean(&wanted, 0.0)).abs() < 1e-9);
        // Nothing gets through: the guess stays.
        assert_eq!(behind_clamp(&[-5.0, -6.0], &[-5.0, -6.0], clamp, 0.25), 0.25);
    }
}
