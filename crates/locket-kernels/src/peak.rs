//! What the arithmetic units can do at most: products on registers alone, for a caller that holds a clock.

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
