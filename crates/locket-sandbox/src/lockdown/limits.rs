//! Layer `limits`: no new descriptor, thread, file, queue or core dump; memory is bounded.
#![expect(unsafe_code, reason = "system calls without a safe form")]

use std::{
    fs::File,
    io::{self, Read},
};

use super::Outcome;

/// Limits that hold during the warm-up.
const EARLY: [(u32, &str); 5] = [
    (libc::RLIMIT_CORE, "core"),
    (libc::RLIMIT_FSIZE, "fsize"),
    (libc::RLIMIT_MSGQUEUE, "msgqueue"),
    (libc::RLIMIT_MEMLOCK, "memlock"),
    (libc::RLIMIT_NOFILE, "nofile"),
];

/// The size of the process, from a file that is opened while there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory(Option<u64>);

impl Memory {
    pub(super) fn open() -> Self {
        let mut text = String::new();
        let read = File::open("/proc/self/statm").and_then(|mut file| file.read_to_string(&mut text));
        let pages = read
            .ok()
            .and_then(|_| text.split_whitespace().next()?.parse::<u64>().ok());
        Self(pages.map(|pages| pages * rustix::param::page_size() as u64))
    }
}

/// Limits whose last part waits for the end of the warm-up.
#[derive(Debug)]
pub(super) struct Pending(Outcome);

/// Sets every limit but that of threads.
pub(super) fn begin(memory_bytes: u64, size: Memory) -> Pending {
    let early = || {
        let total = size
            .0
            .ok_or("the size of the process is not known: no /proc")?
            .saturating_add(memory_bytes);
        for (limit, name) in EARLY {
            set(limit, 0).map_err(|error| format!("{name}: {error}"))?;
        }
        set(libc::RLIMIT_AS, total).map_err(|error| format!("as: {error}"))?;
        Ok(format!("as {total}"))
    };
    Pending(early())
}

impl Pending {
    /// Forbids threads and processes as well.
    pub(super) fn finish(self) -> Outcome {
        let detail = self.0?;
        set(libc::RLIMIT_NPROC, 0).map_err(|error| format!("nproc: {error}"))?;
        Ok(detail)
    }
}

fn set(limit: u32, value: u64) -> io::Result<()> {
    let both = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: the structure outlives the call.
    match unsafe { libc::setrlimit(limit, &raw const both) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
