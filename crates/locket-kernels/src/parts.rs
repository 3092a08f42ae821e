//! What a kernel keeps between runs, taken apart so that a file can hold it, and put together again.
//!
//! A kernel that keeps packed weights implements [`Keep`], and has beside `new` a constructor `stored` that takes the same shape
//! and [`TakeParts`] instead of weights. The shape decides every length, so bytes from a stranger can make results wrong but no
//! access out of bounds.

use bytemuck::Pod;
use bytes::Bytes;

use crate::aligned::Aligned;

/// What a kernel keeps: numbers that say in which form, and buffers that start on a 64-byte boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The form.
    pub words: Vec<u64>,
    /// The weights.
    pub buffers: Vec<Bytes>,
}

/// A kernel that can be taken apart.
pub trait Keep {
    /// Appends what the kernel keeps; no bytes are copied.
    fn keep(&self, parts: &mut Parts);
}

/// Stored parts do not fit the kernel that is to be made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartsError {
    /// What does not fit.
    pub what: &'static str,
    /// What the shape asks for, bytes for a buffer.
    pub expected: usize,
    /// What is there.
    pub found: usize,
}

impl core::fmt::Display for PartsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            what,
            expected,
            found,
        } = self;
        write!(f, "{what}: expected {expected}, found {found}")
    }
}

impl core::error::Error for PartsError {}

/// Hands out parts in the order in which they were kept.
#[derive(Debug)]
pub struct TakeParts<'a> {
    words: core::slice::Iter<'a, u64>,
    buffers: core::slice::Iter<'a, Bytes>,
}

impl<'a> TakeParts<'a> {
    /// Starts at the first part.
    pub fn new(parts: &'a Parts) -> Self {
        Self {
            words: parts.words.iter(),
            buffers: parts.buffers.iter(),
        }
    }

    /// Returns the next number of the form, below `limit`.
    ///
    /// # Errors
    /// If there is none, or it is not.
    pub fn word(&mut self, limit: usize) -> Result<usize, PartsError> {
        let error = |found| PartsError {
            what: "number of a form below a limit",
            expected: limit,
            found,
        };
        let &word = self.words.next().ok_or(error(usize::MAX))?;
        let word = usize::try_from(word).map_err(|_| error(usize::MAX))?;
        if word < limit { Ok(word) } else { Err(error(word)) }
    }

    /// Returns the next buffer of `len` elements.
    pub(crate) fn buffer<T: Pod>(&mut self, len: usize) -> Result<Aligned<T>, PartsError> {
        self.any_buffer(|found| found == len, len)
    }

    /// Returns the next buffer, whose number of elements passes `fits`; `expected` is for the error.
    pub(crate) fn any_buffer<T: Pod>(
        &mut self,
        fits: impl FnOnce(usize) -> bool,
        expected: usize,
    ) -> Result<Aligned<T>, PartsError> {
        let bytes = self.buffers.next().cloned().unwrap_or_default();
        let error = PartsError {
            what: "bytes of a buffer that starts on a cache line",
            expected: expected.saturating_mul(size_of::<T>()),
            found: bytes.len(),
        };
        let taken = Aligned::from_bytes(bytes).ok_or(error)?;
        if fits(taken.as_slice().len()) {
            Ok(taken)
        } else {
            Err(error)
        }
    }
}
