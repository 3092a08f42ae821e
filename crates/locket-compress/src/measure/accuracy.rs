//! Accuracy on labelled samples.

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_data::statistics::scores;
use locket_mil::Function;
use locket_runtime::{OutputBuffers, PlanOptions, Session, compile};
use locket_tensor::{Tensor, TensorRef};

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

    /// The evaluation of scores, one row and one label for each sample.
    ///
    /// # Errors
    ///
    /// If a label is out of range.
    pub fn of(rows: &[Vec<f32>], labels: &[usize]) -> Result<Self, CompressError> {
        let classes = rows.first().map_or(0, Vec::len);
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            let message = format!("a sample has class {label}, but the model tells {classes} classes apart");
            return Err(CompressError::Unsuitable(message));
        }
        let right = |k: usize| {
            rows.iter()
                .zip(labels)
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
    Evaluation::of(&rows, &samples.labels)
}

fn run_all(
    function: &Function,
    samples: &Samples,
    options: PlanOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<f32>>, CompressError> {
    let sessions = sessions(function, options, options.threads.max(1))?;
    let done = AtomicUsize::new(0);
    locket_pool::in_order(samples.len(), sessions, |session, index| {
        let scores = first_output(session, &samples.inputs[index])?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(scores[samples.label_offset.min(scores.len())..].to_vec())
    })
}

/// Sessions of one thread each, for samples that run at once.
///
/// # Errors
///
/// If the function cannot be planned.
pub(crate) fn sessions(
    function: &Function,
    options: PlanOptions,
    count: usize,
) -> Result<Vec<Session>, CompressError> {
    let single = PlanOptions {
        threads: 1,
        ..options
    };
    let session = |_| {
        Session::new(compile(function, single)?.plan).map_err(|source| CompressError::Io {
            what: "starting threads".to_owned(),
            source,
        })
    };
    (0..count).map(session).collect()
}

/// Runs one input and gives the first output as numbers.
fn first_output(session: &mut Session, input: &Tensor) -> Result<Vec<f32>, CompressError> {
    let outputs = predict_all(session, std::slice::from_ref(input))?;
    let first = outputs.first().and_then(Tensor::to_f32);
    first.ok_or_else(|| CompressError::Unsuitable("the model has no output of numbers".to_owned()))
}

/// Runs given inputs and gives all outputs.
///
/// # Errors
///
/// If the inputs do not fit.
pub(crate) fn predict_all(session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Tensor>, CompressError> {
    let mut outputs = OutputBuffers::new(&session.plan().outputs);
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    session.predict(&views, &mut outputs.views(), None)?;
    outputs
        .tensors()
        .map_err(|error| CompressError::Unsuitable(error.to_string()))
}
