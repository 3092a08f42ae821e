//! Where the elements of a resized tensor lie in its operand, along one axis.

/// How positions in the result map to positions in the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinates {
    /// Centres of elements coincide in scale.
    HalfPixel,
    /// As half pixels, and what is cut off is cut off at both ends alike.
    HalfPixelSymmetric,
    /// As half pixels, but a single result lies at 0.
    PytorchHalfPixel,
    /// First and last elements coincide.
    AlignCorners,
    /// First elements coincide.
    Asymmetric,
}

/// How a position between two elements is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the nearest, halves down.
    PreferFloor,
    /// To the nearest, halves up.
    PreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// How elements between others are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Filter {
    /// A straight line between two elements.
    Linear,
    /// A cubic convolution over four elements with this coefficient.
    Cubic(f64),
}

/// How a filter is laid over an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interpolation {
    /// The filter.
    pub(super) filter: Filter,
    /// Widens the filter when the result is smaller, so that every element counts.
    pub(super) antialias: bool,
    /// Leaves out what lies outside; otherwise the elements at the edge stand for it.
    pub(super) exclude_outside: bool,
}

/// Longest axis whose elements are picked one by one: beyond any picture, and bounded work for a hostile file.
const MAX_PICKS: usize = 1 << 16;
/// Largest matrix of weights that is made.
const MAX_WEIGHTS: usize = 1 << 22;

/// One axis that is resized.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Elements of the operand.
    pub(super) input: usize,
    /// Elements of the result.
    pub(super) output: usize,
    /// Result elements for each of the operand.
    pub(super) scale: f64,
}

impl Axis {
    /// True if the axis stays as it is.
    pub(super) fn is_plain(self) -> bool {
        self.input == self.output && (self.scale - 1.0).abs() < 1e-9
    }

    /// Where element `index` of the result lies in the operand.
    fn position(self, index: usize, coordinates: Coordinates) -> f64 {
        let (input, output, index) = (real(self.input), real(self.output), real(index));
        match coordinates {
            Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if self.output <= 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (index + 0.5) / self.scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                let adjustment = output / (self.scale * input);
                input / 2.0 * (1.0 - adjustment) + (index + 0.5) / self.scale - 0.5
            }
            Coordinates::AlignCorners => index * (input - 1.0) / (output - 1.0),
            Coordinates::Asymmetric => index / self.scale,
        }
    }

    /// The element that each result element takes; `None` if there are too many.
    pub(super) fn nearest(self, coordinates: Coordinates, rounding: Rounding) -> Option<Vec<usize>> {
        let last = self.input.checked_sub(1).filter(|_| self.output <= MAX_PICKS)?;
        let pick = |index: usize| {
            let at = self.position(index, coordinates);
            let rounded = match rounding {
                Rounding::PreferFloor => (at - 0.5).ceil(),
                Rounding::PreferCeil => (at + 0.5).floor(),
                Rounding::Floor => at.floor(),
                Rounding::Ceil => at.ceil(),
            };
            whole(rounded.max(0.0)).map(|position| position.min(last))
        };
        (0..self.output).map(pick).collect()
    }

    /// How much each element of the operand counts for each of the result, as rows of [outputs, inputs]; `None` if
    /// there are too many.
    pub(super) fn weights(self, coordinates: Coordinates, interpolation: Interpolation) -> Option<Vec<f32>> {
        let elems = self
            .output
            .checked_mul(self.input)
            .filter(|&elems| elems > 0 && elems <= MAX_WEIGHTS)?;
        let stretch = if interpolation.antialias {
            self.scale.min(1.0)
        } else {
            1.0
        };
        let reach = match interpolation.filter {
            Filter::Linear => 1.0 / stretch,
            Filter::Cubic(_) => 2.0 / stretch,
        };
        let mut weights = Vec::with_capacity(elems);
        for index in 0..self.output {
            let at = self.position(index, coordinates);
            let mut row = vec![0.0f64; self.input];
            let mut total = 0.0;
            let mut tap = (at - reach).floor() + 1.0;
            while tap < at + reach {
                let weight = value(interpolation.filter, (tap - at).abs() * stretch);
                let inside = whole(tap.clamp(0.0, real(self.input) - 1.0))?;
                let outside = tap < 0.0 || tap > real(self.input) - 1.0;
                if !(interpolation.exclude_outside && outside) {
                    *row.get_mut(inside)? += weight;
                    total += weight;
                }
                tap += 1.0;
            }
            #[expect(clippy::as_conversions, reason = "weights are rounded to single precision")]
            weights.extend(row.into_iter().map(|weight| (weight / total) as f32));
        }
        Some(weights)
    }
}

