//! How a model's worker is started, also a second time.

use locket_formats::Format;
use locket_sandbox::{Broker, Options, Program, WorkerCommand};

use super::{FIRST_ROOM_BYTES, PATIENCE, handed::Handed, protocol::Settings};
use crate::{Error, ModelConfiguration};

/// Everything that a model's worker needs.
#[derive(Debug)]
pub(super) struct Launch {
    program: Program,
    handed: Handed,
    settings: Settings,
    allow_degraded: bool,
    /// Room for a request and for a reply.
    room: [usize; 2],
}

impl Launch {
    pub(super) fn of(handed: Handed, configuration: &ModelConfiguration) -> Result<Self, Error> {
        let path = configuration.worker.as_ref();
        Ok(Self {
            program: path.map_or(Program::Own, |path| Program::Path(path.clone())),
            settings: Settings::of(configuration, handed.names())?,
            handed,
            allow_degraded: configuration.allow_degraded,
            room: [FIRST_ROOM_BYTES; 2],
        })
    }

    /// Hands over further files of the model's folder.
    pub(super) fn add_files(&mut self, names: Vec<String>, format: Format) -> Result<(), Error> {
        self.handed.add(names, format)?;
        self.settings.files = self.handed.names().map(str::to_owned).collect();
        Ok(())
    }

    /// Sees to it that a worker has room for so many bytes of a request and a reply: true if that takes a new one. What does not fit
    /// doubles the room, so that pictures that are each a little larger do not cost a worker each.
    pub(super) fn make_room(&mut self, request: usize, reply: usize) -> bool {
        let before = self.room;
        for (room, bytes) in self.room.iter_mut().zip([request, reply]) {
            if bytes > *room {
                *room = bytes.next_power_of_two();
            }
        }
        self.room != before
    }

    pub(super) fn start(&self) -> Result<Broker, Error> {
        let [request_bytes, reply_bytes] = self.room;
        let options = Options {
            request_bytes,
            reply_bytes,
            memory_bytes: address_space(&self.settings, self.handed.bytes()),
            allow_degraded: self.allow_degraded,
            ready_within: PATIENCE,
            ..Options::default()
        };
        let mut command = WorkerCommand::new(self.program.clone(), &self.settings.role(), options);
        let files = self.handed.open().map_err(|source| Error::Io {
            what: "opening the model once more".to_owned(),
            source,
        })?;
        for file in files {
            command.map_open_file(file);
        }
        Ok(Broker::start(command)?)
    }
}

/// Address space that a worker may take beside its program and the mapped files, in bytes. It is there against one that runs away: what
/// a model really takes is exact in its plan.
///
/// 1 GiB for the model as it is read, for libraries and a decoded picture; 128 MiB a thread, which is its stack and what the allocator
/// sets aside for it; eight times the files for copies of their constants and for packed weights, of which Winograd's are 7.1 times as
/// large; and the budget for weights, tensors and scratch, or 1 GiB of tensors if there is none.
fn address_space(settings: &Settings, file_bytes: u64) -> u64 {
    const GIB: u64 = 1 << 30;
    let of_threads = (settings.threads as u64).saturating_mul(128 << 20);
    let of_the_files = file_bytes.saturating_mul(8);
    let of_the_plan = settings.memory_budget.map_or(GIB, |bytes| bytes as u64);
    [of_threads, of_the_files, of_the_plan]
        .into_iter()
        .fold(GIB, u64::saturating_add)
}
