//! Symmetric 8-bit integers with a scale for each output channel.

use super::{Encoded, Matrix};

/// Codes go from -127 to 127, so that every weight has its negative.
const LARGEST: f32 = 127.0;

/// Rounds each row to 255 steps between its largest magnitude and the negative of that. A row's scale is at least that of `least`, for
/// rows so small that something else would overflow; a row of zeros has scale `least`, or 1.
pub(crate) fn int8(weight: &Matrix, least: Option<&[f32]>) -> Encoded {
    let mut codes = Vec::with_capacity(weight.values.len());
    let mut scale = Vec::with_capacity(weight.rows);
    for row in 0..weight.rows {
        let values = weight.row(row);
        let largest = values
            .iter()
            .fold(0f32, |largest, value| largest.max(value.abs()));
        let floor = least.map_or(0.0, |least| least[row]);
        let step = (largest / LARGEST).max(floor);
        let step = if step >= f32::MIN_POSITIVE { step } else { 1.0 };
        codes.extend(
            values
                .iter()
                .map(|value| (value / step).round_ties_even().clamp(-LARGEST, LARGEST) as i8),
        );
        scale.push(step);
    }
    Encoded::Int8 { codes, scale }
}

/// The least scale of each row with which its bias stays far from the ends of a 32-bit accumulator whose unit is the
/// scale times `operand`, the scale of the layer's operand.
pub(crate) fn least_scales(bias: &[f32], operand: f32) -> Vec<f32> {
    // A quarter of the range: the sum of products needs the rest. 2^29 products of codes fit into that.
    let room = f32::from(2u8).powi(29);
    bias.iter().map(|bias| bias.abs() / (operand * room)).collect()
}
