//! What an attacker sees of a tap: numbers for each sample, few enough that every attack takes seconds.
//!
//! * A value `[1, C, H, W]` is averaged over space to a grid no finer than the targets (32 x 32): nothing finer is asked for.
//! * Beside each number stands its signed root, as activations have heavy tails that a linear attack suffers from (found by
//!   trying: it raises leakage of deep layers by half). The input has none: a picture is linear in its own pixels.
//! * What is more than the limit goes through a seeded random projection (`hadamard`), which keeps distances within a
//!   few percent; numbers and roots are brought to one scale before.
//! * Probabilities (rows of positive numbers that sum to one) are taken as their logarithms, as any attacker would.

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_mil::Function;
use locket_runtime::{OutputBuffers, PlanOptions, Session, compile};
use locket_tensor::Tensor;

use super::{
    hadamard::Projection,
    matrix::Matrix,
    pictures::{SIDE, cell},
    taps::Tap,
};
use crate::{PrivacyError, random::Random};

/// Samples that the scales of projected taps are taken from.
const SCALE_SAMPLES: usize = 64;

/// Turns the value of one tap into features.
#[derive(Clone, Debug)]
pub(crate) struct Reducer {
    channels: usize,
    sides: [usize; 2],
    grid: [usize; 2],
    /// Channels stand last, as in a picture that a model takes so.
    channels_last: bool,
    /// With roots beside the numbers, if these are projected; otherwise whoever has the numbers can take their roots.
    roots: bool,
    /// For taps that are projected: the mean, and what numbers and roots are multiplied with.
    scales: [f32; 3],
    projection: Option<Projection>,
}

impl Reducer {
    /// A reducer to at most `limit` numbers; `channels_last` for an input `[1, H, W, C]`.
    pub(crate) fn new(
        shape: &[usize],
        (channels_last, roots): (bool, bool),
        limit: usize,
        random: &mut Random,
    ) -> Self {
        let (channels, sides) = match (shape, channels_last) {
            (&[_, height, width, channels], true) | (&[_, channels, height, width], false) => {
                (channels, [height, width])
            }
            _ => (shape.iter().product(), [1, 1]),
        };
        let grid = sides.map(|side| side.clamp(1, SIDE));
        let length = channels * grid[0] * grid[1];
        let views = if roots { 2 } else { 1 };
        Self {
            channels,
            sides,
            grid,
            channels_last,
            roots,
            scales: [0.0, 1.0, 1.0],
            projection: (length > limit).then(|| Projection::new(length * views, limit, random)),
        }
    }

    /// How many numbers come out.
    pub(crate) fn features(&self) -> usize {
        match &self.projection {
            Some(projection) => projection.outputs(),
            None => self.channels * self.grid[0] * self.grid[1],
        }
    }

    /// True if the features are the tap's own numbers.
    pub(crate) fn is_exact(&self) -> bool {
        self.projection.is_none() && self.sides == self.grid
    }

    /// Averages over space: `[C, rows, columns]`.
    fn pooled(&self, values: &[f32]) -> Vec<f32> {
        let [height, width] = self.sides;
        let [rows, columns] = self.grid;
        if self.sides == self.grid && !self.channels_last {
            return values.to_vec();
        }
        let (step, plane) = if self.channels_last {
            (self.channels, 1)
        } else {
            (1, height * width)
        };
        let mut out = Vec::with_capacity(self.channels * rows * columns);
        for channel in 0..self.channels {
            let own = &values[channel * plane..];
            for row in 0..rows {
                let (top, bottom) = cell(row, rows, height);
                for column in 0..columns {
                    let (left, right) = cell(column, columns, width);
                    let mut sum = 0.0_f32;
                    for y in top..bottom {
                        for x in left..right {
                            sum += own[(y * width + x) * step];
                        }
                    }
                    out.push(sum / ((bottom - top) * (right - left)) as f32);
                }
            }
        }
        out
    }

