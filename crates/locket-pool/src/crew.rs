//! Threads that wait for a job, and the one place where parts of a buffer cross threads.
#![expect(
    unsafe_code,
    reason = "lends a buffer's disjoint parts, and a borrowed closure, to threads that outlive the call"
)]

use std::{
    cell::UnsafeCell,
    hint, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::Apart;

/// Turns of a spin loop before a thread parks or yields: 20 to 60 microseconds, longer than the gap between two steps.
const SPINS: u32 = 4_000;

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// The job of the current epoch, with its lifetime erased. Written by the caller between two epochs only.
struct Job(UnsafeCell<Option<*const Work<'static>>>);

// SAFETY: the cell is written only while no worker takes part in an epoch (the caller waits for `pending` to
// reach 0 before it returns, and holds `&mut Crew`), and read only by workers that take part in the current one. What the
// pointer leads to is `Sync`.
unsafe impl Sync for Job {}
// SAFETY: as above; the pointer is to a `Sync` closure.
unsafe impl Send for Job {}

struct Shared {
    /// Upper half: epoch. Lower half: parts of its job. One word, so that both are read together.
    epoch: AtomicU64,
    job: Job,
    /// Workers that have not finished the current epoch's job.
    pending: AtomicUsize,
    asleep: Vec<AtomicBool>,
    panicked: AtomicBool,
    stop: AtomicBool,
}

/// Worker threads 1 to `n`; thread 0 is the caller's.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew")
            .field("workers", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl Crew {
    pub(crate) fn start(workers: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: AtomicU64::new(0),
            job: Job(UnsafeCell::new(None)),
            pending: AtomicUsize::new(0),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut crew = Self {
            shared,
            threads: Vec::with_capacity(workers),
        };
        let here = Apart::here();
        let placed = Arc::new(AtomicUsize::new(0));
        for worker in 0..workers {
            let (shared, placed) = (Arc::clone(&crew.shared), Arc::clone(&placed));
            let builder = thread::Builder::new().name(format!("locket-{}", worker + 1));
            crew.threads.push(builder.spawn(move || {
                here.go(worker + 1);
                placed.fetch_add(1, Ordering::Release);
                work_loop(&shared, worker);
            })?);
        }
        // A sandbox that is closed from here on lets nobody move, and the first job finds all at their places.
        while placed.load(Ordering::Acquire) < workers {
            thread::yield_now();
        }
        Ok(crew)
    }

    pub(crate) fn workers(&self) -> usize {
        self.threads.len()
    }

    /// As [`super::Pool::run`], with its preconditions checked: at least two parts, at most one more than workers.
    pub(crate) fn run_disjoint(
        &mut self,
        output: &mut [u8],
        borders: &[usize],
        scratch: &mut [u8],
        scratch_bytes: usize,
        work: &(dyn Fn(usize, &mut [u8], &mut [u8]) + Sync),
    ) {
        let base = SendPtr(output.as_mut_ptr());
        let spare = SendPtr(scratch.as_mut_ptr());
        let job = move |part: usize| {
            let (base, spare) = (base, spare);
            // SAFETY: `borders` ascend within `output` (checked by `Pool::run`), so the ranges of different parts do
            // not overlap; each part runs exactly once; `output` is borrowed mutably until all parts have finished.
            let chunk = unsafe {
                std::slice::from_raw_parts_mut(base.0.add(borders[part]), borders[part + 1] - borders[part])
            };
            // SAFETY: as above; `parts * scratch_bytes <= scratch.len()` was checked by `Pool::run`.
            let scratch =
                unsafe { std::slice::from_raw_parts_mut(spare.0.add(part * scratch_bytes), scratch_bytes) };
            work(part, chunk, scratch);
        };
        self.run(borders.len() - 1, &job);
    }

    /// Calls `job(k)` on every thread `k`, the caller's being 0, and waits for all.
    pub(crate) fn run(&mut self, parts: usize, job: &Work<'_>) {
        let shared = &*self.shared;
        let erased: *const Work<'_> = job;
        // SAFETY: only the lifetime changes. Workers use the pointer in this epoch only, and this function
        // does not return, nor unwind, before `pending` says that they have finished.
        let erased: *const Work<'static> = unsafe { std::mem::transmute(erased) };
        // SAFETY: no epoch is under way (`&mut self`, and the last call waited), so no worker reads the cell.
        unsafe { *shared.job.0.get() = Some(erased) };
        shared.pending.store(parts - 1, Ordering::Relaxed);
        let next = (shared.epoch.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        // Sequentially consistent with the sleeper's store of `asleep` and its second look at the epoch: one of the two sees the other.
        shared.epoch.store(next << 32 | parts as u64, Ordering::SeqCst);
        for worker in 0..parts - 1 {
            if shared.asleep[worker].load(Ordering::SeqCst) {
                self.threads[worker].thread().unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        let mut spins = 0;
        while shared.pending.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
        let failed = shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!failed, "a part of a step panicked on another thread");
    }
}

#[derive(Clone, Copy)]
struct SendPtr(*mut u8);

// SAFETY: the pointer leads to a buffer that the call of `run_disjoint` borrows mutably; parts touch disjoint ranges.
unsafe impl Send for SendPtr {}
// SAFETY: as above.
unsafe impl Sync for SendPtr {}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A worker ends only by leaving its loop; panics of parts are caught inside it.
            let _ = thread.join();
        }
    }
}

fn work_loop(shared: &Shared, worker: usize) {
    let mut seen = 0;
    while let Some(state) = next_epoch(shared, worker, seen) {
        seen = state;
        let parts = (state & u64::from(u32::MAX)) as usize;
        let part = worker + 1;
        if part >= parts {
            continue;
        }
        // SAFETY: this worker takes part in the epoch, so the caller wrote the cell before it published the epoch,
        // and will not write again before this worker has counted down `pending`.
        let job = unsafe { *shared.job.0.get() };
        if let Some(job) = job {
            // SAFETY: the caller keeps the closure alive until `pending` is 0.
            let job = unsafe { &*job };
            if catch_unwind(AssertUnwindSafe(|| job(part))).is_err() {
                shared.panicked.store(true, Ordering::Relaxed);
            }
        }
        shared.pending.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for an epoch other than `seen`; `None` when the pool stops.
fn next_epoch(shared: &Shared, worker: usize, seen: u64) -> Option<u64> {
    let mut spins = 0;
    loop {
        let state = shared.epoch.load(Ordering::Acquire);
        if state != seen {
            return Some(state);
        }
        if shared.stop.load(Ordering::Relaxed) {
            return None;
        }
        spins += 1;
        if spins < SPINS {
            hint::spin_loop();
            continue;
        }
        shared.asleep[worker].store(true, Ordering::SeqCst);
        if shared.epoch.load(Ordering::SeqCst) == seen && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.asleep[worker].store(false, Ordering::SeqCst);
    }
}
