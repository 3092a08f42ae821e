//! Starts the worker's process: clone, descriptors in their places, exec.
//!
//! Between clone and exec the child has a copy of one thread of a program with many: it makes system calls, and neither allocates
//! nor panics. What it needs is prepared before.
#![expect(unsafe_code, reason = "clone and exec have no safe form")]

use std::{
    ffi::{CString, c_char, c_int},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::{Mutex, OnceLock, mpsc},
};

use crate::SandboxError;

/// Above every descriptor that the child is given.
const PARKING: c_int = 512;

/// What is started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// Descriptors of ours and their numbers there; 0, 1 and 2 must be among them.
    pub(crate) descriptors: Vec<(RawFd, RawFd)>,
    /// As process 1 of its own process namespace.
    pub(crate) own_pids: bool,
    /// In its own user namespace, where our user is called 0: what another namespace needs if we are not root.
    pub(crate) own_users: bool,
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) handle: OwnedFd,
    pub(crate) pid: i32,
}

/// The steps in the child, which tells the one that failed by its place here.
const STEPS: [&str; 4] = [
    "descriptors in their places",
    "map of users",
    "signals",
    "exec of the program",
];

/// Pointers into what the parent prepared.
struct Prepared {
    program: *const c_char,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    descriptors: Vec<(RawFd, RawFd)>,
    parked: Vec<RawFd>,
    maps: [(&'static [u8], Vec<u8>); 3],
    own_users: bool,
    failed: RawFd,
}

impl Launch {
    /// Starts the process, from a thread that lives as long as this program: the kernel takes the end of the thread that
    /// started a process for the death of its parent.
    pub(crate) fn start(self) -> Result<Process, SandboxError> {
        let (sender, receiver) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = sender.send(self.start_here());
        });
        if let Some(keeper) = keeper() {
            let sent = keeper.lock().is_ok_and(|keeper| keeper.send(job).is_ok());
            if sent && let Ok(result) = receiver.recv() {
                return result;
            }
        }
        Err(SandboxError::Start {
            step: "a thread that starts workers",
            source: io::Error::other("it cannot be started"),
        })
    }

    fn start_here(self) -> Result<Process, SandboxError> {
        let (told, failed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)
            .map_err(SandboxError::system("pipe to a new process"))?;
        let pointers = |list: &[CString]| {
            let ends = std::iter::once(ptr::null());
            list.iter().map(|text| text.as_ptr()).chain(ends).collect()
        };
        // SAFETY: two calls that cannot fail and touch no memory.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let mut prepared = Prepared {
            program: self.program.as_ptr(),
            arguments: pointers(&self.arguments),
            environment: pointers(&self.environment),
            parked: vec![-1; self.descriptors.len()],
            descriptors: self.descriptors.clone(),
            maps: [
                (b"/proc/self/setgroups\0", b"deny".to_vec()),
                (b"/proc/self/uid_map\0", format!("0 {uid} 1").into_bytes()),
                (b"/proc/self/gid_map\0", format!("0 {gid} 1").into_bytes()),
            ],
            own_users: self.own_users,
            failed: failed.as_raw_fd(),
        };
        // With CLONE_VFORK the call returns when the child has begun its program or is gone: nothing has to be waited for. (The end of a
        // pipe would not do: any other child of this program, started by somebody else at the wrong moment, keeps it open.)
        let mut flags = libc::SIGCHLD | libc::CLONE_PIDFD | libc::CLONE_VFORK;
        if self.own_pids {
            flags |= libc::CLONE_NEWPID;
        }
        if self.own_users {
            flags |= libc::CLONE_NEWUSER;
        }
        let mut handle: c_int = -1;
        // A signal handler of the host program must not run in the child.
        // SAFETY: the sets are plain data that the calls fill.
        let (pid, error) = unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            let pid = libc::syscall(
                libc::SYS_clone,
                i64::from(flags),
                0_i64,
                &raw mut handle,
                0_i64,
                0_i64,
            );
            if pid == 0 {
                become_program(&mut prepared);
            }
            let error = io::Error::last_os_error();
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
            (pid, error)
        };
        if pid < 0 {
            return Err(SandboxError::Start {
                step: "clone",
                source: error,
            });
        }
        drop(failed);
        let process = Process {
            // SAFETY: clone gave us this descriptor.
            handle: unsafe { OwnedFd::from_raw_fd(handle) },
            pid: pid as i32,
        };
        let mut word = [0_u8; 8];
        match rustix::io::read(&told, &mut word) {
            Ok(8) => {
                let [step, errno] = [0, 4].map(|at| {
                    i32::from_ne_bytes([word[at], word[at + 1], word[at + 2], word[at + 3]])
                });
                let _ = rustix::process::waitid(
                    rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&process.handle)),
                    rustix::process::WaitIdOptions::EXITED,
                );
                Err(SandboxError::Start {
                    step: STEPS.get(step as usize).copied().unwrap_or("a step without a name"),
                    source: io::Error::from_raw_os_error(errno),
                })
            }
            _ => Ok(process),
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread that starts processes; it never ends.
fn keeper() -> Option<&'static Mutex<mpsc::Sender<Job>>> {
    static KEEPER: OnceLock<Option<Mutex<mpsc::Sender<Job>>>> = OnceLock::new();
    KEEPER
        .get_or_init(|| {
            let (sender, jobs) = mpsc::channel::<Job>();
            std::thread::Builder::new()
                .name("locket-keeper".to_owned())
                .spawn(move || jobs.into_iter().for_each(|job| job()))
                .ok()
                .map(|_| Mutex::new(sender))
        })
        .as_ref()
}

