//! Layer `root`: the only file system in sight is an empty one that cannot be written.
#![expect(unsafe_code, reason = "system calls without a safe form")]

use std::ffi::CStr;

use super::{Outcome, system};

/// Folders that are there on nearly every system; the new root is mounted over the first one that is.
const PLACES: [&CStr; 5] = [c"/proc", c"/tmp", c"/sys", c"/dev", c"/usr"];

/// Makes the empty root and leaves the old one. The process is in a mount namespace of its own.
pub(super) fn apply() -> Outcome {
    mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"")?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mut failed = String::new();
    let place = PLACES.into_iter().find(|place| {
        mount(c"none", place, c"tmpfs", flags, c"size=4k,nr_inodes=1,mode=0555")
            .map_err(|reason| failed = reason)
            .is_ok()
    });
    let place = place.ok_or(failed)?;
    let here = c".".as_ptr() as u64;
    let change = |to: &CStr| {
        // SAFETY: a path that ends in a nul.
        unsafe { system::call("chdir", libc::SYS_chdir, [to.as_ptr() as u64, 0, 0, 0, 0]) }
    };
    change(place)?;
    // The old root lands on top of the new one and is taken off again: no folder is needed for it.
    // SAFETY: paths that end in a nul.
    unsafe {
        system::call("pivot_root", libc::SYS_pivot_root, [here, here, 0, 0, 0])?;
        system::call("umount", libc::SYS_umount2, [here, libc::MNT_DETACH as u64, 0, 0, 0])?;
    }
    change(c"/")?;
    mount(c"none", c"/", c"", flags | libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY, c"")?;
    Ok(String::new())
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong, data: &CStr) -> Result<(), String> {
    let pointer = |text: &CStr| text.as_ptr() as u64;
    // SAFETY: texts that end in a nul.
    unsafe {
        system::call(
            "mount",
            libc::SYS_mount,
            [pointer(source), pointer(target), pointer(kind), flags, pointer(data)],
        )
    }
    .map(drop)
}
