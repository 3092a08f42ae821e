//! A core for each thread from the start.
//!
//! Some kernels start a thread on its maker's core and leave it there for as long as eight milliseconds while another core is idle; a
//! prediction of two milliseconds then takes ten. A new thread that moves once by itself stays where it went.

use std::thread::{self, Scope, ScopedJoinHandle};

/// The core of a thread that makes others.
#[derive(Clone, Copy, Debug)]
pub struct Apart {
    #[cfg(target_os = "linux")]
    from: usize,
}

#[cfg(target_os = "linux")]
impl Apart {
    /// The core that the caller is on.
    pub fn here() -> Self {
        Self {
            from: rustix::thread::sched_getcpu(),
        }
    }

    /// Moves the calling thread to the core that is `distance` further, around all cores that it may use; it may leave again at any time.
    /// Without another core, or against the system's will, it stays.
    pub fn go(self, distance: usize) {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        let Ok(all) = sched_getaffinity(None) else {
            return;
        };
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core)).collect();
        let at = cores.iter().position(|&core| core == self.from).unwrap_or(0);
        let mut one = CpuSet::new();
        one.set(cores[(at + distance) % cores.len()]);
        if cores.len() > 1 && sched_setaffinity(None, &one).is_ok() {
            // What may not be given back was not needed.
            let _ = sched_setaffinity(None, &all);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Apart {
    /// The core that the caller is on.
    pub fn here() -> Self {
        Self {}
    }

    /// Leaves it to the system where the calling thread runs.
    pub fn go(self, _distance: usize) {}
}

impl Apart {
    /// Starts a thread that goes to the core that is `distance` further before it works.
    pub fn spawn<'scope, T: Send + 'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        distance: usize,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        let thread = scope.spawn(move || {
            self.go(distance);
            work()
        });
        // It begins on this core, and leaves it once it is let run.
        thread::yield_now();
        thread
    }
}