    /// Takes the scales of numbers and roots from pooled samples, if the tap is projected.
    fn learn_scales(&mut self, samples: &[Vec<f32>]) {
        if self.projection.is_none() {
            return;
        }
        let all = || samples.iter().flatten().map(|&value| f64::from(value));
        let count = all().count().max(1) as f64;
        let mean = all().sum::<f64>() / count;
        let factor = |squares: f64| {
            let deviation = (squares / count).sqrt();
            if deviation > 1e-12 {
                (1.0 / deviation) as f32
            } else {
                0.0
            }
        };
        self.scales = [
            mean as f32,
            factor(all().map(|value| (value - mean).powi(2)).sum()),
            factor(all().map(f64::abs).sum()),
        ];
    }

    /// The features of one value.
    pub(crate) fn apply(&self, values: &[f32]) -> Vec<f32> {
        let pooled = self.pooled(values);
        let Some(projection) = &self.projection else {
            return pooled;
        };
        let [mean, scale, root_scale] = self.scales;
        let mut scaled: Vec<f32> = pooled.iter().map(|value| (value - mean) * scale).collect();
        if self.roots {
            scaled.extend(pooled.iter().map(|&value| signed_root(value) * root_scale));
        }
        projection.apply(&scaled)
    }
}

fn signed_root(value: f32) -> f32 {
    value.abs().sqrt().copysign(value)
}

/// The same with the signed root of every number beside it.
pub(crate) fn with_roots(matrix: &Matrix) -> Matrix {
    let rows = matrix
        .iter_rows()
        .map(|row| {
            row.iter()
                .copied()
                .chain(row.iter().map(|&value| signed_root(value)))
                .collect()
        })
        .collect();
    Matrix::from_rows(rows, matrix.columns * 2)
}

/// Features of all taps for the attacker's pictures and for those attacked.
#[derive(Debug)]
pub(crate) struct Features {
    /// For each tap, `[samples, features]`.
    pub(crate) auxiliary: Vec<Matrix>,
    pub(crate) attacked: Vec<Matrix>,
    /// For each tap, true if the features are its own numbers.
    pub(crate) exact: Vec<bool>,
    /// For each tap, true if the features were projected.
    pub(crate) projected: Vec<bool>,
}

/// How features are collected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection<'a> {
    pub(crate) function: &'a Function,
    pub(crate) taps: &'a [&'a Tap],
    pub(crate) plan: PlanOptions,
    pub(crate) channels_last_input: bool,
    /// Most features of a tap.
    pub(crate) limit: usize,
    pub(crate) seed: u64,
}

