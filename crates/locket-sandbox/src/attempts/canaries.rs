//! The canaries outside: a folder, sinks, a process, objects of the kernel, and what they tell of an attempt.
#![expect(unsafe_code, reason = "objects of the kernel without a safe form")]

mod target;

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

pub(crate) use target::Target;

use super::{
    raw::{self, at, call, call3, into, name, path},
    sinks::Sinks,
};
use crate::SandboxError;

/// Everything that watches.
#[derive(Debug)]
pub(crate) struct Canaries {
    /// The folder of folders.
    place: PathBuf,
    sinks: Sinks,
    secret: &'static [u8; 32],
    writable: &'static [u8; 32],
    secret_file: File,
    process: u64,
    shared_memory: u64,
    shared_memory_at: usize,
    messages: u64,
    semaphore: u64,
    queue: String,
    queue_file: Option<OwnedFd>,
    shm_file: PathBuf,
    runs: u32,
}

/// What the canaries look like; two of these differ if and only if something got out.
pub(crate) type Sight = String;

impl Canaries {
    /// Sets everything up in a fresh folder below the system's folder of temporary files.
    pub(crate) fn set_up() -> Result<Self, SandboxError> {
        Self::try_set_up().map_err(|source| SandboxError::System {
            what: "set up canaries",
            source,
        })
    }

    fn try_set_up() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let label = format!("locket-canaries-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = std::env::temp_dir().join(&label);
        fs::create_dir(&place)?;
        // Open to all, so that permissions are no wall that nobody asked for.
        fs::set_permissions(&place, fs::Permissions::from_mode(0o777))?;
        let secret: &'static [u8; 32] = Box::leak(Box::new(random_text()));
        let writable: &'static [u8; 32] = Box::leak(Box::new([b'.'; 32]));
        let secret_path = place.join("their-secret");
        fs::write(&secret_path, secret)?;
        let secret_file = File::open(&secret_path)?;
        let shm_file = Path::new("/dev/shm").join(&label);
        // Without such a folder the attempt is not testable.
        let _ = fs::write(&shm_file, ".");
        let _ = fs::set_permissions(&shm_file, fs::Permissions::from_mode(0o666));
        let object = |result: Result<u64, raw::Errno>| result.unwrap_or(u64::MAX);
        let shared_memory = object(call3(libc::SYS_shmget, 0, 4096, 0o666));
        let attached = call3(libc::SYS_shmat, shared_memory, 0, 0).unwrap_or(0);
        let attributes = [0_u64, 4, 128, 0, 0, 0, 0, 0];
        let queue_name = path(&label);
        let queue = call(
            libc::SYS_mq_open,
            [
                name(&queue_name),
                (libc::O_CREAT | libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC) as u64,
                0o666,
                at(&attributes),
                0,
                0,
            ],
        );
        Ok(Self {
            sinks: Sinks::open(&place, &label)?,
            secret,
            writable,
            secret_file,
            process: 0,
            shared_memory,
            shared_memory_at: attached as usize,
            messages: object(call3(libc::SYS_msgget, 0, 0o666, 0)),
            semaphore: object(call3(libc::SYS_semget, 0, 1, 0o666)),
            queue_file: queue.ok().map(raw::own),
            queue: label,
            shm_file,
            place,
            runs: 0,
        })
    }

    /// The secret word, which no attempt may bring back.
    pub(crate) fn secret(&self) -> &[u8] {
        self.secret
    }

