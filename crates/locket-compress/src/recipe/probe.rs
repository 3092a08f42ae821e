//! What the outputs lose with the weight of one layer in each of several forms, all else as it was.
//!
//! The network is run up to a layer once; each form then only runs the rest. Operands stay floats: what an 8-bit operand costs is
//! the same for every form of the weight.

use locket_mil::{Function, Program};

use super::{ApplyOptions, Layer, LayerChoice, Progress, apply, layers::layers, work::Work};
use crate::{
    CompressError,
    calibrate::{Calibration, Stream, StreamOptions},
    measure::{Evaluation, Samples},
};

/// One layer in one form.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Bytes of the weight as a file stores it.
    pub bytes: u64,
    /// Mean Kullback-Leibler divergence of the outputs from the float program's, in nats; `None` where the form does not suit the layer.
    pub divergence: Option<f64>,
}

/// Gives the layers of the simplified program in the order they run, and for each what the forms cost on the first `limit` samples.
///
/// # Errors
///
/// If the program cannot be run.
pub fn probe(
    program: &Program,
    forms: &[LayerChoice],
    calibration: &Calibration<'_>,
    limit: usize,
    options: &ApplyOptions<'_>,
) -> Result<Vec<(Layer, Vec<Probe>)>, CompressError> {
    let function = apply::simplified(program, Some(calibration))?;
    let layers = layers(&function);
    let float = vec![LayerChoice::FLOAT; layers.len()];
    let samples = calibration.samples.prefix(limit);
    let stream = StreamOptions {
        plan: options.plan,
        cache_bytes: options.cache_bytes,
    };
    let mut stream = Stream::new(&function, &samples.inputs, stream);
    let reference = outputs(&stream, &function, &samples)?;
    let mut work = Work::new(function, &layers, &float, Some(calibration), options.plan.threads)?;
    let mut rows = Vec::with_capacity(layers.len());
    for layer in layers {
        (options.progress)(Progress {
            layer: &layer.name,
            done: layer.index,
            layers: float.len(),
        });
        let suited: Vec<Option<LayerChoice>> = forms
            .iter()
            .map(|&form| match apply::suited(&layer, form) {
                (choice, None) => Some(choice),
                (_, Some(_)) => None,
            })
            .collect();
        let made = work.alternatives(&layer, &suited, &mut stream)?;
        let probes = made.into_iter().map(|made| match made {
            None => Ok(Probe {
                bytes: layer.weight_bytes,
                divergence: None,
            }),
            Some((bytes, function)) => Ok(Probe {
                bytes,
                divergence: Some(reference.divergence(&outputs(&stream, &function, &samples)?)),
            }),
        });
        let probes = probes.collect::<Result<_, CompressError>>()?;
        rows.push((layer, probes));
    }
    Ok(rows)
}

/// The first output on every sample, from where the stream stands.
fn outputs(stream: &Stream<'_>, function: &Function, samples: &Samples) -> Result<Evaluation, CompressError> {
    let output = function.outputs[0].value;
    let rows = stream.run(function, &[output], &|_, values| {
        let scores = values[0].to_f32().unwrap_or_default();
        scores[samples.label_offset.min(scores.len())..].to_vec()
    })?;
    Evaluation::of(&rows, &samples.labels)
}
