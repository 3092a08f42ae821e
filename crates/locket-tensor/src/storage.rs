//! Bytes that tensors share.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use memmap2::MmapMut;

/// Where buffers start: a cache line, and the widest vector register.
const ALIGNMENT: usize = 64;

/// From how many bytes on a buffer has pages of its own.
const OWN_PAGES_BYTES: usize = 256 << 10;

/// A buffer of bytes that starts 64-byte aligned.
///
/// Small ones are asked for as zeros at the alignment that the system's allocator gives anyway, and the start moved up. Large ones
/// are pages that the system hands over zeroed and all at once: a fault for each page takes longer than what is done to it.
#[derive(Default)]
pub struct AlignedBytes {
    memory: Memory,
    start: usize,
    len: usize,
}

enum Memory {
    Words(Vec<u128>),
    Pages(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Words(Vec::new())
    }
}

impl Memory {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Words(words) => bytemuck::cast_slice(words),
            Self::Pages(pages) => pages,
        }
    }
}

/// Pages of their own for `len` bytes; `None` if the system has none to give.
fn pages(len: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(len).ok()?;
    // A system that takes no advice hands pages over when they are touched. Huge pages are not asked for: a guest whose host has
    // not backed them yet waits longer for their zeros than for those of small ones.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::PopulateWrite);
    Some(pages)
}

impl AlignedBytes {
    /// `len` bytes, all zero.
    pub fn zeroed(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        if len >= OWN_PAGES_BYTES
            && let Some(pages) = pages(len)
        {
            return Self {
                memory: Memory::Pages(pages),
                start: 0,
                len,
            };
        }
        let slack = ALIGNMENT - size_of::<u128>();
        let words = vec![0_u128; (len + slack).div_ceil(size_of::<u128>())];
        let address = words.as_ptr().addr();
        Self {
            start: address.next_multiple_of(ALIGNMENT) - address,
            memory: Memory::Words(words),
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
        &self.memory.bytes()[self.start..][..self.len]
    }

    /// The bytes, to write.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let bytes = match &mut self.memory {
            Memory::Words(words) => bytemuck::cast_slice_mut(words),
            Memory::Pages(pages) => pages,
        };
        &mut bytes[self.start..][..self.len]
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

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Bytes of a file that lie where no typed view can start, and an aligned copy as soon as somebody wants one.
#[derive(Debug)]
pub struct Unaligned {
    bytes: Bytes,
    copy: OnceLock<AlignedBytes>,
}

impl Unaligned {
    fn aligned(&self) -> &[u8] {
        self.copy
            .get_or_init(|| AlignedBytes::copy_of(&self.bytes))
            .as_slice()
    }
}

/// Where the bytes of a tensor live.
#[derive(Clone, Debug)]
pub enum Storage {
    /// On the heap.
    Owned(Arc<AlignedBytes>),
    /// In the bytes of a file, most often one that is mapped into memory.
    File(Bytes),
    /// In the bytes of a file, at an odd place.
    Unaligned(Arc<Unaligned>),
    /// Nowhere: zeros that stand for values which nobody is going to read. As many as a system gives by the page take no
    /// memory until somebody does.
    Placeholder(Arc<Vec<u8>>),
}

impl Storage {
    /// Bytes of a file that lie at an odd place.
    pub fn unaligned(bytes: Bytes) -> Self {
        Self::Unaligned(Arc::new(Unaligned {
            bytes,
            copy: OnceLock::new(),
        }))
    }

    /// All bytes of the storage, where typed views can start unless they are in a file.
    pub fn aligned(&self) -> &[u8] {
        match self {
            Self::Unaligned(unaligned) => unaligned.aligned(),
            storage => storage.bytes(),
        }
    }

    /// All bytes of the storage.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes.as_slice(),
            Self::File(bytes) => bytes,
            Self::Unaligned(unaligned) => &unaligned.bytes,
            Self::Placeholder(zeros) => zeros,
        }
    }
}
