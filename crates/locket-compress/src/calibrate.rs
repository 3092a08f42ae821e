//! What calibration samples say about a program: ranges of activations, what layers should give, and the outputs.
//!
//! Labels are not looked at. Everything comes from one pass over the samples in float; what is kept is bounded however many
//! samples there are: two numbers for each value, a mean for each channel, and a sample of the rows (pixels) of each layer.

mod curvature;
mod extract;
mod patches;
mod rows;
mod stream;

use locket_mil::{Function, Program, ValueId};
use locket_runtime::PlanOptions;
use locket_tensor::Tensor;

pub(crate) use curvature::{Curvature, Curvatures};
pub(crate) use patches::Patches;
pub(crate) use rows::{Point, RowChoice};
pub(crate) use stream::{Stream, StreamOptions};

use crate::{
    CompressError,
    measure::Samples,
    recipe::{Layer, layers},
};

/// Rows of a layer that are looked at, over all samples together: enough that the least squares over 1000 inputs are
/// determined several times over.
const ROWS: usize = 6000;
/// Bytes that the rows of all layers may take.
const ROW_BYTES: usize = 256 << 20;
/// Values of the input that are looked at to find its grid.
const INPUT_VALUES: usize = 200_000;

/// How calibration runs.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationOptions {
    /// Instruction set, and how many samples run at once.
    pub plan: PlanOptions,
    /// Seed of the choice of rows.
    pub seed: u64,
}

/// What a layer gives in float, at one place behind it.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where that is.
    pub(crate) point: Point,
    /// Mean of each channel over all rows of all samples.
    pub(crate) mean: Vec<f64>,
    /// Some rows, `[rows, channels]`, in the order of the samples.
    pub(crate) rows: Vec<f32>,
}

/// What calibration samples say about one program.
#[derive(Debug)]
pub struct Calibration<'a> {
    /// The samples.
    pub samples: &'a Samples,
    /// How it was made.
    pub options: CalibrationOptions,
    /// The program's function, simplified: what recipes work on.
    pub(crate) function: Function,
    /// Lowest and highest of each value that operations make or the caller gives.
    pub(crate) ranges: Vec<Option<[f32; 2]>>,
    /// For each layer: what it gives, and the sum that reads nothing but that, if there is one.
    pub(crate) targets: Vec<Vec<Target>>,
    /// First output of the program for each sample.
    outputs: Vec<Vec<f32>>,
    /// Some values of the input, across all samples.
    pub(crate) input_values: Vec<f32>,
    pub(crate) rows: RowChoice,
}

/// What one sample adds.
struct Seen {
    ranges: Vec<[f32; 2]>,
    sums: Vec<Vec<f64>>,
    rows: Vec<Vec<f32>>,
    output: Vec<f32>,
}

