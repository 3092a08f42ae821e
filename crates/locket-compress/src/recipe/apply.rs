//! Compresses the layers of a program, one after the other, each knowing what those before it really compute.

use locket_mil::{Function, Program};

use super::{
    ApplyOptions, Compressed, Layer, LayerChoice, Progress, Recipe, WeightForm, layers::layers, work::Work,
};
use crate::{
    CompressError,
    calibrate::{Calibration, Stream, StreamOptions},
};

/// Weights of fewer elements stay as they are: at 256 float32 elements all of it is 1 KiB, and the scales, tables and
/// records of a compressed form would take a good part of what is saved.
const LEAST_ELEMS: usize = 256;

/// Applies one recipe to every layer of the program's default function.
///
/// # Errors
///
/// If the recipe needs calibration and there is none, an override names no layer, or the program cannot be run.
pub fn apply(
    program: &Program,
    recipe: Recipe,
    calibration: Option<&Calibration<'_>>,
    options: &ApplyOptions<'_>,
) -> Result<Compressed, CompressError> {
    let function = simplified(program, calibration)?;
    let layers = layers(&function);
    if let Some((name, _)) = options
        .overrides
        .iter()
        .find(|(name, _)| !layers.iter().any(|layer| layer.name == *name))
    {
        let known: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        let message = format!("no layer is called {name}; the layers are {}", known.join(", "));
        return Err(CompressError::Unsuitable(message));
    }
    let choices: Vec<LayerChoice> = layers
        .iter()
        .map(|layer| {
            let other = options.overrides.iter().find(|(name, _)| *name == layer.name);
            other.map_or(recipe.0, |(_, choice)| *choice)
        })
        .collect();
    compress(program, function, &layers, &choices, calibration, options)
}

/// Gives each layer of the program's default function a form of its own. `choices` are in the order of
/// [`layers`](super::layers) of the simplified function.
///
/// # Errors
///
/// As [`apply`], and if there is not one choice for each layer.
pub fn apply_mixed(
    program: &Program,
    choices: &[LayerChoice],
    calibration: Option<&Calibration<'_>>,
    options: &ApplyOptions<'_>,
) -> Result<Compressed, CompressError> {
    let function = simplified(program, calibration)?;
    let layers = layers(&function);
    if layers.len() != choices.len() {
        let message = format!(
            "expected {} choices, one for each layer, found {}",
            layers.len(),
            choices.len()
        );
        return Err(CompressError::Unsuitable(message));
    }
    compress(program, function, &layers, choices, calibration, options)
}

pub(super) fn simplified(
    program: &Program,
    calibration: Option<&Calibration<'_>>,
) -> Result<Function, CompressError> {
    let mut function = program.main().clone();
    locket_passes::simplify(&mut function);
    match calibration {
        Some(calibration) if calibration.function != function => Err(CompressError::Unsuitable(
            "the calibration is of another program".to_owned(),
        )),
        _ => Ok(function),
    }
}

fn compress(
    program: &Program,
    function: Function,
    layers: &[Layer],
    choices: &[LayerChoice],
    calibration: Option<&Calibration<'_>>,
    options: &ApplyOptions<'_>,
) -> Result<Compressed, CompressError> {
    let (choices, refusals): (Vec<LayerChoice>, Vec<Option<String>>) = layers
        .iter()
        .zip(choices)
        .map(|(layer, &choice)| suited(layer, choice))
        .unzip();
    let mut work = Work::new(function, layers, &choices, calibration, options.plan.threads)?;
    let mut stream = calibration.map(|calibration| {
        let stream = StreamOptions {
            plan: options.plan,
            cache_bytes: options.cache_bytes,
        };
        Stream::new(&work.function, &calibration.samples.inputs, stream)
    });
    let mut reports = Vec::with_capacity(layers.len());
    for (layer, (choice, refusal)) in layers.iter().zip(choices.into_iter().zip(refusals)) {
        (options.progress)(Progress {
            layer: &layer.name,
            done: layer.index,
            layers: layers.len(),
        });
        let mut report = work.layer(layer, choice, stream.as_mut())?;
        report.skipped = report.skipped.or(refusal);
        reports.push(report);
    }
    let mut notes = Vec::new();
    if calibration.is_none() && reports.iter().any(|report| report.done != LayerChoice::FLOAT) {
        let note =
            "without calibration samples weights are rounded without regard to what they are multiplied with";
        notes.push(note.to_owned());
    }
    let mut function = work.function;
    locket_passes::passes::remove_dead_code::run(&mut function);
    let mut program = program.clone();
    *program.main_mut() = function;
    Ok(Compressed {
        program,
        layers: reports,
        notes,
    })
}

/// The choice that suits a layer, and why it is another than asked for.
pub(super) fn suited(layer: &Layer, choice: LayerChoice) -> (LayerChoice, Option<String>) {
    if choice == LayerChoice::FLOAT || choice == LayerChoice::W8A8 {
        return (choice, None);
    }
    // A layer on integers needs its weight as integers whatever its size.
    let plainer = match choice.activations {
        true => LayerChoice::W8A8,
        false => LayerChoice::FLOAT,
    };
    if layer.weight_elems < LEAST_ELEMS {
        let reason = format!(
            "its weight has {} elements; below {LEAST_ELEMS} a compressed form saves nothing worth having",
            layer.weight_elems
        );
        return (plainer, Some(reason));
    }
    let rows = layer.weight_shape[0];
    if let WeightForm::Palette {
        group: Some(group), ..
    } = choice.weights
        && !rows.is_multiple_of(usize::from(group))
    {
        let reason = format!("groups of {group} do not divide its {rows} output channels");
        return (plainer, Some(reason));
    }
    (choice, None)
}
