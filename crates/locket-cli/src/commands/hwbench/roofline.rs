//! What one core of this machine can do at most: multiply-adds on registers, and reading from each level of memory.

use std::{hint::black_box, time::Instant};

use locket_kernels::{Isa, peak_f32, peak_u8, read_bytes};
use serde::Serialize;

/// Repetitions of each measurement; the best one counts, for others were disturbed.
const ROUNDS: usize = 12;

/// Caches where the system does not tell: those of common machines.
const USUAL_CACHES: [usize; 2] = [1 << 20, 16 << 20];

/// A level of memory.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Level {
    pub(super) name: &'static str,
    /// What fits in it.
    pub(super) bytes: usize,
    /// Thousand millions of bytes a second that one core reads from it.
    pub(super) gb_per_s: f64,
}

/// The roofline of one core.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Roofline {
    /// Thousand millions of float32 multiply-adds a second.
    pub(super) f32_gmac_per_s: f64,
    /// The same of 8-bit ones.
    pub(super) u8_gmac_per_s: f64,
    pub(super) levels: Vec<Level>,
}

/// What keeps a computation from being faster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) nanoseconds: f64,
    pub(super) by: &'static str,
}

impl Roofline {
    /// Measures; takes about half a second.
    pub(super) fn measure(isa: Isa) -> Self {
        let peak = |products: fn(Isa, u64) -> u64| best(|| products(isa, 400_000) as f64);
        let [second, third] = caches();
        let levels = [
            ("L2", second, second / 2),
            ("L3", third, (third / 2).max(2 * second)),
            ("memory", usize::MAX, (4 * third).min(512 << 20)),
        ];
        Self {
            f32_gmac_per_s: peak(peak_f32),
            u8_gmac_per_s: peak(peak_u8),
            levels: levels
                .into_iter()
                .map(|(name, bytes, read)| Level {
                    name,
                    bytes,
                    gb_per_s: bandwidth(isa, read),
                })
                .collect(),
        }
    }

    /// The least time of a computation of so many multiply-adds that passes so many bytes through the level that holds them.
    pub(super) fn bound(&self, multiply_adds: u64, bytes: u64, is_u8: bool) -> Bound {
        let peak = if is_u8 {
            self.u8_gmac_per_s
        } else {
            self.f32_gmac_per_s
        };
        let arithmetic = Bound {
            nanoseconds: multiply_adds as f64 / peak,
            by: "arithmetic",
        };
        let level = self.levels.iter().find(|level| bytes <= level.bytes as u64);
        let memory = level.map(|level| Bound {
            nanoseconds: bytes as f64 / level.gb_per_s,
            by: level.name,
        });
        memory
            .filter(|memory| memory.nanoseconds > arithmetic.nanoseconds)
            .unwrap_or(arithmetic)
    }
}

/// The best rate, in units per nanosecond.
fn best(mut work: impl FnMut() -> f64) -> f64 {
    let rates = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        let done = work();
        done / start.elapsed().as_nanos().max(1) as f64
    });
    rates.fold(0.0, f64::max)
}

fn bandwidth(isa: Isa, bytes: usize) -> f64 {
    let buffer = vec![1u8; bytes.max(1 << 16)];
    // Small buffers are read several times, or the clock would be all that is measured.
    let passes = ((16 << 20) / buffer.len()).max(1);
    best(|| {
        for _ in 0..passes {
            black_box(read_bytes(isa, black_box(&buffer)));
        }
        (passes * buffer.len()) as f64
    })
}

/// Bytes of the second-level and the third-level cache of the first core.
fn caches() -> [usize; 2] {
    let read = |index: usize| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
        let text = std::fs::read_to_string(path).ok()?;
        let kb: usize = text.trim().strip_suffix('K')?.parse().ok()?;
        (kb > 0).then_some(kb * 1024)
    };
    [
        read(2).unwrap_or(USUAL_CACHES[0]),
        read(3).unwrap_or(USUAL_CACHES[1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Level, Roofline};

    #[test]
    fn the_slower_side_is_the_bound() {
        let level = |name, bytes, gb_per_s| Level {
            name,
            bytes,
            gb_per_s,
        };
        let roofline = Roofline {
            f32_gmac_per_s: 50.0,
            u8_gmac_per_s: 200.0,
            levels: vec![level("L2", 1000, 100.0), level("memory", usize::MAX, 10.0)],
        };
        assert_eq!(roofline.bound(1_000_000, 900, false).by, "arithmetic");
        let bound = roofline.bound(10, 5000, true);
        assert_eq!((bound.by, bound.nanoseconds), ("memory", 500.0));
        assert_eq!(roofline.bound(0, 900, true).by, "L2");
    }
}
