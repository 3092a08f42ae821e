//! Attempts to reach parts of the kernel from which an exploit could start. That the call succeeds is the success.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{HERE, NOTHING, at, call, call3, into, name, open, path},
};

const fn by_call(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Kernel,
        what,
        proof: Proof::Call,
        run,
    }
}

fn done(_: u64) -> Vec<u8> {
    Vec::new()
}

fn unshare(flags: i32) -> Tried {
    call3(libc::SYS_unshare, flags as u64, 0, 0).map(done)
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    by_call("io-uring", "make a ring of calls that no filter sees", |_| {
        let mut parameters = [0_u64; 15];
        call3(libc::SYS_io_uring_setup, 4, into(&mut parameters), 0).map(done)
    }),
    by_call("bpf", "load a map for a program in the kernel", |_| {
        // A map of one element: kind array, key of 4 bytes, value of 8.
        let mut attributes = [0_u32; 32];
        attributes[..4].copy_from_slice(&[2, 4, 8, 1]);
        call3(libc::SYS_bpf, 0, into(&mut attributes), 128).map(done)
    }),
    by_call("perf", "count events of the processor", |_| {
        // Software event, the task's clock, 128 bytes, kernel and hypervisor left out.
        let mut attributes = [0_u64; 16];
        attributes[0] = 1 | 128 << 32;
        attributes[1] = 1;
        attributes[5] = 1 << 5 | 1 << 6;
        call(
            libc::SYS_perf_event_open,
            [into(&mut attributes), 0, u64::MAX, u64::MAX, 0, 0],
        )
        .map(done)
    }),
    by_call("fanotify", "watch the whole file system", |_| {
        call3(libc::SYS_fanotify_init, 0x200, 0, 0).map(done)
    }),
    by_call("kernel-log", "read the kernel's log", |_| {
        let mut text = vec![0_u8; 4096];
        let read_all = 3;
        match call3(libc::SYS_syslog, read_all, into(text.as_mut_slice()), 4096)? {
            0 => Err(NOTHING),
            _ => Ok(Vec::new()),
        }
    }),
    by_call("new-users", "make a user namespace, where it is root", |_| unshare(libc::CLONE_NEWUSER)),
    by_call("new-network", "make a network namespace", |_| unshare(libc::CLONE_NEWNET)),
    by_call("new-mounts", "make a mount namespace", |_| unshare(libc::CLONE_NEWNS)),
    by_call("join-network", "join another process's network namespace", |target| {
        let file = open(&format!("/proc/{}/ns/net", target.pid), libc::O_RDONLY, 0)?;
        call3(libc::SYS_setns, file, libc::CLONE_NEWNET as u64, 0).map(done)
    }),
    by_call("join-handle", "join the namespaces of a process by its handle", |target| {
        let handle = call3(libc::SYS_pidfd_open, target.pid, 0, 0)?;
        call3(libc::SYS_setns, handle, libc::CLONE_NEWUTS as u64, 0).map(done)
    }),
    by_call("mount", "mount a file system", |target| {
        // In a mount namespace of its own, so that the control does no harm.
        let _ = unshare(libc::CLONE_NEWNS);
        let (source, place, kind) = (path("none"), path(&target.mount_point), path("tmpfs"));
        call(
            libc::SYS_mount,
            [name(&source), name(&place), name(&kind), 0, 0, 0],
        )
        .map(done)
    }),
    by_call("open-tree", "copy a tree of mounts", |target| {
        const CLONE: u64 = 1;
        let place = path(&target.folder);
        call3(libc::SYS_open_tree, HERE, name(&place), CLONE).map(done)
    }),
    by_call("file-system-context", "prepare a file system", |_| {
        let kind = path("tmpfs");
        call3(libc::SYS_fsopen, name(&kind), 0, 0).map(done)
    }),
    by_call("change-root", "change the root folder", |target| {
        let place = path(&target.folder);
        call3(libc::SYS_chroot, name(&place), 0, 0).map(done)
    }),
    by_call("descriptor-table", "write to the processor's descriptor table", |_| {
        let entry = [0_u32, 0, 0, 0x28];
        call3(libc::SYS_modify_ldt, 1, at(&entry), 16).map(done)
    }),
    by_call("ports", "use ports of the machine", |_| call3(libc::SYS_ioperm, 0x80, 1, 1).map(done)),
    by_call("old-entry", "call the kernel by its 32-bit entry", |_| {
        // Call 20 there is getpid.
        if super::raw::old_entry(20) > 0 { Ok(Vec::new()) } else { Err(NOTHING) }
    }),
    by_call("other-numbers", "call the kernel by the numbers of x32", |_| {
        call3(0x4000_0000 + libc::SYS_getpid, 0, 0, 0).map(done)
    }),
    by_call("filter", "add a filter with a listener", |_| {
        let allow = [6_u64 | 0x7fff_0000 << 32];
        let program = [1_u64, at(&allow)];
        let _ = call3(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0);
        const LISTENER: u64 = 8;
        call3(libc::SYS_seccomp, 1, LISTENER, at(&program)).map(done)
    }),
    by_call("own-rules", "make a set of Landlock rules", |_| {
        let handled = [1_u64, 0, 0];
        call3(libc::SYS_landlock_create_ruleset, at(&handled), 8, 0).map(done)
    }),
    by_call("events", "make a set of events to wait for", |_| {
        call3(libc::SYS_epoll_create1, 0, 0, 0).map(done)
    }),
    by_call("timer", "make a timer with a descriptor", |_| {
        call3(libc::SYS_timerfd_create, 1, 0, 0).map(done)
    }),
    by_call("host-name", "learn the name of this machine", |target| {
        let mut names = [0_u8; 390];
        call3(libc::SYS_uname, into(&mut names), 0, 0)?;
        let name = &names[65..130];
        if name.starts_with(target.host.as_bytes()) && name.get(target.host.len()) == Some(&0) {
            Ok(Vec::new())
        } else {
            Err(NOTHING)
        }
    }),
    by_call("load", "learn the load and memory of this machine", |_| {
        let mut facts = [0_u64; 16];
        call3(libc::SYS_sysinfo, into(&mut facts), 0, 0).map(done)
    }),
];
