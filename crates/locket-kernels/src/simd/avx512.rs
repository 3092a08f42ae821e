//! AVX-512 (F, BW, DQ, VL, VNNI): sixteen lanes, masked partial accesses, `vpdpbusd` for int8 products.
#![expect(
    unsafe_code,
    reason = "intrinsics; each use rests on the token or on a length checked beside it"
)]

use core::arch::x86_64::{
    __m512, __m512i, __mmask16, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128,
    _mm_mask_storeu_epi8, _mm_maskz_loadu_epi8, _mm_prefetch, _mm_storeu_si128, _mm256_loadu_si256,
    _mm256_storeu_si256, _mm512_add_epi32, _mm512_add_ps, _mm512_adds_epi16, _mm512_and_si512,
    _mm512_broadcast_i32x4, _mm512_castsi512_ps, _mm512_castsi512_si128, _mm512_castsi512_si256,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtph_ps,
    _mm512_cvtps_epi32, _mm512_cvtps_ph, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_extracti32x4_epi32,
    _mm512_extracti64x4_epi64, _mm512_fmadd_ps, _mm512_i32gather_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_mask_blend_ps, _mm512_mask_storeu_epi8, _mm512_mask_storeu_ps,
    _mm512_maskz_expand_ps, _mm512_maskz_loadu_epi8, _mm512_maskz_loadu_ps, _mm512_max_epu8, _mm512_max_ps,
    _mm512_min_epu8, _mm512_min_epu32, _mm512_min_ps, _mm512_movepi8_mask, _mm512_mul_ps, _mm512_packs_epi32,
    _mm512_packus_epi16, _mm512_permutex2var_epi8, _mm512_permutex2var_ps, _mm512_permutexvar_epi32,
    _mm512_permutexvar_ps, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_shuffle_epi8, _mm512_slli_epi32, _mm512_srlv_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_sub_epi32, _mm512_test_epi32_mask, _mm512_unpackhi_epi8, _mm512_unpackhi_epi16,
    _mm512_unpacklo_epi8, _mm512_unpacklo_epi16, _mm512_xor_si512,
};

use super::{Codes, Simd, avx512_zip, pairs_of_codes, shifts_of_codes};

/// Proof that the machine has AVX-512 F, BW, DQ, VL and VNNI (and AVX2, FMA, F16C); made only by [`Avx512::detect`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Returns the proof if the machine has the features.
    pub(crate) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Self(()))
    }
}

const LANES: usize = 16;

/// Where the four bytes of each lane are that narrowing by 128-bit pieces leaves interleaved.
static QUARTERS: [u32; LANES] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

/// Evaluates intrinsics in a method of the token.
macro_rules! proven {
    ($token:ident, $body:expr) => {{
        let _: Avx512 = $token;
        // SAFETY: `detect` found every feature these intrinsics need before it made the token; where the
        // expression takes a pointer, the assertion just above it states the bounds, or the
        // method is unsafe and its caller does.
        unsafe { $body }
    }};
}

/// The mask of the first `count < 16` lanes.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    assert!(count < LANES);
    (1 << count) - 1
}

impl Simd for Avx512 {
    fn map_bytes(self, table: &[u8; 256], bytes: &mut [u8]) {
        let (whole, rest) = bytes.as_chunks_mut::<64>();
        let rest = if is_x86_feature_detected!("avx512vbmi") {
            // SAFETY: the feature was found just now, the others by `detect`.
            unsafe { map_registers(table, whole) };
            rest
        } else {
            bytes
        };
        for byte in rest {
            *byte = table[usize::from(*byte)];
        }
    }

    fn zip_bytes(self, planes: [&[u8]; 3], pixels: &mut [u8]) -> usize {
        avx512_zip::bytes(self, planes, pixels)
    }

    fn zip_words(self, planes: [&[u32]; 3], pixels: &mut [u32]) -> usize {
        avx512_zip::words(self, planes, pixels)
    }

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

    const NAME: &'static str = "avx512";
    const LANES: usize = LANES;
    const MAX_ROWS: [usize; 3] = [14, 14, 8];

