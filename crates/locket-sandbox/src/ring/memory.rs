//! Memory of a file without a name, of a size that nobody can change, for two processes.
#![expect(unsafe_code, reason = "memory shared with another process has no safe form")]

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    ptr::NonNull,
};

use rustix::{
    fs::{MemfdFlags, SealFlags},
    io::Errno,
    mm::{Advice, MapFlags, ProtFlags},
};

/// The mapped memory; unmapped when dropped.
#[derive(Debug)]
pub(super) struct Memory {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is shared with another process anyway; all access goes through raw pointers and atomics, or through an exclusive
// borrow of what only this process can write.
unsafe impl Send for Memory {}

impl Memory {
    /// Makes it, maps it to be written, and seals its size. What is `ours` can be mapped by others to be read alone.
    pub(super) fn create(bytes: usize, ours: bool) -> Result<(Self, OwnedFd), Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("locket-ring", flags | MemfdFlags::NOEXEC_SEAL)
            // Kernels before 6.3 do not know NOEXEC_SEAL.
            .or_else(|_| rustix::fs::memfd_create("locket-ring", flags))?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        let memory = Self::map(std::os::fd::AsFd::as_fd(&file), bytes, true)?;
        let mut seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        if ours {
            seals |= SealFlags::FUTURE_WRITE;
        }
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok((memory, file))
    }

    /// Maps memory of that size, which another process made unless it is about to be sealed.
    pub(super) fn map(file: BorrowedFd<'_>, bytes: usize, writable: bool) -> Result<Self, Errno> {
        if rustix::fs::fstat(file)?.st_size != bytes as i64 {
            return Err(Errno::INVAL);
        }
        let protection = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice; the file is as long as the map, and sealed against shrinking before
        // anybody else has it.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0)? };
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::NOMEM)?;
        // SAFETY: the range is the mapping just made. Failing to keep it out of dumps is no reason to stop: nobody can dump us.
        let _ = unsafe { rustix::mm::madvise(base.as_ptr().cast(), bytes, Advice::LinuxDontDump) };
        Ok(Self { base, bytes })
    }

    /// Keeps it out of swap.
    pub(super) fn lock(&self) -> Result<(), Errno> {
        // SAFETY: the range is our mapping.
        unsafe { rustix::mm::mlock(self.base.as_ptr().cast(), self.bytes) }
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
