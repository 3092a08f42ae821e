//! System calls by number, and the addresses that they take.
#![expect(unsafe_code, reason = "the attempts are system calls")]

use std::{
    ffi::CString,
    io,
    os::fd::{FromRawFd, OwnedFd},
};

pub(super) use super::Tried;

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(super) i32);

/// The error of an attempt that got through and came back with nothing.
pub(super) const NOTHING: Errno = Errno(libc::ENODATA);

/// Makes a call. The attempts pass numbers, and pointers to what lives until it returns.
pub(super) fn call(number: i64, arguments: [u64; 6]) -> Result<u64, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: see above; the kernel checks what it is given.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))),
        result => Ok(result.cast_unsigned()),
    }
}

/// A call with up to three arguments.
pub(super) fn call3(number: i64, a: u64, b: u64, c: u64) -> Result<u64, Errno> {
    call(number, [a, b, c, 0, 0, 0])
}

/// The pointer to something, as an argument.
pub(super) fn at<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>() as u64
}

/// The pointer to something that the call writes, as an argument.
pub(super) fn into<T: ?Sized>(value: &mut T) -> u64 {
    std::ptr::from_mut(value).cast::<u8>() as u64
}

/// The current folder, for calls that want one.
pub(super) const HERE: u64 = libc::AT_FDCWD as u64;

/// A path for the kernel.
pub(super) fn path(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// The pointer to a path.
pub(super) fn name(path: &CString) -> u64 {
    path.as_ptr() as u64
}

/// Opens a file.
pub(super) fn open(text: &str, flags: i32, mode: u32) -> Result<u64, Errno> {
    let path = path(text);
    call(
        libc::SYS_openat,
        [HERE, name(&path), flags as u64, mode.into(), 0, 0],
    )
}

/// Reads once.
pub(super) fn read(descriptor: u64) -> Tried {
    let mut bytes = vec![0; 4096];
    let length = call3(libc::SYS_read, descriptor, into(bytes.as_mut_slice()), bytes.len() as u64)?;
    bytes.truncate(length as usize);
    Ok(bytes)
}

/// Writes once.
pub(super) fn write(descriptor: u64, bytes: &[u8]) -> Tried {
    call3(libc::SYS_write, descriptor, at(bytes), bytes.len() as u64).map(|_| Vec::new())
}

/// Makes a socket that does not block.
pub(super) fn socket(domain: i32, kind: i32, protocol: i32) -> Result<u64, Errno> {
    call3(libc::SYS_socket, domain as u64, kind as u64, protocol as u64)
}

/// `sockaddr_in` of a port of this machine.
pub(super) fn inet(port: u16) -> Vec<u8> {
    let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// `sockaddr_in6` of a port of this machine.
pub(super) fn inet6(port: u16) -> Vec<u8> {
    let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0; 4]);
    bytes
}

/// `sockaddr_un` of a path.
pub(super) fn unix(path: &str) -> Vec<u8> {
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.extend(path.as_bytes());
    bytes.push(0);
    bytes
}

/// `sockaddr_un` of an abstract name.
pub(super) fn hidden(name: &str) -> Vec<u8> {
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.push(0);
    bytes.extend(name.as_bytes());
    bytes
}

/// Connects a socket.
pub(super) fn connect(socket: u64, address: &[u8]) -> Result<(), Errno> {
    call3(libc::SYS_connect, socket, at(address), address.len() as u64).map(drop)
}

/// Sends to an address.
pub(super) fn send_to(socket: u64, bytes: &[u8], flags: i32, address: &[u8]) -> Tried {
    call(
        libc::SYS_sendto,
        [
            socket,
            at(bytes),
            bytes.len() as u64,
            flags as u64,
            at(address),
            address.len() as u64,
        ],
    )
    .map(|_| Vec::new())
}

/// A structure of the kernel, built from words, at an address that stays.
pub(super) fn words(list: &[u64]) -> Vec<u64> {
    list.to_vec()
}

/// Writes bytes to an address that a call returned.
pub(super) fn poke(address: u64, bytes: &[u8]) {
    // SAFETY: the attempts pass the start of a writable page that was just mapped, and fewer bytes than it has.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            std::ptr::with_exposed_provenance_mut(address as usize),
            bytes.len(),
        );
    }
}

/// Reads at a place of a file.
pub(super) fn pread(descriptor: u64, offset: u64, length: u64) -> Tried {
    let mut bytes = vec![0; length as usize];
    let read = call(
        libc::SYS_pread64,
        [descriptor, into(bytes.as_mut_slice()), length, offset, 0, 0],
    )?;
    bytes.truncate(read as usize);
    Ok(bytes)
}

/// Waits for a child, or for a process that is traced.
pub(super) fn wait_for(pid: u64) {
    let _ = call(libc::SYS_wait4, [pid, 0, 0, 0, 0, 0]);
}

/// Ends a child that an attempt started.
pub(super) fn end_child() -> ! {
    crate::worker::end(0)
}

/// Calls the function at an address.
pub(super) fn run(address: u64) -> u32 {
    // SAFETY: the attempts put a function of this type there. Where the memory cannot be run, the process ends, which the harness counts.
    unsafe {
        let code: extern "C" fn() -> u32 =
            std::mem::transmute(std::ptr::with_exposed_provenance::<()>(address as usize));
        code()
    }
}

/// Overwrites the first argument of the program, which the kernel shows to everybody.
pub(super) fn write_title(text: &str) {
    // The C library remembers where the short name lies, which is inside the first argument.
    // SAFETY: the library's pointer is to the first argument, which is writable memory with a nul at its end; writing beyond it
    // reaches the other arguments, of which the harness makes long ones.
    unsafe {
        let title = program_invocation_name;
        let room = libc::strlen(title);
        let bytes = &text.as_bytes()[..text.len().min(room)];
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), title.cast(), bytes.len());
    }
}

unsafe extern "C" {
    static program_invocation_name: *mut libc::c_char;
}

/// Calls the kernel by the entry of 32-bit programs, without arguments.
pub(super) fn old_entry(number: u32) -> i32 {
    let result: u32;
    // SAFETY: the call that is made has no arguments and touches no memory. Registers that the entry does not keep are named.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("eax") number => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack),
        );
    }
    result.cast_signed()
}

/// What lies in memory where the environment was when the program began: behind the arguments.
pub(super) fn environment_block() -> Vec<u8> {
    /// Enough for the few variables that the harness passes.
    const BYTES: usize = 512;
    // SAFETY: the kernel lays arguments and environment out one after another at the end of the stack; the harness passes more than
    // this much environment, all of it readable.
    unsafe { std::slice::from_raw_parts(program_invocation_name.cast::<u8>(), BYTES).to_vec() }
}

/// Takes a descriptor that a call returned.
pub(super) fn own(descriptor: u64) -> OwnedFd {
    // SAFETY: callers pass what open, socket, accept or pipe just returned, once.
    unsafe { OwnedFd::from_raw_fd(descriptor as i32) }
}
