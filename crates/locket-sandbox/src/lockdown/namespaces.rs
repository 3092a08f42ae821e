//! Layer `namespaces`: own users, network, processes, IPC and host name; and the mount namespace that the layer `root` needs.
#![expect(unsafe_code, reason = "system calls without a safe form")]

use std::fs;

use super::{Outcome, system};
use crate::{policy::Layer, setup::Setup};

/// The file that limits how many namespaces of a kind can be made below ours.
const KINDS: [&str; 8] = ["user", "net", "pid", "ipc", "uts", "mnt", "cgroup", "time"];

/// Enters the namespaces that were not made when the process was.
pub(super) fn enter(setup: &Setup) -> Outcome {
    let asked = setup.policy.layers;
    let mut flags = 0;
    if asked.has(Layer::Namespaces) {
        flags |= libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    }
    if asked.has(Layer::Root) {
        flags |= libc::CLONE_NEWNS;
    }
    let maps = (!setup.own_users).then(maps);
    if maps.is_some() {
        flags |= libc::CLONE_NEWUSER;
    }
    // SAFETY: the worker has one thread yet; what is unshared is of the kernel only.
    unsafe { system::call("unshare", libc::SYS_unshare, [flags as u64, 0, 0, 0, 0]) }?;
    for (file, text) in maps.into_iter().flatten() {
        fs::write(file, text).map_err(|error| format!("{file}: {error}"))?;
    }
    let numbers = KINDS[..6].iter().filter_map(|kind| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        let text = link.to_string_lossy().into_owned();
        Some(text.replace([':', '[', ']'], " ").trim_end().replace("  ", " "))
    });
    Ok(numbers.collect::<Vec<_>>().join(" "))
}

fn maps() -> [(&'static str, String); 3] {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {} 1", uid.as_raw())),
        ("/proc/self/gid_map", format!("0 {} 1", gid.as_raw())),
    ]
}

/// Takes away what would lead out of them, while we are still their administrator.
pub(super) fn close(setup: &Setup) -> Result<(), String> {
    if !setup.own_pids || rustix::process::getpid().as_raw_nonzero().get() != 1 {
        return Err("no process namespace: the system does not allow one".to_owned());
    }
    let name = b"worker";
    // SAFETY: the name has this length. The call joins a new keyring without a name.
    unsafe {
        system::call(
            "sethostname",
            libc::SYS_sethostname,
            [name.as_ptr() as u64, name.len() as u64, 0, 0, 0],
        )?;
        let joined = system::call(
            "keyctl",
            libc::SYS_keyctl,
            [libc::KEYCTL_JOIN_SESSION_KEYRING.into(), 0, 0, 0, 0],
        );
        // A kernel without keyrings has none to share.
        if let Err(reason) = joined
            && *libc::__errno_location() != libc::ENOSYS
        {
            return Err(reason);
        }
    }
    for kind in KINDS {
        let file = format!("/proc/sys/user/max_{kind}_namespaces");
        // Kinds that a kernel lacks need no limit.
        if fs::metadata(&file).is_ok() {
            fs::write(&file, "0").map_err(|error| format!("{file}: {error}"))?;
        }
    }
    Ok(())
}
