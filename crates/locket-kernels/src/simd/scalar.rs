//! Plain Rust: eight lanes as an array. It is the twin that all other back ends are compared with.
#![expect(
    unsafe_code,
    reason = "loads that are declared unsafe, here with their checks"
)]

use core::array::from_fn;

use super::{Codes, Simd};

/// The instruction set that needs no proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Scalar;

const LANES: usize = 8;

/// Adding this to a value within ±2²² moves its integer part, rounded to nearest even, into the low mantissa bits.
const ROUND_MAGIC: f32 = 12_582_912.0;

#[inline(always)]
fn partial<T: Copy + Default>(from: &[T]) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    lanes[..from.len()].copy_from_slice(from);
    lanes
}

impl Simd for Scalar {
    const NAME: &'static str = "scalar";
    const LANES: usize = LANES;
    const MAX_ROWS: [usize; 3] = [4, 2, 1];

    type F32 = [f32; LANES];
    type I32 = [i32; LANES];
    type Bytes = [u8; 4 * LANES];
    type Pixels4 = [[u8; 4]; LANES];
    type Weights4 = [[i8; 4]; LANES];

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> Self::F32 {
        [value; LANES]
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> Self::F32 {
        from_fn(|lane| from[lane])
    }

    #[inline(always)]
    unsafe fn load_f32_unchecked(self, from: &[f32], at: usize) -> Self::F32 {
        self.load_f32(&from[at..])
    }

    #[inline(always)]
    fn load_f32_partial(self, from: &[f32]) -> Self::F32 {
        partial(from)
    }

    #[inline(always)]
    fn store_f32(self, to: &mut [f32], value: Self::F32) {
        to[..LANES].copy_from_slice(&value);
    }

    #[inline(always)]
    fn store_f32_partial(self, to: &mut [f32], value: Self::F32) {
        to.copy_from_slice(&value[..to.len()]);
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> Self::F32 {
        from_fn(|lane| half::f16::from_bits(from[lane]).to_f32())
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16], value: Self::F32) {
        to[..LANES].copy_from_slice(&value.map(|v| half::f16::from_f32(v).to_bits()));
    }

    #[inline(always)]
    fn fused(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn max_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32 {
        from_fn(|lane| {
            if bound[lane] > x[lane] {
                bound[lane]
            } else {
                x[lane]
            }
        })
    }

    #[inline(always)]
    fn min_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32 {
        from_fn(|lane| {
            if bound[lane] < x[lane] {
                bound[lane]
            } else {
                x[lane]
            }
        })
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> Self::I32 {
        from_fn(|lane| from[lane])
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> Self::I32 {
        [value; LANES]
    }

    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    #[inline(always)]
    fn to_f32(self, value: Self::I32) -> Self::F32 {
        value.map(|v| v as f32)
    }

    #[inline(always)]
    fn round(self, value: Self::F32) -> Self::I32 {
        // From 2²² on there is no half to round; below, the magic constant does it.
        value.map(|v| {
            let rounded = (v + ROUND_MAGIC).to_bits().wrapping_sub(ROUND_MAGIC.to_bits()) as i32;
            if v.abs() < 4_194_304.0 {
                rounded
            } else {
                v.round_ties_even() as i32
            }
        })
    }

    #[inline(always)]
    fn low_bf16(self, pairs: Self::I32) -> Self::F32 {
        from_fn(|lane| f32::from_bits(pairs[lane].cast_unsigned() << 16))
    }

    #[inline(always)]
    fn high_bf16(self, pairs: Self::I32) -> Self::F32 {
        from_fn(|lane| f32::from_bits(pairs[lane].cast_unsigned() & 0xffff_0000))
    }

    #[inline(always)]
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        from_fn(|lane| a[lane] ^ b[lane])
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> Self::I32 {
        from_fn(|lane| i32::from(from[lane]))
    }

    #[inline(always)]
    fn codes<const BITS: usize>(self, stream: &[u8]) -> Self::I32 {
        from_fn(|lane| {
            let bit = lane * BITS;
            let pair = u32::from(stream[bit / 8]) | u32::from(stream[bit / 8 + 1]) << 8;
            (pair >> (bit % 8) & ((1 << BITS) - 1)) as i32
        })
    }

    #[inline(always)]
    fn lookup<const SIZE: usize>(self, table: &[f32; SIZE], index: Self::I32) -> Self::F32 {
        index.map(|index| table[index as usize % SIZE])
    }

    #[inline(always)]
    fn gather(self, table: &[f32], index: Self::I32) -> Self::F32 {
        index.map(|index| table[(index as usize).min(table.len() - 1)])
    }

    #[inline(always)]
    fn expand(self, mask: &[u8], values: &[f32]) -> Self::F32 {
        let mut next = 0;
        from_fn(|lane| {
            let is_present = mask[0] >> lane & 1 == 1;
            next += usize::from(is_present);
            if is_present { values[next - 1] } else { 0.0 }
        })
    }

    #[inline(always)]
    fn load_u8(self, from: &[u8]) -> Self::I32 {
        from_fn(|lane| i32::from(from[lane]))
    }

    #[inline(always)]
    unsafe fn load_u8_unchecked(self, from: &[u8], at: usize) -> Self::I32 {
        self.load_u8(&from[at..])
    }

    #[inline(always)]
    fn load_u8_partial(self, from: &[u8]) -> Self::I32 {
        partial(from).map(i32::from)
    }

    #[inline(always)]
    fn store_u8(self, to: &mut [u8], value: Self::I32) {
        to[..LANES].copy_from_slice(&value.map(|v| v as u8));
    }

    #[inline(always)]
    fn store_u8_partial(self, to: &mut [u8], value: Self::I32) {
        to.copy_from_slice(&value.map(|v| v as u8)[..to.len()]);
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8]) -> Self::Bytes {
        let mut bytes = [0; 4 * LANES];
        bytes[..from.len()].copy_from_slice(from);
        bytes
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [u8], value: Self::Bytes) {
        to.copy_from_slice(&value[..to.len()]);
    }

    #[inline(always)]
    fn splat_bytes(self, value: u8) -> Self::Bytes {
        [value; 4 * LANES]
    }

    #[inline(always)]
    fn interleave4(self, rows: [Self::Bytes; 4]) -> [Self::Pixels4; 4] {
        from_fn(|register| from_fn(|lane| rows.map(|row| row[16 * (lane / 4) + 4 * register + lane % 4])))
    }

    #[inline(always)]
    fn splat_i16(self, value: i16) -> Self::Bytes {
        from_fn(|byte| value.to_le_bytes()[byte % 2])
    }

    #[inline(always)]
    fn pack4(self, values: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes {
        from_fn(|byte| code(values[byte / 4 % 4][byte / 16 * 4 + byte % 4], codes))
    }

    #[inline(always)]
    fn narrow4(self, values: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes {
        from_fn(|byte| code(values[byte / LANES][byte % LANES], codes))
    }

    #[inline(always)]
    fn store_quarters<const PAIRS: bool>(self, to: &mut [u8], places: [usize; 4], value: Self::Bytes) {
        for (place, quarter) in places.into_iter().zip(value.chunks_exact(LANES)) {
            to[place..][..LANES].copy_from_slice(quarter);
        }
    }

    #[inline(always)]
    fn pixels4(self, four: u32) -> Self::Pixels4 {
        [four.to_le_bytes(); LANES]
    }

    #[inline(always)]
    fn weights4(self, from: &[i8]) -> Self::Weights4 {
        from_fn(|lane| from_fn(|tap| from[4 * lane + tap]))
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I32, pixels: Self::Pixels4, weights: Self::Weights4) -> Self::I32 {
        from_fn(|lane| {
            let products: [i32; 4] =
                from_fn(|tap| i32::from(pixels[lane][tap]) * i32::from(weights[lane][tap]));
            acc[lane].wrapping_add(products[0] + products[1] + products[2] + products[3])
        })
    }

    #[inline(always)]
    fn mul_add_i16(self, acc: Self::I32, x: Self::I32, w: Self::I32) -> Self::I32 {
        from_fn(|lane| acc[lane].wrapping_add(x[lane] * i32::from(w[lane] as i16)))
    }
}

/// Adds the zero point and bounds.
fn code(value: i32, codes: Codes<Scalar>) -> u8 {
    let zero_point = i16::from_le_bytes([codes.zero_point[0], codes.zero_point[1]]);
    let code = value.saturating_add(i32::from(zero_point));
    code.clamp(i32::from(codes.low[0]), i32::from(codes.high[0])) as u8
}
