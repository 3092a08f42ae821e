//! Three planes interleaved to pixels by permutations of two registers, with AVX-512; of bytes only where the machine has VBMI.
#![expect(
    unsafe_code,
    reason = "loads and stores of whole registers, each of an array of that size"
)]

use core::arch::x86_64::{
    _mm512_cmplt_epu8_mask, _mm512_cmplt_epu32_mask, _mm512_loadu_si512, _mm512_mask_permutexvar_epi8,
    _mm512_mask_permutexvar_epi32, _mm512_permutex2var_epi8, _mm512_permutex2var_epi32, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::Avx512;

const BYTES: usize = 64;
const WORDS: usize = 16;

/// Interleaves whole registers of bytes; says how many pixels are done.
pub(super) fn bytes(_avx512: Avx512, [a, b, c]: [&[u8]; 3], pixels: &mut [u8]) -> usize {
    if !is_x86_feature_detected!("avx512vbmi") {
        return 0;
    }
    let (a, _) = a.as_chunks();
    let (b, c) = (b.as_chunks().0, c.as_chunks().0);
    // SAFETY: the feature was found just now, the others when the token was made.
    unsafe { zip_bytes(a, b, c, pixels.as_chunks_mut().0) };
    BYTES * a.len()
}

/// The same for elements of four bytes.
pub(super) fn words(_avx512: Avx512, [a, b, c]: [&[u32]; 3], pixels: &mut [u32]) -> usize {
    let (a, _) = a.as_chunks();
    let (b, c) = (b.as_chunks().0, c.as_chunks().0);
    // SAFETY: the features were found when the token was made.
    unsafe { zip_words(a, b, c, pixels.as_chunks_mut().0) };
    WORDS * a.len()
}

/// For each register of pixels and each of its lanes: where it lies in the first plane, or behind that in the second; and where in the
/// third, all ones if it does not.
const fn order<const LANES: usize>() -> [[[u32; LANES]; 2]; 3] {
    let mut order = [[[u32::MAX; LANES]; 2]; 3];
    let mut element = 0;
    while element < 3 * LANES {
        let (pixel, plane) = (element / 3, element % 3);
        let lanes = &mut order[element / LANES];
        match plane {
            0 | 1 => lanes[0][element % LANES] = (plane * LANES + pixel) as u32,
            _ => lanes[1][element % LANES] = pixel as u32,
        }
        element += 1;
    }
    order
}

const fn order_of_bytes() -> [[[u8; BYTES]; 2]; 3] {
    let words = order::<BYTES>();
    let mut order = [[[0; BYTES]; 2]; 3];
    let mut at = 0;
    while at < 3 * 2 * BYTES {
        let (register, table, lane) = (at / BYTES / 2, at / BYTES % 2, at % BYTES);
        order[register][table][lane] = words[register][table][lane] as u8;
        at += 1;
    }
    order
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn zip_bytes(a: &[[u8; BYTES]], b: &[[u8; BYTES]], c: &[[u8; BYTES]], pixels: &mut [[u8; 3 * BYTES]]) {
    const ORDER: [[[u8; BYTES]; 2]; 3] = order_of_bytes();
    for (((a, b), c), pixels) in a.iter().zip(b).zip(c).zip(pixels) {
        for ([two, third], pixels) in ORDER.iter().zip(pixels.as_chunks_mut::<BYTES>().0) {
            // SAFETY: each reads or writes one register's bytes, which a reference spans.
            unsafe {
                let [a, b, c] = [a, b, c].map(|bytes| _mm512_loadu_si512(bytes.as_ptr().cast()));
                let [two, third] = [two, third].map(|order| _mm512_loadu_si512(order.as_ptr().cast()));
                let mask = _mm512_cmplt_epu8_mask(third, _mm512_set1_epi8(BYTES as i8));
                let two = _mm512_permutex2var_epi8(a, two, b);
                let all = _mm512_mask_permutexvar_epi8(two, mask, third, c);
                _mm512_storeu_si512(pixels.as_mut_ptr().cast(), all);
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
fn zip_words(a: &[[u32; WORDS]], b: &[[u32; WORDS]], c: &[[u32; WORDS]], pixels: &mut [[u32; 3 * WORDS]]) {
    const ORDER: [[[u32; WORDS]; 2]; 3] = order();
    for (((a, b), c), pixels) in a.iter().zip(b).zip(c).zip(pixels) {
        for ([two, third], pixels) in ORDER.iter().zip(pixels.as_chunks_mut::<WORDS>().0) {
            // SAFETY: each reads or writes one register's bytes, which a reference spans.
            unsafe {
                let [a, b, c] = [a, b, c].map(|words| _mm512_loadu_si512(words.as_ptr().cast()));
                let [two, third] = [two, third].map(|order| _mm512_loadu_si512(order.as_ptr().cast()));
                let mask = _mm512_cmplt_epu32_mask(third, _mm512_set1_epi32(WORDS as i32));
                let two = _mm512_permutex2var_epi32(a, two, b);
                let all = _mm512_mask_permutexvar_epi32(two, mask, third, c);
                _mm512_storeu_si512(pixels.as_mut_ptr().cast(), all);
            }
        }
    }
}
