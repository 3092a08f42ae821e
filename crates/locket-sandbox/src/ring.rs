//! The memory that broker and worker share: requests, which the broker alone can write, and a header with room for one reply.
//!
//! Two sealed memory files of fixed size. Either side can write any byte of the second at any time, so neither keeps a reference into what
//! the other may change: the broker copies what it reads, once, and judges the copy.
#![expect(unsafe_code, reason = "memory shared with another process has no safe form")]

mod memory;

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    time::{ClockId, clock_gettime},
};

use memory::Memory;

/// Bytes of the header; the reply area begins here.
const HEADER_BYTES: usize = 4096;
/// Areas are multiples of this.
const PAGE_BYTES: usize = 4096;
/// Longest line of setup that the header has room for.
const SETUP_AT: usize = 1024;
/// Most bytes of it.
pub(crate) const SETUP_MAX: usize = HEADER_BYTES - SETUP_AT - 4;

/// How long a side that waits looks at memory before it sleeps: waking a core that has gone to sleep takes about as long, tens of
/// microseconds on a virtual machine.
pub(crate) const AWAKE: Duration = Duration::from_micros(50);

/// Turns of looking, each somewhat under a microsecond, before the core is offered to others.
const TURNS_TO_YIELD: u32 = 16;

/// One direction: what the last message was, and whether its reader looks here or has to be woken by the bell. Each has its own cache
/// line.
#[repr(C, align(64))]
struct Slot {
    sequence: AtomicU32,
    kind: AtomicU32,
    length: AtomicU32,
    awake: AtomicU32,
    /// Of a request: when its reply is due, in nanoseconds of the machine's monotonic clock; 0 for no certain time.
    due: AtomicU64,
    /// Of a request: 1 if its reader has no processor to look for the next one on.
    is_crowded: AtomicU32,
}

#[repr(C)]
struct Header {
    request: Slot,
    reply: Slot,
    read: Read,
}

/// The last request that its reader will not read again.
#[repr(C, align(64))]
struct Read {
    sequence: AtomicU32,
}

/// What the header says of a message: nothing of it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) sequence: u32,
    pub(crate) kind: u32,
    pub(crate) length: u32,
}

/// The mapped memory.
#[derive(Debug)]
pub(crate) struct Ring {
    requests: Memory,
    /// Header and reply.
    shared: Memory,
}

/// The files of the memory, for the worker.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) shared: OwnedFd,
    pub(crate) requests: OwnedFd,
}

/// The size of an area that has room for `bytes`.
pub(crate) fn area(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(PAGE_BYTES)
}

impl Ring {
    /// Makes the memory, seals its size, maps it. `request_bytes` and `reply_bytes` are sizes of [`area`].
    pub(crate) fn create(request_bytes: usize, reply_bytes: usize) -> Result<(Self, Files), Errno> {
        let (shared, shared_file) = Memory::create(HEADER_BYTES + reply_bytes, false)?;
        let (requests, requests_file) = Memory::create(request_bytes, true)?;
        let files = Files {
            shared: shared_file,
            requests: requests_file,
        };
        Ok((Self { requests, shared }, files))
    }

    /// Maps the memory that another process made, requests to be read alone.
    pub(crate) fn map(
        shared: BorrowedFd<'_>,
        requests: BorrowedFd<'_>,
        request_bytes: usize,
        reply_bytes: usize,
    ) -> Result<Self, Errno> {
        Ok(Self {
            requests: Memory::map(requests, request_bytes, false)?,
            shared: Memory::map(shared, HEADER_BYTES + reply_bytes, true)?,
        })
    }

