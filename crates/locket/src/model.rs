//! A model: compiled once, loaded with budgets, asked many times.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use locket_compress::{
    CompressError,
    measure::{Latency, LatencyProtocol, latency},
};
use locket_formats::{Import, ReadOptions, limits::Limits};
use locket_kernels::Isa;
use locket_mil::{Diagnostic, Dialect, Function, Program};
use locket_runtime::{
    CompiledError, CompiledFile, Plan, PlanOptions, Precision, Session, compile,
    compiled::{Source, is_compiled, save},
};
use locket_tensor::{AlignedBytes, Tensor, TensorMut, TensorRef};

use crate::{
    DictionaryFeatureProvider, Error, FeatureDescription, FeatureProvider, Isolation, ModelConfiguration,
    isolation::Isolated,
};

/// Predictions of the calibration at load: with no overrun among 300, at most 1 % overrun at 95 % confidence.
const CALIBRATION_RUNS: usize = 300;

/// Time after which the calibration ends even if it has made fewer predictions; the bound then says so.
const CALIBRATION_TIME: Duration = Duration::from_secs(2);

/// A model that was read, and can be loaded any number of times.
#[derive(Clone, Debug)]
pub struct CompiledModel {
    path: PathBuf,
    program: Program,
    diagnostics: Vec<Diagnostic>,
}

impl CompiledModel {
    /// The program as it was read.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What there is to know about the reading.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    fn function(&self, name: Option<&str>) -> Result<&Function, Error> {
        let Some(name) = name else {
            return Ok(self.program.main());
        };
        self.program.function(name).ok_or_else(|| {
            let known: Vec<&str> = self
                .program
                .functions
                .iter()
                .map(|function| &*function.name)
                .collect();
            Error::Function {
                name: name.to_owned(),
                known: known.join(", "),
            }
        })
    }

    pub(crate) fn of(path: PathBuf, import: Import) -> Self {
        Self {
            path,
            program: import.program,
            diagnostics: import.diagnostics,
        }
    }

    /// Plans the model, checks its budgets, and makes it ready to predict. A worker reads the file again.
    ///
    /// # Errors
    ///
    /// If it cannot be run, or is over a budget.
    pub fn load(&self, configuration: &ModelConfiguration) -> Result<Model, Error> {
        let engine = match configuration.isolation {
            Isolation::InProcess => Engine::InProcess(self.load_here(configuration)?),
            Isolation::Worker => Engine::Worker(Isolated::load(&self.path, configuration)?),
        };
        Ok(Model { engine })
    }

    pub(crate) fn load_here(&self, configuration: &ModelConfiguration) -> Result<InProcess, Error> {
        let function = self.function(configuration.function_name.as_deref())?;
        refuse_foreign(&self.path, function)?;
        let options = options(configuration);
        let mut plan = compile(function, options)?.plan;
        if check_memory(&plan, configuration.memory_budget).is_err() {
            let lean = PlanOptions {
                lean: true,
                ..options
            };
            plan = compile(function, lean)?.plan;
            check_memory(&plan, configuration.memory_budget)?;
        }
        InProcess::start(plan, configuration)
    }

    /// Writes the default function's compiled form, from which [`Model::load`] loads without packing weights: kernels for each of
    /// `isas`, of which a machine takes the fastest that it has; for the fastest of this machine if there are none.
    ///
    /// # Errors
    ///
    /// If the model cannot be run, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, isas: &[Isa]) -> Result<(), Error> {
        let path = path.as_ref();
        let function = self.program.main();
        refuse_foreign(&self.path, function)?;
        let best = [Isa::best()];
        let isas = if isas.is_empty() { &best } else { isas };
        let targets: Vec<PlanOptions> = isas
            .iter()
            .map(|&isa| PlanOptions {
                isa,
                threads: 1,
                lean: false,
                precision: Precision::Float32,
                depth_first: true,
                hand_over_ns: PlanOptions::HAND_OVER_NS,
            })
            .collect();
        let name = self.path.file_name().unwrap_or_default();
        let source = Source {
            file: name.to_string_lossy().into_owned(),
            hash: None,
        };
        save(function, &targets, source, path).map_err(|source| compiled_error(path, source))
    }
}

