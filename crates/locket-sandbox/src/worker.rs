//! The side that is locked in: becomes a worker at the top of `main`, warms up, loses everything, serves.
//!
//! ```no_run
//! use locket_sandbox::worker;
//!
//! if worker::requested() {
//!     // Threads are started here: later there can be no new one.
//!     let (worker, model) = worker::enter(|inherited| Ok(inherited.files().first().map_or(0, |file| file.len())));
//!     worker.serve(move |request, reply| {
//!         reply.push(&model.to_le_bytes());
//!         request.kind
//!     });
//! }
//! ```
#![expect(unsafe_code, reason = "memory shared with another process has no safe form")]

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags},
};

use crate::{
    broker::{NOT_READY, READY},
    lockdown::Lockdown,
    policy::{FIRST_FILE, REPLY_BELL, REQUEST_BELL, REQUESTS, RING},
    report::REPORT_MAX,
    ring::{Ring, awake_for, read_setup},
    setup::{MARKER, Setup},
};

/// Exit code of a worker whose broker is gone or ends it.
pub const EXIT_DONE: i32 = 0;
/// Exit code of a worker that could not start; the reason is in shared memory if there is any.
pub const EXIT_NOT_READY: i32 = 80;
/// Exit code of a worker that panicked in a request.
pub const EXIT_PANIC: i32 = 81;

/// Exit code of a worker that aborted: most often one that ran out of memory.
pub const EXIT_ABORT: i32 = 82;

/// True if this process was started to be a worker. Ask at the top of `main`, before anything else.
pub fn requested() -> bool {
    std::env::var_os(MARKER).is_some()
}

/// What the worker is to be: [`crate::WorkerCommand`]'s `role`.
pub fn role() -> String {
    std::env::args().nth(1).unwrap_or_default()
}

/// What the broker opened for the worker.
#[derive(Debug)]
pub struct Inherited {
    files: Vec<&'static [u8]>,
}

impl Inherited {
    /// The mapped files, in the broker's order, for as long as the worker lives.
    pub fn files(&self) -> &[&'static [u8]] {
        &self.files
    }
}

/// A request, as the broker wrote it into shared memory.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What it is, by the owner's own numbers.
    pub kind: u32,
    /// Its parts, one after another.
    pub bytes: &'a [u8],
    ring: &'a Ring,
    sequence: u32,
}

impl Request<'_> {
    /// How long it is until the reply is due: nothing if it should be there already, `None` if it is due at no certain time.
    pub fn left(&self) -> Option<Duration> {
        self.ring.left()
    }

    /// Says that the bytes are not needed any more: the broker may overwrite them before it has the answer, and they may be read as
    /// anything from here on.
    pub fn have_read(&self) {
        self.ring.have_read(self.sequence);
    }
}

/// Room for a reply, in shared memory.
#[derive(Debug)]
pub struct ReplyArea<'a> {
    area: &'a mut [u8],
    length: usize,
}

impl ReplyArea<'_> {
    /// How much more fits, in bytes.
    pub fn room(&self) -> usize {
        self.area.len() - self.length
    }

    /// Appends bytes.
    ///
    /// # Panics
    ///
    /// If they do not fit, which ends the worker.
    pub fn push(&mut self, bytes: &[u8]) {
        let place = self.area.get_mut(self.length..self.length + bytes.len());
        place.expect("the reply fits").copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// The next `bytes` bytes, to be written in place.
    ///
    /// # Panics
    ///
    /// If they do not fit, which ends the worker.
    pub fn extend(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.length;
        self.length += bytes;
        self.area.get_mut(start..start + bytes).expect("the reply fits")
    }
}

/// A worker that is locked in.
#[derive(Debug)]
pub struct Worker {
    ring: Ring,
    awake: Duration,
}

/// A worker whose walls are up but for the last two.
pub(crate) struct Entered {
    pub(crate) ring: Ring,
    pub(crate) lockdown: Lockdown,
    pub(crate) inherited: Inherited,
}