    /// Keeps the memory out of swap.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        self.requests.lock()?;
        self.shared.lock()
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, lives as long as self, and the header is atomics only, for which any bytes are valid.
        unsafe { self.shared.base().cast::<Header>().as_ref() }
    }

    /// Room for a request.
    pub(crate) fn request_bytes(&self) -> usize {
        self.requests.bytes()
    }

    /// Room for a reply.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.shared.bytes() - HEADER_BYTES
    }

    /// Start of the request area, `request_bytes` long.
    pub(crate) fn request_area(&self) -> NonNull<u8> {
        self.requests.base()
    }

    /// Start of the reply area, `reply_bytes` long.
    pub(crate) fn reply_area(&self) -> NonNull<u8> {
        // SAFETY: the header is part of the mapping.
        unsafe { self.shared.base().add(HEADER_BYTES) }
    }

    /// The first bytes of the request area, in the broker: to be written before [`Ring::send`].
    ///
    /// # Panics
    ///
    /// If there are not that many.
    pub(crate) fn request_room(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= self.request_bytes(), "the caller checked the length");
        // SAFETY: the range is inside the mapping, which only this process can write, and which the worker does not read before it is
        // told of a request; it is borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.request_area().as_ptr(), bytes) }
    }

    /// Tells of a request of `length` bytes that lie in the request area: true if the reader has to be woken.
    pub(crate) fn send(&self, sequence: u32, kind: u32, length: usize, due: Option<Instant>) -> bool {
        let due = due.map_or(0, clock_time);
        self.header().request.due.store(due, Ordering::Relaxed);
        put(&self.header().request, sequence, kind, length)
    }

    /// Tells of a reply of `length` bytes that lie in the reply area: true if the reader has to be woken.
    pub(crate) fn put_reply(&self, sequence: u32, kind: u32, length: usize) -> bool {
        put(&self.header().reply, sequence, kind, length)
    }

    /// Looks for a request after `seen` until that time: true if there is one. Otherwise the next one rings.
    pub(crate) fn look_for_request(&self, seen: u32, until: Instant) -> bool {
        let mut missed = until;
        look(
            &self.header().request,
            |sequence| sequence != seen,
            until,
            &mut missed,
        )
    }

    /// Looks for the reply to a request until that time: true if there is one. Otherwise it rings. `missed`, a time before the call,
    /// becomes the last one at which it certainly was not there.
    pub(crate) fn look_for_reply(&self, wanted: u32, until: Instant, missed: &mut Instant) -> bool {
        look(
            &self.header().reply,
            |sequence| sequence == wanted,
            until,
            missed,
        )
    }

    /// Tells the worker, with the next request, whether it may look for the one after that.
    pub(crate) fn let_look(&self, may: bool) {
        let crowded = &self.header().request.is_crowded;
        crowded.store((!may).into(), Ordering::Relaxed);
    }

    /// Whether a worker may look for the next request.
    pub(crate) fn may_look(&self) -> bool {
        self.header().request.is_crowded.load(Ordering::Relaxed) == 0
    }

    /// How long it is until the reply to the last request is due: nothing if it should be there already, `None` if it is due at no
    /// certain time.
    pub(crate) fn left(&self) -> Option<Duration> {
        let due = self.header().request.due.load(Ordering::Relaxed);
        (due > 0).then(|| Duration::from_nanos(due.saturating_sub(clock_time(Instant::now()))))
    }

    /// Says that the bytes of this request are not read again.
    pub(crate) fn have_read(&self, sequence: u32) {
        self.header().read.sequence.store(sequence, Ordering::Release);
    }

    /// Whether the other side says so.
    pub(crate) fn is_read(&self, sequence: u32) -> bool {
        self.header().read.sequence.load(Ordering::Acquire) == sequence
    }

    /// The envelope of the last request.
    pub(crate) fn request(&self) -> Envelope {
        get(&self.header().request)
    }

    /// The envelope of the last reply; each field is read once.
    pub(crate) fn reply(&self) -> Envelope {
        get(&self.header().reply)
    }

    /// Copies `length` bytes of the reply area, at most all of it.
    pub(crate) fn copy_reply(&self, length: usize, into: &mut Vec<u8>) {
        let length = length.min(self.reply_bytes());
        into.clear();
        into.reserve(length);
        // SAFETY: the source is inside the mapping, the target has room. The other side may write meanwhile: then the copy is a
        // mixture, which is judged like any other bytes of a stranger.
        unsafe {
            std::ptr::copy_nonoverlapping(self.reply_area().as_ptr(), into.as_mut_ptr(), length);
            into.set_len(length);
        }
    }

    /// Overwrites the first bytes of both areas, in the broker.
    pub(crate) fn wipe(&self, request: usize, reply: usize) {
        // SAFETY: both ranges are clamped to their areas of the mapping.
        unsafe {
            crate::wipe::wipe(self.request_area().as_ptr(), request.min(self.request_bytes()));
            crate::wipe::wipe(self.reply_area().as_ptr(), reply.min(self.reply_bytes()));
        }
    }

    /// Leaves the worker its instructions, in the header.
    pub(crate) fn put_setup(&self, text: &[u8]) {
        assert!(text.len() <= SETUP_MAX, "the caller checked the length");
        // SAFETY: the header has room for the length and SETUP_MAX bytes; no worker runs yet.
        unsafe {
            let at = self.shared.base().add(SETUP_AT);
            at.cast::<u32>().write(text.len() as u32);
            std::ptr::copy_nonoverlapping(text.as_ptr(), at.add(4).as_ptr(), text.len());
        }
    }
}