/// The filter at a distance of zero or more.
fn value(filter: Filter, distance: f64) -> f64 {
    match filter {
        Filter::Linear => (1.0 - distance).max(0.0),
        // R. Keys, Cubic convolution interpolation for digital image processing, 1981.
        Filter::Cubic(a) if distance <= 1.0 => ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0,
        Filter::Cubic(a) if distance < 2.0 => {
            ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a
        }
        Filter::Cubic(_) => 0.0,
    }
}

/// A number without fraction as a size.
pub(super) fn whole(value: f64) -> Option<usize> {
    #[expect(clippy::as_conversions, reason = "the range is checked")]
    let size = (value >= 0.0 && value <= f64::from(u32::MAX)).then_some(value as usize);
    size
}

/// A size as a number.
pub(super) fn real(value: usize) -> f64 {
    u32::try_from(value).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::{Axis, Coordinates, Filter, Interpolation, Rounding};

    #[test]
    fn nearest_elements_follow_the_formulas() {
        let axis = |input, output, scale| Axis { input, output, scale };
        let cases = [
            (
                axis(2, 4, 2.0),
                Coordinates::HalfPixel,
                Rounding::PreferFloor,
                vec![0, 0, 1, 1],
            ),
            (
                axis(2, 4, 2.0),
                Coordinates::Asymmetric,
                Rounding::Floor,
                vec![0, 0, 1, 1],
            ),
            (
                axis(4, 2, 0.5),
                Coordinates::HalfPixel,
                Rounding::PreferFloor,
                vec![0, 2],
            ),
            (
                axis(4, 2, 0.5),
                Coordinates::HalfPixel,
                Rounding::PreferCeil,
                vec![1, 3],
            ),
            (
                axis(4, 3, 0.75),
                Coordinates::AlignCorners,
                Rounding::PreferFloor,
                vec![0, 1, 3],
            ),
            (
                axis(3, 1, 0.4),
                Coordinates::PytorchHalfPixel,
                Rounding::PreferFloor,
                vec![0],
            ),
        ];
        for (axis, coordinates, rounding, expected) in cases {
            assert_eq!(
                axis.nearest(coordinates, rounding),
                Some(expected),
                "{axis:?} {coordinates:?}"
            );
        }
        assert_eq!(
            axis(2, 1 << 20, 524_288.0).nearest(Coordinates::HalfPixel, Rounding::Floor),
            None
        );
    }

    #[test]
    fn weights_of_each_result_sum_to_one() {
        let linear = Interpolation {
            filter: Filter::Linear,
            antialias: false,
            exclude_outside: false,
        };
        let axis = Axis {
            input: 2,
            output: 4,
            scale: 2.0,
        };
        let rows = axis.weights(Coordinates::HalfPixel, linear).unwrap();
        assert_eq!(rows, [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        for filter in [Filter::Linear, Filter::Cubic(-0.75)] {
            for (antialias, exclude_outside) in [(false, false), (true, false), (true, true), (false, true)] {
                let axis = Axis {
                    input: 9,
                    output: 4,
                    scale: 4.0 / 9.0,
                };
                let interpolation = Interpolation {
                    filter,
                    antialias,
                    exclude_outside,
                };
                let rows = axis.weights(Coordinates::HalfPixel, interpolation).unwrap();
                for row in rows.chunks(9) {
                    assert!(
                        (row.iter().sum::<f32>() - 1.0).abs() < 1e-6,
                        "{interpolation:?} {row:?}"
                    );
                }
            }
        }
    }
}
