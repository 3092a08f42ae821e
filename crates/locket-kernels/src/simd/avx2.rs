//! AVX2 with FMA and F16C: eight lanes. Partial accesses go through an array, as masked stores are slow on many machines.
#![expect(
    unsafe_code,
    reason = "intrinsics; each use rests on the token or on a length checked beside it"
)]

use core::arch::x86_64::{
    __m256, __m256i, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _MM_HINT_T1, _mm_loadl_epi64, _mm_loadu_si128,
    _mm_packus_epi16, _mm_packus_epi32, _mm_prefetch, _mm_storel_epi64, _mm_storeu_si128, _mm_unpackhi_epi64,
    _mm256_add_epi32, _mm256_add_ps, _mm256_adds_epi16, _mm256_and_si256, _mm256_blendv_ps,
    _mm256_broadcastsi128_si256, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtepi8_epi32,
    _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_cvtph_ps, _mm256_cvtps_epi32, _mm256_cvtps_ph,
    _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_i32gather_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_epu8, _mm256_max_ps, _mm256_min_epu8, _mm256_min_epu32, _mm256_min_ps,
    _mm256_mul_ps, _mm256_packs_epi32, _mm256_packus_epi16, _mm256_permutevar8x32_epi32,
    _mm256_permutevar8x32_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srai_epi16,
    _mm256_srli_epi16, _mm256_srlv_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi32,
    _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
    _mm256_xor_si256,
};

use super::{Codes, Simd, pairs_of_codes, shifts_of_codes};

/// Proof that the machine has AVX2, FMA and F16C; made only by [`Avx2::detect`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Returns the proof if the machine has the features.
    pub(crate) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Self(()))
    }
}

const LANES: usize = 8;

/// Evaluates intrinsics in a method of the token.
macro_rules! proven {
    ($token:ident, $body:expr) => {{
        let _: Avx2 = $token;
        // SAFETY: `detect` found every feature these intrinsics need before it made the token; where the
        // expression takes a pointer, the assertion just above it (or the array's type) states the bounds, or the
        // method is unsafe and its caller does.
        unsafe { $body }
    }};
}

#[inline(always)]
fn partial<T: Copy + Default>(from: &[T]) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    lanes[..from.len()].copy_from_slice(from);
    lanes
}

/// Bytes of four-element groups, split into the even and the odd ones, each widened to 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvenOdd {
    even: __m256i,
    odd: __m256i,
}

/// Splits groups of four unsigned bytes.
#[target_feature(enable = "avx2")]
#[inline]
fn even_odd(all: __m256i) -> EvenOdd {
    EvenOdd {
        even: _mm256_and_si256(all, _mm256_set1_epi16(0x00ff)),
        odd: _mm256_srli_epi16::<8>(all),
    }
}

impl Simd for Avx2 {
    #[inline(always)]
    fn prefetch<T>(self, from: &[T], ahead: usize) {
        let ahead = from.as_ptr().cast::<i8>().wrapping_add(ahead);
        // SAFETY: a prefetch is a hint that faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead) };
    }

    #[inline(always)]
    fn prefetch_far<T>(self, from: &[T], ahead: usize) {
        let ahead = from.as_ptr().cast::<i8>().wrapping_add(ahead);
        // SAFETY: a prefetch is a hint that faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead) };
    }

    const NAME: &'static str = "avx2";
    const LANES: usize = LANES;
    const MAX_ROWS: [usize; 3] = [12, 6, 4];