fn compiled_error(path: &Path, source: CompiledError) -> Error {
    Error::Compiled {
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn options(configuration: &ModelConfiguration) -> PlanOptions {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = configuration.threads.unwrap_or_else(cores);
    PlanOptions {
        isa: configuration.isa.unwrap_or_else(Isa::best),
        threads,
        lean: false,
        precision: configuration.precision,
        depth_first: true,
        hand_over_ns: PlanOptions::hand_over_ns(threads),
    }
}

fn refuse_foreign(path: &Path, function: &Function) -> Result<(), Error> {
    let foreign: Vec<String> = function
        .operations
        .iter()
        .filter(|operation| operation.dialect() == Dialect::Foreign)
        .map(|operation| format!("{} ({})", operation.label(), operation.kind))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Error::Unsupported {
        path: path.to_owned(),
        operators: foreign.len(),
        names: foreign.join(", "),
    })
}

fn check_memory(plan: &Plan, budget: Option<usize>) -> Result<(), Error> {
    let peak = plan.peak_bytes();
    let Some(budget) = budget.filter(|&budget| peak > budget) else {
        return Ok(());
    };
    let step = plan.steps.get(plan.memory.peak_step);
    let moment = step.map_or("no step", |step| step.origin.first().unwrap_or(&step.kind));
    let largest: Vec<String> = plan
        .memory
        .at_peak
        .iter()
        .take(3)
        .map(|tensor| format!("{} ({})", tensor.name, tensor.bytes))
        .collect();
    Err(Error::MemoryBudget {
        peak,
        budget,
        weights: plan.weight_bytes,
        scratch: plan.scratch_bytes,
        arena: plan.arena_bytes,
        moment: moment.to_owned(),
        largest: largest.join(", "),
    })
}

/// What the calibration at load found.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Times of its predictions.
    pub latency: Latency,
    /// The upper bound, at 95 % confidence, on the chance that a prediction takes longer than the budget.
    pub overrun_bound: f64,
}

fn admit(session: &mut Session, budget: Duration) -> Result<Admission, Error> {
    let inputs: Vec<Tensor> = session
        .plan()
        .inputs
        .iter()
        .map(|port| Tensor::zeros(port.dtype, &port.shape))
        .collect::<Result<_, _>>()?;
    let protocol = LatencyProtocol {
        iterations: CALIBRATION_RUNS,
        max_time: CALIBRATION_TIME,
        ..LatencyProtocol::default()
    };
    let latency = latency(session, &inputs, protocol).map_err(|error| match error {
        CompressError::Run(error) => Error::Run(error),
        other => Error::Io {
            what: "calibrating".to_owned(),
            source: std::io::Error::other(other.to_string()),
        },
    })?;
    let overruns = latency.overruns(budget);
    if overruns > 0 {
        let at = |fraction: f64| Duration::from_secs_f64(latency.percentile_ms(fraction) / 1e3);
        let runs = latency.sorted_ns.len();
        return Err(Error::LatencyBudget {
            overruns,
            runs,
            budget,
            median: at(0.5),
            longest: at(1.0),
        });
    }
    Ok(Admission {
        overrun_bound: latency.overrun_bound(budget, 0.95),
        latency,
    })
}

/// A model in this process.
#[derive(Debug)]
pub(crate) struct InProcess {
    pub(crate) session: Session,
    latency_budget: Option<Duration>,
    admission: Option<Admission>,
}

impl InProcess {
    /// Takes the plan of a compiled file.
    pub(crate) fn of_compiled(plan: Plan, configuration: &ModelConfiguration) -> Result<Self, Error> {
        if let Some(name) = &configuration.function_name
            && *name != plan.function
        {
            return Err(Error::Function {
                name: name.clone(),
                known: plan.function,
            });
        }
        check_memory(&plan, configuration.memory_budget)?;
        Self::start(plan, configuration)
    }

    fn start(plan: Plan, configuration: &ModelConfiguration) -> Result<Self, Error> {
        let mut session = Session::new(plan).map_err(|source| Error::Io {
            what: "starting threads".to_owned(),
            source,
        })?;
        let budget = configuration.latency_budget;
        Ok(Self {
            admission: budget.map(|budget| admit(&mut session, budget)).transpose()?,
            session,
            latency_budget: budget,
        })
    }
}

/// Where a model computes.
#[derive(Debug)]
enum Engine {
    InProcess(InProcess),
    Worker(Isolated),
}

/// A model that is ready to predict. One prediction at a time.
#[derive(Debug)]
pub struct Model {
    engine: Engine,
}