    type F32 = __m512;
    type I32 = __m512i;
    type Bytes = __m512i;
    type Pixels4 = __m512i;
    type Weights4 = __m512i;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn inner<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        proven!(self, inner(f))
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> Self::F32 {
        proven!(self, _mm512_set1_ps(value))
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> Self::F32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm512_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    unsafe fn load_f32_unchecked(self, from: &[f32], at: usize) -> Self::F32 {
        debug_assert!(at + LANES <= from.len());
        proven!(self, _mm512_loadu_ps(from.as_ptr().add(at)))
    }

    #[inline(always)]
    fn load_f32_partial(self, from: &[f32]) -> Self::F32 {
        let mask = first(from.len());
        proven!(self, _mm512_maskz_loadu_ps(mask, from.as_ptr()))
    }

    #[inline(always)]
    fn store_f32(self, to: &mut [f32], value: Self::F32) {
        assert!(to.len() >= LANES);
        proven!(self, _mm512_storeu_ps(to.as_mut_ptr(), value));
    }

    #[inline(always)]
    fn store_f32_partial(self, to: &mut [f32], value: Self::F32) {
        let mask = first(to.len());
        proven!(self, _mm512_mask_storeu_ps(to.as_mut_ptr(), mask, value));
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> Self::F32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16], value: Self::F32) {
        assert!(to.len() >= LANES);
        proven!(
            self,
            _mm256_storeu_si256(
                to.as_mut_ptr().cast(),
                _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)
            )
        );
    }

    #[inline(always)]
    fn fused(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        proven!(self, _mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        proven!(self, _mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        proven!(self, _mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn max_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32 {
        // The instruction returns its second operand when either is NaN.
        proven!(self, _mm512_max_ps(bound, x))
    }

    #[inline(always)]
    fn min_f32(self, bound: Self::F32, x: Self::F32) -> Self::F32 {
        proven!(self, _mm512_min_ps(bound, x))
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> Self::I32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm512_loadu_si512(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> Self::I32 {
        proven!(self, _mm512_set1_epi32(value))
    }

    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        proven!(self, _mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        proven!(self, _mm512_sub_epi32(a, b))
    }

    #[inline(always)]
    fn to_f32(self, value: Self::I32) -> Self::F32 {
        proven!(self, _mm512_cvtepi32_ps(value))
    }

    #[inline(always)]
    fn round(self, value: Self::F32) -> Self::I32 {
        proven!(self, _mm512_cvtps_epi32(value))
    }

    #[inline(always)]
    fn low_bf16(self, pairs: Self::I32) -> Self::F32 {
        proven!(self, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)))
    }

    #[inline(always)]
    fn high_bf16(self, pairs: Self::I32) -> Self::F32 {
        let high = proven!(self, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()));
        proven!(self, _mm512_castsi512_ps(_mm512_and_si512(pairs, high)))
    }

    #[inline(always)]
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        proven!(self, _mm512_xor_si512(a, b))
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> Self::I32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn codes<const BITS: usize>(self, stream: &[u8]) -> Self::I32 {
        // The two bytes that hold each lane's code, and where it starts in them.
        let pairs: [u32; LANES] = const { pairs_of_codes(BITS) };
        let shifts: [u32; LANES] = const { shifts_of_codes(BITS) };
        assert!(stream.len() >= 16);
        proven!(self, {
            let bytes = _mm512_broadcast_i32x4(_mm_loadu_si128(stream.as_ptr().cast()));
            let pairs = _mm512_shuffle_epi8(bytes, _mm512_loadu_si512(pairs.as_ptr().cast()));
            let codes = _mm512_srlv_epi32(pairs, _mm512_loadu_si512(shifts.as_ptr().cast()));
            _mm512_and_si512(codes, _mm512_set1_epi32((1 << BITS) - 1))
        })
    }

    #[inline(always)]
    fn lookup<const SIZE: usize>(self, table: &[f32; SIZE], index: Self::I32) -> Self::F32 {
        match SIZE {
            16 => proven!(
                self,
                _mm512_permutexvar_ps(index, _mm512_loadu_ps(table.as_ptr()))
            ),
            64 => {
                let part = |quarter: usize| self.load_f32(&table[16 * quarter..]);
                let [a, b, c, d] = [part(0), part(1), part(2), part(3)];
                proven!(self, {
                    let low = _mm512_permutex2var_ps(a, index, b);
                    let high = _mm512_permutex2var_ps(c, index, d);
                    let is_high = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
                    _mm512_mask_blend_ps(is_high, low, high)
                })
            }
            _ => self.gather(
                table,
                proven!(self, _mm512_and_si512(index, _mm512_set1_epi32(SIZE as i32 - 1))),
            ),
        }
    }

    #[inline(always)]
    fn gather(self, table: &[f32], index: Self::I32) -> Self::F32 {
        assert!(!table.is_empty());
        let last = i32::try_from(table.len() - 1).expect("a table has under 2^31 entries");
        // The bound keeps every lane inside the table, whatever the index.
        proven!(self, {
            let index = _mm512_min_epu32(index, _mm512_set1_epi32(last));
            _mm512_i32gather_ps::<4>(index, table.as_ptr())
        })
    }

    #[inline(always)]
    fn expand(self, mask: &[u8], values: &[f32]) -> Self::F32 {
        assert!(values.len() >= LANES);
        let mask = u16::from_le_bytes([mask[0], mask[1]]);
        proven!(
            self,
            _mm512_maskz_expand_ps(mask, _mm512_loadu_ps(values.as_ptr()))
        )
    }

    #[inline(always)]
    fn load_u8(self, from: &[u8]) -> Self::I32 {
        assert!(from.len() >= LANES);
        proven!(self, _mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast())))
    }

    #[inline(always)]
    unsafe fn load_u8_unchecked(self, from: &[u8], at: usize) -> Self::I32 {
        debug_assert!(at + LANES <= from.len());
        proven!(
            self,
            _mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().add(at).cast()))
        )
    }

    #[inline(always)]
    fn load_u8_partial(self, from: &[u8]) -> Self::I32 {
        let mask = first(from.len());
        proven!(
            self,
            _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, from.as_ptr().cast()))
        )
    }

    #[inline(always)]
    fn store_u8(self, to: &mut [u8], value: Self::I32) {
        assert!(to.len() >= LANES);
        proven!(
            self,
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(value))
        );
    }

    #[inline(always)]
    fn store_u8_partial(self, to: &mut [u8], value: Self::I32) {
        let mask = first(to.len());
        proven!(
            self,
            _mm_mask_storeu_epi8(to.as_mut_ptr().cast(), mask, _mm512_cvtepi32_epi8(value))
        );
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8]) -> Self::Bytes {
        if from.len() == 4 * LANES {
            return proven!(self, _mm512_loadu_si512(from.as_ptr().cast()));
        }
        assert!(from.len() < 4 * LANES);
        proven!(
            self,
            _mm512_maskz_loadu_epi8((1 << from.len()) - 1, from.as_ptr().cast())
        )
    }

    #[inline(always)]
    unsafe fn load_bytes_unchecked(self, from: &[u8], at: usize, count: usize) -> Self::Bytes {
        debug_assert!(count <= 4 * LANES && at + count <= from.len());
        let mask = u64::MAX >> (4 * LANES - count);
        // SAFETY: the caller vouches for the range.
        proven!(self, _mm512_maskz_loadu_epi8(mask, from.as_ptr().add(at).cast()))
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [u8], value: Self::Bytes) {
        if to.len() == 4 * LANES {
            proven!(self, _mm512_storeu_si512(to.as_mut_ptr().cast(), value));
        } else {
            assert!(to.len() < 4 * LANES);
            proven!(
                self,
                _mm512_mask_storeu_epi8(to.as_mut_ptr().cast(), (1 << to.len()) - 1, value)
            );
        }
    }

    #[inline(always)]
    fn splat_bytes(self, value: u8) -> Self::Bytes {
        proven!(self, _mm512_set1_epi8(value.cast_signed()))
    }

    #[inline(always)]
    fn interleave4(self, [a, b, c, d]: [Self::Bytes; 4]) -> [Self::Pixels4; 4] {
        proven!(self, {
            let (ab_low, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
            [
                _mm512_unpacklo_epi16(ab_low, cd_low),
                _mm512_unpackhi_epi16(ab_low, cd_low),
                _mm512_unpacklo_epi16(ab_high, cd_high),
                _mm512_unpackhi_epi16(ab_high, cd_high),
            ]
        })
    }

    #[inline(always)]
    fn splat_i16(self, value: i16) -> Self::Bytes {
        proven!(self, _mm512_set1_epi16(value))
    }

    #[inline(always)]
    fn pack4(self, [a, b, c, d]: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes {
        proven!(self, {
            let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), codes.zero_point);
            let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), codes.zero_point);
            let bytes = _mm512_packus_epi16(ab, cd);
            _mm512_min_epu8(_mm512_max_epu8(bytes, codes.low), codes.high)
        })
    }

    #[inline(always)]
    fn narrow4(self, values: [Self::I32; 4], codes: Codes<Self>) -> Self::Bytes {
        let bytes = self.pack4(values, codes);
        proven!(self, {
            let order = _mm512_loadu_si512(QUARTERS.as_ptr().cast());
            _mm512_permutexvar_epi32(order, bytes)
        })
    }

    #[inline(always)]
    fn store_quarters<const PAIRS: bool>(self, to: &mut [u8], places: [usize; 4], value: Self::Bytes) {
        for place in places {
            assert!(to.len() >= LANES && place <= to.len() - LANES);
        }
        let base = to.as_mut_ptr();
        let at = |quarter: usize| base.wrapping_add(places[quarter]);
        if PAIRS {
            assert!(places[1] == places[0] + LANES && places[3] == places[2] + LANES);
            proven!(self, {
                _mm256_storeu_si256(at(0).cast(), _mm512_castsi512_si256(value));
                _mm256_storeu_si256(at(2).cast(), _mm512_extracti64x4_epi64::<1>(value));
            });
            return;
        }
        proven!(self, {
            _mm_storeu_si128(at(0).cast(), _mm512_castsi512_si128(value));
            _mm_storeu_si128(at(1).cast(), _mm512_extracti32x4_epi32::<1>(value));
            _mm_storeu_si128(at(2).cast(), _mm512_extracti32x4_epi32::<2>(value));
            _mm_storeu_si128(at(3).cast(), _mm512_extracti32x4_epi32::<3>(value));
        });
    }

    #[inline(always)]
    fn pixels4(self, four: u32) -> Self::Pixels4 {
        proven!(self, _mm512_set1_epi32(four.cast_signed()))
    }

    #[inline(always)]
    fn weights4(self, from: &[i8]) -> Self::Weights4 {
        assert!(from.len() >= 4 * LANES);
        proven!(self, _mm512_loadu_si512(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I32, pixels: Self::Pixels4, weights: Self::Weights4) -> Self::I32 {
        proven!(self, _mm512_dpbusd_epi32(acc, pixels, weights))
    }

    #[inline(always)]
    fn mul_add_i16(self, acc: Self::I32, x: Self::I32, w: Self::I32) -> Self::I32 {
        proven!(self, _mm512_dpwssd_epi32(acc, x, w))
    }
}

/// Looks up whole registers in a table that fills four: two halves of 128 entries, of which the top bit chooses.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn map_registers(table: &[u8; 256], bytes: &mut [[u8; 64]]) {
    let (quarters, _) = table.as_chunks::<64>();
    // SAFETY: each reads or writes 64 bytes that a reference spans.
    unsafe {
        let quarter = |index: usize| _mm512_loadu_si512(quarters[index].as_ptr().cast());
        let [a, b, c, d] = [quarter(0), quarter(1), quarter(2), quarter(3)];
        for chunk in bytes {
            let codes = _mm512_loadu_si512(chunk.as_ptr().cast());
            let low = _mm512_permutex2var_epi8(a, codes, b);
            let high = _mm512_permutex2var_epi8(c, codes, d);
            let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high);
            _mm512_storeu_si512(chunk.as_mut_ptr().cast(), found);
        }
    }
}