    /// A fresh folder and a fresh mark for the next attempt.
    pub(crate) fn next(&mut self) -> io::Result<Target> {
        let old = self.place.join(format!("folder-{}", self.runs));
        if self.runs > 0 {
            fs::remove_dir_all(old)?;
        }
        self.runs += 1;
        // A fresh one: a signal that is pending already would hide the next.
        self.end_process();
        self.process = start_process()?;
        let folder = self.place.join(format!("folder-{}", self.runs));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        for (file, text) in [("secret", &self.secret[..]), ("open", b"nothing yet")] {
            fs::write(folder.join(file), text)?;
            fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o666))?;
        }
        // Not in the watched folder, because attempts mount over it or change root.
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(Target {
            mark: String::from_utf8_lossy(&random_text()).into_owned(),
            tcp4: self.sinks.tcp4.port,
            tcp6: self.sinks.tcp6.port,
            udp4: self.sinks.udp4.port,
            udp6: self.sinks.udp6.port,
            listen: self.sinks.listen,
            unix_stream: self.sinks.unix_stream.name.clone(),
            unix_datagram: self.sinks.unix_datagram.name.clone(),
            abstract_stream: self.sinks.abstract_stream.name.clone(),
            abstract_datagram: self.sinks.abstract_datagram.name.clone(),
            folder: text(folder),
            fifo: self.sinks.fifo_name.clone(),
            mount_point: text(self.place.clone()),
            pid: self.process,
            secret_at: self.secret.as_ptr() as u64,
            writable_at: self.writable.as_ptr() as u64,
            their_secret_file: self.secret_file.as_raw_fd() as u64,
            shared_memory: self.shared_memory,
            messages: self.messages,
            semaphore: self.semaphore,
            queue: self.queue.clone(),
            shm_file: text(self.shm_file.clone()),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        })
    }

    /// What a careless program leaks: pipe, socket, folder, file, datagram socket; and standard output.
    pub(crate) fn leaks(&self, target: &Target) -> io::Result<(OwnedFd, Vec<OwnedFd>)> {
        let folder: OwnedFd = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&target.folder)?
            .into();
        let file: OwnedFd = OpenOptions::new().read(true).write(true).open(target.file("secret"))?.into();
        let copy = |descriptor: &OwnedFd| descriptor.try_clone();
        Ok((
            copy(&self.sinks.pipe_in)?,
            vec![
                copy(&self.sinks.pipe_in)?,
                copy(&self.sinks.socket_in)?,
                folder,
                file,
                self.sinks.udp_client()?,
            ],
        ))
    }

    /// What everything looks like, for a worker that may be gone.
    pub(crate) fn look(&self, target: &Target, worker: Option<i32>) -> Sight {
        let mut sight = String::new();
        folder_sight(Path::new(&target.folder), &mut sight);
        let _ = writeln!(sight, "shm {:?}", fs::read(&self.shm_file).ok());
        process_sight(self.process, true, &mut sight);
        if let Some(worker) = worker {
            process_sight(worker as u64, false, &mut sight);
        }
        let mut theirs = [0_u8; 32];
        let parts = ([into(&mut theirs), 32_u64], [self.writable.as_ptr() as u64, 32_u64]);
        let read = call(
            libc::SYS_process_vm_readv,
            [self.process, at(&parts.0), 1, at(&parts.1), 1, 0],
        );
        let _ = writeln!(sight, "memory {read:?} {theirs:?}");
        if self.shared_memory_at != 0 {
            // SAFETY: the page is attached for as long as self lives; it holds plain bytes.
            let page = unsafe { std::ptr::with_exposed_provenance::<[u8; 32]>(self.shared_memory_at).read_volatile() };
            let _ = writeln!(sight, "shared memory {page:?}");
        }
        let value = call(libc::SYS_semctl, [self.semaphore, 0, libc::GETVAL as u64, 0, 0, 0]);
        let _ = writeln!(sight, "semaphore {value:?}");
        sight
    }

    /// What was seen, without what it says of a process that is gone.
    pub(crate) fn forget(&self, sight: &str, worker: Option<i32>) -> Sight {
        let start = worker.map_or(String::new(), |pid| format!("{pid} "));
        let lines = sight.lines().filter(|line| start.is_empty() || !line.starts_with(&start));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// True if somebody listens on the port where nobody did.
    pub(crate) fn is_listened_to(&self) -> bool {
        self.sinks.is_listened_to()
    }

    /// Takes everything that arrived; true if the mark or the secret is in it, or somebody listens.
    pub(crate) fn has_arrived(&self, target: &Target) -> bool {
        let collected = self.collect(target);
        let contains = |part: &[u8]| collected.windows(part.len()).any(|window| window == part);
        contains(target.mark()) || contains(self.secret()) || self.is_listened_to()
    }

    /// Takes everything that arrived at the sinks.
    pub(crate) fn collect(&self, target: &Target) -> Vec<u8> {
        let mut all = self.sinks.collect();
        let mut buffer = [0_u8; 256];
        let nowait = (libc::IPC_NOWAIT | libc::MSG_NOERROR) as u64;
        while let Ok(length) = call(
            libc::SYS_msgrcv,
            [self.messages, into(&mut buffer), 200, 0, nowait, 0],
        ) {
            all.extend(&buffer[8..8 + length as usize]);
        }
        if let Some(queue) = &self.queue_file {
            let queue = queue.as_raw_fd() as u64;
            while let Ok(length) = call(
                libc::SYS_mq_timedreceive,
                [queue, into(&mut buffer), 256, 0, 0, 0],
            ) {
                all.extend(&buffer[..length as usize]);
            }
        }
        // The user's, the session's, and the one that stands in where a session has none.
        for ring in [-4_i64, -3, -5] {
            let ring = ring.cast_unsigned();
            let (kind, label) = (path("user"), path(&target.mark));
            const SEARCH: u64 = 10;
            const UNLINK: u64 = 9;
            if let Ok(key) = call(
                libc::SYS_keyctl,
                [SEARCH, ring, name(&kind), name(&label), 0, 0],
            ) {
                all.extend(target.mark());
                let _ = call3(libc::SYS_keyctl, UNLINK, key, ring);
            }
        }
        all
    }
}

