//! Buffers that start on a cache line, so that a full register of packed weights never straddles two.

use core::marker::PhantomData;

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use bytes::Bytes;
use locket_tensor::AlignedBytes;

const LINE_BYTES: usize = 64;

/// Plain values that start on a 64-byte boundary and do not change: made here, or part of a mapped file.
#[derive(Clone, Debug)]
pub(crate) struct Aligned<T> {
    /// The values, without the padding to a whole line.
    bytes: Bytes,
    element: PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    /// Makes `len` values: `fill` is given zeros.
    pub(crate) fn build(len: usize, fill: impl FnOnce(&mut [T])) -> Self {
        let mut values = AlignedBytes::zeroed(len * size_of::<T>());
        fill(cast_slice_mut(values.as_mut_slice()));
        Self {
            bytes: Bytes::from_owner(values),
            element: PhantomData,
        }
    }

    /// Copies `values`.
    pub(crate) fn from_slice(values: &[T]) -> Self {
        Self::build(values.len(), |to| to.copy_from_slice(values))
    }

    /// Takes `bytes` as values; `None` if they do not start on a line or end within a value.
    pub(crate) fn from_bytes(bytes: Bytes) -> Option<Self> {
        let fits = bytes.is_empty()
            || bytes.as_ptr().addr().is_multiple_of(LINE_BYTES) && bytes.len().is_multiple_of(size_of::<T>());
        fits.then_some(Self {
            bytes,
            element: PhantomData,
        })
    }

    /// Inlined, because a call would spill the registers of a kernel that is not.
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        if self.bytes.is_empty() {
            return &[];
        }
        cast_slice(&self.bytes)
    }

    /// Returns the bytes held, with the padding to a whole line.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len().next_multiple_of(LINE_BYTES)
    }

    /// Returns the values as bytes, shared.
    pub(crate) fn share(&self) -> Bytes {
        self.bytes.clone()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Aligned;

    #[test]
    fn buffers_start_on_a_line_and_keep_their_length() {
        for len in [0_usize, 1, 15, 16, 17, 1000] {
            let values: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let aligned = Aligned::from_slice(&values);
            assert_eq!(aligned.as_slice(), values);
            assert!(len == 0 || aligned.as_slice().as_ptr().addr().is_multiple_of(64));
            assert_eq!(aligned.bytes(), (4 * len).next_multiple_of(64));
        }
    }

    #[test]
    fn bytes_are_taken_only_where_they_fit() {
        let whole = Aligned::from_slice(&[1.0_f32; 20]).share();
        let taken = Aligned::<f32>::from_bytes(whole.slice(64..)).map(|values| values.as_slice().to_vec());
        assert_eq!(taken, Some(vec![1.0; 4]));
        assert!(Aligned::<f32>::from_bytes(whole.slice(4..)).is_none());
        assert!(Aligned::<f32>::from_bytes(whole.slice(..6)).is_none());
        assert!(Aligned::<f32>::from_bytes(Bytes::from_static(b"")).is_some());
    }
}
