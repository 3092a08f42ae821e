//! The side that is locked in: reads the model, plans it, starts threads, then predicts.

use std::time::Duration;

use bytes::Bytes;
use locket_data::RawSample;
use locket_formats::{Import, ReadOptions, coreml, files::Files, limits::Limits, onnx, read_given};
use locket_runtime::{CompiledFile, OutputBuffers, RunError};
use locket_sandbox::{
    Wipe, scrub_stack,
    worker::{self, ReplyArea, Request},
};
use locket_tensor::TensorRef;

use super::protocol::{
    self, DESCRIBE, DONE, FAILED, Interface, LATE, PICTURE, PREDICT, SAMPLE, Settings, UNREADABLE, bytes,
    needs, room,
};
use crate::{
    Isolation, ModelConfiguration,
    model::{CompiledModel, InProcess, describe, options},
    pictures::{Given, Made, PictureError},
};

/// Stack of each thread, below its loop, that a prediction or a picture's decoder may have left data in; a test has them run with no more.
const STACK_BYTES: usize = 128 << 10;

/// A model with room for what comes out.
#[derive(Debug)]
pub(super) struct Served {
    model: InProcess,
    interface: Interface,
    outputs: OutputBuffers,
}

/// Serves the model in the files that were handed over; never returns.
pub(super) fn serve(settings: &Settings) -> ! {
    // A program whose allocator overwrites only when asked is asked here.
    Wipe::ask();
    let (worker, served) = worker::enter(|inherited| Served::new(inherited.files(), settings));
    worker.serve_and_discard(
        served,
        |served, request, reply| {
            let outcome = match request.kind {
                DESCRIBE => return served.describe(reply),
                PREDICT => served.predict(request.bytes, request.left(), &|| request.have_read()),
                PICTURE => served.predict_picture(request),
                SAMPLE => served.predict_sample(request),
                _ => return FAILED,
            };
            served.tell(outcome, reply)
        },
        Served::discard,
    )
}