impl Canaries {
    fn end_process(&mut self) {
        if self.process != 0 {
            let _ = call3(libc::SYS_kill, self.process, libc::SIGKILL as u64, 0);
            raw::wait_for(self.process);
            self.process = 0;
        }
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        self.end_process();
        let remove = libc::IPC_RMID as u64;
        let _ = call3(libc::SYS_shmdt, self.shared_memory_at as u64, 0, 0);
        let _ = call3(libc::SYS_shmctl, self.shared_memory, remove, 0);
        let _ = call3(libc::SYS_msgctl, self.messages, remove, 0);
        let _ = call3(libc::SYS_semctl, self.semaphore, 0, remove);
        let queue = path(&self.queue);
        let _ = call3(libc::SYS_mq_unlink, name(&queue), 0, 0);
        let _ = fs::remove_file(&self.shm_file);
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// Names, kinds, sizes, modes, times, attributes and content.
fn folder_sight(folder: &Path, sight: &mut Sight) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let Ok(found) = entry.symlink_metadata() else { continue };
        let _ = write!(
            sight,
            "{} {:o} {} {}.{}",
            entry.display(),
            found.mode(),
            found.size(),
            found.mtime(),
            found.mtime_nsec()
        );
        if found.is_file() {
            let (file, key) = (path(&entry.to_string_lossy()), path("user.locket"));
            let mut value = [0_u8; 64];
            let length = call(
                libc::SYS_getxattr,
                [name(&file), name(&key), into(&mut value), 64, 0, 0],
            );
            let _ = write!(sight, " {:?} {:?}", length, fs::read(&entry).ok());
        } else if found.is_symlink() {
            let _ = write!(sight, " {:?}", fs::read_link(&entry).ok());
        }
        sight.push('\n');
    }
}

/// What everybody can see of a process and the process can set by itself.
fn process_sight(pid: u64, whole: bool, sight: &mut Sight) {
    let file = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let stat = file("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // Fields count from 1, the first of these is the third: nice, and the policy of scheduling.
    for number in [19, 41] {
        let _ = writeln!(sight, "{pid} {:?}", fields.get(number - 3));
    }
    for line in file("status").lines() {
        let shown = ["Name:", "Cpus_allowed:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"];
        if shown.iter().any(|start| line.starts_with(start)) {
            let _ = writeln!(sight, "{pid} {line}");
        }
    }
    let _ = writeln!(sight, "{pid} {:?} {:?}", file("cmdline"), file("timerslack_ns"));
    if whole {
        let _ = writeln!(sight, "{pid} {:?}", file("limits"));
    }
}

/// 32 letters and digits that no other call returns.
fn random_text() -> [u8; 32] {
    let mut bytes = [0_u8; 16];
    let filled = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if filled.is_err() {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        bytes[..4].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_ne_bytes());
        bytes[4..8].copy_from_slice(&std::process::id().to_ne_bytes());
    }
    let mut text = [0_u8; 32];
    for (at, byte) in bytes.iter().enumerate() {
        for (offset, nibble) in [byte >> 4, byte & 15].into_iter().enumerate() {
            text[at * 2 + offset] = b"0123456789abcdef"[nibble as usize];
        }
    }
    text
}

/// A process of ours that does nothing but wait, with a signal blocked so that it stays pending when it comes.
fn start_process() -> io::Result<u64> {
    let mut ends = [0_i32; 2];
    call3(libc::SYS_pipe2, into(&mut ends), libc::O_CLOEXEC as u64, 0)
        .map_err(|error| io::Error::from_raw_os_error(error.0))?;
    let [told, tell] = ends.map(|end| raw::own(end as u64));
    // SAFETY: the child makes system calls only, on memory that it has a copy of.
    let pid = unsafe {
        let pid = libc::syscall(libc::SYS_fork);
        if pid == 0 {
            let mask = 1_u64 << (libc::SIGUSR1 - 1);
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const mask, 0, 8);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::syscall(libc::SYS_write, tell.as_raw_fd(), &raw const mask, 1);
            loop {
                libc::syscall(libc::SYS_pause);
            }
        }
        pid
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    drop(tell);
    // Before its mask is set it would look like a process that somebody changed.
    let _ = raw::read(told.as_raw_fd() as u64);
    Ok(pid.cast_unsigned())
}
