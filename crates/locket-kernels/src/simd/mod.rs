//! Registers of one instruction set behind one small trait; the only place with intrinsics and `unsafe`.
//!
//! Kernels are written against [`Simd`] and entered through [`Simd::vectorize`]. Loads and stores check the length of
//! the slice they are given, so the trait is safe; the checks are outside the hot loops or vanish when
//! the optimiser sees the length. Two loads are unchecked and `unsafe`, for loops that check a whole range beforehand.
#![expect(unsafe_code, reason = "the declarations of unchecked loads")]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_amx.rs"]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
#[cfg(target_arch = "x86_64")]
mod avx512_zip;
mod matrix;
mod scalar;

pub(crate) use amx::{Amx, Tiles};
#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512_bf16::Avx512Bf16;
pub(crate) use matrix::{
    Elements, MATRIX_COLUMNS, MATRIX_ROWS, MOST_CHUNK_BYTES, MOST_RUNS, PREFETCHES, Product, Sums,
};
pub(crate) use scalar::Scalar;

/// A proof that an instruction set is present, and its register operations.
///
/// "Lane" always means one f32 or i32 lane. Partial loads and stores take slices shorter than a register
/// (1 to `LANES - 1` elements); lanes beyond a partial load are zero.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// The name, as [`crate::Isa::name`] gives it.
    const NAME: &'static str;
    /// Lanes of one register.
    const LANES: usize;
    /// Most rows of a matrix tile that is 1, 2, 3 registers wide, such that its accumulators, one row of weights and one
    /// broadcast stay in registers.
    const MAX_ROWS: [usize; 3];

    /// A register of f32 lanes.
    type F32: Copy;
    /// A register of i32 lanes.
    type I32: Copy;
    /// A register of u8: four times the lanes.
    type Bytes: Copy;
    /// Four consecutive activations (u8) in every lane, ready for [`Simd::dot4`].
    type Pixels4: Copy;
    /// Four consecutive weights (i8) of one output channel per lane, ready for [`Simd::dot4`].
    type Weights4: Copy;

    /// Asks for the memory `ahead` bytes after the start of a slice, which may be anywhere.
    fn prefetch<T>(self, _from: &[T], _ahead: usize) {}
    /// The same for the second-level cache.
    fn prefetch_far<T>(self, _from: &[T], _ahead: usize) {}

    /// Replaces each byte by the table's entry.
    fn map_bytes(self, table: &[u8; 256], bytes: &mut [u8]) {
        for byte in bytes {
            *byte = table[usize::from(*byte)];
        }
    }

    /// Interleaves three planes of the same length to pixels, whole registers of them, and says how many pixels are done.
    fn zip_bytes(self, _planes: [&[u8]; 3], _pixels: &mut [u8]) -> usize {
        0
    }
    /// The same for elements of four bytes.
    fn zip_words(self, _planes: [&[u32]; 3], _pixels: &mut [u32]) -> usize {
        0
    }

    /// Calls `f` compiled for this instruction set; `f` and what it calls must be `#[inline(always)]`.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// Sets every lane to `value`.
    fn splat_f32(self, value: f32) -> Self::F32;
    /// Loads `LANES` elements. Panics if there are fewer.
    fn load_f32(self, from: &[f32]) -> Self::F32;
    /// Loads `LANES` elements from `at` on.
    ///
    /// # Safety
    /// `at + LANES` is at most the length of `from`.
    unsafe fn load_f32_unchecked(self, from: &[f32], at: usize) -> Self::F32;
    /// Loads fewer than `LANES` elements.
    fn load_f32_partial(self, from: &[f32]) -> Self::F32;
    /// Stores `LANES` elements. Panics if there is less room.
    fn store_f32(self, to: &mut [f32], value: Self::F32);
    /// Stores the first `to.len() < LANES` lanes.
    fn store_f32_partial(self, to: &mut [f32], value: Self::F32);
    /// Loads `LANES` float16 elements given by their bits.
    fn load_f16(self, from: &[u16]) -> Self::F32;

    /// Narrows and stores `LANES` elements as float16 bits, to nearest, ties to even. Panics if there is less room.
    fn store_f16(self, to: &mut [u16], value: Self::F32);

    /// `a * b + c` of one lane, for loops that the compiler vectorises; one rounding where the machine has it, else two.
    fn fused(a: f32, b: f32, c: f32) -> f32;
    /// `a * b + c`; one rounding where the machine has it, else two.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `a + b`.
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`.
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The greater of both; `x` if either is NaN.
    fn max_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32;
    /// The smaller of both; `x` if either is NaN.
    fn min_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32;

    /// Loads `LANES` elements. Panics if there are fewer.
    fn load_i32(self, from: &[i32]) -> Self::I32;
    /// Sets every lane to `value`.
    fn splat_i32(self, value: i32) -> Self::I32;
    /// `a + b`, wrapping.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a - b`, wrapping.
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Converts to f32, to nearest, ties to even.
    fn to_f32(self, value: Self::I32) -> Self::F32;
    /// Rounds to the nearest integer, ties to even. The caller keeps `value` within ±2³⁰.
    fn round(self, value: Self::F32) -> Self::I32;

    /// The lower bf16 of each lane, widened.
    fn low_bf16(self, pairs: Self::I32) -> Self::F32;
    /// The upper bf16 of each lane, widened.
    fn high_bf16(self, pairs: Self::I32) -> Self::F32;

    /// `a ^ b`.
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Loads `LANES` i8 elements, one to a lane. Panics if there are fewer.
    fn load_i8(self, from: &[i8]) -> Self::I32;
    /// Unpacks the first `LANES` codes of `BITS <= 8` bits of a little-endian stream. Panics if it has under 16 bytes.
    fn codes<const BITS: usize>(self, stream: &[u8]) -> Self::I32;
    /// Returns `table[index % SIZE]` for each lane; `SIZE` is 16, 64 or 256.
    fn lookup<const SIZE: usize>(self, table: &[f32; SIZE], index: Self::I32) -> Self::F32;
    /// Returns `table[min(index, table.len() - 1)]` for each lane; indices are not negative. Panics if the table is empty.
    fn gather(self, table: &[f32], index: Self::I32) -> Self::F32;
    /// Puts consecutive values into the lanes whose bit in `mask` (`LANES / 8` bytes) is set, zero into the others. Panics if there are
    /// fewer than `LANES` values.
    fn expand(self, mask: &[u8], values: &[f32]) -> Self::F32;

    /// Loads `LANES` u8 elements, one to a lane. Panics if there are fewer.
    fn load_u8(self, from: &[u8]) -> Self::I32;
    /// Loads `LANES` u8 elements from `at` on, one to a lane.
    ///
    /// # Safety
    /// `at + LANES` is at most the length of `from`.
    unsafe fn load_u8_unchecked(self, from: &[u8], at: usize) -> Self::I32;
    /// Loads fewer than `LANES` u8 elements.
    fn load_u8_partial(self, from: &[u8]) -> Self::I32;
    /// Stores `LANES` values, each in 0 ..= 255. Panics if there is less room.
    fn store_u8(self, to: &mut [u8], value: Self::I32);
    /// Stores the first `to.len() < LANES` values, each in 0 ..= 255.
    fn store_u8_partial(self, to: &mut [u8], value: Self::I32);

    /// Loads up to `4 * LANES` bytes; those beyond `from` are zero. Panics if there are more.
    fn load_bytes(self, from: &[u8]) -> Self::Bytes;
    /// Loads `count` bytes from `at` on, at most `4 * LANES`; those beyond are zero.
    ///
    /// # Safety
    /// `at + count` is at most the length of `from`.
    #[inline(always)]
    unsafe fn load_bytes_unchecked(self, from: &[u8], at: usize, count: usize) -> Self::Bytes {
        self.load_bytes(&from[at..][..count])
    }
    /// Stores the first `to.len()` bytes, at most `4 * LANES`.
    fn store_bytes(self, to: &mut [u8], value: Self::Bytes);
    /// Sets every byte to `value`.
    fn splat_bytes(self, value: u8) -> Self::Bytes;
    /// Interleaves four registers of bytes: lane `l` of result `r` holds byte `16 * (l / 4) + 4 * r + l % 4` of each.
    fn interleave4(self, rows: [Self::Bytes; 4]) -> [Self::Pixels4; 4];
    /// Sets every pair of bytes to `value`.
    fn splat_i16(self, value: i16) -> Self::Bytes;
    /// Narrows to bytes: adds the zero point, saturating at 0 and 255, then bounds, in the order that undoes [`Simd::interleave4`].
    fn pack4(self, values: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes;
    /// The same, register after register.
    fn narrow4(self, values: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes;
    /// Stores each quarter of `value`, `LANES` bytes, at its place; `PAIRS` says that the first two are neighbours, and the last two.
    /// Panics if one does not fit.
    fn store_quarters<const PAIRS: bool>(self, to: &mut [u8], places: [usize; 4], value: Self::Bytes);

    /// Puts four activations (the first in the lowest byte) into every lane.
    fn pixels4(self, four: u32) -> Self::Pixels4;
    /// Loads four weights for each lane: `4 * LANES` elements. Panics if there are fewer.
    fn weights4(self, from: &[i8]) -> Self::Weights4;
    /// `acc + Σ pixels[t] * weights[t]` over the four products of each lane, wrapping, never saturating.
    fn dot4(self, acc: Self::I32, pixels: Self::Pixels4, weights: Self::Weights4) -> Self::I32;
    /// `acc + x * w` for lanes that fit 16 bits: `|x| < 2¹⁵`, and `w` in the low 16 bits of its lane, the high ones zero.
    fn mul_add_i16(self, acc: Self::I32, x: Self::I32, w: Self::I32) -> Self::I32;
}

/// What turns rounded values into codes, in registers.
#[derive(Clone, Copy)]
pub(crate) struct Codes<S: Simd> {
    /// In pairs of bytes.
    zero_point: S::Bytes,
    low: S::Bytes,
    high: S::Bytes,
}

impl<S: Simd> Codes<S> {
    /// Takes the zero point, and the least and greatest code.
    #[inline(always)]
    pub(crate) fn new(simd: S, zero_point: u8, [low, high]: [u8; 2]) -> Self {
        Self {
            zero_point: simd.splat_i16(i16::from(zero_point)),
            low: simd.splat_bytes(low),
            high: simd.splat_bytes(high),
        }
    }
}

/// For each lane, the positions of the two bytes of a stream that hold its code, in the low half (the high half selects zeros).
#[cfg(target_arch = "x86_64")]
const fn pairs_of_codes<const LANES: usize>(bits: usize) -> [u32; LANES] {
    let mut pairs = [0; LANES];
    let mut lane = 0;
    while lane < LANES {
        let byte = (lane * bits / 8) as u32;
        // Only an eight-bit code of the sixteenth lane ends with the sixteenth byte; there is none after it to select.
        let next = if byte < 15 { byte + 1 } else { 0x80 };
        pairs[lane] = 0x8080_0000 | next << 8 | byte;
        lane += 1;
    }
    pairs
}

/// For each lane, the bit of its first byte that its code starts with.
#[cfg(target_arch = "x86_64")]
const fn shifts_of_codes<const LANES: usize>(bits: usize) -> [u32; LANES] {
    let mut shifts = [0; LANES];
    let mut lane = 0;
    while lane < LANES {
        shifts[lane] = (lane * bits % 8) as u32;
        lane += 1;
    }
    shifts
}
