//! Element moves by element width, for tensors whose type does not matter.

use bytemuck::{Pod, cast_slice, cast_slice_mut, try_cast_slice, try_cast_slice_mut};
use locket_kernels::transpose;

/// Transposes `[outer, a, b]` to `[outer, b, a]`, elements of `width` bytes, wherever they start.
///
/// # Panics
///
/// If a slice has another length than `outer * a * b * width`, or `width` is not 1, 2, 4 or 8.
pub fn transpose_bytes(width: usize, dims: [usize; 3], input: &[u8], output: &mut [u8]) {
    match width {
        1 => transpose(dims, input, output),
        2 => transposed::<u16, 2>(dims, input, output),
        4 => transposed::<u32, 4>(dims, input, output),
        8 => transposed::<u64, 8>(dims, input, output),
        _ => unreachable!("elements have 1, 2, 4 or 8 bytes, not {width}"),
    }
}

fn transposed<T: Pod, const WIDTH: usize>(dims: [usize; 3], input: &[u8], output: &mut [u8])
where
    [u8; WIDTH]: Pod,
{
    match (try_cast_slice::<_, T>(input), try_cast_slice_mut::<_, T>(output)) {
        (Ok(input), Ok(output)) => transpose(dims, input, output),
        _ => transpose::<[u8; WIDTH]>(dims, cast_slice(input), cast_slice_mut(output)),
    }
}
