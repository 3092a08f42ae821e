//! A model: compiled once, loaded with budgets, asked many times.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use locket_compress::CompressError;
use locket_data::{RawSample, image::MAX_FILE_BYTES};
use locket_formats::{Import, ReadOptions, limits::Limits};
use locket_kernels::Isa;
use locket_mil::{Diagnostic, Dialect, Function, Program};
use locket_runtime::{
    CompiledError, CompiledFile, OutputBuffers, Plan, PlanOptions, Precision, Session, compile,
    compiled::{Source, is_compiled, save},
};
use locket_tensor::{Tensor, TensorMut, TensorRef};

use crate::{
    Admission, DictionaryFeatureProvider, Error, FeatureDescription, FeatureProvider, Isolation,
    ModelConfiguration,
    admission::admit,
    isolation::Isolated,
    pictures::{Given, PictureError, Pictures},
};

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
            Isolation::InProcess => Engine::InProcess(Box::new(self.load_here(configuration)?)),
            Isolation::Worker => Engine::Worker(Box::new(Isolated::load(&self.path, configuration)?)),
        };
        Model::admitted(engine, configuration)
    }

    pub(crate) fn load_here(&self, configuration: &ModelConfiguration) -> Result<InProcess, Error> {
        let function = self.function(configuration.function_name.as_deref())?;
        refuse_foreign(&self.path, function)?;
        let options = options(configuration);
        let recipe = configuration.preprocess.clone();
        let pictures = recipe.map(|recipe| Pictures::of(recipe, function));
        let mut plan = compile(function, options)?.plan;
        if check_memory(&plan, configuration.memory_budget).is_err() {
            let lean = PlanOptions {
                lean: true,
                ..options
            };
            plan = compile(function, lean)?.plan;
            check_memory(&plan, configuration.memory_budget)?;
        }
        InProcess::start(plan, pictures)
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
        depth_first: configuration.depth_first,
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

/// A model in this process.
#[derive(Debug)]
pub(crate) struct InProcess {
    pub(crate) session: Session,
    pub(crate) pictures: Option<Pictures>,
    /// Inputs that are written in place, once they are.
    filled: Option<OutputBuffers>,
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
        let recipe = configuration.preprocess.clone();
        let pictures = recipe.map(|recipe| Pictures::of_plan(recipe, &plan));
        Self::start(plan, pictures)
    }

    fn start(plan: Plan, pictures: Option<Result<Pictures, CompressError>>) -> Result<Self, Error> {
        let pictures = pictures.transpose().map_err(|error| Error::Preprocess {
            why: error.to_string(),
        })?;
        let session = Session::new(plan).map_err(|source| Error::Io {
            what: "starting threads".to_owned(),
            source,
        })?;
        Ok(Self {
            session,
            pictures,
            filled: None,
        })
    }

    fn predict_filled(
        &mut self,
        fill: impl FnOnce(&mut [TensorMut<'_>]),
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), Error> {
        self.session.check_outputs(outputs)?;
        let plan = self.session.plan();
        let buffers = self
            .filled
            .get_or_insert_with(|| OutputBuffers::new(&plan.inputs));
        fill(&mut buffers.views());
        Ok(self.session.predict(&buffers.contents(), outputs, budget)?)
    }

    fn predict_given(
        &mut self,
        given: Given<'_>,
        outputs: &mut [TensorMut<'_>],
        budget: Option<Duration>,
    ) -> Result<(), Error> {
        let pictures = self.pictures.as_mut().ok_or_else(no_recipe)?;
        let outcome = pictures.predict(given, &mut self.session, outputs, budget);
        pictures.wipe(locket_sandbox::wipe_slice);
        outcome.map_err(|error| match error {
            PictureError::Unreadable(why) => Error::Picture { why },
            PictureError::Run(error) => Error::Run(error),
        })
    }
}

pub(crate) fn no_recipe() -> Error {
    Error::Preprocess {
        why: "ModelConfiguration::preprocess does not say how".to_owned(),
    }
}

/// Where a model computes.
#[derive(Debug)]
enum Engine {
    InProcess(Box<InProcess>),
    Worker(Box<Isolated>),
}

/// A model that is ready to predict. One prediction at a time.
#[derive(Debug)]
pub struct Model {
    engine: Engine,
    latency_budget: Option<Duration>,
    admission: Option<Admission>,
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
            let engine = Engine::Worker(Box::new(Isolated::load(path, configuration)?));
            return Self::admitted(engine, configuration);
        }
        if !is_compiled(path) {
            return Self::compile(path)?.load(configuration);
        }
        let loaded = CompiledFile::load(path, options(configuration));
        let (_, plan) = loaded.map_err(|source| compiled_error(path, source))?;
        let engine = Engine::InProcess(Box::new(InProcess::of_compiled(plan, configuration)?));
        Self::admitted(engine, configuration)
    }

    /// The model, if it keeps to its latency budget.
    fn admitted(engine: Engine, configuration: &ModelConfiguration) -> Result<Self, Error> {
        let mut model = Self {
            engine,
            latency_budget: None,
            admission: None,
        };
        let Some(budget) = configuration.latency_budget else {
            return Ok(model);
        };
        let inputs = model
            .inputs()
            .iter()
            .map(|port| Tensor::zeros(port.dtype, &port.shape))
            .collect::<Result<Vec<_>, _>>()?;
        let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
        let mut outputs = model.output_buffers();
        let mut outputs = outputs.views();
        model.admission = Some(admit(|| model.predict_into(&views, &mut outputs), budget)?);
        model.latency_budget = Some(budget);
        Ok(model)
    }

    /// Gives each prediction from now on another budget, or none. Unlike at load nothing is tried beforehand.
    pub fn set_latency_budget(&mut self, budget: Option<Duration>) {
        self.latency_budget = budget;
    }

    /// What runs, with its exact memory; `None` for a worker's model, of which this process knows the interface alone.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.engine {
            Engine::InProcess(here) => Some(here.session.plan()),
            Engine::Worker(_) => None,
        }
    }

    /// What the calibration at load found; `None` without a latency budget.
    pub fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    /// Where it computes.
    pub fn isolation(&self) -> Isolation {
        match &self.engine {
            Engine::InProcess(_) => Isolation::InProcess,
            Engine::Worker(_) => Isolation::Worker,
        }
    }

    /// The worker's process, for measurements from outside; `None` without a worker, or while none runs.
    pub fn worker_process(&self) -> Option<i32> {
        match &self.engine {
            Engine::InProcess(_) => None,
            Engine::Worker(worker) => worker.process(),
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
        let mut outputs = self.output_buffers();
        self.predict_into(&inputs, &mut outputs.views())?;
        self.named(&outputs)
    }

    /// Predicts from a picture: JPEG, PNG or WebP, decoded and preprocessed where the model computes. With a worker its pixels are
    /// never in this process.
    ///
    /// # Errors
    ///
    /// If no preprocessing was configured, the picture cannot be read or does not fit the model, the latency budget is exceeded, which
    /// is one for all of it, or the worker is lost.
    pub fn predict_image(&mut self, file: &[u8]) -> Result<DictionaryFeatureProvider, Error> {
        if file.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::Picture {
                why: format!("{} bytes, at most {MAX_FILE_BYTES} are read", file.len()),
            });
        }
        self.predict_given(Given::File(file))
    }

    /// Predicts from elements that are still to be preprocessed, as [`Model::predict_image`] does from a picture.
    ///
    /// # Errors
    ///
    /// As [`Model::predict_image`].
    pub fn predict_sample(&mut self, sample: RawSample<'_>) -> Result<DictionaryFeatureProvider, Error> {
        self.predict_given(Given::Sample(sample))
    }

    fn predict_given(&mut self, given: Given<'_>) -> Result<DictionaryFeatureProvider, Error> {
        let mut outputs = self.output_buffers();
        let (views, budget) = (&mut outputs.views(), self.latency_budget);
        match &mut self.engine {
            Engine::InProcess(here) => here.predict_given(given, views, budget)?,
            Engine::Worker(worker) => worker.predict_given(given, views, budget)?,
        }
        self.named(&outputs)
    }

    /// Bytes of weights, tensors and scratch, exact by the plan.
    pub fn peak_bytes(&self) -> u64 {
        match &self.engine {
            Engine::InProcess(here) => here.session.plan().peak_bytes() as u64,
            Engine::Worker(worker) => worker.peak_bytes(),
        }
    }

    fn output_buffers(&self) -> OutputBuffers {
        OutputBuffers::of(self.outputs().into_iter().map(|port| (port.dtype, port.shape)))
    }

    fn named(&self, outputs: &OutputBuffers) -> Result<DictionaryFeatureProvider, Error> {
        let names = self.outputs().into_iter().map(|port| port.name);
        Ok(names.zip(outputs.tensors()?).collect())
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
        let budget = self.latency_budget;
        match &mut self.engine {
            Engine::InProcess(here) => Ok(here.session.predict(inputs, outputs, budget)?),
            Engine::Worker(worker) => worker.predict(inputs, outputs, budget),
        }
    }

    /// As [`Model::predict_into`], from inputs that `fill` writes where the model reads them, which with a worker saves a copy. All of
    /// them are to be written, each time anew: what is in them before is not specified. The latency budget begins when they are. Allocates
    /// lists of the inputs.
    ///
    /// # Errors
    ///
    /// As [`Model::predict_into`]. If the outputs do not fit or the worker cannot be started, `fill` is not called.
    pub fn predict_filled(
        &mut self,
        fill: impl FnOnce(&mut [TensorMut<'_>]),
        outputs: &mut [TensorMut<'_>],
    ) -> Result<(), Error> {
        let budget = self.latency_budget;
        match &mut self.engine {
            Engine::InProcess(here) => here.predict_filled(fill, outputs, budget),
            Engine::Worker(worker) => worker.predict_filled(fill, outputs, budget),
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
