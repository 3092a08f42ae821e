//! Buffers that start on a cache line, so that a full register of packed weights never straddles two.

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};

const LINE_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// A fixed-length buffer of plain values, zeroed at first, that starts on a 64-byte boundary.
#[derive(Clone, Debug)]
pub(crate) struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    element: core::marker::PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    /// Allocates `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let lines = (len * size_of::<T>()).div_ceil(LINE_BYTES);
        Self {
            lines: vec![Line::zeroed(); lines],
            len,
            element: core::marker::PhantomData,
        }
    }

    /// Copies `values`.
    pub(crate) fn from_slice(values: &[T]) -> Self {
        let mut aligned = Self::zeroed(values.len());
        aligned.as_mut_slice().copy_from_slice(values);
        aligned
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &cast_slice(&self.lines)[..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut cast_slice_mut(&mut self.lines)[..self.len]
    }

    /// Returns the bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn buffers_start_on_a_line_and_keep_their_length() {
        for len in [0_usize, 1, 15, 16, 17, 1000] {
            let values: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let aligned = Aligned::from_slice(&values);
            assert_eq!(aligned.as_slice(), values);
            assert_eq!(aligned.as_slice().as_ptr().addr() % 64, 0);
            assert_eq!(aligned.bytes(), (4 * len).next_multiple_of(64));
        }
    }
}
