//! Moving elements: transposition of matrices (NCHW to NHWC and back) and strided copies.

use bytemuck::{Pod, cast_slice, cast_slice_mut};

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Edge of the square blocks that a transposition reads and writes while both stay in the first-level cache.
const BLOCK: usize = 16;

/// Transposes `[outer, a, b]` to `[outer, b, a]`.
///
/// # Panics
/// If a slice does not have `outer * a * b` elements.
pub fn transpose<T: Pod>([outer, a, b]: [usize; 3], input: &[T], output: &mut [T]) {
    assert_eq!(
        (input.len(), output.len()),
        (outer * a * b, outer * a * b),
        "both are [outer, a, b]"
    );
    if a == 1 || b == 1 {
        output.copy_from_slice(input);
        return;
    }
    if input.is_empty() {
        return;
    }
    for (input, output) in input.chunks_exact(a * b).zip(output.chunks_exact_mut(a * b)) {
        if a <= 4 {
            interleave(a, b, input, output);
        } else if b <= 4 {
            separate(a, b, input, output);
        } else {
            transpose_blocks(a, b, input, output);
        }
    }
}

/// A few long rows to many short ones, such as three colour planes to pixels.
fn interleave<T: Pod>(a: usize, b: usize, input: &[T], output: &mut [T]) {
    if let (3, Some((first, rest))) = (a, input.split_at_checked(b)) {
        let (second, third) = rest.split_at(b);
        return zip_planes([first, second, third], output);
    }
    for (column, pixel) in output.chunks_exact_mut(a).enumerate() {
        for (row, value) in pixel.iter_mut().enumerate() {
            *value = input[row * b + column];
        }
    }
}

/// Three planes to pixels; all planes are as long.
pub(crate) fn zip_planes<T: Pod>(planes: [&[T]; 3], output: &mut [T]) {
    let done = Isa::best().dispatch(Zip { planes, output });
    let [first, second, third] = planes.map(|plane| &plane[done..]);
    let rows = first.iter().zip(second).zip(third);
    let (pixels, _) = output[3 * done..].as_chunks_mut::<3>();
    for (pixel, ((&x, &y), &z)) in pixels.iter_mut().zip(rows) {
        *pixel = [x, y, z];
    }
}

/// Three planes to pixels, as far as registers take them; says how far.
struct Zip<'a, T> {
    planes: [&'a [T]; 3],
    output: &'a mut [T],
}

impl<T: Pod> Kernel for Zip<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        match size_of::<T>() {
            1 => simd.zip_bytes(
                self.planes.map(|plane| cast_slice(plane)),
                cast_slice_mut(self.output),
            ),
            4 => simd.zip_words(
                self.planes.map(|plane| cast_slice(plane)),
                cast_slice_mut(self.output),
            ),
            _ => 0,
        }
    }
}

/// Many short rows to a few long ones.
fn separate<T: Copy>(a: usize, b: usize, input: &[T], output: &mut [T]) {
    for (column, plane) in output.chunks_exact_mut(a).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(input.chunks_exact(b)) {
            *value = pixel[column];
        }
    }
}

fn transpose_blocks<T: Copy>(a: usize, b: usize, input: &[T], output: &mut [T]) {
    for row in (0..a).step_by(BLOCK) {
        let rows = BLOCK.min(a - row);
        for column in (0..b).step_by(BLOCK) {
            let columns = BLOCK.min(b - column);
            for x in column..column + columns {
                let target = &mut output[x * a + row..][..rows];
                for (y, value) in target.iter_mut().enumerate() {
                    *value = input[(row + y) * b + x];
                }
            }
        }
    }
}

/// Most axes of a strided copy.
pub const MAX_COPY_RANK: usize = 6;

