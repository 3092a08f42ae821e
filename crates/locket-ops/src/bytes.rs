//! Element moves by element width, for tensors whose type does not matter.

use locket_kernels::transpose;

/// Transposes `[outer, a, b]` to `[outer, b, a]`, elements of `width` bytes.
///
/// # Panics
///
/// If a slice has another length than `outer * a * b * width`, or `width` is not 1, 2, 4 or 8.
pub fn transpose_bytes(width: usize, dims: [usize; 3], input: &[u8], output: &mut [u8]) {
    match width {
        1 => transpose(dims, input, output),
        2 => transpose::<u16>(
            dims,
            bytemuck::cast_slice(input),
            bytemuck::cast_slice_mut(output),
        ),
        4 => transpose::<u32>(
            dims,
            bytemuck::cast_slice(input),
            bytemuck::cast_slice_mut(output),
        ),
        8 => transpose::<u64>(
            dims,
            bytemuck::cast_slice(input),
            bytemuck::cast_slice_mut(output),
        ),
        _ => unreachable!("elements have 1, 2, 4 or 8 bytes, not {width}"),
    }
}