impl<'a> Calibration<'a> {
    /// Runs the program's default function in float on all samples. `progress` is told how many are done.
    ///
    /// # Errors
    ///
    /// If there are no samples, the function has not exactly one input, or cannot be planned.
    pub fn collect(
        program: &Program,
        samples: &'a Samples,
        options: CalibrationOptions,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, CompressError> {
        let mut function = program.main().clone();
        locket_passes::simplify(&mut function);
        if function.inputs.len() != 1 || function.outputs.is_empty() {
            let message = format!(
                "calibration needs a model with one input and an output, found {} and {}",
                function.inputs.len(),
                function.outputs.len()
            );
            return Err(CompressError::Unsuitable(message));
        }
        if samples.is_empty() {
            return Err(CompressError::Unsuitable(
                "the calibration set is empty".to_owned(),
            ));
        }
        let layers = layers(&function);
        let points: Vec<Vec<Point>> = layers.iter().map(|layer| points(&function, layer)).collect();
        let channels = points.iter().flatten().map(|point| point.channels).sum();
        let rows = RowChoice::new(options.seed, samples.len(), channels, ROWS, ROW_BYTES);
        let calibration = Self {
            samples,
            options,
            ranges: vec![None; function.values().len()],
            targets: Vec::new(),
            outputs: Vec::new(),
            input_values: input_values(samples),
            rows,
            function,
        };
        calibration.fill(&points, progress)
    }

    fn fill(
        mut self,
        points: &[Vec<Point>],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, CompressError> {
        let function = &self.function;
        let flat: Vec<Point> = points.iter().flatten().copied().collect();
        let watched = watched(function);
        let place = |point: &Point| watched.iter().position(|id| *id == point.value);
        let places: Vec<usize> = flat.iter().filter_map(place).collect();
        debug_assert_eq!(places.len(), flat.len(), "every point is watched");
        let first = function.outputs[0].value;
        let done = std::sync::atomic::AtomicUsize::new(0);
        let stream = Stream::new(
            function,
            &self.samples.inputs,
            StreamOptions {
                plan: self.options.plan,
                cache_bytes: 0,
            },
        );
        let mut wanted = watched.clone();
        wanted.push(first);
        let rows = &self.rows;
        let seen = stream.run(function, &wanted, &|sample, values: &[Tensor]| {
            let made = Seen::of(sample, values, &flat, &places, rows);
            progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
            made
        })?;
        let mut means: Vec<Vec<f64>> = flat.iter().map(|point| vec![0.0; point.channels]).collect();
        let mut kept: Vec<Vec<f32>> = vec![Vec::new(); flat.len()];
        for one in seen {
            for (&id, range) in watched.iter().zip(&one.ranges) {
                let all = &mut self.ranges[id.index()];
                *all = Some(all.map_or(*range, |[low, high]| [low.min(range[0]), high.max(range[1])]));
            }
            for (mean, sums) in means.iter_mut().zip(&one.sums) {
                mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum);
            }
            for (kept, rows) in kept.iter_mut().zip(&one.rows) {
                kept.extend_from_slice(rows);
            }
            self.outputs.push(one.output);
        }
        let count = self.samples.len() as f64;
        let mut made = flat.iter().zip(means).zip(kept).map(|((&point, sums), rows)| {
            let total = count * point.rows().max(1) as f64;
            Target {
                point,
                mean: sums.iter().map(|sum| sum / total).collect(),
                rows,
            }
        });
        self.targets = points
            .iter()
            .map(|points| made.by_ref().take(points.len()).collect())
            .collect();
        drop(made);
        Ok(self)
    }

    /// The program's first output for each sample, in float.
    pub fn outputs(&self) -> &[Vec<f32>] {
        &self.outputs
    }

    /// Lowest and highest that a value of the simplified program takes on the samples, by its name.
    pub fn range(&self, name: &str) -> Option<[f32; 2]> {
        let index = self
            .function
            .values()
            .iter()
            .position(|value| value.name == name)?;
        self.ranges.get(index).copied().flatten()
    }
}

impl Seen {
    fn of(sample: usize, values: &[Tensor], points: &[Point], places: &[usize], rows: &RowChoice) -> Self {
        let floats: Vec<Vec<f32>> = values
            .iter()
            .map(|tensor| tensor.to_f32().unwrap_or_default())
            .collect();
        let (output, watched) = floats.split_last().expect("the output is wanted last");
        let mut seen = Self {
            ranges: watched.iter().map(|values| range(values)).collect(),
            sums: Vec::new(),
            rows: Vec::new(),
            output: output.clone(),
        };
        for (point, &place) in points.iter().zip(places) {
            seen.sums.push(point.sums(&watched[place]));
            seen.rows
                .push(point.gather(&watched[place], &rows.of(point, sample)));
        }
        seen
    }
}

/// Lowest and highest; NaN is left out, and numbers that are not finite count as the largest finite ones.
fn range(values: &[f32]) -> [f32; 2] {
    let mut all = [f32::MAX, f32::MIN];
    for &value in values.iter().filter(|value| !value.is_nan()) {
        let value = value.clamp(f32::MIN, f32::MAX);
        all = [all[0].min(value), all[1].max(value)];
    }
    if all[0] > all[1] { [0.0, 0.0] } else { all }
}

/// Float values that are computed at run time, the input first.
fn watched(function: &Function) -> Vec<ValueId> {
    let made = function
        .operations
        .iter()
        .filter(|operation| !operation.kind.starts_with("constexpr_"))
        .flat_map(|operation| operation.outputs.iter().copied());
    let all = function.inputs.iter().copied().chain(made);
    all.filter(|&id| function.ty(id).dtype().is_some_and(|dtype| dtype.is_float()))
        .collect()
}

/// Where a layer's result is looked at: the layer itself, and a sum that is a convolution's only reader.
fn points(function: &Function, layer: &Layer) -> Vec<Point> {
    let linear = layer.kind == "linear";
    let mut points = vec![Point::new(function, layer.output, linear)];
    let readers: Vec<_> = function
        .operations
        .iter()
        .filter(|operation| operation.input_values().any(|id| id == layer.output))
        .collect();
    if let [reader] = readers.as_slice()
        && reader.kind == "add"
        && !linear
        && function.ty(reader.outputs[0]) == function.ty(layer.output)
    {
        points.push(Point::new(function, reader.outputs[0], false));
    }
    points
}

/// Some values of the input, evenly over all samples.
fn input_values(samples: &Samples) -> Vec<f32> {
    let each = INPUT_VALUES.div_ceil(samples.len().max(1));
    let some = |tensor: &Tensor| {
        let values = tensor.to_f32().unwrap_or_default();
        // An odd step meets every channel of interleaved data.
        let step = (values.len() / each).max(1) | 1;
        values.into_iter().step_by(step).collect::<Vec<f32>>()
    };
    samples.inputs.iter().flat_map(some).collect()
}
