//! What the machine can do at most, for a caller that holds a clock: products on registers alone, reads of memory alone.

use core::hint::black_box;

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Independent sums: enough to cover the latency of two units.
const SUMS: usize = 12;

/// Does float multiply-accumulates on registers and returns how many.
pub fn peak_f32(isa: Isa, rounds: u64) -> u64 {
    isa.dispatch(PeakF32 { rounds })
}

/// Does u8 by i8 multiply-accumulates on registers and returns how many.
pub fn peak_u8(isa: Isa, rounds: u64) -> u64 {
    isa.dispatch(PeakU8 { rounds })
}

/// Reads a buffer once, whole registers of it, and returns something that depends on what was read.
pub fn read_bytes(isa: Isa, from: &[u8]) -> u8 {
    isa.dispatch(Read { from })
}

struct Read<'a> {
    from: &'a [u8],
}

impl Kernel for Read<'_> {
    type Output = u8;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u8 {
        const LOADS: usize = 8;
        let width = 4 * S::LANES;
        let mut sums = [simd.splat_f32(0.0); LOADS];
        for line in self.from.chunks_exact(LOADS * width) {
            let values: &[f32] = bytemuck::try_cast_slice(line).unwrap_or(&[0.0; LOADS * 16]);
            for load in 0..LOADS {
                sums[load] = simd.max_f32(sums[load], simd.load_f32(&values[load * S::LANES..]));
            }
        }
        let mut out = [0.0; 16];
        let mut total = 0.0;
        for sum in sums {
            simd.store_f32(&mut out, sum);
            total += out[0];
        }
        black_box(total) as u8
    }
}

struct PeakF32 {
    rounds: u64,
}

impl Kernel for PeakF32 {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        let [a, b] = [black_box(0.999), black_box(1e-3)].map(|value| simd.splat_f32(value));
        let mut sums = [b; SUMS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, a, b);
            }
        }
        for sum in sums {
            simd.store_f32(black_box(&mut [0.0; 16]), sum);
        }
        self.rounds * (SUMS * S::LANES) as u64
    }
}

struct PeakU8 {
    rounds: u64,
}

impl Kernel for PeakU8 {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        let pixels = simd.pixels4(black_box(0x0102_0304));
        let weights = simd.weights4(black_box(&[3; 64]));
        let mut sums = [simd.splat_i32(0); SUMS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.dot4(*sum, pixels, weights);
            }
        }
        for sum in sums {
            simd.store_f32(black_box(&mut [0.0; 16]), simd.to_f32(sum));
        }
        self.rounds * (4 * SUMS * S::LANES) as u64
    }
}
