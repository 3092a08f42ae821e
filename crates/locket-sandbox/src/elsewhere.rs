//! The same interface on systems without a sandbox of ours: nothing can be started, and the error says so.

use std::{
    convert::Infallible,
    fs::File,
    io,
    path::Path,
    time::{Duration, Instant},
};

use crate::{Options, Program, Readiness, SandboxError};

/// What a worker answered: there is none here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What it is.
    pub kind: u32,
    /// What the worker wrote.
    pub bytes: &'a [u8],
    /// Whether it was late.
    pub late: bool,
}

/// What would be needed to start a worker.
#[derive(Debug)]
pub struct WorkerCommand {
    /// The program.
    pub program: Program,
    /// What the worker is to be.
    pub role: String,
    /// What it is given and held to.
    pub options: Options,
}

impl WorkerCommand {
    /// A worker of the running program.
    pub fn own(role: &str, options: Options) -> Self {
        Self::new(Program::Own, role, options)
    }

    /// A worker of any program.
    pub fn new(program: Program, role: &str, options: Options) -> Self {
        Self {
            program,
            role: role.to_owned(),
            options,
        }
    }

    /// Opens a file, as for a worker.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn map_file(&mut self, path: &Path) -> io::Result<()> {
        File::open(path).map(drop)
    }

    /// Takes a file, as for a worker.
    pub fn map_open_file(&mut self, file: File) {
        drop(file);
    }
}

/// Owns no worker: it cannot be made.
#[derive(Debug)]
pub struct Broker {
    never: Infallible,
}

impl Broker {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always [`SandboxError::Unsupported`].
    pub fn start(_command: WorkerCommand) -> Result<Self, SandboxError> {
        Err(SandboxError::Unsupported {
            found: std::env::consts::OS,
        })
    }

    /// Cannot be called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn ensure(&mut self) -> Result<u64, SandboxError> {
        match self.never {}
    }

    /// Cannot be called.
    pub fn prepare(&mut self) {
        match self.never {}
    }

    /// Cannot be called.
    pub fn is_ready(&self) -> bool {
        match self.never {}
    }

    /// Cannot be called.
    pub fn set_threads(&mut self, _threads: usize) {
        match self.never {}
    }

    /// Cannot be called.
    pub fn generation(&self) -> u64 {
        match self.never {}
    }

    /// Cannot be called.
    pub fn readiness(&self) -> Option<&Readiness> {
        match self.never {}
    }

    /// Cannot be called.
    pub fn pid(&self) -> Option<i32> {
        match self.never {}
    }

    /// Cannot be called.
    pub fn degraded(&self) -> String {
        match self.never {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn request(
        &mut self,
        _kind: u32,
        _parts: &[&[u8]],
        _within: Duration,
    ) -> Result<Reply<'_>, SandboxError> {
        match self.never {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn request_due(
        &mut self,
        _kind: u32,
        _parts: &[&[u8]],
        _due: Option<Duration>,
        _grace: Duration,
    ) -> Result<Reply<'_>, SandboxError> {
        match self.never {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn request_filled(
        &mut self,
        _kind: u32,
        _bytes: usize,
        _due: Option<Duration>,
        _grace: Duration,
        _fill: impl FnOnce(&mut [u8]),
    ) -> Result<Reply<'_>, SandboxError> {
        match self.never {}
    }

    /// Cannot be called.
    pub fn recycle(&mut self) {
        match self.never {}
    }
}

/// The worker's side: no process is one.
pub mod worker {
    use std::{convert::Infallible, time::Duration};

    /// False: no process was started to be a worker.
    pub fn requested() -> bool {
        false
    }

    /// Empty.
    pub fn role() -> String {
        String::new()
    }

    /// What a broker opened: there is none.
    #[derive(Debug)]
    pub struct Inherited {
        never: Infallible,
    }

    impl Inherited {
        /// Cannot be called.
        pub fn files(&self) -> &[&'static [u8]] {
            match self.never {}
        }
    }

    /// A request: there is none.
    #[derive(Debug, Clone, Copy)]
    pub struct Request<'a> {
        /// What it is.
        pub kind: u32,
        /// Its parts.
        pub bytes: &'a [u8],
    }

    impl Request<'_> {
        /// Nothing is due.
        pub fn left(&self) -> Option<Duration> {
            None
        }

        /// Does nothing.
        pub fn have_read(&self) {}
    }

    /// Room for a reply: there is none.
    #[derive(Debug)]
    pub struct ReplyArea<'a> {
        never: Infallible,
        _area: &'a mut [u8],
    }

    impl ReplyArea<'_> {
        /// Cannot be called.
        pub fn room(&self) -> usize {
            match self.never {}
        }

        /// Cannot be called.
        pub fn push(&mut self, _bytes: &[u8]) {
            match self.never {}
        }

        /// Cannot be called.
        pub fn extend(&mut self, _bytes: usize) -> &mut [u8] {
            match self.never {}
        }
    }

    /// A worker: there is none.
    #[derive(Debug)]
    pub struct Worker {
        never: Infallible,
    }

    /// Ends the process: it was not started to be a worker.
    pub fn enter<W>(_warm_up: impl FnOnce(&Inherited) -> Result<W, String>) -> (Worker, W) {
        std::process::abort()
    }

    impl Worker {
        /// Cannot be called.
        pub fn serve(self, _handle: impl FnMut(Request<'_>, &mut ReplyArea<'_>) -> u32) -> ! {
            match self.never {}
        }

        /// Cannot be called.
        pub fn serve_and_discard<S>(
            self,
            _state: S,
            _handle: impl FnMut(&mut S, Request<'_>, &mut ReplyArea<'_>) -> u32,
            _discard: impl FnMut(&mut S),
        ) -> ! {
            match self.never {}
        }
    }
}
