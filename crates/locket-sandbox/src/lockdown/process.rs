//! Layer `process`: what a process can refuse itself, for good.
#![expect(unsafe_code, reason = "system calls without a safe form")]

use std::fs;

use super::{Outcome, system};
use crate::setup::Setup;

/// `prctl` operation of Linux 6.3: memory never becomes executable.
const PR_SET_MDWE: i32 = 65;
const PR_MDWE_REFUSE_EXEC_GAIN: u64 = 1;

/// Where the kernel believes the parts of a program to be: `struct prctl_mm_map`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// What `/proc/PID/cmdline` and `environ` show, read while there is a `/proc`.
#[derive(Debug)]
pub(super) struct Title(Option<MemoryMap>);

impl Title {
    pub(super) fn read() -> Self {
        let map = || {
            let stat = fs::read_to_string("/proc/self/stat").ok()?;
            // The name of the program is in parentheses and may contain any character.
            let fields: Vec<u64> = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            // Fields count from 1, the first of these is the third.
            let field = |number: usize| fields.get(number - 3).copied();
            let env_end = field(51)?;
            Some(MemoryMap {
                start_code: field(26)?,
                end_code: field(27)?,
                start_data: field(45)?,
                end_data: field(46)?,
                start_brk: field(47)?,
                brk: 0,
                start_stack: field(28)?,
                // Empty ranges: a process could otherwise write there, with no system call at all, what everybody may read.
                arg_start: field(48)?,
                arg_end: field(48)?,
                env_start: env_end,
                env_end,
                auxv: 0,
                auxv_size: 0,
                exe_fd: u32::MAX,
            })
        };
        Self(map())
    }

    fn hide(self) -> Result<(), String> {
        let mut map = self.0.ok_or("the command line is not known: no /proc")?;
        // SAFETY: asking for the current end of the heap changes nothing.
        map.brk = unsafe { libc::syscall(libc::SYS_brk, 0) }.cast_unsigned();
        system::prctl(
            libc::PR_SET_MM,
            [
                libc::PR_SET_MM_MAP as u64,
                (&raw const map) as u64,
                size_of::<MemoryMap>() as u64,
                0,
            ],
        )
        .map_err(|reason| format!("command line: {reason}"))
    }
}

/// Refuses all of it.
pub(super) fn apply(setup: &Setup, title: Title) -> Outcome {
    let refuse = |what: &str, operation, arguments| {
        system::prctl(operation, arguments).map_err(|reason| format!("{what}: {reason}"))
    };
    // Two things that old or small kernels lack; the list of calls has the first of them too.
    let mut lacks = Vec::new();
    if title.hide().is_err() {
        lacks.push("the command line is shown");
    }
    if system::prctl(PR_SET_MDWE, [PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0]).is_err() {
        lacks.push("executable memory is left to the list of calls");
    }
    // A new session has no controlling terminal. Only the leader of a group cannot make one.
    // SAFETY: no arguments.
    let _ = unsafe { libc::setsid() };
    refuse("killed with its parent", libc::PR_SET_PDEATHSIG, [libc::SIGKILL as u64, 0, 0, 0])?;
    if setup.scannable {
        refuse("dumpable", libc::PR_SET_DUMPABLE, [1, 0, 0, 0])?;
        return Err("left readable for a scan of its memory".to_owned());
    }
    refuse("not dumpable", libc::PR_SET_DUMPABLE, [0, 0, 0, 0])?;
    Ok(lacks.join(", "))
}
