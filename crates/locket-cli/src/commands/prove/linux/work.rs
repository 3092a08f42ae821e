//! The work that is proved: decode, preprocess, infer, discard, in a worker.

use std::{cell::RefCell, time::Duration};

use anyhow::Result;
use locket::proof::{Made, Watched};
use locket_data::Preprocess;
use locket_sandbox::{Broker, Policy, accidents::Order, worker};

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

/// What the library's worker has: its code loads, decodes, preprocesses, predicts and discards.
struct Work(Watched);

impl Work {
    fn load(files: &[&'static [u8]]) -> Result<Self, String> {
        let [model, recipe] = files else {
            return Err(format!(
                "expected a model and a recipe, found {} files",
                files.len()
            ));
        };
        let recipe = std::str::from_utf8(recipe).map_err(|error| error.to_string())?;
        let recipe = Preprocess::parse(recipe).map_err(|error| error.to_string())?;
        // One thread: what others leave on their stacks could not be scrubbed from here.
        Watched::load(model, recipe).map(Self)
    }

    /// Works on one picture and leaves nothing of it behind; `at` is told what is in hand at each stage.
    fn answer_and_discard(&mut self, file: &[u8], at: &dyn Fn(usize, &[u8])) -> (u32, Vec<u8>) {
        at(0, file);
        let answer = self.0.predict(file, &|made, content| match made {
            Made::Pixels => at(1, content),
            Made::Input => at(2, content),
        });
        if let Ok(bytes) = &answer {
            at(3, bytes);
        }
        self.0.discard();
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
