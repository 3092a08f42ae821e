//! The inverse cosine transform: C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical fast 1-D DCT algorithms with 11
//! multiplications", 1989, in integers with 13 bits after the point, and 2 more bits kept between columns and rows.
//!
//! Arithmetic wraps: coefficients of a real picture stay far from 32 bits, others may be anything.

use std::num::Wrapping;

type Number = Wrapping<i32>;

const POINT: usize = 13;
const KEPT: usize = 2;

/// A constant with [`POINT`] bits after the point.
const fn fixed(value: f64) -> Number {
    Wrapping((value * (1 << POINT) as f64 + 0.5) as i32)
}

/// One transform of eight, not yet scaled: the results have [`POINT`] bits more.
#[inline(always)]
fn eight(d: [Number; 8]) -> [Number; 8] {
    let z = (d[2] + d[6]) * fixed(0.541_196_100);
    let (even2, even3) = (z - d[6] * fixed(1.847_759_065), z + d[2] * fixed(0.765_366_865));
    let (even0, even1) = ((d[0] + d[4]) << POINT, (d[0] - d[4]) << POINT);
    let even = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];

    let (z1, z2, z3, z4) = (d[7] + d[1], d[5] + d[3], d[7] + d[3], d[5] + d[1]);
    let z5 = (z3 + z4) * fixed(1.175_875_602);
    let (z1, z2) = (-(z1 * fixed(0.899_976_223)), -(z2 * fixed(2.562_915_447)));
    let (z3, z4) = (z5 - z3 * fixed(1.961_570_560), z5 - z4 * fixed(0.390_180_644));
    let odd = [
        d[1] * fixed(1.501_321_110) + z1 + z4,
        d[3] * fixed(3.072_711_026) + z2 + z3,
        d[5] * fixed(2.053_119_869) + z2 + z4,
        d[7] * fixed(0.298_631_336) + z1 + z3,
    ];
    [
        even[0] + odd[0],
        even[1] + odd[1],
        even[2] + odd[2],
        even[3] + odd[3],
        even[3] - odd[3],
        even[2] - odd[2],
        even[1] - odd[1],
        even[0] - odd[0],
    ]
}

/// Divides by a power of two, to nearest.
#[inline(always)]
fn descale(value: Number, bits: usize) -> Number {
    (value + (Wrapping(1) << (bits - 1))) >> bits
}

/// Transforms a block of quantised coefficients into 8 rows of samples, `stride` apart.
pub(super) fn block(coefficients: &[i16; 64], table: &[u16; 64], samples: &mut [u8], stride: usize) {
    let value = |at: usize| Wrapping(i32::from(coefficients[at]) * i32::from(table[at]));
    // For each column, the bits that any of its coefficients but the first has.
    let mut others = [0; 8];
    for row in &coefficients.as_chunks::<8>().0[1..] {
        for (others, coefficient) in others.iter_mut().zip(row) {
            *others |= coefficient;
        }
    }
    if others == [0; 8] && coefficients[1..8] == [0; 7] {
        let level = descale(value(0) << KEPT, KEPT + 3);
        for row in samples.chunks_mut(stride).take(8) {
            row[..8].fill(sample(level));
        }
        return;
    }
    let mut columns = [Wrapping(0); 64];
    for x in 0..8 {
        // Most columns of most pictures: what the transform gives for them, without it.
        if others[x] == 0 {
            let level = value(x) << KEPT;
            for y in 0..8 {
                columns[y * 8 + x] = level;
            }
            continue;
        }
        let results = eight(std::array::from_fn(|y| value(y * 8 + x)));
        for (y, result) in results.into_iter().enumerate() {
            columns[y * 8 + x] = descale(result, POINT - KEPT);
        }
    }
    for (row, columns) in samples.chunks_mut(stride).zip(columns.as_chunks::<8>().0) {
        for (sample_out, result) in row.iter_mut().zip(eight(*columns)) {
            *sample_out = sample(descale(result, POINT + KEPT + 3));
        }
    }
}

fn sample(level: Number) -> u8 {
    (level.0.clamp(-128, 127) + 128) as u8
}