    type F32 = __m256;
    type I32 = __m256i;
    type Bytes = __m256i;
    type Pixels4 = EvenOdd;
    type Weights4 = EvenOdd;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        proven!(self, inner(f))
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> Self::F32 {
        proven!(self, _mm256_set1_ps(value))
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> Self::F32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm256_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    unsafe fn load_f32_unchecked(self, from: &[f32], at: usize) -> Self::F32 {
        debug_assert!(at + LANES <= from.len());
        proven!(self, _mm256_loadu_ps(from.as_ptr().add(at)))
    }

    #[inline(always)]
    fn load_f32_partial(self, from: &[f32]) -> Self::F32 {
        let lanes = partial(from);
        proven!(self, _mm256_loadu_ps(lanes.as_ptr()))
    }

    #[inline(always)]
    fn store_f32(self, to: &mut [f32], value: Self::F32) {
        assert!(to.len() >= LANES);
        proven!(self, _mm256_storeu_ps(to.as_mut_ptr(), value));
    }

    #[inline(always)]
    fn store_f32_partial(self, to: &mut [f32], value: Self::F32) {
        let mut lanes = [0.0; LANES];
        self.store_f32(&mut lanes, value);
        to.copy_from_slice(&lanes[..to.len()]);
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> Self::F32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16], value: Self::F32) {
        assert!(to.len() >= LANES);
        proven!(
            self,
            _mm_storeu_si128(
                to.as_mut_ptr().cast(),
                _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)
            )
        );
    }

    #[inline(always)]
    fn fused(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        proven!(self, _mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        proven!(self, _mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        proven!(self, _mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn max_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32 {
        // The instruction returns its second operand when either is NaN.
        proven!(self, _mm256_max_ps(bound, x))
    }

    #[inline(always)]
    fn min_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32 {
        proven!(self, _mm256_min_ps(bound, x))
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> Self::I32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm256_loadu_si256(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> Self::I32 {
        proven!(self, _mm256_set1_epi32(value))
    }

    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        proven!(self, _mm256_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        proven!(self, _mm256_sub_epi32(a, b))
    }

    #[inline(always)]
    fn to_f32(self, value: Self::I32) -> Self::F32 {
        proven!(self, _mm256_cvtepi32_ps(value))
    }

    #[inline(always)]
    fn round(self, value: Self::F32) -> Self::I32 {
        proven!(self, _mm256_cvtps_epi32(value))
    }

    #[inline(always)]
    fn low_bf16(self, pairs: Self::I32) -> Self::F32 {
        proven!(self, _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)))
    }

    #[inline(always)]
    fn high_bf16(self, pairs: Self::I32) -> Self::F32 {
        let high = proven!(self, _mm256_set1_epi32(0xffff_0000_u32.cast_signed()));
        proven!(self, _mm256_castsi256_ps(_mm256_and_si256(pairs, high)))
    }

    #[inline(always)]
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        proven!(self, _mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> Self::I32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn codes<const BITS: usize>(self, stream: &[u8]) -> Self::I32 {
        // The two bytes that hold each lane's code, and where it starts in them.
        let pairs: [u32; LANES] = const { pairs_of_codes(BITS) };
        let shifts: [u32; LANES] = const { shifts_of_codes(BITS) };
        assert!(stream.len() >= 16);
        proven!(self, {
            let bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128(stream.as_ptr().cast()));
            let pairs = _mm256_shuffle_epi8(bytes, _mm256_loadu_si256(pairs.as_ptr().cast()));
            let codes = _mm256_srlv_epi32(pairs, _mm256_loadu_si256(shifts.as_ptr().cast()));
            _mm256_and_si256(codes, _mm256_set1_epi32((1 << BITS) - 1))
        })
    }

    #[inline(always)]
    fn lookup<const SIZE: usize>(self, table: &[f32; SIZE], index: Self::I32) -> Self::F32 {
        if SIZE != 16 {
            return self.gather(
                table,
                proven!(self, _mm256_and_si256(index, _mm256_set1_epi32(SIZE as i32 - 1))),
            );
        }
        let (low, high) = (self.load_f32(&table[..LANES]), self.load_f32(&table[LANES..]));
        proven!(self, {
            let low = _mm256_permutevar8x32_ps(low, index);
            let high = _mm256_permutevar8x32_ps(high, index);
            // Bit 3, moved to the sign, says which half.
            _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index)))
        })
    }

    #[inline(always)]
    fn gather(self, table: &[f32], index: Self::I32) -> Self::F32 {
        assert!(!table.is_empty());
        let last = i32::try_from(table.len() - 1).expect("a table has under 2^31 entries");
        // The bound keeps every lane inside the table, whatever the index.
        proven!(self, {
            let index = _mm256_min_epu32(index, _mm256_set1_epi32(last));
            _mm256_i32gather_ps::<4>(table.as_ptr(), index)
        })
    }

    #[inline(always)]
    fn expand(self, mask: &[u8], values: &[f32]) -> Self::F32 {
        let mut lanes = [0.0; LANES];
        let mut next = 0;
        for (lane, value) in lanes.iter_mut().enumerate() {
            if mask[0] >> lane & 1 == 1 {
                *value = values[next];
                next += 1;
            }
        }
        self.load_f32(&lanes)
    }

    #[inline(always)]
    fn load_u8(self, from: &[u8]) -> Self::I32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().cast())))
    }

    #[inline(always)]
    unsafe fn load_u8_unchecked(self, from: &[u8], at: usize) -> Self::I32 {
        debug_assert!(at + LANES <= from.len());
        proven!(
            self,
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().add(at).cast()))
        )
    }

    #[inline(always)]
    fn load_u8_partial(self, from: &[u8]) -> Self::I32 {
        self.load_u8(&partial(from))
    }

    #[inline(always)]
    fn store_u8(self, to: &mut [u8], value: Self::I32) {
        assert!(to.len() >= LANES);
        proven!(self, {
            let low = _mm256_castsi256_si128(value);
            let high = _mm256_extracti128_si256::<1>(value);
            let words = _mm_packus_epi32(low, high);
            _mm_storel_epi64(to.as_mut_ptr().cast(), _mm_packus_epi16(words, words));
        });
    }

    #[inline(always)]
    fn store_u8_partial(self, to: &mut [u8], value: Self::I32) {
        let mut lanes = [0; LANES];
        self.store_u8(&mut lanes, value);
        to.copy_from_slice(&lanes[..to.len()]);
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8]) -> Self::Bytes {
        if from.len() == 4 * LANES {
            return proven!(self, _mm256_loadu_si256(from.as_ptr().cast()));
        }
        let mut bytes = [0; 4 * LANES];
        bytes[..from.len()].copy_from_slice(from);
        proven!(self, _mm256_loadu_si256(bytes.as_ptr().cast()))
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [u8], value: Self::Bytes) {
        if to.len() == 4 * LANES {
            proven!(self, _mm256_storeu_si256(to.as_mut_ptr().cast(), value));
        } else {
            let mut bytes = [0; 4 * LANES];
            proven!(self, _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value));
            to.copy_from_slice(&bytes[..to.len()]);
        }
    }

    #[inline(always)]
    fn splat_bytes(self, value: u8) -> Self::Bytes {
        proven!(self, _mm256_set1_epi8(value.cast_signed()))
    }

    #[inline(always)]
    fn interleave4(self, [a, b, c, d]: [Self::Bytes; 4]) -> [Self::Pixels4; 4] {
        proven!(self, {
            let (ab_low, ab_high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
            [
                even_odd(_mm256_unpacklo_epi16(ab_low, cd_low)),
                even_odd(_mm256_unpackhi_epi16(ab_low, cd_low)),
                even_odd(_mm256_unpacklo_epi16(ab_high, cd_high)),
                even_odd(_mm256_unpackhi_epi16(ab_high, cd_high)),
            ]
        })
    }

    #[inline(always)]
    fn splat_i16(self, value: i16) -> Self::Bytes {
        proven!(self, _mm256_set1_epi16(value))
    }

    #[inline(always)]
    fn pack4(self, [a, b, c, d]: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes {
        proven!(self, {
            let ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), codes.zero_point);
            let cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), codes.zero_point);
            let bytes = _mm256_packus_epi16(ab, cd);
            _mm256_min_epu8(_mm256_max_epu8(bytes, codes.low), codes.high)
        })
    }

    #[inline(always)]
    fn narrow4(self, values: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes {
        let bytes = self.pack4(values, codes);
        proven!(self, {
            _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        })
    }

    #[inline(always)]
    fn store_quarters<const PAIRS: bool>(self, to: &mut [u8], places: [usize; 4], value: Self::Bytes) {
        for place in places {
            assert!(to.len() >= LANES && place <= to.len() - LANES);
        }
        let base = to.as_mut_ptr();
        let at = |quarter: usize| base.wrapping_add(places[quarter]);
        proven!(self, {
            let (low, high) = (
                _mm256_castsi256_si128(value),
                _mm256_extracti128_si256::<1>(value),
            );
            if PAIRS {
                assert!(places[1] == places[0] + LANES && places[3] == places[2] + LANES);
                _mm_storeu_si128(at(0).cast(), low);
                _mm_storeu_si128(at(2).cast(), high);
            } else {
                _mm_storel_epi64(at(0).cast(), low);
                _mm_storel_epi64(at(1).cast(), _mm_unpackhi_epi64(low, low));
                _mm_storel_epi64(at(2).cast(), high);
                _mm_storel_epi64(at(3).cast(), _mm_unpackhi_epi64(high, high));
            }
        });
    }

    #[inline(always)]
    fn pixels4(self, four: u32) -> Self::Pixels4 {
        proven!(self, even_odd(_mm256_set1_epi32(four.cast_signed())))
    }

    #[inline(always)]
    fn weights4(self, from: &[i8]) -> Self::Weights4 {
        assert!(from.len() >= 4 * LANES);
        proven!(self, {
            let all = _mm256_loadu_si256(from.as_ptr().cast());
            EvenOdd {
                even: _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(all)),
                odd: _mm256_srai_epi16::<8>(all),
            }
        })
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I32, pixels: Self::Pixels4, weights: Self::Weights4) -> Self::I32 {
        // `vpmaddubsw` would be one instruction, but it saturates at 16 bits; pairs of 16-bit products are exact.
        proven!(self, {
            let even = _mm256_madd_epi16(pixels.even, weights.even);
            let odd = _mm256_madd_epi16(pixels.odd, weights.odd);
            _mm256_add_epi32(acc, _mm256_add_epi32(even, odd))
        })
    }

    #[inline(always)]
    fn mul_add_i16(self, acc: Self::I32, x: Self::I32, w: Self::I32) -> Self::I32 {
        proven!(self, _mm256_add_epi32(acc, _mm256_madd_epi16(x, w)))
    }
}
