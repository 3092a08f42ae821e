//! The taps of pixels, gathered one after the other into scratch, perhaps narrowed on the way.

use core::ops::Range;

use bytemuck::Pod;

use crate::geometry::{ConvGeometry, OUTSIDE, TapTable};
use crate::isa::Kernel;
use crate::simd::Simd;

/// An element and what it is gathered as.
pub(super) trait Gathered: Pod {
    type Stored: Pod;

    /// Stores a run.
    fn store(from: &[Self], to: &mut [Self::Stored]);
}

/// Codes, as they are.
impl Gathered for u8 {
    type Stored = Self;

    #[inline(always)]
    fn store(from: &[Self], to: &mut [Self]) {
        const WIDTH: usize = 64;
        let (whole_to, rest_to) = to.as_chunks_mut::<WIDTH>();
        let (whole_from, rest_from) = from.as_chunks::<WIDTH>();
        for (to, from) in whole_to.iter_mut().zip(whole_from) {
            *to = *from;
        }
        for (to, from) in rest_to.iter_mut().zip(rest_from) {
            *to = *from;
        }
    }
}

/// Floats, as bf16.
impl Gathered for f32 {
    type Stored = u16;

    #[inline(always)]
    fn store(from: &[Self], to: &mut [u16]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = bf16_bits(from);
        }
    }
}

/// The nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    // Wraps for some NaN, which take the other branch.
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    (if is_nan { quiet } else { rounded }) as u16
}

/// Copies the runs under all taps of the output pixels `pixels`: `[pixel][tap][channel]`, `stride` elements apart.
pub(super) struct Gather<'a, T: Gathered> {
    pub(super) geometry: &'a ConvGeometry,
    pub(super) table: &'a TapTable,
    pub(super) input: &'a [T],
    /// What lies outside the image, and after the last tap.
    pub(super) padding: T::Stored,
    pub(super) pixels: Range<usize>,
    pub(super) stride: usize,
    pub(super) output: &'a mut [T::Stored],
}

impl<T: Gathered> Kernel for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self {
            geometry,
            table,
            input,
            padding,
            pixels,
            stride,
            output,
        } = self;
        let run = geometry.group_in_channels();
        let [height, width] = table.kernel();
        let is_dense = geometry.input_stride == run && geometry.dilation[1] == 1;
        let image = geometry.in_height * geometry.in_width * geometry.input_stride;
        let (out_height, out_width) = (geometry.out_height, geometry.out_width);
        for (to, pixel) in output.chunks_exact_mut(stride).zip(pixels) {
            let (to, rest) = to.split_at_mut(height * width * run);
            rest.fill(padding);
            let (x, line) = (pixel % out_width, pixel / out_width);
            let (y, base) = (line % out_height, line / out_height * image);
            let horizontal = &table.horizontal()[x * width..][..width];
            let is_inside = is_dense && horizontal[0] < OUTSIDE && horizontal[width - 1] < OUTSIDE;
            let vertical = &table.vertical()[y * height..][..height];
            for (to, &vertical) in to.chunks_exact_mut(width * run).zip(vertical) {
                if vertical >= OUTSIDE {
                    to.fill(padding);
                } else if is_inside {
                    let start = base + (vertical + horizontal[0]) as usize;
                    T::store(&input[start..][..width * run], to);
                } else {
                    for (to, &horizontal) in to.chunks_exact_mut(run).zip(horizontal) {
                        if horizontal >= OUTSIDE {
                            to.fill(padding);
                        } else {
                            let start = base + (vertical + horizontal) as usize;
                            T::store(&input[start..][..run], to);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::bf16_bits;

    #[test]
    fn narrowing_is_to_nearest_for_every_upper_half_and_every_tie() {
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(upper) << 16 | lower);
                let (found, expected) = (bf16_bits(value), bf16::from_f32(value));
                assert_eq!(found, expected.to_bits(), "{:#x}", value.to_bits());
            }
        }
    }
}
