//! From a path to a program, and from a program to a session.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, bail};
use locket_compress::measure::package_bytes;
use locket_formats::{Format, ReadOptions, limits::Limits};
use locket_mil::{Diagnostic, Dialect, Function, Program, ValueId};
use locket_report::TensorSignature;
use locket_runtime::{Compiled, CompiledFile, PlanOptions, Session, compile, compiled::is_compiled};

/// A model that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its format.
    pub(crate) format: Format,
    /// Bytes of the file, or of all files of the package.
    pub(crate) file_bytes: u64,
    /// What it says.
    pub(crate) program: Program,
    /// What there is to know about the reading.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads a model.
///
/// # Errors
///
/// If it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Loaded> {
    let format = locket_formats::detect(path)?;
    let import = locket_formats::read(path, &ReadOptions::default(), &Limits::default())
        .with_context(|| path.display().to_string())?;
    Ok(Loaded {
        format,
        file_bytes: package_bytes(path).with_context(|| path.display().to_string())?,
        program: import.program,
        diagnostics: import.diagnostics,
    })
}

/// Reads a model that is to be run, converted or compressed: one in which everything is expressed in MIL.
///
/// # Errors
///
/// If it cannot be read, or has operators that cannot be expressed.
pub(crate) fn read_runnable(path: &Path) -> Result<Loaded> {
    let loaded = read(path)?;
    refuse_foreign(path, loaded.program.main())?;
    Ok(loaded)
}

/// Operations that could not be expressed in MIL, as `name (kind)`.
pub(crate) fn foreign(function: &Function) -> Vec<String> {
    let operations = function.operations.iter();
    operations
        .filter(|operation| operation.dialect() == Dialect::Foreign)
        .map(|operation| format!("{} ({})", operation.label(), operation.kind))
        .collect()
}

fn refuse_foreign(path: &Path, function: &Function) -> Result<()> {
    const LISTED: usize = 3;
    let names = foreign(function);
    let Some(first) = names
        .get(..LISTED.min(names.len()))
        .filter(|first| !first.is_empty())
    else {
        return Ok(());
    };
    let more = match names.len() - first.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    bail!(
        "{}: cannot be expressed in MIL: {}{more}; `locket check` says why",
        path.display(),
        first.join(", ")
    )
}

/// Name, type and shape of an input or output.
pub(crate) fn signature(function: &Function, id: ValueId) -> TensorSignature {
    let value = function.value(id);
    TensorSignature {
        name: value.name.clone(),
        dtype: value
            .ty
            .dtype()
            .map_or("?", locket_tensor::DType::name)
            .to_owned(),
        shape: value
            .ty
            .shape()
            .unwrap_or_default()
            .iter()
            .map(|&dim| Some(dim as u64))
            .collect(),
    }
}

/// Compiles the default function of a model.
///
/// # Errors
///
/// If it cannot be planned.
pub(crate) fn compile_main(path: &Path, program: &Program, options: PlanOptions) -> Result<Compiled> {
    compile(program.main(), options).with_context(|| path.display().to_string())
}

/// A session for a model, compiled or not, and the milliseconds that opening it took.
///
/// # Errors
///
/// If it cannot be read, planned or started.
pub(crate) fn open(path: &Path, options: PlanOptions) -> Result<(Session, f64)> {
    let start = Instant::now();
    let plan = if is_compiled(path) {
        let loaded = CompiledFile::load(path, options);
        loaded.with_context(|| path.display().to_string())?.1
    } else {
        let loaded = read_runnable(path)?;
        compile_main(path, &loaded.program, options)?.plan
    };
    let session = Session::new(plan).context("starting threads")?;
    Ok((session, start.elapsed().as_secs_f64() * 1e3))
}