/// Becomes a worker: maps what was inherited, puts up the walls, calls `warm_up` behind all but the last, puts up that, and tells the
/// broker how it came out.
///
/// `warm_up` is the place to start threads and to reserve memory: no system call that it needs is denied yet, though there is no file,
/// no network and no descriptor any more. Each thread must have answered once before `warm_up` returns: one that has not begun to run
/// when the list of calls comes up dies of its own beginning, and the worker with it. It sees no byte of a request. What the returned value holds lives in the worker.
///
/// Never returns if the worker cannot start: the broker is told the reason and the process ends.
pub fn enter<W>(warm_up: impl FnOnce(&Inherited) -> Result<W, String>) -> (Worker, W) {
    // Asked while there are files to tell.
    let awake = awake_for(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let entered = begin();
    let warm = match warm_up(&entered.inherited) {
        Ok(warm) => warm,
        Err(reason) => refuse(&entered.ring, &reason),
    };
    quiet_ends();
    let readiness = entered.lockdown.finish();
    let worker = Worker {
        ring: entered.ring,
        awake,
    };
    worker.answer(1, READY, readiness.encode().as_bytes());
    (worker, warm)
}

/// Maps what was inherited and puts up the walls that a warm-up does not need to do without.
pub(crate) fn begin() -> Entered {
    let setup = read_setup(descriptor(RING)).ok().and_then(|text| Setup::decode(&text));
    // Somebody set the variable who is no broker: there is nobody to tell.
    let Some(setup) = setup else {
        end(EXIT_NOT_READY);
    };
    let (shared, requests) = (descriptor(RING), descriptor(REQUESTS));
    let Ok(ring) = Ring::map(shared, requests, setup.request_bytes, setup.reply_bytes) else {
        end(EXIT_NOT_READY);
    };
    if threads() != Some(1) {
        refuse(&ring, "expected to be called before any thread is started");
    }
    let mut files = Vec::new();
    for number in (FIRST_FILE..).take(setup.files) {
        match map_file(descriptor(number)) {
            Ok(file) => files.push(file),
            Err(error) => refuse(
                &ring,
                &format!("cannot map file {}: {error}", number - FIRST_FILE),
            ),
        }
        close(number);
    }
    close(RING);
    close(REQUESTS);
    Entered {
        ring,
        lockdown: Lockdown::begin(setup),
        inherited: Inherited { files },
    }
}

impl Worker {
    /// Answers one request after another, until the broker is gone. `handle` writes into the reply area and returns the kind of
    /// the reply. A panic ends the process: what it was doing is then in no known state.
    pub fn serve(self, mut handle: impl FnMut(Request<'_>, &mut ReplyArea<'_>) -> u32) -> ! {
        self.serve_and_discard(&mut handle, |handle, request, reply| handle(request, reply), |_| {})
    }

    /// As [`Worker::serve`], with a state; `discard` overwrites what a request has left in it, once the reply is told and before the
    /// next request is heard: the broker does not wait for it.
    pub fn serve_and_discard<S>(
        self,
        mut state: S,
        mut handle: impl FnMut(&mut S, Request<'_>, &mut ReplyArea<'_>) -> u32,
        mut discard: impl FnMut(&mut S),
    ) -> ! {
        // The first request has another number; that of a fresh ring is 0.
        let mut seen = 0;
        loop {
            let awake = if self.ring.may_look() {
                self.awake
            } else {
                Duration::ZERO
            };
            if !self.ring.look_for_request(seen, Instant::now() + awake) && !wait_for_bell() {
                end(EXIT_DONE);
            }
            let envelope = self.ring.request();
            if envelope.sequence == seen {
                continue;
            }
            seen = envelope.sequence;
            let length = (envelope.length as usize).min(self.ring.request_bytes());
            // SAFETY: the broker writes into the request only once this one is answered, or said to be read by who then reads no more of
            // it; if it gives up, it kills us first. The areas do not overlap, and nothing else of this process refers to them.
            let (bytes, area) = unsafe {
                (
                    std::slice::from_raw_parts(self.ring.request_area().as_ptr(), length),
                    std::slice::from_raw_parts_mut(self.ring.reply_area().as_ptr(), self.ring.reply_bytes()),
                )
            };
            let mut reply = ReplyArea { area, length: 0 };
            let request = Request {
                kind: envelope.kind,
                bytes,
                ring: &self.ring,
                sequence: seen,
            };
            let Ok(kind) = catch_unwind(AssertUnwindSafe(|| handle(&mut state, request, &mut reply))) else {
                end(EXIT_PANIC);
            };
            let length = reply.length;
            if self.ring.put_reply(seen, kind, length) {
                ring_bell();
            }
            if catch_unwind(AssertUnwindSafe(|| discard(&mut state))).is_err() {
                end(EXIT_PANIC);
            }
        }
    }

    /// Answers each request with whatever envelopes and rings the handler returns, in order, given the right sequence and room to write:
    /// for a worker of tests that breaks the rules.
    #[doc(hidden)]
    pub fn serve_outlaw(
        self,
        mut handle: impl FnMut(Request<'_>, u32, &mut ReplyArea<'_>) -> (u32, u32, u32, usize),
    ) -> ! {
        while wait_for_bell() {
            let envelope = self.ring.request();
            let length = (envelope.length as usize).min(self.ring.request_bytes());
            // SAFETY: as in serve.
            let (bytes, area) = unsafe {
                (
                    std::slice::from_raw_parts(self.ring.request_area().as_ptr(), length),
                    std::slice::from_raw_parts_mut(self.ring.reply_area().as_ptr(), self.ring.reply_bytes()),
                )
            };
            let kind = envelope.kind;
            let mut reply = ReplyArea { area, length: 0 };
            let request = Request {
                kind,
                bytes,
                ring: &self.ring,
                sequence: envelope.sequence,
            };
            let (sequence, kind, length, rings) = handle(request, envelope.sequence, &mut reply);
            self.ring.put_reply(sequence, kind, length as usize);
            for _ in 0..rings {
                ring_bell();
            }
        }
        end(EXIT_DONE);
    }

    fn answer(&self, sequence: u32, kind: u32, bytes: &[u8]) {
        answer(&self.ring, sequence, kind, bytes);
    }
}

/// Writes a short message of the worker itself and rings.
pub(crate) fn answer(ring: &Ring, sequence: u32, kind: u32, bytes: &[u8]) {
    let length = bytes.len().min(ring.reply_bytes());
    // SAFETY: the area is that long, and the broker reads it after the bell.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), ring.reply_area().as_ptr(), length) };
    if ring.put_reply(sequence, kind, length) {
        ring_bell();
    }
}

/// Tells the broker why there will be no worker, and ends.
pub(crate) fn refuse(ring: &Ring, reason: &str) -> ! {
    let reason = &reason[..reason.floor_char_boundary(REPORT_MAX)];
    answer(ring, 1, NOT_READY, reason.as_bytes());
    end(EXIT_NOT_READY);
}

/// Waits for a request: false if the broker is gone.
pub(crate) fn wait_for_bell() -> bool {
    let mut rings = [0_u8; 64];
    loop {
        match rustix::io::read(descriptor(REQUEST_BELL), &mut rings) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

pub(crate) fn ring_bell() {
    // A broker that is gone is noticed when waiting for its next request.
    let _ = rustix::io::write(descriptor(REPLY_BELL), &[1]);
}

fn descriptor(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number is one that the broker put there, or the call with it fails; it is never -1.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn close(number: RawFd) {
    // SAFETY: the descriptor is ours by agreement with the broker, and not used after this.
    unsafe { libc::close(number) };
}

/// Ends this process at once: no destructor and no handler of the program runs.
pub(crate) fn end(code: i32) -> ! {
    // SAFETY: no memory is touched.
    unsafe { libc::_exit(code) }
}

/// Makes panics, faults and aborts end without a call that is not on the list: a panic's message would look at files, and the standard
/// library's handler of faults would change handlers.
pub(crate) fn quiet_ends() {
    extern "C" fn aborted(_signal: libc::c_int) {
        end(EXIT_ABORT);
    }
    std::panic::set_hook(Box::new(|_| {}));
    // SAFETY: the handler ends the process, which is allowed at any point.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
        libc::signal(libc::SIGABRT, aborted as extern "C" fn(libc::c_int) as libc::sighandler_t);
    }
}

fn threads() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("Threads:"))?
        .trim()
        .parse()
        .ok()
}

fn map_file(file: BorrowedFd<'_>) -> io::Result<&'static [u8]> {
    let length = usize::try_from(rustix::fs::fstat(file)?.st_size).map_err(|_| io::ErrorKind::InvalidInput)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new private, read-only mapping that is never undone. As with every mapped file, a truncation by another process
    // while it is read ends the worker (SIGBUS).
    unsafe {
        let start = rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::PRIVATE,
            file,
            0,
        )?;
        Ok(std::slice::from_raw_parts(start.cast::<u8>(), length))
    }
}
