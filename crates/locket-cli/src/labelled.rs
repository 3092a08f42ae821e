//! Labelled data for commands that measure accuracy.

use std::{fmt::Display, path::Path};

use anyhow::{Result, bail};
use locket_compress::measure::Samples;
use locket_data::{Dataset, Preprocess};
use locket_mil::{Function, Program};
use locket_runtime::PlanOptions;

use crate::{context::Context, model};

/// How many classes a model tells apart: the elements of its first output, less those that the recipe says are none.
///
/// # Errors
///
/// If the model cannot be planned, has no output, or fewer outputs than the recipe leaves out.
pub(crate) fn classes(
    path: &Path,
    program: &Program,
    recipe: &Preprocess,
    context: &Context,
) -> Result<usize> {
    let options = PlanOptions {
        threads: 1,
        ..context.plan_options()
    };
    let plan = model::compile_main(path, program, options)?.plan;
    let Some(output) = plan.outputs.first() else {
        bail!("{}: the model has no output", path.display());
    };
    classes_of(&path.display(), &output.name, &output.shape, recipe)
}

/// As [`classes`], from the first output.
///
/// # Errors
///
/// If it has fewer elements than the recipe leaves out.
pub(crate) fn classes_of(
    path: &dyn Display,
    output: &str,
    shape: &[usize],
    recipe: &Preprocess,
) -> Result<usize> {
    let elems: usize = shape.iter().product();
    match elems.checked_sub(recipe.label_offset) {
        Some(classes) if classes > 0 => Ok(classes),
        _ => bail!(
            "{path}: output {output} has {elems} elements, expected more than label_offset = {}",
            recipe.label_offset
        ),
    }
}

/// Reads and preprocesses samples, with a progress bar.
///
/// # Errors
///
/// The first sample that cannot be read, or does not fit the model's input.
pub(crate) fn load(
    dataset: &Dataset,
    recipe: &Preprocess,
    function: &Function,
    limit: Option<usize>,
    context: &Context,
) -> Result<Samples> {
    let count = limit.unwrap_or(usize::MAX).min(dataset.len());
    let bar = context.progress("reading samples", count);
    let samples = Samples::load(dataset, recipe, function, limit, context.threads, &|done| {
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(samples)
}
