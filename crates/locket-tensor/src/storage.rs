//! Bytes that tensors share.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// Where buffers start: a cache line, and the widest vector register.
const ALIGNMENT: usize = 64;

/// A buffer of bytes that starts 64-byte aligned.
///
/// Memory is asked for as zeros at the alignment that the system's allocator gives anyway, and the start moved up: large
/// buffers then come as pages that the system has zeroed, and are touched when they are written.
#[derive(Default)]
pub struct AlignedBytes {
    words: Vec<u128>,
    start: usize,
    len: usize,
}

impl AlignedBytes {
    /// `len` bytes, all zero.
    pub fn zeroed(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let slack = ALIGNMENT - size_of::<u128>();
        let words = vec![0_u128; (len + slack).div_ceil(size_of::<u128>())];
        let address = words.as_ptr().addr();
        Self {
            start: address.next_multiple_of(ALIGNMENT) - address,
            words,
            len,
        }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[self.start..][..self.len]
    }

    /// The bytes, to write.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[self.start..][..self.len]
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> Self {
        Self::copy_of(self.as_slice())
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len)
    }
}

/// Where the bytes of a tensor live.
#[derive(Clone, Debug)]
pub enum Storage {
    /// On the heap.
    Owned(Arc<AlignedBytes>),
    /// In the bytes of a file, most often one that is mapped into memory.
    File(Bytes),
    /// Nowhere: zeros that stand for values which nobody is going to read. As many as a system gives by the page take no
    /// memory until somebody does.
    Placeholder(Arc<Vec<u8>>),
}

impl Storage {
    /// All bytes of the storage.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes.as_slice(),
            Self::File(bytes) => bytes,
            Self::Placeholder(zeros) => zeros,
        }
    }
}
