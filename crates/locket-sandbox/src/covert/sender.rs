//! The worker's side: hides a message in time, length and memory.
#![expect(unsafe_code, reason = "memory is mapped and unmapped by hand")]

use rustix::{
    mm::{MapFlags, ProtFlags, mmap_anonymous, munmap},
    time::{ClockId, clock_gettime},
};

use super::{MEMORY, MESSAGE, SIZE, TIME, symbol, symbols};
use crate::worker;

/// Bytes that are mapped for a one: far more than a worker's memory changes by otherwise.
const MAPPED: usize = 16 << 20;

/// The clock that all processes share, in nanoseconds.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Waits without a system call that somebody could see.
fn spin_until(moment_ns: u64) {
    while now_ns() < moment_ns {
        std::hint::spin_loop();
    }
}

/// Serves [`super::ROLE`].
pub fn serve() -> ! {
    let (worker, ()) = worker::enter(|_| Ok(()));
    let mut message = vec![0];
    worker.serve(move |request, reply| {
        let arrived = now_ns();
        let number = |at: usize| {
            let bytes = request.bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        match request.kind {
            MESSAGE => message = request.bytes.to_vec(),
            TIME => {
                let bits = request.bytes.get(16).map_or(1, |&bits| u32::from(bits.clamp(1, 8)));
                let symbol = symbol(&message, number(0) as usize, bits);
                spin_until(arrived + number(1) * u64::from(symbol));
            }
            SIZE => {
                let pair = message.as_chunks::<2>().0.get(number(0) as usize).copied().unwrap_or_default();
                let length = usize::from(u16::from_le_bytes(pair)).min(reply.room());
                reply.extend(length);
            }
            MEMORY => by_memory(&message, number(0), number(1)),
            _ => {}
        }
        request.kind
    })
}

fn by_memory(message: &[u8], start_ns: u64, period_ns: u64) {
    for at in 0..symbols(message, 1) {
        spin_until(start_ns + at as u64 * period_ns);
        let end = start_ns + (at as u64 + 1) * period_ns;
        if symbol(message, at, 1) == 0 {
            spin_until(end);
            continue;
        }
        // SAFETY: a fresh mapping that nothing refers to and nobody touches.
        let mapped =
            unsafe { mmap_anonymous(std::ptr::null_mut(), MAPPED, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        spin_until(end);
        if let Ok(mapped) = mapped {
            // SAFETY: the mapping from above, as a whole, once.
            let _ = unsafe { munmap(mapped, MAPPED) };
        }
    }
}