/// Copies a box of `shape` from `input` to `output`, each with its own strides in elements, outermost axis first. Both slices
/// start at the first element of the box.
///
/// # Panics
/// If the shape has more than [`MAX_COPY_RANK`] axes, as many strides are not given, or an element is out of range.
pub fn copy_strided<T: Copy>(
    shape: &[usize],
    input: &[T],
    input_strides: &[usize],
    output: &mut [T],
    output_strides: &[usize],
) {
    assert!(
        shape.len() <= MAX_COPY_RANK,
        "at most {MAX_COPY_RANK} axes, found {}",
        shape.len()
    );
    assert_eq!(
        (input_strides.len(), output_strides.len()),
        (shape.len(), shape.len()),
        "one stride for each axis"
    );
    if shape.contains(&0) {
        return;
    }
    let Some((&width, outer)) = shape.split_last() else {
        output[0] = input[0];
        return;
    };
    let inner = [input_strides[outer.len()], output_strides[outer.len()]];
    let mut index = [0; MAX_COPY_RANK];
    let [mut from, mut to] = [0, 0];
    loop {
        copy_line(width, &input[from..], &mut output[to..], inner);
        // Counts on, the last outer axis fastest.
        let mut axis = outer.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            from += input_strides[axis];
            to += output_strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            from -= input_strides[axis] * shape[axis];
            to -= output_strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}

fn copy_line<T: Copy>(
    width: usize,
    input: &[T],
    output: &mut [T],
    [input_stride, output_stride]: [usize; 2],
) {
    match (input_stride, output_stride) {
        (1, 1) => output[..width].copy_from_slice(&input[..width]),
        (0, 1) => output[..width].fill(input[0]),
        _ => {
            for x in 0..width {
                output[x * output_stride] = input[x * input_stride];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{copy_strided, transpose};

    #[test]
    fn transposition_moves_every_element() {
        for [outer, a, b] in [
            [1, 1, 1],
            [2, 3, 5],
            [1, 3, 100],
            [2, 33, 47],
            [3, 50, 3],
            [1, 17, 4],
            [1, 16, 16],
        ] {
            let input: Vec<u32> = (0..u32::try_from(outer * a * b).unwrap()).collect();
            let mut output = vec![0; input.len()];
            transpose([outer, a, b], &input, &mut output);
            for o in 0..outer {
                for y in 0..a {
                    for x in 0..b {
                        assert_eq!(
                            output[(o * b + x) * a + y],
                            input[(o * a + y) * b + x],
                            "{outer} {a} {b}"
                        );
                    }
                }
            }
            let mut back = vec![0; input.len()];
            transpose([outer, b, a], &output, &mut back);
            assert_eq!(back, input);
        }
    }

    #[test]
    fn three_planes_of_bytes_become_pixels() {
        for len in [1, 63, 64, 65, 200] {
            let planes: Vec<u8> = (0..3 * len).map(|i| (7 * i % 251) as u8).collect();
            let mut pixels = vec![0; planes.len()];
            transpose([1, 3, len], &planes, &mut pixels);
            for (i, &byte) in pixels.iter().enumerate() {
                assert_eq!(byte, planes[i % 3 * len + i / 3], "{len}: {i}");
            }
        }
    }

    #[test]
    fn strided_copies_permute_broadcast_and_slice() {
        let input: Vec<u16> = (0..24).collect();
        let mut output = vec![0; 24];
        // [2, 3, 4] to [4, 2, 3].
        copy_strided(&[4, 2, 3], &input, &[1, 12, 4], &mut output, &[6, 3, 1]);
        for (i, &value) in output.iter().enumerate() {
            let [c, a, b] = [i / 6, i / 3 % 2, i % 3];
            assert_eq!(usize::from(value), a * 12 + b * 4 + c);
        }
        // A row repeated three times.
        let mut repeated = vec![0; 12];
        copy_strided(&[3, 4], &input, &[0, 1], &mut repeated, &[4, 1]);
        assert_eq!(repeated, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
        // Every second column of the second row, into every second place.
        let mut sliced = vec![99; 4];
        copy_strided(&[2], &input[4..], &[2], &mut sliced, &[2]);
        assert_eq!(sliced, [4, 99, 6, 99]);
        // No axis: one element. An empty axis: nothing.
        copy_strided(&[], &input[7..], &[], &mut sliced, &[]);
        assert_eq!(sliced[0], 7);
        copy_strided(&[0, 5], &[], &[1, 1], &mut sliced, &[1, 1]);
    }
}
