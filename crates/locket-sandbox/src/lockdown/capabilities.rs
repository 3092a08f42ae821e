//! Layer `capabilities`: not uid 0, no groups, no capability, and no way to gain one.
#![expect(unsafe_code, reason = "system calls without a safe form")]

use super::{Outcome, system};
use crate::setup::Setup;

/// The user that a worker of root becomes: the one that owns nothing.
const NOBODY: u64 = 65534;
/// Above every capability of any kernel.
const CAPABILITIES: u64 = 64;
/// Version 3 of the header of `capset`: two words of 32 capabilities.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// As root: becomes nobody. Root's own files, and limits that do not bind root, make uid 0 worth leaving even without capabilities.
pub(super) fn leave_root(setup: &Setup) -> Outcome {
    if setup.own_users {
        // Already in a namespace where our user is called 0; outside it is who the broker is.
        return match outside_uid() {
            Some(0) => Err("the system does not let root make a process namespace, so uid 0 cannot be left".to_owned()),
            _ => Ok(String::new()),
        };
    }
    if !rustix::process::geteuid().is_root() {
        return Ok(String::new());
    }
    // SAFETY: numbers only; the empty list of groups is not read.
    unsafe {
        system::call("setgroups", libc::SYS_setgroups, [0; 5])?;
        system::call("setresgid", libc::SYS_setresgid, [NOBODY, NOBODY, NOBODY, 0, 0])?;
        system::call("setresuid", libc::SYS_setresuid, [NOBODY, NOBODY, NOBODY, 0, 0])?;
    }
    // A change of user makes the process undumpable, whose files in /proc are then root's; the maps are still to be written.
    system::prctl(libc::PR_SET_DUMPABLE, [1, 0, 0, 0]).map_err(|reason| format!("dumpable: {reason}"))?;
    Ok(format!("uid {NOBODY}"))
}

fn outside_uid() -> Option<u32> {
    let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    map.split_whitespace().nth(1)?.parse().ok()
}

/// Drops every capability from every set.
pub(super) fn drop_all() -> Outcome {
    for capability in 0..CAPABILITIES {
        // Who has no right to drop from the bounding set has nothing to gain from it, as no_new_privs is set; the end of the list
        // of capabilities fails as well.
        let _ = system::prctl(libc::PR_CAPBSET_DROP, [capability, 0, 0, 0]);
    }
    let _ = system::prctl(libc::PR_CAP_AMBIENT, [libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0, 0, 0]);
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    let sets = [0_u32; 6];
    // SAFETY: header and sets have the layout of version 3.
    unsafe {
        system::call(
            "capset",
            libc::SYS_capset,
            [header.as_ptr() as u64, sets.as_ptr() as u64, 0, 0, 0],
        )?;
        let mut found = [u32::MAX; 6];
        system::call(
            "capget",
            libc::SYS_capget,
            [header.as_ptr() as u64, found.as_mut_ptr() as u64, 0, 0, 0],
        )?;
        if found != [0; 6] {
            return Err("capabilities are left".to_owned());
        }
    }
    Ok(String::new())
}
