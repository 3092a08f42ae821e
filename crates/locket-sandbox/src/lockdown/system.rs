//! The few calls of the system that the layers share.
#![expect(unsafe_code, reason = "system calls without a safe form")]

use std::io;

/// `prctl`, with the error in words.
pub(super) fn prctl(operation: i32, arguments: [u64; 4]) -> Result<(), String> {
    let [a, b, c, d] = arguments;
    // SAFETY: callers pass operations whose arguments are numbers, or pointers to what outlives the call.
    match unsafe { libc::prctl(operation, a, b, c, d) } {
        -1 => Err(io::Error::last_os_error().to_string()),
        _ => Ok(()),
    }
}

/// Any other call.
///
/// # Safety
///
/// As the call's manual says: pointers among the arguments are valid for what the kernel reads and writes.
pub(super) unsafe fn call(what: &str, number: i64, arguments: [u64; 5]) -> Result<i64, String> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the caller's promise.
    match unsafe { libc::syscall(number, a, b, c, d, e) } {
        -1 => Err(format!("{what}: {}", io::Error::last_os_error())),
        result => Ok(result),
    }
}

/// Release of the running kernel.
pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