fn put(slot: &Slot, sequence: u32, kind: u32, length: usize) -> bool {
    slot.kind.store(kind, Ordering::Relaxed);
    slot.length.store(length as u32, Ordering::Relaxed);
    slot.sequence.store(sequence, Ordering::SeqCst);
    slot.awake.load(Ordering::SeqCst) == 0
}

/// Looks for a new message. A reader that stops looking says so and looks once more, a writer writes and then asks: in one order of all
/// four, so that one of them sees the other.
fn look(slot: &Slot, is_new: impl Fn(u32) -> bool, until: Instant, missed: &mut Instant) -> bool {
    slot.awake.store(1, Ordering::SeqCst);
    let mut before = *missed;
    for turn in 1.. {
        for _ in 0..16 {
            if is_new(slot.sequence.load(Ordering::SeqCst)) {
                return true;
            }
            std::hint::spin_loop();
        }
        *missed = before;
        before = Instant::now();
        if before >= until {
            break;
        }
        // The other side may have been put on this very core: it would wait for us to stop looking for what it has yet to do.
        if turn % TURNS_TO_YIELD == 0 {
            std::thread::yield_now();
        }
    }
    slot.awake.store(0, Ordering::SeqCst);
    let found = is_new(slot.sequence.load(Ordering::SeqCst));
    if !found {
        *missed = before;
    }
    found
}

/// A time in nanoseconds of the machine's monotonic clock, which both processes read: at least 1.
fn clock_time(at: Instant) -> u64 {
    let (here, clock) = (Instant::now(), clock_gettime(ClockId::Monotonic));
    let clock = Duration::new(clock.tv_sec as u64, clock.tv_nsec as u32);
    let time = clock + at.saturating_duration_since(here);
    let time = time.saturating_sub(here.saturating_duration_since(at));
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Until when to look before sleeping: not at all where the other side needs the only processor.
pub(crate) fn awake_for(processors: usize) -> Duration {
    if processors > 1 { AWAKE } else { Duration::ZERO }
}

fn get(slot: &Slot) -> Envelope {
    Envelope {
        sequence: slot.sequence.load(Ordering::SeqCst),
        kind: slot.kind.load(Ordering::Relaxed),
        length: slot.length.load(Ordering::Relaxed),
    }
}

/// Reads the instructions from the beginning of the memory file, before its size is known.
pub(crate) fn read_setup(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut page = vec![0_u8; HEADER_BYTES];
    let read = rustix::io::pread(file, &mut page, 0)?;
    let text = page.get(SETUP_AT + 4..read).ok_or(Errno::INVAL)?;
    let length = u32::from_ne_bytes([
        page[SETUP_AT],
        page[SETUP_AT + 1],
        page[SETUP_AT + 2],
        page[SETUP_AT + 3],
    ]);
    Ok(text.get(..length as usize).ok_or(Errno::INVAL)?.to_vec())
}
