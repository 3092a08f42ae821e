//! `--precision`: in what arithmetic layers on floats are computed, and how far that moves the outputs.

use std::path::Path;

use anyhow::Result;
use locket_report::units;
use locket_runtime::{OutputBuffers, Precision, Session, compiled::is_compiled};
use locket_tensor::{DType, Tensor, TensorRef};
use serde::Serialize;

use crate::{context::Context, model};

/// The option.
#[derive(Debug, clap::Args)]
pub(crate) struct ArithmeticOptions {
    /// Arithmetic of float32 convolutions and fully connected layers: bf16 takes less time at a small error
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Name::Float32)]
    precision: Name,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Name {
    Float32,
    Bf16,
}

impl ArithmeticOptions {
    /// The context with this arithmetic.
    pub(crate) fn of(&self, context: &Context) -> Context {
        context.in_precision(match self.precision {
            Name::Float32 => Precision::Float32,
            Name::Bf16 => Precision::Bf16,
        })
    }
}

/// How far the outputs are from those in float32, on the same inputs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Deviation {
    /// `10 log10(sum of squares / sum of squared differences)` over all outputs; absent if nothing differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_to_noise_db: Option<f64>,
    /// Greatest difference over the greatest magnitude.
    greatest_relative: f64,
    /// Whether the greatest element of the first output is the same one.
    same_top: bool,
}

impl Deviation {
    /// One sentence for a person.
    pub(crate) fn text(&self) -> String {
        let ratio = match self.signal_to_noise_db {
            Some(db) => format!("{db:.1} dB signal to noise"),
            None => "no difference".to_owned(),
        };
        format!(
            "bf16 against float32 on these inputs: {ratio}, greatest difference {} of the greatest output, {} top element\n",
            // Two digits, never understated.
            units::chance(self.greatest_relative),
            if self.same_top { "same" } else { "another" },
        )
    }
}

/// Compares a session's outputs with those in float32; `None` if it is in float32 itself, or a compiled file, which has weights of one
/// arithmetic only.
///
/// # Errors
///
/// If the model cannot be planned or run.
pub(crate) fn deviation(
    path: &Path,
    session: &mut Session,
    inputs: &[Tensor],
    context: &Context,
) -> Result<Option<Deviation>> {
    if context.precision == Precision::Float32 || is_compiled(path) {
        return Ok(None);
    }
    let plain = context.in_precision(Precision::Float32);
    let (mut expected, _) = model::open(path, plain.plan_options())?;
    let [found, expected] = [floats(session, inputs)?, floats(&mut expected, inputs)?];
    let (mut signal, mut noise, mut greatest, mut difference) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    for (&a, &b) in found.iter().flatten().zip(expected.iter().flatten()) {
        signal += b * b;
        noise += (a - b) * (a - b);
        greatest = greatest.max(b.abs());
        difference = difference.max((a - b).abs());
    }
    Ok(Some(Deviation {
        signal_to_noise_db: (noise > 0.0).then(|| 10.0 * (signal / noise).log10()),
        greatest_relative: if difference > 0.0 {
            difference / greatest
        } else {
            0.0
        },
        same_top: top(&found) == top(&expected),
    }))
}

/// The float outputs of one prediction.
fn floats(session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    let mut buffers = OutputBuffers::new(&session.plan().outputs);
    session.predict(&views, &mut buffers.views(), None)?;
    let tensors = buffers.tensors()?;
    let floats = tensors.iter().filter(|tensor| tensor.dtype() != DType::Int32);
    Ok(floats
        .map(|tensor| {
            tensor
                .to_f32()
                .unwrap_or_default()
                .into_iter()
                .map(f64::from)
                .collect()
        })
        .collect())
}

fn top(outputs: &[Vec<f64>]) -> Option<usize> {
    let first = outputs.first()?;
    (0..first.len()).max_by(|&a, &b| first[a].total_cmp(&first[b]))
}
