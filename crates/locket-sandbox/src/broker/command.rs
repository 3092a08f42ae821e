//! How a worker is started: which program, with what, under which policy.

use std::{
    ffi::{CString, OsStr},
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::Path,
};

use crate::{
    Options, Program, SandboxError,
    launch::{Launch, Process},
    policy::{FIRST_FILE, Layer, REPLY_BELL, REQUEST_BELL, REQUESTS, RING},
    ring::{Files, Ring, SETUP_MAX},
    setup::{MARKER, Setup},
};

/// Where descriptors that are leaked on purpose lie in the worker.
pub(crate) const FIRST_LEAK: i32 = 100;

/// Everything that is needed to start a worker, also a second time.
#[derive(Debug)]
pub struct WorkerCommand {
    /// The program, which calls [`crate::worker::requested`] at the top of its `main`.
    pub program: Program,
    /// What the worker is to be, read there with [`crate::worker::role`]; visible to others until it has locked itself down.
    pub role: String,
    /// What it is given and held to.
    pub options: Options,
    files: Vec<File>,
    /// Descriptors that a sloppy program would leak, with an environment: what the layer `descriptors` must stop.
    pub(crate) leaks: Leaks,
}

/// What is leaked on purpose, to try the layer that stops it.
#[derive(Debug, Default)]
pub(crate) struct Leaks {
    pub(crate) standard: Option<OwnedFd>,
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) environment: Vec<(String, String)>,
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
            files: Vec::new(),
            leaks: Leaks::default(),
        }
    }

    /// Opens a file that the worker will have mapped, read-only, in the order of these calls. It never sees the name.
    ///
    /// # Errors
    ///
    /// The operating system's error; a symbolic link is one.
    pub fn map_file(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)?;
        self.map_open_file(file);
        Ok(())
    }

    /// As [`WorkerCommand::map_file`], for a file that is open.
    pub fn map_open_file(&mut self, file: File) {
        self.files.push(file);
    }

    /// Starts the process, as closed off as the system allows before exec.
    pub(super) fn launch(
        &self,
        ring: &Ring,
        heard: RawFd,
        rung: RawFd,
        memory: &Files,
    ) -> Result<Process, SandboxError> {
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|source| SandboxError::System {
                what: "open /dev/null",
                source,
            })?;
        let standard = self.leaks.standard.as_ref().map_or(null.as_raw_fd(), AsRawFd::as_raw_fd);
        let mut descriptors = vec![
            (null.as_raw_fd(), 0),
            (standard, 1),
            (standard, 2),
            (heard, REQUEST_BELL),
            (rung, REPLY_BELL),
            (memory.shared.as_raw_fd(), RING),
            (memory.requests.as_raw_fd(), REQUESTS),
        ];
        descriptors.extend((FIRST_FILE..).zip(&self.files).map(|(at, file)| (file.as_raw_fd(), at)));
        let leaks = (FIRST_LEAK..).zip(&self.leaks.descriptors);
        descriptors.extend(leaks.map(|(at, leak)| (leak.as_raw_fd(), at)));
        let layers = self.options.policy.layers;
        // What the layer clears is not handed over in the first place; the worker clears it again.
        let environment = std::iter::once(text(MARKER, OsStr::new("1")))
            .chain(self.leaks.environment.iter().map(|(name, value)| text(name, OsStr::new(value))))
            .collect::<Result<Vec<_>, _>>()?;
        let program = match &self.program {
            Program::Own => OsStr::new("/proc/self/exe"),
            Program::Path(path) => path.as_os_str(),
        };
        let mut failure = None;
        for (own_pids, own_users) in ways(layers.has(Layer::Namespaces), layers.has(Layer::Root)) {
            let setup = Setup::of(&self.options, self.files.len(), ring, own_pids, own_users).encode();
            if setup.len() > SETUP_MAX {
                return Err(not_text());
            }
            ring.put_setup(setup.as_bytes());
            let launch = Launch {
                program: CString::new(program.as_bytes()).map_err(|_| not_text())?,
                arguments: vec![
                    c"locket-worker".to_owned(),
                    CString::new(self.role.as_bytes()).map_err(|_| not_text())?,
                ],
                environment: environment.clone(),
                descriptors: descriptors.clone(),
                own_pids,
                own_users,
            };
            match launch.start() {
                Ok(process) => return Ok(process),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.expect("there is at least one way"))
    }
}

/// The ways to start a process, best first: whether in its own process namespace, whether in its own user namespace.
///
/// Root needs no user namespace to make the others; it makes one after it is no longer uid 0, which takes an exec first. Where a system
/// forbids the first way, the worker starts with less, says so, and is refused unless the owner allows it.
fn ways(namespaces: bool, root: bool) -> Vec<(bool, bool)> {
    if !namespaces && !root {
        return vec![(false, false)];
    }
    if rustix::process::geteuid().is_root() {
        vec![(namespaces, false), (namespaces, true), (false, false)]
    } else {
        vec![(namespaces, true), (false, true), (false, false)]
    }
}

fn text(name: &str, value: &OsStr) -> Result<CString, SandboxError> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    CString::new(bytes).map_err(|_| not_text())
}

fn not_text() -> SandboxError {
    SandboxError::Start {
        step: "names of program and role",
        source: io::Error::from(io::ErrorKind::InvalidInput),
    }
}
