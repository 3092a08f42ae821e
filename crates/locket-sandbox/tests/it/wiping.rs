//! What is freed is overwritten.
#![expect(unsafe_code, reason = "an allocator is tried by its own unsafe calls")]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use locket_sandbox::{Wipe, scrub_stack, wipe_slice};

const ROOM: usize = 1 << 16;

/// Hands out its one buffer piece by piece and takes nothing back, so that freed blocks can be looked at.
struct Bump {
    bytes: UnsafeCell<[u8; ROOM]>,
    used: AtomicUsize,
}

// SAFETY: pieces are disjoint, and the test has one thread.
unsafe impl Sync for Bump {}

// SAFETY: each block is a fresh, aligned piece of the buffer, or null.
unsafe impl GlobalAlloc for &Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self
            .used
            .load(Ordering::Relaxed)
            .next_multiple_of(layout.align().max(64));
        if start + layout.size() > ROOM {
            return std::ptr::null_mut();
        }
        self.used.store(start + layout.size(), Ordering::Relaxed);
        // SAFETY: inside the buffer.
        unsafe { self.bytes.get().cast::<u8>().add(start) }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

fn count(bump: &Bump, byte: u8) -> usize {
    // SAFETY: nobody writes while the test looks.
    unsafe { (*bump.bytes.get()).iter().filter(|&&found| found == byte).count() }
}

#[test]
fn freed_and_moved_blocks_are_overwritten() {
    let bump = Bump {
        bytes: UnsafeCell::new([0; ROOM]),
        used: AtomicUsize::new(0),
    };
    let wipe = Wipe::over(&bump);
    for size in [1, 7, 64, 1000, 4097] {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        // SAFETY: blocks are used within their size, and given back once with their layout.
        unsafe {
            let block = wipe.alloc(layout);
            block.write_bytes(0xa5, size);
            assert_eq!(count(&bump, 0xa5), size);
            let larger = wipe.realloc(block, layout, size * 2);
            assert_eq!(count(&bump, 0xa5), size, "moved, and the old block overwritten");
            let layout = Layout::from_size_align(size * 2, 8).expect("a layout");
            let smaller = wipe.realloc(larger, layout, size.div_ceil(2));
            assert_eq!(count(&bump, 0xa5), size.div_ceil(2), "shrunk");
            let layout = Layout::from_size_align(size.div_ceil(2), 8).expect("a layout");
            wipe.dealloc(smaller, layout);
        }
        assert_eq!(count(&bump, 0xa5), 0, "freed");
    }
    let layout = Layout::from_size_align(64, 8).expect("a layout");
    // SAFETY: as above.
    unsafe {
        let block = wipe.alloc(layout);
        block.write_bytes(0xa5, 64);
        assert!(wipe.realloc(block, layout, 2 * ROOM).is_null(), "no room");
        assert_eq!(count(&bump, 0xa5), 64, "the old block is as it was");
    }
}

#[test]
fn a_slice_is_overwritten() {
    let mut bytes = vec![7; 1000];
    wipe_slice(&mut bytes[1..]);
    assert_eq!((bytes[0], bytes[1..].iter().any(|&byte| byte != 0)), (7, false));
}

/// Leaves a pattern on the stack, and returns where.
#[inline(never)]
fn leave_a_trace() -> usize {
    let mut trace = [0_u64; 512];
    for (index, word) in trace.iter_mut().enumerate() {
        // SAFETY: a reference to a word of ours.
        unsafe { std::ptr::write_volatile(word, 0x5eed_0000_0000_0000 | index as u64) };
    }
    std::hint::black_box(trace.as_ptr()) as usize
}

#[inline(never)]
fn traces(at: usize) -> usize {
    (0..512)
        .filter(|index| {
            // SAFETY: the address is on this thread's stack, below the caller's frame: mapped, and read as plain bytes.
            let word =
                unsafe { std::ptr::read_volatile(std::ptr::with_exposed_provenance::<u64>(at + index * 8)) };
            word >> 48 == 0x5eed
        })
        .count()
}

#[test]
fn the_stack_is_overwritten() {
    let at = leave_a_trace();
    assert!(traces(at) > 256, "without a scrub the trace is there");
    let at = leave_a_trace();
    scrub_stack(32 << 10);
    assert_eq!(traces(at), 0);
}
