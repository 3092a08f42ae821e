//! The runs of channels that the pixels of a tile read under one tap: checked once, then read without a check.
//!
//! A check at each read would end the basic block, and with it the instruction that broadcasts straight from memory.
#![expect(
    unsafe_code,
    reason = "one unchecked read, whose bound is checked when the runs are gathered"
)]

/// One slice of the same length for each row of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'a, T, const ROWS: usize> {
    rows: [&'a [T]; ROWS],
    len: usize,
}

impl<'a, T: Copy, const ROWS: usize> Runs<'a, T, ROWS> {
    /// Starts with empty rows, all of which [`Runs::set`] must replace before they are read.
    #[inline(always)]
    pub(super) fn empty(len: usize) -> Self {
        Self {
            rows: [&[]; ROWS],
            len,
        }
    }

    /// Sets a row. Panics if it is shorter than the runs.
    #[inline(always)]
    pub(super) fn set(&mut self, row: usize, run: &'a [T]) {
        self.rows[row] = &run[..self.len];
    }

    /// Returns the elements of each row.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns a whole row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &'a [T] {
        self.rows[row]
    }

    /// Reads element `k` of a row.
    ///
    /// # Safety
    /// `k` is below [`Runs::len`] and every row has been set.
    #[inline(always)]
    pub(super) unsafe fn read(&self, row: usize, k: usize) -> T {
        debug_assert!(k < self.rows[row].len());
        // SAFETY: `set` checked that the row has `len` elements, and the caller keeps `k` below that.
        unsafe { *self.rows[row].get_unchecked(k) }
    }
}

impl<const ROWS: usize> Runs<'_, u8, ROWS> {
    /// Reads elements `4 * k` to `4 * k + 3` of a row, the first in the lowest byte.
    ///
    /// # Safety
    /// `4 * k + 4` is at most [`Runs::len`] and every row has been set.
    #[inline(always)]
    pub(super) unsafe fn read4(&self, row: usize, k: usize) -> u32 {
        debug_assert!(4 * k + 4 <= self.rows[row].len());
        // SAFETY: `set` checked that the row has `len` elements, and the caller keeps the four below that; the read does
        // not ask for alignment.
        u32::from_le(unsafe { self.rows[row].as_ptr().add(4 * k).cast::<u32>().read_unaligned() })
    }
}
