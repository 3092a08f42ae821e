//! The work that is proved: decode, preprocess, infer, discard, in a worker.

use std::{cell::RefCell, time::Duration};

use anyhow::Result;
use locket_compress::measure::input_spec;
use locket_data::{
    InputSpec, NpyType, Preprocess, RawSample, SampleBuffer,
    image::{RgbImage, decode},
};
use locket_formats::{ReadOptions, limits::Limits, onnx, tflite};
use locket_kernels::Isa;
use locket_runtime::{OutputBuffers, PlanOptions, Precision, Session, compile};
use locket_sandbox::{Broker, Policy, accidents::Order, scrub_stack, worker};
use locket_tensor::TensorRef;

use super::subject::Subject;

/// The role of a worker that does this work.
pub(super) const ROLE: &str = "prove-work";
/// Where in the work a mistake can be made, with what is in hand there.
pub(super) const STAGES: [&str; 5] = ["received", "decoded", "preprocessed", "inferred", "discarded"];

/// Kinds of requests. An [`Order`] with its picture has kind 0.
pub(super) const PICTURE: u32 = 1;
/// A picture that is kept on purpose until the next request: the file, the pixels and the input.
pub(super) const KEEP: u32 = 2;
/// Pixels and input of a picture come back: for one who looks for them elsewhere.
pub(super) const SHOW: u32 = 3;

/// Kinds of replies: the outputs, or in words why there are none.
pub(super) const ANSWERED: u32 = 1;
const REFUSED: u32 = 2;

/// How long one picture may take.
pub(super) const WITHIN: Duration = Duration::from_secs(20);

/// Room for an order in front of a picture, and for a reply.
const ORDER_BYTES: usize = 16 << 10;
const REPLY_BYTES: usize = 4 << 20;
/// Stack that the work may have used, in bytes.
const STACK: usize = 1 << 20;
/// Most bytes of one kind that are shown.
const SHOWN: usize = 1 << 20;

/// What a worker is given, for pictures of at most this many bytes.
pub(super) fn options(policy: Policy, largest: usize) -> locket_sandbox::Options {
    locket_sandbox::Options {
        request_bytes: largest + ORDER_BYTES,
        reply_bytes: REPLY_BYTES,
        policy,
        ready_within: Duration::from_secs(60),
        ..locket_sandbox::Options::default()
    }
}

/// A model that is ready to work on pictures.
struct Work {
    session: Session,
    recipe: Preprocess,
    input: InputSpec,
}

impl Work {
    fn load(files: &[&[u8]]) -> Result<Self, String> {
        let [model, recipe] = files else {
            return Err(format!(
                "expected a model and a recipe, found {} files",
                files.len()
            ));
        };
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (options, limits) = (ReadOptions::default(), Limits::default());
        let is_tflite = model.get(4..8) == Some(b"TFL3");
        let read = if is_tflite {
            tflite::read_bytes
        } else {
            onnx::read_bytes
        };
        let program = read(model, &options, &limits)
            .map_err(|error| text(&error))?
            .program;
        let function = program.main();
        let input = input_spec(function).map_err(|error| text(&error))?;
        let recipe = std::str::from_utf8(recipe).map_err(|error| text(&error))?;
        let recipe = Preprocess::parse(recipe).map_err(|error| text(&error))?;
        // One thread: what others leave on their stacks could not be scrubbed from here.
        let options = PlanOptions {
            isa: Isa::best(),
            threads: 1,
            lean: false,
            precision: Precision::Float32,
            depth_first: true,
            hand_over_ns: PlanOptions::HAND_OVER_NS,
        };
        let plan = compile(function, options).map_err(|error| text(&error))?.plan;
        let session = Session::new(plan).map_err(|error| text(&error))?;
        Ok(Self {
            session,
            recipe,
            input,
        })
    }

