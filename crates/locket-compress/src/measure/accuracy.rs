//! Accuracy on labelled samples.

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_data::statistics::scores;
use locket_mil::Function;
use locket_runtime::{Plan, PlanOptions, Session, compile};
use locket_tensor::{AlignedBytes, Tensor, TensorMut};

use super::Samples;
use crate::CompressError;

/// What a model says to labelled samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Scores of all samples, `[samples, classes]`, without the leading outputs that are no class.
    pub scores: Vec<f32>,
    /// Classes that the model tells apart.
    pub classes: usize,
    /// The class with the highest score, for each sample; a row of NaN predicts class `usize::MAX`, which is never right.
    pub predicted: Vec<usize>,
    /// Samples whose class has the highest score.
    pub top1: usize,
    /// Samples whose class is among the five highest scores.
    pub top5: usize,
}

impl Evaluation {
    /// How many samples there were.
    pub fn samples(&self) -> usize {
        self.predicted.len()
    }

    /// The share of samples whose class has the highest score.
    pub fn top1_share(&self) -> f64 {
        self.top1 as f64 / self.samples().max(1) as f64
    }

    /// The share of samples whose class is among the five highest scores.
    pub fn top5_share(&self) -> f64 {
        self.top5 as f64 / self.samples().max(1) as f64
    }

    /// The share of samples to which both models predict the same class.
    pub fn agreement(&self, other: &Self) -> f64 {
        scores::agreement(&self.predicted, &other.predicted)
    }

    /// The mean Kullback-Leibler divergence of the other's scores from these, in nats. Rows that are no probabilities are
    /// taken through a softmax.
    pub fn divergence(&self, other: &Self) -> f64 {
        let rows = |evaluation: &Self| {
            evaluation
                .scores
                .chunks_exact(evaluation.classes.max(1))
                .map(<[f32]>::to_vec)
                .collect::<Vec<_>>()
        };
        let (mine, theirs) = (rows(self), rows(other));
        let total: f64 = mine
            .iter()
            .zip(&theirs)
            .map(|(reference, row)| {
                if scores::is_probabilities(reference) {
                    scores::kl_divergence(reference, row)
                } else {
                    scores::kl_divergence_of_logits(reference, row)
                }
            })
            .sum();
        total / mine.len().max(1) as f64
    }

    /// The evaluation of scores, one row for each sample.
    pub(crate) fn of(rows: &[Vec<f32>], samples: &Samples) -> Result<Self, CompressError> {
        let classes = rows.first().map_or(0, Vec::len);
        if let Some(label) = samples.labels.iter().find(|&&label| label >= classes) {
            let message = format!("a sample has class {label}, but the model tells {classes} classes apart");
            return Err(CompressError::Unsuitable(message));
        }
        let right = |k: usize| {
            rows.iter()
                .zip(&samples.labels)
                .filter(|(row, label)| scores::in_top_k(row, **label, k))
                .count()
        };
        Ok(Self {
            classes,
            predicted: rows
                .iter()
                .map(|row| scores::argmax(row).unwrap_or(usize::MAX))
                .collect(),
            top1: right(1),
            top5: right(5),
            scores: rows.concat(),
        })
    }
}

/// Runs a function on all samples, one sample at a time, on as many sessions at once as `options.threads` says, each of
/// which uses one thread. The numbers do not depend on the number of threads.
///
/// # Errors
///
/// If the function cannot be planned, or a label is out of range.
pub fn evaluate(
    function: &Function,
    samples: &Samples,
    options: PlanOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Evaluation, CompressError> {
    let rows = run_all(function, samples, options, progress)?;
    Evaluation::of(&rows, samples)
}

fn run_all(
    function: &Function,
    samples: &Samples,
    options: PlanOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<f32>>, CompressError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = |plan: Plan| -> Result<Vec<(usize, Vec<f32>)>, CompressError> {
        let mut session = Session::new(plan).map_err(|source| CompressError::Io {
            what: "starting threads".to_owned(),
            source,
        })?;
        let mut made = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(input) = samples.inputs.get(index) else {
                return Ok(made);
            };
            let scores = first_output(&mut session, input)?;
            made.push((index, scores[samples.label_offset.min(scores.len())..].to_vec()));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let single = PlanOptions {
        threads: 1,
        ..options
    };
    let plans: Vec<Plan> = (0..options.threads.max(1))
        .map(|_| compile(function, single).map(|c| c.plan))
        .collect::<Result<_, _>>()?;
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = plans.into_iter().map(|plan| scope.spawn(|| work(plan))).collect();
        let mut all = Vec::with_capacity(samples.len());
        for worker in workers {
            all.extend(worker.join().expect("a prediction does not panic")?);
        }
        Ok::<_, CompressError>(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, row)| row).collect())
}

/// Runs one input and gives the first output as numbers.
fn first_output(session: &mut Session, input: &Tensor) -> Result<Vec<f32>, CompressError> {
    let outputs = predict_all(session, input)?;
    let first = outputs.first().and_then(Tensor::to_f32);
    first.ok_or_else(|| CompressError::Unsuitable("the model has no output of numbers".to_owned()))
}

/// Runs one input and gives all outputs.
///
/// # Errors
///
/// If the input does not fit.
pub(crate) fn predict_all(session: &mut Session, input: &Tensor) -> Result<Vec<Tensor>, CompressError> {
    let ports: Vec<_> = session
        .plan()
        .outputs
        .iter()
        .map(|port| (port.dtype, port.shape.clone()))
        .collect();
    let mut buffers: Vec<AlignedBytes> = ports
        .iter()
        .map(|(dtype, shape)| AlignedBytes::zeroed(dtype.packed_bytes(shape.iter().product()).unwrap_or(0)))
        .collect();
    let mut outputs: Vec<TensorMut<'_>> = ports
        .iter()
        .zip(&mut buffers)
        .map(|((dtype, shape), buffer)| TensorMut {
            dtype: *dtype,
            shape,
            bytes: buffer.as_mut_slice(),
        })
        .collect();
    session.predict(&[input.view()], &mut outputs, None)?;
    ports
        .iter()
        .zip(&buffers)
        .map(|((dtype, shape), buffer)| Tensor::from_bytes(*dtype, shape, buffer.as_slice()))
        .collect::<Result<_, _>>()
        .map_err(|error| CompressError::Unsuitable(error.to_string()))
}