/// Runs the function, whose outputs are the taps, on all inputs.
///
/// # Errors
///
/// If it has no plan, an input does not fit, or a tap gives a number that is not finite.
pub(crate) fn collect(
    collection: Collection<'_>,
    auxiliary: &[Tensor],
    attacked: &[Tensor],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Features, PrivacyError> {
    let mut reducers: Vec<Reducer> = collection
        .taps
        .iter()
        .enumerate()
        .map(|(index, tap)| {
            let mut random = Random::new(collection.seed, index as u64);
            let is_input = tap.depth == 0;
            let views = (is_input && collection.channels_last_input, !is_input);
            Reducer::new(&tap.shape, views, collection.limit, &mut random)
        })
        .collect();
    let some = &auxiliary[..auxiliary.len().min(SCALE_SAMPLES)];
    let seen = run_all(
        collection,
        some,
        &|tap, values| {
            if reducers[tap].projection.is_some() {
                reducers[tap].pooled(values)
            } else {
                Vec::new()
            }
        },
        &|_| {},
    )?;
    for (reducer, samples) in reducers.iter_mut().zip(&seen) {
        reducer.learn_scales(samples);
    }
    let reduce = |tap: usize, values: &[f32]| reducers[tap].apply(values);
    let done = AtomicUsize::new(0);
    let count = &|_| progress(done.fetch_add(1, Ordering::Relaxed) + 1);
    let matrices = |rows: Vec<Vec<Vec<f32>>>| -> Result<Vec<Matrix>, PrivacyError> {
        rows.into_iter()
            .zip(&reducers)
            .zip(collection.taps)
            .map(|((rows, reducer), tap)| {
                let matrix = Matrix::from_rows(rows, reducer.features());
                if matrix.values.iter().all(|value| value.is_finite()) {
                    Ok(matrix)
                } else {
                    Err(PrivacyError::Unsuitable(format!(
                        "tap {}: gives numbers that are not finite",
                        tap.name
                    )))
                }
            })
            .collect()
    };
    Ok(Features {
        auxiliary: matrices(run_all(collection, auxiliary, &reduce, count)?)?,
        attacked: matrices(run_all(collection, attacked, &reduce, count)?)?,
        exact: reducers.iter().map(Reducer::is_exact).collect(),
        projected: reducers
            .iter()
            .map(|reducer| reducer.projection.is_some())
            .collect(),
    })
}

/// For each tap and sample, what `visit(tap, values)` makes of the value. Samples run at once, each on one thread.
pub(crate) fn run_all(
    collection: Collection<'_>,
    inputs: &[Tensor],
    visit: &(dyn Fn(usize, &[f32]) -> Vec<f32> + Sync),
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<Vec<f32>>>, PrivacyError> {
    let single = PlanOptions {
        threads: 1,
        ..collection.plan
    };
    let session = |_| {
        let plan = compile(collection.function, single)?.plan;
        Session::new(plan).map_err(PrivacyError::Threads)
    };
    let workers = collection.plan.threads.clamp(1, inputs.len().max(1));
    let sessions: Vec<Session> = (0..workers).map(session).collect::<Result<_, _>>()?;
    let all = locket_pool::in_order(inputs.len(), sessions, |session, sample| {
        let values = predict(session, &inputs[sample])?;
        progress(sample);
        let seen: Vec<Vec<f32>> = (values.iter().enumerate())
            .map(|(tap, values)| visit(tap, values))
            .collect();
        Ok::<_, PrivacyError>(seen)
    })?;
    let mut taps: Vec<Vec<Vec<f32>>> = (0..collection.taps.len())
        .map(|_| Vec::with_capacity(inputs.len()))
        .collect();
    for values in all {
        for (tap, values) in taps.iter_mut().zip(values) {
            tap.push(values);
        }
    }
    Ok(taps)
}

/// All outputs of one prediction as numbers.
fn predict(session: &mut Session, input: &Tensor) -> Result<Vec<Vec<f32>>, PrivacyError> {
    let mut outputs = OutputBuffers::new(&session.plan().outputs);
    session.predict(&[input.view()], &mut outputs.views(), None)?;
    let tensors = outputs
        .tensors()
        .map_err(|error| PrivacyError::Unsuitable(error.to_string()))?;
    let numbers = |tensor: &Tensor| {
        let unsuitable =
            || PrivacyError::Unsuitable(format!("a tap gives {}, expected numbers", tensor.dtype()));
        tensor.to_f32().ok_or_else(unsuitable)
    };
    tensors.iter().map(numbers).collect()
}

/// Takes probabilities as their logarithms; anything else stays. Both sets must be probabilities.
pub(crate) fn logarithms_of_probabilities(sets: [&mut Matrix; 2]) -> bool {
    /// What a probability of nothing counts as: below what float32 tells from nothing beside 1.
    const LEAST: f32 = 1e-9;
    let is_probabilities = |matrix: &Matrix| {
        matrix.columns > 1
            && matrix.iter_rows().all(|row| {
                let sum: f32 = row.iter().sum();
                row.iter().all(|value| (0.0..=1.001).contains(value)) && (sum - 1.0).abs() < 1e-2
            })
    };
    if !sets.iter().all(|matrix| is_probabilities(matrix)) {
        return false;
    }
    for matrix in sets {
        matrix
            .values
            .iter_mut()
            .for_each(|value| *value = value.max(LEAST).ln());
    }
    true
}

/// Brings every feature to mean 0, deviation 1 over the attacker's samples; features that do not vary become 0. Numbers beyond
/// eight deviations are cut, so that one outlier cannot spoil a fit.
pub(crate) fn standardise(auxiliary: &mut Matrix, attacked: &mut Matrix) {
    const CUT: f32 = 8.0;
    let means = auxiliary.column_means();
    let mut squares = vec![0.0_f64; auxiliary.columns];
    for row in auxiliary.iter_rows() {
        for ((square, value), mean) in squares.iter_mut().zip(row).zip(&means) {
            *square += f64::from(value - mean).powi(2);
        }
    }
    let deviations: Vec<f64> = squares
        .iter()
        .map(|square| (square / auxiliary.rows.max(1) as f64).sqrt())
        .collect();
    let largest = deviations.iter().copied().fold(0.0, f64::max);
    let factors: Vec<f32> = deviations
        .into_iter()
        .map(|deviation| {
            if deviation > largest * 1e-6 {
                (1.0 / deviation) as f32
            } else {
                0.0
            }
        })
        .collect();
    for matrix in [auxiliary, attacked] {
        for row in 0..matrix.rows {
            for ((value, mean), factor) in matrix.row_mut(row).iter_mut().zip(&means).zip(&factors) {
                *value = ((*value - mean) * factor).clamp(-CUT, CUT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, Reducer, logarithms_of_probabilities, standardise};
    use crate::random::Random;

    #[test]
    fn a_picture_with_channels_last_is_pooled_as_one_with_channels_first() {
        let (height, width, channels) = (64, 48, 3);
        let first: Vec<f32> = (0..height * width * channels)
            .map(|n| (n * 37 % 251) as f32)
            .collect();
        let mut last = vec![0.0; first.len()];
        for channel in 0..channels {
            for pixel in 0..height * width {
                last[pixel * channels + channel] = first[channel * height * width + pixel];
            }
        }
        let mut random = Random::new(1, 1);
        let one = Reducer::new(&[1, channels, height, width], (false, false), 10_000, &mut random);
        let other = Reducer::new(&[1, height, width, channels], (true, false), 10_000, &mut random);
        assert_eq!(one.features(), 32 * 32 * 3);
        assert_eq!(one.apply(&first), other.apply(&last));
        assert!(!one.is_exact());
    }

    #[test]
    fn small_values_are_kept_as_they_are() {
        let reducer = Reducer::new(&[1, 5], (false, true), 10, &mut Random::new(1, 1));
        assert!(reducer.is_exact());
        assert_eq!(
            reducer.apply(&[1.0, 2.0, 3.0, 4.0, 5.0]),
            [1.0, 2.0, 3.0, 4.0, 5.0]
        );
    }

    #[test]
    fn probabilities_become_logarithms_and_other_numbers_do_not() {
        let row = |values: &[f32]| Matrix::from_rows(vec![values.to_vec()], values.len());
        let (mut a, mut b) = (row(&[0.25, 0.75]), row(&[0.0, 1.0]));
        assert!(logarithms_of_probabilities([&mut a, &mut b]));
        assert!((a.values[0] - 0.25_f32.ln()).abs() < 1e-6 && b.values[0].is_finite());
        let (mut a, mut b) = (row(&[0.25, 0.25]), row(&[0.5, 0.5]));
        assert!(!logarithms_of_probabilities([&mut a, &mut b]));
        assert_eq!(b.values, [0.5, 0.5]);
    }

    #[test]
    fn features_that_do_not_vary_say_nothing() {
        let mut a = Matrix::from_rows(vec![vec![1.0, 5.0], vec![3.0, 5.0]], 2);
        let mut b = Matrix::from_rows(vec![vec![2.0, 6.0]], 2);
        standardise(&mut a, &mut b);
        assert_eq!(a.values, [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(b.values, [0.0, 0.0]);
    }
}
