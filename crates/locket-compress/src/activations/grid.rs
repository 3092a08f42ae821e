//! Grids of 8-bit activations.

/// How real values become codes: `code = round(value / scale) + zero_point`, cut to 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) scale: f32,
    pub(crate) zero_point: u8,
}

/// The least span of a range, for values that are always zero: below the smallest step that matters to float32 sums
/// of numbers around one.
const LEAST_SPAN: f32 = 1e-7;

impl Grid {
    /// The grid whose 256 codes span 0 and a range.
    pub(crate) fn of_range(low: f32, high: f32) -> Self {
        Self::with_steps(low, high, 255)
    }

    /// The grid on which 0 and a range span so many steps; 0 is a code exactly.
    fn with_steps(low: f32, high: f32, steps: u16) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        // In f64, as the span of finite numbers may not be a finite f32.
        let span = (f64::from(high) - f64::from(low)).max(f64::from(LEAST_SPAN));
        let scale = span / f64::from(steps);
        let zero_point = (-f64::from(low) / scale).round_ties_even().clamp(0.0, 255.0);
        Self {
            scale: (scale as f32).min(f32::MAX),
            zero_point: zero_point as u8,
        }
    }

    /// The value that a real value becomes.
    pub(crate) fn snap(self, value: f32) -> f32 {
        let zero = f32::from(self.zero_point);
        let code = ((value / self.scale).round_ties_even() + zero).clamp(0.0, 255.0);
        (code - zero) * self.scale
    }

    /// The mean square of what quantisation does to values.
    fn error(self, values: &[f32]) -> f64 {
        let square = |&value: &f32| f64::from(self.snap(value) - value).powi(2);
        values.iter().map(square).sum::<f64>() / values.len().max(1) as f64
    }
}

/// How much better another grid must be than the plain one to be taken.
const WORTHWHILE: f64 = 0.999;

/// The grid for an input of the network, of which `values` are a sample and `low` and `high` the range.
///
/// Inputs are often on a grid of their own: pixels have 256 levels. If their step is found, codes are those levels
/// and nothing is lost; if 0 lies half a step beside the levels, as for `(pixel - 127.5) / 127.5`, a grid with one step less loses
/// less on average than one that is off by half a step everywhere.
pub(crate) fn input_grid(values: &[f32], low: f32, high: f32) -> Grid {
    let plain = Grid::of_range(low, high);
    let (low, high) = (low.min(0.0), high.max(0.0));
    let mut candidates = vec![Grid::with_steps(low, high, 254)];
    if let Some(step) = least_gap(values, 1e-6 * (high - low)) {
        let levels = ((high - low) / step).round();
        if (1.0..=255.0).contains(&levels) {
            let step = (high - low) / levels;
            // Levels that samples did not show are as likely below as above.
            let spare = (255.0 - levels) / 2.0;
            let zero_point = ((-low / step).round() + spare.floor()).clamp(0.0, 255.0);
            candidates.push(Grid {
                scale: step,
                zero_point: zero_point as u8,
            });
        }
    }
    let mut best = (plain, plain.error(values) * WORTHWHILE);
    for grid in candidates {
        let error = grid.error(values);
        if grid.scale > 0.0 && error < best.1 {
            best = (grid, error);
        }
    }
    best.0
}

/// The least difference between two values that is more than `floor`.
fn least_gap(values: &[f32], floor: f32) -> Option<f32> {
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    sorted.dedup();
    sorted
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|&gap| gap > floor)
        .min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::{Grid, input_grid};

    #[test]
    fn zero_is_always_a_code() {
        for (low, high) in [
            (0.0, 6.0),
            (-1.0, 1.0),
            (-3.7, 0.2),
            (2.0, 5.0),
            (-5.0, -2.0),
            (0.0, 0.0),
        ] {
            let grid = Grid::of_range(low, high);
            assert_eq!(grid.snap(0.0), 0.0, "{low} {high}");
            assert!(grid.scale > 0.0 && grid.scale.is_finite());
            for value in [low.min(0.0), high.max(0.0)] {
                let error = (grid.snap(value) - value).abs();
                assert!(
                    error <= grid.scale * 0.501,
                    "{low} {high}: {value} is off by {error}"
                );
            }
        }
        assert!(Grid::of_range(f32::MIN, f32::MAX).scale.is_finite());
    }

    #[test]
    fn levels_of_an_input_are_found() {
        let pixels: Vec<f32> = (0..=255u8).map(f32::from).collect();
        assert_eq!(
            input_grid(&pixels, 0.0, 255.0),
            Grid {
                scale: 1.0,
                zero_point: 0
            }
        );
        // 100 levels of 0.5 around 0: codes are levels, with room on both sides.
        let levels: Vec<f32> = (0..100u8).map(|level| f32::from(level) * 0.5 - 10.0).collect();
        let grid = input_grid(&levels, -10.0, 39.5);
        assert_eq!((grid.scale, grid.zero_point), (0.5, 20 + 78));
        // Half a step beside 0: one step less is better than half a step of error everywhere.
        let centred: Vec<f32> = pixels.iter().map(|pixel| (pixel - 127.5) / 127.5).collect();
        let grid = input_grid(&centred, -1.0, 1.0);
        assert_eq!((grid.scale, grid.zero_point), (2.0 / 254.0, 127));
    }
}
