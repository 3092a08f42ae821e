//! Memory that is overwritten when it is given back.
//!
//! [`Wipe`] is a global allocator that overwrites each block before it is freed, also the old block of one that grows.
//! [`scrub_stack`] does the same for the stack below the caller. Both write at the speed of memory; an empty piece of assembly that
//! may read all memory keeps the compiler from leaving the writes out.
#![expect(unsafe_code, reason = "an allocator has no safe form")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether [`Wipe::when_asked`] has been asked.
static ASKED: AtomicBool = AtomicBool::new(false);

/// An allocator that overwrites what is freed.
///
/// ```
/// # use locket_sandbox::Wipe;
/// #[global_allocator]
/// static ALLOCATOR: Wipe = Wipe::new();
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Wipe<A = System> {
    inner: A,
    always: bool,
}

impl Default for Wipe {
    fn default() -> Self {
        Self::new()
    }
}

impl Wipe<System> {
    /// Over the system's allocator.
    pub const fn new() -> Self {
        Self::over(System)
    }

    /// Over the system's allocator, of which it is no more than that until [`Wipe::ask`]: for a program that is a worker only now and
    /// then.
    pub const fn when_asked() -> Self {
        Self {
            inner: System,
            always: false,
        }
    }

    /// Has every allocator of [`Wipe::when_asked`] overwrite from now on.
    pub fn ask() {
        ASKED.store(true, Ordering::Relaxed);
    }
}

impl<A> Wipe<A> {
    /// Over another allocator.
    pub const fn over(inner: A) -> Self {
        Self { inner, always: true }
    }

    fn is_asked(&self) -> bool {
        self.always || ASKED.load(Ordering::Relaxed)
    }
}

// SAFETY: every block comes from the inner allocator and goes back to it with the layout it was made with; it is overwritten only
// between the last use by its owner and its return.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wipe<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of this layout that it does not use any more.
        unsafe {
            if self.is_asked() {
                wipe(block, layout.size());
            }
            self.inner.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !self.is_asked() {
            // SAFETY: the caller's promises are passed on.
            return unsafe { self.inner.realloc(block, layout, new_size) };
        }
        // The inner allocator would leave a copy behind wherever it moves a block, so that it always moves here.
        // SAFETY: the caller promises that the new size, rounded up to the alignment, fits, and is not 0.
        unsafe {
            let moved = self
                .inner
                .alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Overwrites memory in a way that the compiler keeps.
///
/// # Safety
///
/// `bytes` bytes from `start` can be written and nobody reads what was in them.
pub(crate) unsafe fn wipe(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::write_bytes(start, 0, bytes) };
    keep(start);
}

/// Makes the compiler believe that everything reachable from the pointer is read here.
#[inline(always)]
fn keep(start: *const u8) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: no instruction at all; it is only said to read memory.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::hint::black_box(start);
}

/// Overwrites a slice in a way that the compiler keeps.
pub fn wipe_slice(bytes: &mut [u8]) {
    // SAFETY: the slice is exclusively ours.
    unsafe { wipe(bytes.as_mut_ptr(), bytes.len()) };
}

/// Overwrites `bytes` of the stack below the caller, where functions that have returned left their data.
///
/// The stack must have as much room left.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub fn scrub_stack(bytes: usize) {
    // SAFETY: what lies below the stack pointer belongs to nobody: without `nostack` the compiler keeps nothing there across the block.
    // A signal handler that uses it is done before the next byte is written.
    unsafe {
        std::arch::asm!(
            "mov rdi, rsp",
            "sub rdi, rcx",
            "rep stosb",
            inout("rcx") bytes => _,
            out("rdi") _,
            in("al") 0_u8,
        );
    }
}

/// Overwrites most of `bytes` of the stack below the caller, where functions that have returned left their data: all but what
/// the function itself keeps beside its buffer.
///
/// The stack must have as much room left.
#[cfg(not(target_arch = "x86_64"))]
#[inline(never)]
pub fn scrub_stack(bytes: usize) {
    const FRAME: usize = 4096;
    let mut frame = std::mem::MaybeUninit::<[u8; FRAME]>::uninit();
    // SAFETY: the frame is ours, and never read.
    unsafe { wipe(frame.as_mut_ptr().cast(), FRAME) };
    if bytes > FRAME {
        scrub_stack(bytes - FRAME);
    }
    // The frame is still in use after the call, so that the call is no jump that would reuse it.
    keep(frame.as_ptr().cast());
}