/// The model in the files, which the settings name.
fn load(files: &[&'static [u8]], settings: &Settings) -> Result<InProcess, String> {
    let configuration = ModelConfiguration {
        threads: Some(settings.threads),
        isa: Some(settings.isa),
        precision: settings.precision,
        depth_first: settings.depth_first,
        memory_budget: settings.memory_budget,
        function_name: settings.function.clone(),
        preprocess: settings.preprocess.clone(),
        isolation: Isolation::InProcess,
        ..ModelConfiguration::default()
    };
    let mut named = settings
        .files
        .iter()
        .cloned()
        .zip(files.iter().map(|file| Bytes::from_static(file)));
    let (reading, limits) = (ReadOptions::default(), Limits::default());
    let import = match named.next() {
        Some((name, model)) if name.is_empty() => {
            if model.starts_with(b"LOCKET\r\n") {
                let plan = CompiledFile::from_bytes(model)
                    .and_then(|file| file.plan(options(&configuration)))
                    .map_err(|error| error.to_string())?;
                let loaded = InProcess::of_compiled(plan, &configuration);
                return loaded.map_err(|error| error.to_string());
            }
            read_file(model, named.collect(), &reading, &limits)?
        }
        first => {
            let files = Files::given(first.into_iter().chain(named));
            coreml::import_files(files, &reading, &limits).map_err(|error| error.to_string())?
        }
    };
    let model = CompiledModel::of("the model".into(), import);
    model.load_here(&configuration).map_err(|error| error.to_string())
}

/// Reads ONNX or TFLite; asks for the files that external data is in if they were not handed over.
fn read_file(
    model: Bytes,
    beside: Vec<(String, Bytes)>,
    options: &ReadOptions,
    limits: &Limits,
) -> Result<Import, String> {
    let has_files = !beside.is_empty();
    let read = read_given(model.clone(), Some(&Files::given(beside)), options, limits);
    read.map_err(|error| match onnx::external_files(&model, limits) {
        Ok(names) if !has_files && !names.is_empty() => needs(&names),
        _ => error.to_string(),
    })
}

impl Served {
    pub(super) fn new(files: &[&'static [u8]], settings: &Settings) -> Result<Self, String> {
        let model = load(files, settings)?;
        let plan = model.session.plan();
        let interface = Interface {
            inputs: describe(&plan.inputs),
            outputs: describe(&plan.outputs),
            peak_bytes: plan.peak_bytes() as u64,
            threads: model.session.threads(),
        };
        interface.check()?;
        let mut served = Self {
            outputs: OutputBuffers::new(&plan.outputs),
            model,
            interface,
        };
        // Each thread must have run before the last wall is up, and pages are touched before the first request.
        let nothing = vec![0; served.interface.request_bytes()];
        let warm = served.predict(&nothing, None, &|| ());
        warm.map_err(|error| match error {
            PictureError::Unreadable(why) => why,
            PictureError::Run(error) => error.to_string(),
        })?;
        Ok(served)
    }

    fn describe(&self, reply: &mut ReplyArea<'_>) -> u32 {
        let interface = self.interface.encode();
        if interface.len() > reply.room() {
            let (bytes, room) = (interface.len(), reply.room());
            reply.push(format!("the interface takes {bytes} bytes, there is room for {room}").as_bytes());
            return FAILED;
        }
        reply.push(&interface);
        DONE
    }

    fn predict(
        &mut self,
        mut given: &[u8],
        budget: Option<Duration>,
        have_read: &dyn Fn(),
    ) -> Result<(), PictureError> {
        let (expected, found) = (self.interface.request_bytes(), given.len());
        if found != expected {
            return Err(PictureError::Run(RunError::Count {
                role: "input byte",
                expected,
                found,
            }));
        }
        // Inputs are read where the broker put them: one copy less to make and to overwrite.
        let inputs: Vec<TensorRef<'_>> = self
            .interface
            .inputs
            .iter()
            .map(|feature| {
                let (own, rest) = given.split_at(room(feature));
                given = rest;
                TensorRef {
                    dtype: feature.dtype,
                    shape: &feature.shape,
                    bytes: &own[..bytes(feature)],
                }
            })
            .collect();
        let outputs = &mut self.outputs.views();
        let session = &mut self.model.session;
        let outcome = session.predict_telling(&inputs, outputs, budget, have_read);
        outcome.map_err(PictureError::Run)
    }

    fn predict_picture(&mut self, request: Request<'_>) -> Result<(), PictureError> {
        self.predict_given(Given::File(request.bytes), request.left(), &once_read(request))
    }

    fn predict_sample(&mut self, request: Request<'_>) -> Result<(), PictureError> {
        let Some((dtype, shape, bytes)) = protocol::sample(request.bytes) else {
            return Err(PictureError::Unreadable("it does not say what it is".to_owned()));
        };
        let shape = &shape;
        self.predict_given(
            Given::Sample(RawSample { dtype, shape, bytes }),
            request.left(),
            &once_read(request),
        )
    }

    pub(super) fn predict_given(
        &mut self,
        given: Given<'_>,
        budget: Option<Duration>,
        watch: &dyn Fn(Made, &[u8]),
    ) -> Result<(), PictureError> {
        let Some(pictures) = &mut self.model.pictures else {
            return Err(PictureError::Unreadable("no recipe was given".to_owned()));
        };
        let outputs = &mut self.outputs.views();
        pictures.predict_watched(given, &mut self.model.session, outputs, budget, watch)
    }

    pub(super) fn output_bytes(&self) -> Vec<u8> {
        self.outputs.bytes().flatten().copied().collect()
    }

    /// Writes the answer and says what it is.
    fn tell(&self, outcome: Result<(), PictureError>, reply: &mut ReplyArea<'_>) -> u32 {
        match outcome {
            Ok(()) => {
                self.outputs.bytes().for_each(|bytes| reply.push(bytes));
                DONE
            }
            Err(PictureError::Run(RunError::DeadlineExceeded { operator, .. })) => {
                reply.push(&operator.as_bytes()[..operator.len().min(200)]);
                LATE
            }
            Err(PictureError::Run(error)) => {
                reply.push(error.to_string().as_bytes());
                FAILED
            }
            Err(PictureError::Unreadable(why)) => {
                reply.push(&why.as_bytes()[..why.len().min(200)]);
                UNREADABLE
            }
        }
    }

    /// Overwrites everything that a prediction has left.
    pub(super) fn discard(&mut self) {
        for output in self.outputs.views() {
            locket_sandbox::wipe_slice(output.bytes);
        }
        self.model.session.wipe(locket_sandbox::wipe_slice);
        if let Some(pictures) = &mut self.model.pictures {
            pictures.wipe(locket_sandbox::wipe_slice);
        }
        self.model.session.on_other_threads(&|| scrub_stack(STACK_BYTES));
        scrub_stack(STACK_BYTES);
    }
}

/// Tells the broker when the model's input is made: nothing looks at the request after that.
fn once_read(request: Request<'_>) -> impl Fn(Made, &[u8]) {
    move |made, _| {
        if made == Made::Input {
            request.have_read();
        }
    }
}
