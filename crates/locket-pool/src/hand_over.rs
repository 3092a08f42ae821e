//! How long it takes to hand work to another thread and back.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::Pool;

/// A hand-over between neighbouring cores that share a cache.
const NEAR_NS: u64 = 500;
/// A hand-over between cores of one processor.
const MIDDLE_NS: u64 = 5_000;
/// A hand-over between cores that are far from each other, or one of which has other work.
pub const FAR_NS: u64 = 10_000;

/// The longest measurement that is near, and that is middle: 64 lines travel, in a fifth of a microsecond within a shared cache and in
/// twenty where virtual processors are on different dies.
const NEAR_LIMIT_NS: u64 = 2_000;
const MIDDLE_LIMIT_NS: u64 = 8_000;

/// The other thread's core can have work of its own: it is waited for until a hand-over takes no longer than this, or for so long.
const SETTLED: Duration = Duration::from_micros(40);
const PATIENCE: Duration = Duration::from_millis(3);

const MEASURED: usize = 9;

/// Nanoseconds that a hand-over takes on this machine: one of three sizes, so that two plans of the same machine hardly ever differ.
/// The first measurement that succeeds counts for the life of the program, most often after 0.1 ms; until then each call tries again and
/// gives the middle one. With the near and the far size networks of 0.1 to 5 ms ran fastest on Zen 5, its two virtual processors near or
/// far; the middle one divides steps as the constant did that was found on Sapphire Rapids, where this measurement was not made.
pub fn hand_over_ns() -> u64 {
    static MEASUREMENT: OnceLock<u64> = OnceLock::new();
    if let Some(&measured) = MEASUREMENT.get() {
        return measured;
    }
    match measure() {
        Some(measured) => *MEASUREMENT.get_or_init(|| size(measured)),
        // Other work stands in the way now; the next plan tries again.
        None => MIDDLE_NS,
    }
}

fn size(nanoseconds: u64) -> u64 {
    if nanoseconds <= NEAR_LIMIT_NS {
        NEAR_NS
    } else if nanoseconds <= MIDDLE_LIMIT_NS {
        MIDDLE_NS
    } else {
        FAR_NS
    }
}

/// Bytes of the result that is handed over.
const RESULT_BYTES: usize = 2 << 10;

/// The median time, less that of one thread alone, until two threads have changed their halves of a small result and one of them has read
/// and changed all of it: what costs is not the signal but the lines that go from one core's cache to the other's. `None` if there is no
/// second thread, or no core for it.
fn measure() -> Option<u64> {
    let mut pool = Pool::new(2).ok()?;
    let mut result = vec![0_u8; RESULT_BYTES];
    let alone = median(|| {
        change(&mut result);
        change(&mut result);
    });
    let borders = [0, RESULT_BYTES / 2, RESULT_BYTES];
    let mut both = || {
        pool.run(&mut result, &borders, &mut [], 0, &|_, half, _| change(half));
        change(&mut result);
    };
    let started = Instant::now();
    while time(&mut both) > SETTLED {
        if started.elapsed() > PATIENCE {
            return None;
        }
        // Who wakes up is given a core that is idle.
        std::thread::sleep(SETTLED);
    }
    Some(nanoseconds(median(both).saturating_sub(alone)))
}

fn change(bytes: &mut [u8]) {
    for byte in std::hint::black_box(bytes) {
        *byte = byte.wrapping_add(1);
    }
}

fn time(run: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times = [(); MEASURED].map(|()| time(&mut run));
    times.sort_unstable();
    times[MEASURED / 2]
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{FAR_NS, MIDDLE_NS, NEAR_NS, hand_over_ns, size};

    #[test]
    fn a_measurement_is_one_of_three_sizes() {
        assert_eq!([100, 5_000, 90_000].map(size), [NEAR_NS, MIDDLE_NS, FAR_NS]);
        assert!([NEAR_NS, MIDDLE_NS, FAR_NS].contains(&hand_over_ns()));
    }
}
