//! The thread pool: a fixed set of threads that run disjoint parts of one output.
//!
//! The parts are decided when a plan is made, not when it runs: part `k` always runs on thread `k`, part 0 on the
//! caller's. A call allocates nothing and takes no lock. Idle threads spin for a short while, because the next step
//! of a prediction comes within microseconds, and then park, because two cores are often shared.
//!
//! How small a piece of work is worth a hand-over, a plan decides by [`hand_over_ns`], which measures one.
//!
//! A new thread goes to a core of its own at once ([`Apart`]).
//!
//! Beside it, [`in_order`] has whole pieces of work done on threads of its own, outside predictions.
//!
//! `unsafe` lives in [`crew`], behind a call that hands every part its own range of the output.

mod apart;
mod crew;
mod hand_over;
mod order;

pub use apart::Apart;
use crew::Crew;
pub use hand_over::{FAR_NS, hand_over_ns};
pub use order::in_order;

/// Most parts that one call can have.
pub const MAX_PARTS: usize = 64;

/// A pool of threads.
#[derive(Debug)]
pub struct Pool {
    crew: Crew,
}

impl Pool {
    /// Starts a pool that runs up to `threads` parts at once: the caller's thread and `threads - 1` of its own.
    ///
    /// # Errors
    ///
    /// The operating system's error if a thread cannot be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        Ok(Self {
            crew: Crew::start(threads.clamp(1, MAX_PARTS) - 1)?,
        })
    }

    /// How many parts run at once.
    pub fn threads(&self) -> usize {
        self.crew.workers() + 1
    }

    /// Calls `work(k, chunk, scratch)` for each part `k`, each on its own thread, and waits for all. Part `k`'s chunk
    /// is `output[borders[k]..borders[k + 1]]`; its scratch is the `k`-th range of `scratch_bytes` bytes of `scratch`.
    ///
    /// # Panics
    ///
    /// If `borders` do not ascend from 0 to `output.len()`, there are more parts than threads, `scratch` is too short, or a part panics.
    pub fn run(
        &mut self,
        output: &mut [u8],
        borders: &[usize],
        scratch: &mut [u8],
        scratch_bytes: usize,
        work: &(dyn Fn(usize, &mut [u8], &mut [u8]) + Sync),
    ) {
        let parts = borders.len().saturating_sub(1);
        assert!(
            (1..=self.threads()).contains(&parts),
            "{parts} parts for {} threads",
            self.threads()
        );
        assert!(
            borders[0] == 0 && borders[parts] == output.len(),
            "borders span the output"
        );
        assert!(borders.is_sorted(), "borders ascend");
        assert!(parts * scratch_bytes <= scratch.len(), "scratch for each part");
        if parts == 1 {
            return work(0, output, &mut scratch[..scratch_bytes]);
        }
        self.crew
            .run_disjoint(output, borders, scratch, scratch_bytes, work);
    }

    /// Calls `work` once on every thread but the caller's, and waits for all.
    ///
    /// # Panics
    ///
    /// If `work` panics.
    pub fn on_others(&mut self, work: &(dyn Fn() + Sync)) {
        let threads = self.threads();
        if threads > 1 {
            self.crew.run(threads, &|thread| {
                if thread > 0 {
                    work();
                }
            });
        }
    }
}
