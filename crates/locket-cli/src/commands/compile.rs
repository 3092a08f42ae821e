//! `locket compile`: a file that is mapped instead of read.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use locket_kernels::Isa;
use locket_mil::Function;
use locket_report::{
    table::{Cell, Column, Table, Tone},
    units,
};
use locket_runtime::{
    OutputBuffers, PlanOptions, Session, compile,
    compiled::{Source, save},
};
use locket_tensor::{Tensor, TensorRef};
use serde::Serialize;

use crate::{
    arithmetic::ArithmeticOptions,
    context::{Context, find_isa},
    model, surroundings, tensors,
};

/// Compiles a model into one file that is mapped, with its weights packed for the kernels of one or more instruction sets
///
/// A model is loaded from it without reading, packing or copying weights. The file that was written is opened again and
/// must give the same bits as the model itself. Files are tied to the version of Locket that wrote them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket compile model.onnx -o model.locket --target-isa avx512,avx2")]
pub(crate) struct Options {
    /// An ONNX or TFLite file, or a Core ML .mlpackage
    model: PathBuf,
    /// The file to write; a file that is there is replaced
    #[arg(short, long, value_name = "OUT.locket")]
    output: PathBuf,
    /// Instruction sets to pack for, with commas: amx, avx512, avx2, or scalar, which runs anywhere. A machine takes the fastest that
    /// it has; if not given, the fastest of this machine
    #[arg(long, value_name = "ISA", value_delimiter = ',')]
    target_isa: Vec<String>,
    /// Prefer less memory to less time: no weights that are larger packed than they are, and nothing resident that only loading needed
    #[arg(long)]
    lean: bool,
    #[command(flatten)]
    arithmetic: ArithmeticOptions,
}

#[derive(Serialize)]
struct Target {
    isa: &'static str,
    load_ms: f64,
    weight_bytes: usize,
    arena_bytes: usize,
    scratch_bytes: usize,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    output: String,
    source_bytes: u64,
    bytes: u64,
    lean: bool,
    /// Milliseconds that loading the model itself takes.
    source_load_ms: f64,
    targets: Vec<Target>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let context = &options.arithmetic.of(context);
    let targets = targets(options, context)?;
    let (_, source_load_ms) = model::open(&options.model, context.plan_options())?;
    let loaded = model::read_runnable(&options.model)?;
    let function = loaded.program.main();
    let name = options.model.file_name().unwrap_or(options.model.as_os_str());
    let source = Source {
        file: name.to_string_lossy().into_owned(),
        hash: Some(surroundings::hash(&options.model)?),
    };
    save(function, &targets, source, &options.output)
        .with_context(|| options.output.display().to_string())?;
    let outcome = Outcome {
        model: options.model.display().to_string(),
        output: options.output.display().to_string(),
        source_bytes: loaded.file_bytes,
        bytes: std::fs::metadata(&options.output)
            .with_context(|| options.output.display().to_string())?
            .len(),
        lean: options.lean,
        source_load_ms,
        targets: targets
            .iter()
            .map(|&target| check(function, &options.output, target))
            .collect::<Result<_>>()?,
    };
    if context.json {
        context.print_json(&outcome)?;
    } else {
        context.print(&text(&outcome, context))?;
    }
    Ok(0)
}

fn targets(options: &Options, context: &Context) -> Result<Vec<PlanOptions>> {
    let mut isas: Vec<Isa> = options
        .target_isa
        .iter()
        .map(|name| find_isa("--target-isa", name))
        .collect::<Result<_>>()?;
    if isas.is_empty() {
        isas.push(context.isa);
    }
    let plan_options = |isa| PlanOptions {
        isa,
        lean: options.lean,
        ..context.plan_options()
    };
    Ok(isas.into_iter().map(plan_options).collect())
}

/// Opens what was written and demands the bits that the model itself gives.
fn check(function: &Function, path: &Path, target: PlanOptions) -> Result<Target> {
    let (mut session, load_ms) = model::open(path, target)?;
    let mut expected = Session::new(compile(function, target)?.plan).context("starting threads")?;
    let inputs = tensors::random_inputs(&session.plan().inputs)?;
    if predict(&mut session, &inputs)? != predict(&mut expected, &inputs)? {
        bail!(
            "{}: gives other results than the model on {}; this is a bug in locket, please report it",
            path.display(),
            target.isa
        );
    }
    let plan = session.plan();
    Ok(Target {
        isa: target.isa.name(),
        load_ms,
        weight_bytes: plan.weight_bytes,
        arena_bytes: plan.arena_bytes,
        scratch_bytes: plan.scratch_bytes,
    })
}

/// Outputs, as bytes: a NaN is the same as itself.
fn predict(session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Vec<u8>>> {
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    let mut buffers = OutputBuffers::new(&session.plan().outputs);
    session.predict(&views, &mut buffers.views(), None)?;
    let outputs = buffers.tensors()?;
    Ok(outputs.iter().map(|tensor| tensor.bytes().to_vec()).collect())
}

fn text(outcome: &Outcome, context: &Context) -> String {
    let mut table = Table::new([Column::left(""), Column::left("")]);
    let mut row = |name: String, value: String| {
        table.row([Cell::new(&name, Tone::Faint), Cell::from(value)]);
    };
    row("file".to_owned(), outcome.output.clone());
    row(
        "size".to_owned(),
        format!(
            "{}; the source is {}",
            units::bytes(outcome.bytes),
            units::bytes(outcome.source_bytes)
        ),
    );
    for target in &outcome.targets {
        row(
            target.isa.to_owned(),
            format!(
                "same bits as the model; loads in {} (the model: {}); weights {}, tensors {}, scratch {}",
                units::milliseconds(target.load_ms),
                units::milliseconds(outcome.source_load_ms),
                units::bytes(target.weight_bytes as u64),
                units::bytes(target.arena_bytes as u64),
                units::bytes(target.scratch_bytes as u64)
            ),
        );
    }
    context.table(&table)
}
