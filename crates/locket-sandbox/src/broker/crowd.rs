//! Whether a processor is left over for who only looks: several workers of one program, or one with many threads, need them all.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that compute in workers of this program now, and those that wait for them.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// An exchange that goes on, counted among all of this program.
#[derive(Debug)]
pub(super) struct Place {
    /// Its worker's threads and the one that waits.
    own: usize,
    processors: usize,
}

impl Place {
    /// For a worker that says that it computes with so many threads, on a machine of so many processors.
    pub(super) fn take(threads: usize, processors: usize) -> Self {
        let own = threads.clamp(1, processors) + 1;
        BUSY.fetch_add(own, Ordering::Relaxed);
        Self { own, processors }
    }

    /// Whether this side may look for the reply.
    pub(super) fn is_roomy(&self) -> bool {
        BUSY.load(Ordering::Relaxed) <= self.processors
    }

    /// Whether the worker may look for the next request, once it has answered.
    pub(super) fn is_roomy_afterwards(&self) -> bool {
        let others = BUSY.load(Ordering::Relaxed).saturating_sub(self.own);
        others + 2 <= self.processors
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        BUSY.fetch_sub(self.own, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn who_only_looks_gives_way_to_who_computes() {
        let first = Place::take(1, 2);
        assert!(first.is_roomy() && first.is_roomy_afterwards(), "one each");
        let second = Place::take(1, 2);
        assert!(!first.is_roomy() && !second.is_roomy(), "two workers compute");
        assert!(!first.is_roomy_afterwards(), "the other worker needs one, its broker the other");
        drop(first);
        assert!(second.is_roomy());
        drop(second);
        // A worker may say what it likes.
        let many = Place::take(usize::MAX, 2);
        assert!(!many.is_roomy() && many.is_roomy_afterwards());
        drop(many);
        assert!(!Place::take(1, 1).is_roomy(), "the only processor");
    }
}