/// The child: never returns.
///
/// # Safety
///
/// Only after clone, in the child, with pointers into memory that nobody changes.
unsafe fn become_program(prepared: &mut Prepared) -> ! {
    // SAFETY: all pointers come from live, nul-terminated texts of the parent, which the child has a copy of.
    unsafe {
        let step = match place_descriptors(prepared) {
            Err(()) => 0,
            Ok(()) if prepared.own_users && write_maps(prepared).is_err() => 1,
            Ok(()) => {
                let mut none: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&raw mut none);
                if libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) == 0 {
                    libc::execve(
                        prepared.program,
                        prepared.arguments.as_ptr(),
                        prepared.environment.as_ptr(),
                    );
                    3
                } else {
                    2
                }
            }
        };
        let words: [c_int; 2] = [step, *libc::__errno_location()];
        libc::write(prepared.failed, words.as_ptr().cast(), 8);
        libc::_exit(127)
    }
}

/// Puts every descriptor at its number; first out of the way of each other.
///
/// # Safety
///
/// As [`become_program`].
unsafe fn place_descriptors(prepared: &mut Prepared) -> Result<(), ()> {
    // SAFETY: calls on numbers; the list of parked ones is as long as that of the descriptors.
    unsafe {
        let failed = libc::fcntl(prepared.failed, libc::F_DUPFD_CLOEXEC, PARKING);
        if failed < 0 {
            return Err(());
        }
        prepared.failed = failed;
        for (parked, &(ours, _)) in prepared.parked.iter_mut().zip(&prepared.descriptors) {
            *parked = libc::fcntl(ours, libc::F_DUPFD_CLOEXEC, PARKING);
            if *parked < 0 {
                return Err(());
            }
        }
        for (&parked, &(_, theirs)) in prepared.parked.iter().zip(&prepared.descriptors) {
            if libc::dup2(parked, theirs) < 0 {
                return Err(());
            }
        }
    }
    Ok(())
}

/// Calls our user 0 in the new namespace.
///
/// # Safety
///
/// As [`become_program`].
unsafe fn write_maps(prepared: &Prepared) -> Result<(), ()> {
    // SAFETY: the paths end in a nul, the texts have their lengths.
    unsafe {
        for (path, text) in &prepared.maps {
            let file = libc::open(path.as_ptr().cast(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file < 0 || libc::write(file, text.as_ptr().cast(), text.len()) != text.len() as isize {
                return Err(());
            }
            libc::close(file);
        }
    }
    Ok(())
}
