//! From a program to a package.
//!
//! The program is made fit for the format on a copy, one step after the other: defaults are written out, precision is
//! changed, `constexpr_*` operations get the form of the target, and what the interface cannot carry gets a cast.
//! Then it is put into messages and the weight file. Nothing here looks at clocks, addresses or chance: equal
//! programs and options give equal bytes.

mod constexpr;
mod defaults;
mod describe;
mod edges;
mod emit;
mod names;
mod precision;
mod target;
mod weights;

use std::collections::BTreeMap;
use std::path::Path;

use locket_mil::{Diagnostic, Dialect, Function, Operation, Program, Target};

use super::operators::{self, Operator};
use super::package::Staging;
use super::schema::{self, Model, ModelDescription, ModelKind};
use super::{metadata, wire};
use crate::{Format, FormatError};

pub use precision::Precision;

/// The user-defined metadata key with the version of Locket that wrote a package.
pub const WRITER_VERSION_KEY: &str = "locket.version";
/// The start of user-defined metadata keys that hold the source's name of an input or output that was renamed.
pub const SOURCE_NAME_PREFIX: &str = "locket.source_name.";

/// The name that the only function of a package has.
const MAIN: &str = "main";

/// How a package is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteOptions {
    /// Precision of weights and computation.
    pub precision: Precision,
    /// The target; `None` for the lowest that the program needs.
    pub target: Option<Target>,
    /// Metadata that is added to the program's, and wins over it. Keys are those of [`metadata`].
    pub metadata: BTreeMap<String, String>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteSummary {
    /// The target, which fixes the specification version.
    pub target: Target,
    /// Size of the model file, in bytes.
    pub model_bytes: u64,
    /// Size of the weight file, in bytes; 0 if there is none.
    pub weight_bytes: u64,
    /// Number of records of the weight file.
    pub weight_records: u32,
    /// Number of operations in the file, constants included.
    pub operations: usize,
    /// Inputs and outputs that had to be renamed: the source's name and the one in the file.
    pub renamed: Vec<(String, String)>,
    /// What a person should know about the written package.
    pub notes: Vec<Diagnostic>,
}

/// Writes `program` as a package to `path`, replacing a package that is there.
///
/// # Errors
/// When the program has operations that the format has not, needs a later target than the options allow, or the
/// package cannot be written. What was at `path` is then as it was.
pub fn write(program: &Program, path: &Path, options: &WriteOptions) -> Result<WriteSummary, FormatError> {
    let mut functions = program.functions.clone();
    if let [only] = &mut functions[..] {
        MAIN.clone_into(&mut only.name);
    }
    for function in &functions {
        check_operators(function)?;
        locket_mil::verify(function)
            .map_err(|error| invalid(&error.function, "a sound function", error.message))?;
    }
    for function in &mut functions {
        defaults::bind(function)?;
        precision::set(function, options.precision);
    }
    let target = target::choose(&functions, options.target)?;
    let mut notes = Vec::new();
    for function in &mut functions {
        defaults::bind_for(function, target)?;
        constexpr::adapt(function, target)?;
        edges::fit(function, target, &mut notes)?;
    }
    let names: Vec<names::Names> = functions.iter().map(names::Names::of).collect();
    let renamed: Vec<(String, String)> = names.iter().flat_map(|names| names.renamed().to_vec()).collect();

    let staging = Staging::new(path)?;
    let mut weights = weights::Weights::new(staging.weight_file());
    let mut file = schema::Program {
        version: 1,
        ..schema::Program::default()
    };
    let mut operations = 0_usize;
    for (function, names) in functions.iter().zip(&names) {
        let emitted = emit::function(function, names, target, &mut weights)?;
        operations =
            operations.saturating_add(emitted.blocks.values().map(|block| block.operations.len()).sum());
        file.functions.insert(function.name.clone().into(), emitted);
    }
    let (weight_bytes, weight_records) = weights.finish()?;
    let metadata = merged_metadata(program, options, &names, &renamed);
    let model = Model {
        specification_version: target.spec_version(),
        description: Some(ModelDescription {
            metadata: Some(metadata::to_file(&metadata)),
            ..describe::interface(&functions, &names, program.default_function)?
        }),
        is_updatable: false,
        kind: Some(ModelKind::MlProgram(file)),
    };
    let bytes = wire::encode(&model);
    staging.commit(&bytes)?;
    let model_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(WriteSummary {
        target,
        model_bytes,
        weight_bytes,
        weight_records,
        operations,
        renamed,
        notes,
    })
}

/// Makes the error for a program that contradicts itself.
fn invalid(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> FormatError {
    let why = format!(
        "the program is not sound: expected {}, found {}",
        expected.into(),
        found.into()
    );
    unsupported(place, why, "mend what made the program")
}

/// Makes the error for something that the format does not have.
fn unsupported(place: impl Into<String>, why: impl Into<String>, help: impl Into<String>) -> FormatError {
    FormatError::Unsupported {
        format: Format::CoreMl,
        place: place.into(),
        why: why.into(),
        help: help.into(),
    }
}

/// Names an operation in an error.
fn place(operation: &Operation) -> String {
    format!("operation {} ({})", operation.label(), operation.kind)
}

/// The operator of an operation that [`check_operators`] has passed.
fn operator_of(operation: &Operation) -> Result<&'static Operator, FormatError> {
    operators::find(&operation.kind).ok_or_else(|| {
        unsupported(
            place(operation),
            "MIL has no such operator",
            "express it with operators of MIL",
        )
    })
}

fn check_operators(function: &Function) -> Result<(), FormatError> {
    for operation in &function.operations {
        match operation.dialect() {
            Dialect::Mil => {}
            Dialect::Locket => {
                let help = "write the program as it was before it was prepared for execution";
                return Err(unsupported(
                    place(operation),
                    "it is internal to the executor",
                    help,
                ));
            }
            Dialect::Foreign => {
                let help = "`locket check` says what it could be rewritten to";
                return Err(unsupported(
                    place(operation),
                    "it could not be expressed in MIL",
                    help,
                ));
            }
        }
        let known = operator_of(operation)?;
        if matches!(
            &*operation.kind,
            "read_state" | "write_state" | "cond" | "while_loop" | "classify"
        ) {
            let help = "leave it out of the program";
            return Err(unsupported(
                place(operation),
                "it needs parts that programs do not have",
                help,
            ));
        }
        for (param, _) in &operation.inputs {
            if known.param(param).is_none() {
                return Err(invalid(
                    place(operation),
                    "parameters of the operator",
                    format!("`{param}`"),
                ));
            }
        }
    }
    Ok(())
}

fn merged_metadata(
    program: &Program,
    options: &WriteOptions,
    names: &[names::Names],
    renamed: &[(String, String)],
) -> BTreeMap<String, String> {
    let is_current = |key: &str| match key.strip_prefix(SOURCE_NAME_PREFIX) {
        None => true,
        // A source name that an earlier package recorded holds as long as the feature keeps its name.
        Some(feature) => names.iter().any(|names| names.is_interface(feature)),
    };
    let mut metadata = program.metadata.clone();
    metadata.retain(|key, _| is_current(key));
    for (source, written) in renamed {
        metadata.insert(format!("{SOURCE_NAME_PREFIX}{written}"), source.clone());
    }
    metadata.insert(
        WRITER_VERSION_KEY.to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    metadata.extend(options.metadata.clone());
    metadata
}
