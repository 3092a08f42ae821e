//! Cycles and instructions, where the machine counts them.
//!
//! Counters cover the threads that are started after they are opened, so they are opened before a session is. The kernel's own
//! work is not counted: that needs no privilege. Many virtual machines have no counters.

/// Events of the process at one moment, or of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) cycles: u64,
    pub(super) instructions: u64,
}

impl Counts {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cycles: self.cycles.saturating_sub(before.cycles),
            instructions: self.instructions.saturating_sub(before.instructions),
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use perf_event::{
        Builder, Counter,
        events::{Event, Hardware},
    };

    use super::Counts;

    /// Two running counters.
    #[derive(Debug)]
    pub(in super::super) struct Counters {
        cycles: Counter,
        instructions: Counter,
    }

    impl Counters {
        /// Starts to count.
        ///
        /// # Errors
        ///
        /// If the machine has no counters, or this user may not read them.
        pub(in super::super) fn open() -> io::Result<Self> {
            Self::of(Hardware::CPU_CYCLES, Hardware::INSTRUCTIONS)
        }

        pub(super) fn of(cycles: impl Event, instructions: impl Event) -> io::Result<Self> {
            let mut counters = Self {
                cycles: Builder::new(cycles).inherit(true).build()?,
                instructions: Builder::new(instructions).inherit(true).build()?,
            };
            counters.cycles.enable()?;
            counters.instructions.enable()?;
            Ok(counters)
        }

        /// What was counted so far.
        ///
        /// # Errors
        ///
        /// The operating system's.
        pub(in super::super) fn read(&mut self) -> io::Result<Counts> {
            Ok(Counts {
                cycles: self.cycles.read()?,
                instructions: self.instructions.read()?,
            })
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    use super::Counts;

    /// This system's counters are not read.
    #[derive(Debug)]
    pub(in super::super) struct Counters;

    impl Counters {
        /// Always an error.
        ///
        /// # Errors
        ///
        /// Always.
        pub(in super::super) fn open() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never called.
        ///
        /// # Errors
        ///
        /// Always.
        pub(in super::super) fn read(&mut self) -> io::Result<Counts> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

pub(super) use system::Counters;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use perf_event::events::Software;

    use super::Counters;

    /// Every Linux counts its own clock; a machine need not count cycles.
    #[test]
    fn counters_cover_threads_that_start_later() {
        let Ok(mut counters) = Counters::of(Software::TASK_CLOCK, Software::CPU_CLOCK) else {
            println!("skipped: this user may not count events");
            return;
        };
        let before = counters.read().unwrap();
        let work = || (0..5_000_000u64).fold(1u64, |sum, n| std::hint::black_box(sum.wrapping_mul(n | 1)));
        std::thread::spawn(work).join().unwrap();
        let found = counters.read().unwrap().since(before);
        assert!(
            found.cycles > 1_000_000,
            "a thread's milliseconds are counted in ns: {found:?}"
        );
    }
}
