//! From a package to a program.
//!
//! Constants become constant values: small ones copied, those of the weight file mapped. Operations keep their
//! order; `constexpr_*` operations stay operations, and their parameters become constants whether the file has
//! them as attributes or as inputs. The parts that a program cannot hold (nested blocks, states, lists) become foreign
//! operations, each with a diagnostic that names it.
//!
//! What is checked here is what the file says about itself: every name is defined before its use and once, every
//! constant has as many elements as its type, every weight has the element type of its record. What operators
//! demand of their arguments is left to the operators.

mod classifier;
mod constant;
mod function;
mod refusal;

use std::path::Path;

use locket_mil::{Diagnostic, Program, Severity, SourceFormat};

use super::metadata::{self, CLASSES};
use super::package::Package;
use super::schema::{self, Model, ModelKind};
use super::wire::{self, Context};
use crate::files::Files;
use crate::import::{Import, ReadOptions};
use crate::limits::Limits;
use crate::{Format, FormatError};
use constant::Constants;

/// The file has fields that this reader does not know.
const UNKNOWN_FIELDS: &str = "LK1101";
/// An input or output of the file is an image.
const IMAGE_INTERFACE: &str = "LK1102";
/// The operation keeps a state between predictions.
const STATE: &str = "LK1103";
/// An output is a list, a dictionary, or another value that is not a tensor.
const NOT_A_TENSOR: &str = "LK1104";

/// The model is a classifier; its probabilities are read as a tensor.
const CLASSIFIER: &str = "LK1105";

/// Makes the error for a file that contradicts itself.
fn invalid(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> FormatError {
    FormatError::Invalid {
        format: Format::CoreMl,
        place: place.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

/// Reads the package at `path` into a program that can run.
///
/// # Errors
/// When the package is broken, over a limit, not an ML Program, or holds something that a program cannot: the
/// first such thing is named. [`import`] reads such a package and names all of them.
pub fn read(path: &Path, limits: &Limits) -> Result<Program, FormatError> {
    let Import { program, diagnostics } = import(path, &ReadOptions::default(), limits)?;
    match diagnostics
        .into_iter()
        .find(|finding| finding.severity == Severity::Error)
    {
        None => Ok(program),
        Some(finding) => Err(FormatError::Unsupported {
            format: Format::CoreMl,
            place: finding.node,
            why: finding.message,
            help: finding.help,
        }),
    }
}

/// Reads the package at `path`, with everything that cannot be expressed as foreign operations and diagnostics.
///
/// # Errors
/// When the package is broken, over a limit, or not an ML Program.
pub fn import(path: &Path, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    import_package(&Package::open(path, limits)?, options, limits)
}

/// Reads the package whose files are given, by their paths in its folder.
///
/// # Errors
/// As [`import`].
pub fn import_files(files: Files, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    import_package(&Package::of(files, limits)?, options, limits)
}

fn import_package(package: &Package, options: &ReadOptions, limits: &Limits) -> Result<Import, FormatError> {
    let bytes = package.read_model(limits)?;
    let mut context = Context::new(limits);
    let model: Model<'_> = wire::decode(&bytes, 0, &mut context)?;
    let mut diagnostics = Vec::new();
    report_unknown_fields(&context, &mut diagnostics);
    let description = model.description.unwrap_or_default();
    let file = match model.kind {
        Some(ModelKind::MlProgram(program)) => program,
        Some(ModelKind::Other(number, name)) => return Err(not_an_ml_program(number, name)),
        None => return Err(invalid("the model", "a model type", "none")),
    };
    if file.version != 1 {
        return Err(invalid("the program", "version 1", format!("{}", file.version)));
    }
    check_operation_count(&file, limits)?;
    let mut constants = Constants::new(package, limits);
    let mut functions = Vec::new();
    let mut classes = Vec::new();
    for (name, function) in &file.functions {
        let interface = Interface::of(&description, name);
        let (read, names) = function::read(
            name,
            function,
            &interface,
            options,
            &mut constants,
            &mut diagnostics,
        )?;
        functions.push(read);
        classes.push(names);
    }
    let wanted = Some(description.default_function_name.as_ref()).filter(|name| !name.is_empty());
    let wanted = wanted.unwrap_or("main");
    let default_function = match (
        functions.iter().position(|function| function.name == wanted),
        &functions[..],
    ) {
        (Some(position), _) => position,
        (None, [_]) => 0,
        (None, _) => return Err(invalid("the program", format!("a function `{wanted}`"), "none")),
    };
    let mut metadata = metadata::from_file(description.metadata.as_ref());
    if let Some(Some(classes)) = classes.get(default_function) {
        metadata.insert(CLASSES.to_owned(), classes.join("\n"));
    }
    let program = Program {
        functions,
        default_function,
        source: SourceFormat::CoreMl,
        metadata,
    };
    Ok(Import { program, diagnostics })
}

fn not_an_ml_program(number: u32, name: &str) -> FormatError {
    FormatError::Unsupported {
        format: Format::CoreMl,
        place: "the model".to_owned(),
        why: format!("it is a {name} (model type {number}), and only ML Programs are read"),
        help: "convert the original model again with deployment target iOS 15 or later".to_owned(),
    }
}

fn report_unknown_fields(context: &Context, diagnostics: &mut Vec<Diagnostic>) {
    let Some(first) = context.unknown_fields().first() else {
        return;
    };
    let message = format!(
        "{} fields that this version does not know were skipped, the first in {} (field {}) at byte {}",
        context.unknown_count(),
        first.message,
        first.field,
        first.offset
    );
    let finding = Diagnostic::new(UNKNOWN_FIELDS, Severity::Warning, "model file", message)
        .why("the file was written by newer tools, and says something that is not taken into account")
        .help("compare the outputs with those of the source model");
    diagnostics.push(finding);
}

fn check_operation_count(program: &schema::Program<'_>, limits: &Limits) -> Result<(), FormatError> {
    let blocks = program
        .functions
        .values()
        .flat_map(|function| function.blocks.values());
    let count = blocks.fold(0_usize, |count, block| {
        count.saturating_add(block.operations.len())
    });
    if count <= limits.max_operations {
        return Ok(());
    }
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Err(FormatError::Limit {
        format: Format::CoreMl,
        place: "number of operations".to_owned(),
        limit: number(limits.max_operations),
        found: number(count),
    })
}

/// What the description says about the inputs and outputs of one function.
struct Interface<'d, 'a> {
    inputs: &'d [schema::FeatureDescription<'a>],
    outputs: &'d [schema::FeatureDescription<'a>],
}

impl<'d, 'a> Interface<'d, 'a> {
    fn of(description: &'d schema::ModelDescription<'a>, function: &str) -> Self {
        match description
            .functions
            .iter()
            .find(|described| described.name == function)
        {
            Some(described) => Self {
                inputs: &described.inputs,
                outputs: &described.outputs,
            },
            None => Self {
                inputs: &description.inputs,
                outputs: &description.outputs,
            },
        }
    }

    /// The type of an input.
    fn input(&self, name: &str) -> Option<&'d schema::FeatureKind> {
        kind_of(self.inputs, name)
    }

    /// The type of an output.
    fn output(&self, name: &str) -> Option<&'d schema::FeatureKind> {
        kind_of(self.outputs, name)
    }
}

fn kind_of<'d>(
    features: &'d [schema::FeatureDescription<'_>],
    name: &str,
) -> Option<&'d schema::FeatureKind> {
    features
        .iter()
        .find(|feature| feature.name == name)?
        .feature_type
        .as_ref()?
        .kind
        .as_ref()
}
