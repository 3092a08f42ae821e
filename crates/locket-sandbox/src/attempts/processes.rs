//! Attempts on other processes, and to start new ones. A process of the harness stands for any other of the same user.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{HERE, NOTHING, at, call, call3, end_child, into, name, open, path, pread, wait_for},
};

const fn canary(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Processes,
        what,
        proof: Proof::Canary,
        run,
    }
}

const fn secret(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Secret,
        ..canary(name, what, run)
    }
}

const fn by_call(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Call,
        ..canary(name, what, run)
    }
}

fn done(_: u64) -> Vec<u8> {
    Vec::new()
}

fn something(bytes: Vec<u8>) -> Tried {
    if bytes.is_empty() { Err(NOTHING) } else { Ok(bytes) }
}

/// Bytes of the secret word.
const SECRET: u64 = 32;

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    canary("signal", "send another process a signal", |target| {
        call3(libc::SYS_kill, target.pid, libc::SIGUSR1 as u64, 0).map(done)
    }),
    canary("signal-thread", "send a thread of another process a signal", |target| {
        call3(libc::SYS_tgkill, target.pid, target.pid, libc::SIGUSR1 as u64).map(done)
    }),
    canary("signal-value", "send another process a signal with a value", |target| {
        let mut info = [0_u64; 16];
        info[1] = (-1_i32).cast_unsigned().into();
        call3(libc::SYS_rt_sigqueueinfo, target.pid, libc::SIGUSR1 as u64, at(&info)).map(done)
    }),
    canary("signal-handle", "send a signal through a handle of a process", |target| {
        let handle = call3(libc::SYS_pidfd_open, target.pid, 0, 0)?;
        call(libc::SYS_pidfd_send_signal, [handle, libc::SIGUSR1 as u64, 0, 0, 0, 0]).map(done)
    }),
    by_call("probe", "learn whether a process is there", |target| {
        call3(libc::SYS_kill, target.pid, 0, 0).map(done)
    }),
    secret("read-memory", "read another process's memory", |target| {
        let mut word = [0_u8; SECRET as usize];
        let (ours, theirs) = ([into(&mut word), SECRET], [target.secret_at, SECRET]);
        call(
            libc::SYS_process_vm_readv,
            [target.pid, at(&ours), 1, at(&theirs), 1, 0],
        )?;
        Ok(word.to_vec())
    }),
    secret("memory-file", "read another process's memory as a file", |target| {
        let file = open(&format!("/proc/{}/mem", target.pid), libc::O_RDONLY, 0)?;
        pread(file, target.secret_at, SECRET)
    }),
    secret("trace", "trace another process and read its memory", |target| {
        const PEEK: u64 = 2;
        const ATTACH: u64 = 16;
        call(libc::SYS_ptrace, [ATTACH, target.pid, 0, 0, 0, 0])?;
        wait_for(target.pid);
        let mut word = Vec::new();
        for offset in (0..SECRET).step_by(8) {
            let mut part = [0_u8; 8];
            call(
                libc::SYS_ptrace,
                [PEEK, target.pid, target.secret_at + offset, into(&mut part), 0, 0],
            )?;
            word.extend(part);
        }
        Ok(word)
    }),
    canary("write-memory", "write to another process's memory", |target| {
        let (ours, theirs) = (
            [at(target.mark()), target.mark().len() as u64],
            [target.writable_at, target.mark().len() as u64],
        );
        call(
            libc::SYS_process_vm_writev,
            [target.pid, at(&ours), 1, at(&theirs), 1, 0],
        )
        .map(done)
    }),
    by_call("environment", "read another process's environment", |target| {
        let file = open(&format!("/proc/{}/environ", target.pid), libc::O_RDONLY, 0)?;
        something(pread(file, 0, 1 << 16)?)
    }),
    by_call("command-line", "read another process's command line", |target| {
        let file = open(&format!("/proc/{}/cmdline", target.pid), libc::O_RDONLY, 0)?;
        something(pread(file, 0, 4096)?)
    }),
    secret("take-descriptor", "take a descriptor out of another process", |target| {
        let handle = call3(libc::SYS_pidfd_open, target.pid, 0, 0)?;
        let taken = call3(libc::SYS_pidfd_getfd, handle, target.their_secret_file, 0)?;
        pread(taken, 0, 4096)
    }),
    canary("priority", "change another process's priority", |target| {
        call3(libc::SYS_setpriority, 0, target.pid, 5).map(done)
    }),
    canary("affinity", "change the cores of another process", |target| {
        let mut mask = [0_u64; 16];
        call3(libc::SYS_sched_getaffinity, target.pid, 128, into(&mut mask))?;
        let first = mask.iter_mut().find(|word| **word != 0).ok_or(NOTHING)?;
        *first &= first.wrapping_neg();
        call3(libc::SYS_sched_setaffinity, target.pid, 128, at(&mask)).map(done)
    }),
    canary("limit", "change a limit of another process", |target| {
        let mut now = [0_u64; 2];
        call(
            libc::SYS_prlimit64,
            [target.pid, libc::RLIMIT_STACK.into(), 0, into(&mut now), 0, 0],
        )?;
        let less = [(1 << 20) + 4096, now[1]];
        call(
            libc::SYS_prlimit64,
            [target.pid, libc::RLIMIT_STACK.into(), at(&less), 0, 0, 0],
        )
        .map(done)
    }),
    by_call("compare", "learn whether two processes share memory", |target| {
        call(libc::SYS_kcmp, [target.pid, target.pid, 1, 0, 0, 0]).map(done)
    }),
    by_call("scheduler", "learn how another process is scheduled", |target| {
        call3(libc::SYS_sched_getscheduler, target.pid, 0, 0).map(done)
    }),
    by_call("session", "learn the session of another process", |target| {
        call3(libc::SYS_getsid, target.pid, 0, 0).map(done)
    }),
    by_call("robust-list", "learn an address in another process", |target| {
        let (mut head, mut length) = (0_u64, 0_u64);
        call3(
            libc::SYS_get_robust_list,
            target.pid,
            into(&mut head),
            into(&mut length),
        )
        .map(done)
    }),
    by_call("fork", "start a process", |_| {
        // In the child the call returns 0: it must not go on as a second worker.
        match call3(libc::SYS_fork, 0, 0, 0)? {
            0 => end_child(),
            child => wait_for(child),
        }
        Ok(Vec::new())
    }),
    by_call("clone3", "start a process with the newest call", |_| {
        let mut arguments = [0_u64; 11];
        arguments[4] = libc::SIGCHLD as u64;
        match call3(libc::SYS_clone3, into(&mut arguments), 88, 0)? {
            0 => end_child(),
            child => wait_for(child),
        }
        Ok(Vec::new())
    }),
    canary("run", "run another program, which writes the mark", |target| {
        let (shell, option) = (path("/bin/sh"), path("-c"));
        let script = path(&format!("echo {} > {}", target.text(), target.file("run")));
        let arguments = [name(&shell), name(&option), name(&script), 0];
        call3(libc::SYS_execve, name(&shell), at(&arguments), 0).map(done)
    }),
    canary("run-at", "run another program with the newer call", |target| {
        let (shell, option) = (path("/bin/sh"), path("-c"));
        let script = path(&format!("echo {} > {}", target.text(), target.file("run")));
        let arguments = [name(&shell), name(&option), name(&script), 0];
        let none = [0_u64];
        call(
            libc::SYS_execveat,
            [HERE, name(&shell), at(&arguments), at(&none), 0, 0],
        )
        .map(done)
    }),
];
