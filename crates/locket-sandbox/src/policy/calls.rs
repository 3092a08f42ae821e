//! The system calls that are left, with the arguments that they may have.

use std::fmt;

use super::{REPLY_BELL, REQUEST_BELL};

/// A condition on one argument: `argument & mask == value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// What the argument is called.
    pub name: &'static str,
    /// Which argument, from 0.
    pub argument: u8,
    /// The bits that are looked at.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
    /// True if the argument has 64 bits, else its upper half means nothing to the kernel.
    pub wide: bool,
}

/// An allowed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub number: i64,
    /// One of these lists must hold as a whole; empty: any arguments.
    pub any_of: &'static [&'static [Check]],
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.number)?;
        for (index, checks) in self.any_of.iter().enumerate() {
            f.write_str(if index == 0 { " if " } else { " or " })?;
            for (index, check) in checks.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { " and " })?;
                if check.mask == ANY_BIT {
                    write!(f, "{} = {:#x}", check.name, check.value)?;
                } else {
                    write!(f, "{} & {:#x} = {:#x}", check.name, check.mask, check.value)?;
                }
            }
        }
        Ok(())
    }
}

const ANY_BIT: u64 = u64::MAX;

const fn any(name: &'static str, number: i64) -> Call {
    Call {
        name,
        number,
        any_of: &[],
    }
}

const fn when(name: &'static str, number: i64, any_of: &'static [&'static [Check]]) -> Call {
    Call { name, number, any_of }
}

/// A 32-bit argument that has this value.
const fn is(name: &'static str, argument: u8, value: i32) -> Check {
    Check {
        name,
        argument,
        mask: ANY_BIT,
        value: value.cast_unsigned() as u64,
        wide: false,
    }
}

/// A 64-bit argument whose bits, apart from the free ones, are these.
const fn apart_from(name: &'static str, argument: u8, free: i32, value: i32) -> Check {
    Check {
        name,
        argument,
        mask: !(free as u64),
        value: value.cast_unsigned() as u64,
        wide: true,
    }
}

/// No executable memory.
const DATA_ONLY: Check = apart_from("prot", 2, libc::PROT_READ | libc::PROT_WRITE, 0);

/// A futex operation, private or shared, on either clock.
const fn futex(operation: i32) -> Check {
    Check {
        name: "operation",
        argument: 1,
        mask: 0xffff_ffff & !((libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u64),
        value: operation as u64,
        wide: false,
    }
}

/// The list, in the order of numbers. What is not here is forbidden.
///
/// `write` to descriptor 2 fails, because it is closed: the last words of a program that panics. `rt_sigprocmask`, `getpid`, `gettid` and
/// `tgkill` are what `abort` does, in the form in which others see nothing of it (masks and handlers stand in `/proc/PID/status`), so
/// that a worker that runs out of memory is not taken for one that broke out.
pub const ALLOWED: &[Call] = &[
    when("read", libc::SYS_read, &[&[is("descriptor", 0, REQUEST_BELL)]]),
    when(
        "write",
        libc::SYS_write,
        &[&[is("descriptor", 0, REPLY_BELL)], &[is("descriptor", 0, 2)]],
    ),
    when(
        "mmap",
        libc::SYS_mmap,
        &[&[
            DATA_ONLY,
            apart_from(
                "flags",
                3,
                libc::MAP_NORESERVE | libc::MAP_STACK,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            ),
        ]],
    ),
    when("mprotect", libc::SYS_mprotect, &[&[DATA_ONLY]]),
    any("munmap", libc::SYS_munmap),
    any("brk", libc::SYS_brk),
    when(
        "rt_sigprocmask",
        libc::SYS_rt_sigprocmask,
        &[&[is("how", 0, libc::SIG_UNBLOCK)]],
    ),
    any("sched_yield", libc::SYS_sched_yield),
    when(
        "mremap",
        libc::SYS_mremap,
        &[&[apart_from(
            "flags",
            3,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            0,
        )]],
    ),
    when(
        "madvise",
        libc::SYS_madvise,
        &[
            &[is("advice", 2, libc::MADV_DONTNEED)],
            &[is("advice", 2, libc::MADV_FREE)],
            &[is("advice", 2, libc::MADV_DONTDUMP)],
            &[is("advice", 2, libc::MADV_HUGEPAGE)],
            &[is("advice", 2, libc::MADV_POPULATE_WRITE)],
            &[is("advice", 2, libc::MADV_NOHUGEPAGE)],
        ],
    ),
    any("getpid", libc::SYS_getpid),
    any("exit", libc::SYS_exit),
    any("sigaltstack", libc::SYS_sigaltstack),
    any("gettid", libc::SYS_gettid),
    when(
        "futex",
        libc::SYS_futex,
        &[
            &[futex(libc::FUTEX_WAIT)],
            &[futex(libc::FUTEX_WAKE)],
            &[futex(libc::FUTEX_WAIT_BITSET)],
            &[futex(libc::FUTEX_WAKE_BITSET)],
        ],
    ),
    any("restart_syscall", libc::SYS_restart_syscall),
    any("clock_gettime", libc::SYS_clock_gettime),
    any("exit_group", libc::SYS_exit_group),
    when(
        "tgkill",
        libc::SYS_tgkill,
        &[&[is("process", 0, 1), is("signal", 2, libc::SIGABRT)]],
    ),
    any("getrandom", libc::SYS_getrandom),
];