impl Model {
    /// Reads a model: ONNX, TFLite, or a Core ML package, told apart by content.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn compile(path: impl AsRef<Path>) -> Result<CompiledModel, Error> {
        let path = path.as_ref();
        let import = locket_formats::read(path, &ReadOptions::default(), &Limits::default())?;
        Ok(CompiledModel::of(path.to_owned(), import))
    }

    /// Reads a model and loads it; maps it, if it is one that [`CompiledModel::save`] or `locket compile` wrote. With
    /// [`Isolation::Worker`] this process only opens the file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or run, or is over a budget.
    pub fn load(path: impl AsRef<Path>, configuration: &ModelConfiguration) -> Result<Self, Error> {
        let path = path.as_ref();
        if configuration.isolation == Isolation::Worker {
            let engine = Engine::Worker(Isolated::load(path, configuration)?);
            return Ok(Self { engine });
        }
        if !is_compiled(path) {
            return Self::compile(path)?.load(configuration);
        }
        let loaded = CompiledFile::load(path, options(configuration));
        let (_, plan) = loaded.map_err(|source| compiled_error(path, source))?;
        let engine = Engine::InProcess(InProcess::of_compiled(plan, configuration)?);
        Ok(Self { engine })
    }

    /// What runs, with its exact memory; `None` for a worker's model, of which this process knows the interface alone.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.engine {
            Engine::InProcess(here) => Some(here.session.plan()),
            Engine::Worker(_) => None,
        }
    }

    /// What the calibration at load found; `None` without a latency budget, and for a worker's model.
    pub fn admission(&self) -> Option<&Admission> {
        match &self.engine {
            Engine::InProcess(here) => here.admission.as_ref(),
            Engine::Worker(_) => None,
        }
    }

    /// The walls that the worker lacks, and why, if it was allowed to lack any; empty otherwise.
    pub fn degraded(&self) -> String {
        match &self.engine {
            Engine::InProcess(_) => String::new(),
            Engine::Worker(worker) => worker.degraded(),
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<FeatureDescription> {
        match &self.engine {
            Engine::InProcess(here) => describe(&here.session.plan().inputs),
            Engine::Worker(worker) => worker.inputs().to_vec(),
        }
    }

    /// The outputs.
    pub fn outputs(&self) -> Vec<FeatureDescription> {
        match &self.engine {
            Engine::InProcess(here) => describe(&here.session.plan().outputs),
            Engine::Worker(worker) => worker.outputs().to_vec(),
        }
    }

    /// Predicts from named tensors.
    ///
    /// # Errors
    ///
    /// If an input is missing or does not fit, or the latency budget is exceeded.
    pub fn predict(&mut self, features: &dyn FeatureProvider) -> Result<DictionaryFeatureProvider, Error> {
        let ports = self.inputs();
        let inputs: Vec<TensorRef<'_>> = ports
            .iter()
            .map(|port| {
                let found = features.multi_array(&port.name).map(Tensor::view);
                found.ok_or_else(|| Error::Input {
                    name: port.name.clone(),
                    expected: format!("{} {:?}", port.dtype, port.shape),
                    found: format!("only {:?}", features.feature_names()),
                })
            })
            .collect::<Result<_, _>>()?;
        let outputs = self.outputs();
        let mut buffers: Vec<AlignedBytes> = outputs
            .iter()
            .map(|output| {
                let elems = output.shape.iter().product();
                AlignedBytes::zeroed(output.dtype.packed_bytes(elems).unwrap_or(0))
            })
            .collect();
        let mut views: Vec<TensorMut<'_>> = outputs
            .iter()
            .zip(&mut buffers)
            .map(|(output, buffer)| TensorMut {
                dtype: output.dtype,
                shape: &output.shape,
                bytes: buffer.as_mut_slice(),
            })
            .collect();
        self.predict_into(&inputs, &mut views)?;
        outputs
            .into_iter()
            .zip(&buffers)
            .map(|(output, buffer)| {
                Ok((
                    output.name,
                    Tensor::from_bytes(output.dtype, &output.shape, buffer.as_slice())?,
                ))
            })
            .collect()
    }

    /// Predicts for each of several sets of features, in order.
    ///
    /// # Errors
    ///
    /// The first that fails; as [`Model::predict`].
    pub fn predict_batch(
        &mut self,
        batch: &[&dyn FeatureProvider],
    ) -> Result<Vec<DictionaryFeatureProvider>, Error> {
        batch.iter().map(|features| self.predict(*features)).collect()
    }

    /// Predicts from and into memory of the caller's, in the order of the interface. Allocates nothing in this process, with a worker a
    /// list of the inputs.
    ///
    /// # Errors
    ///
    /// If tensors do not fit, or the latency budget is exceeded, or the worker is lost; outputs are then untouched.
    pub fn predict_into(
        &mut self,
        inputs: &[TensorRef<'_>],
        outputs: &mut [TensorMut<'_>],
    ) -> Result<(), Error> {
        match &mut self.engine {
            Engine::InProcess(here) => Ok(here.session.predict(inputs, outputs, here.latency_budget)?),
            Engine::Worker(worker) => worker.predict(inputs, outputs),
        }
    }
}

pub(crate) fn describe(ports: &[locket_runtime::plan::Port]) -> Vec<FeatureDescription> {
    ports
        .iter()
        .map(|port| FeatureDescription {
            name: port.name.clone(),
            dtype: port.dtype,
            shape: port.shape.to_vec(),
        })
        .collect()
}
