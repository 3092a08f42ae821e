//! Bytes that tensors share.

use std::{fmt, sync::Arc};

use bytemuck::{Pod, Zeroable};

use crate::mmap::MappedFile;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Block([u8; 64]);

/// A buffer of bytes that starts 64-byte aligned: a cache line, and the widest vector register.
#[derive(Clone, Default)]
pub struct AlignedBytes {
    blocks: Vec<Block>,
    len: usize,
}

impl AlignedBytes {
    /// `len` bytes, all zero.
    pub fn zeroed(len: usize) -> Self {
        Self {
            blocks: vec![Block::zeroed(); len.div_ceil(64)],
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
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }

    /// The bytes, to write.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
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
    /// In a file that is mapped into memory.
    Mapped(Arc<MappedFile>),
    /// Nowhere: zeros that stand for values which nobody is going to read. As many as a system gives by the page take no
    /// memory until somebody does.
    Placeholder(Arc<Vec<u8>>),
}

impl Storage {
    /// All bytes of the storage.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes.as_slice(),
            Self::Mapped(file) => file.bytes(),
            Self::Placeholder(zeros) => zeros,
        }
    }
}