    /// Works on one picture; `at` is told what is in hand at each stage. Nothing that it makes outlives the call but the outputs.
    #[inline(never)]
    fn answer(&mut self, file: &[u8], at: &dyn Fn(usize, &[u8])) -> Result<Vec<u8>, String> {
        at(0, file);
        let mut picture = RgbImage::default();
        decode(file, &mut picture).map_err(|problem| problem.to_string())?;
        at(1, &picture.pixels);
        let mut buffer = SampleBuffer::new();
        let sample = RawSample {
            dtype: NpyType::U8,
            shape: &[picture.height, picture.width, 3],
            bytes: &picture.pixels,
        };
        self.recipe
            .apply(sample, &self.input, &mut buffer)
            .map_err(|problem| problem.to_string())?;
        at(2, buffer.bytes());
        let port = self
            .session
            .plan()
            .inputs
            .first()
            .ok_or("the model has no input")?;
        let (dtype, shape) = (port.dtype, port.shape.to_vec());
        let mut outputs = OutputBuffers::new(&self.session.plan().outputs);
        let input = TensorRef {
            dtype,
            shape: &shape,
            bytes: buffer.bytes(),
        };
        self.session
            .predict(&[input], &mut outputs.views(), None)
            .map_err(|error| error.to_string())?;
        let tensors = outputs.tensors().map_err(|error| error.to_string())?;
        let bytes: Vec<u8> = tensors
            .iter()
            .flat_map(|tensor| tensor.bytes().to_vec())
            .collect();
        at(3, &bytes);
        Ok(bytes)
    }

    /// Works on one picture and leaves nothing of it behind.
    fn answer_and_discard(&mut self, file: &[u8], at: &dyn Fn(usize, &[u8])) -> (u32, Vec<u8>) {
        let answer = self.answer(file, at);
        self.session.wipe(locket_sandbox::wipe_slice);
        scrub_stack(STACK);
        match answer {
            Ok(bytes) => {
                at(4, &bytes);
                (ANSWERED, bytes)
            }
            Err(reason) => (REFUSED, reason.into_bytes()),
        }
    }
}

/// Serves [`ROLE`].
pub(super) fn serve() -> ! {
    let (worker, mut work) = worker::enter(|inherited| Work::load(inherited.files()));
    let mut kept: Vec<Vec<u8>> = Vec::new();
    worker.serve(move |request, reply| {
        kept.clear();
        let (kind, bytes) = match request.kind {
            0 => match Order::decode(request.bytes) {
                Some((order, picture)) => {
                    work.answer_and_discard(picture, &|stage, content| order.at(stage, content))
                }
                None => (REFUSED, b"no order".to_vec()),
            },
            SHOW => {
                let shown = RefCell::new(Vec::new());
                let answer = work.answer_and_discard(request.bytes, &|stage, content| {
                    if stage == 1 || stage == 2 {
                        shown.borrow_mut().push(spread(content));
                    }
                });
                match answer {
                    (ANSWERED, _) => (ANSWERED, shown.take().concat()),
                    refused => refused,
                }
            }
            KEEP => {
                let keep = RefCell::new(Vec::new());
                let answer = work.answer_and_discard(request.bytes, &|stage, content| {
                    if stage <= 2 {
                        keep.borrow_mut().push(content.to_vec());
                    }
                });
                kept = keep.take();
                answer
            }
            _ => work.answer_and_discard(request.bytes, &|_, _| {}),
        };
        reply.push(&bytes[..bytes.len().min(reply.room())]);
        kind
    })
}

/// The bytes as they are, or if they are too many, pieces of eight of them from all over.
pub(super) fn spread(bytes: &[u8]) -> Vec<u8> {
    const PIECE: usize = 8;
    let step = bytes.len().div_ceil(SHOWN).max(1);
    let pieces = bytes.as_chunks::<PIECE>().0.iter().step_by(step);
    pieces.flatten().copied().collect()
}

/// Drops the pictures that a worker refuses; how many, and why the first.
pub(super) fn drop_refused(subject: &mut Subject) -> Result<Option<(usize, String)>> {
    let mut broker = Broker::start(subject.worker(Policy::strict())?)?;
    let mut first = None;
    let mut refused = 0;
    let mut keep = Vec::new();
    for picture in std::mem::take(&mut subject.pictures) {
        let reply = broker.request(PICTURE, &[&picture], WITHIN);
        let why = match reply {
            Ok(reply) if reply.kind == ANSWERED => {
                keep.push(picture);
                continue;
            }
            Ok(reply) => String::from_utf8_lossy(reply.bytes).into_owned(),
            Err(error) => error.to_string(),
        };
        refused += 1;
        first.get_or_insert(why);
    }
    subject.pictures = keep;
    Ok(first.map(|first| (refused, first)))
}
