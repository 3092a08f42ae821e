//! The runs of channels that the pixels of a tile read under one tap: checked once, then read without a check.
//!
//! A check at each read would end the basic block, and with it the instruction that broadcasts straight from memory.
#![expect(
    unsafe_code,
    reason = "unchecked reads, whose bounds are checked when the runs are gathered"
)]

use core::marker::PhantomData;

/// The start of a run of the same length for each row of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'a, T, const ROWS: usize> {
    /// Each points to at least `len` elements that live for `'a`, or is null before it is set.
    rows: [*const T; ROWS],
    len: usize,
    slices: PhantomData<&'a [T]>,
}

impl<'a, T: Copy, const ROWS: usize> Runs<'a, T, ROWS> {
    /// Starts with rows that must be set before they are read.
    #[inline(always)]
    pub(super) fn empty(len: usize) -> Self {
        Self {
            rows: [core::ptr::null(); ROWS],
            len,
            slices: PhantomData,
        }
    }

    /// Sets a row. Panics if `run` is shorter than the runs.
    #[inline(always)]
    pub(super) fn set(&mut self, row: usize, run: &'a [T]) {
        self.rows[row] = run[..self.len].as_ptr();
    }

    /// Sets all rows to runs that start `stride` elements apart. Panics if the last one does not fit.
    #[inline(always)]
    pub(super) fn set_strided(&mut self, from: &'a [T], stride: usize) {
        assert!(
            (ROWS - 1)
                .checked_mul(stride)
                .is_some_and(|last| from.len() >= last && from.len() - last >= self.len)
        );
        for row in 0..ROWS {
            // SAFETY: the assertion says that even the last row, the farthest, has `len` elements in `from`.
            self.rows[row] = unsafe { from.as_ptr().add(row * stride) };
        }
    }

    /// Returns the elements of each row.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns a whole row. Panics if it has not been set.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &'a [T] {
        assert!(!self.rows[row].is_null(), "row {row} has been set");
        // SAFETY: a row that is not null was set, from a slice that lives for `'a` and has `len` elements there.
        unsafe { core::slice::from_raw_parts(self.rows[row], self.len) }
    }

    /// Reads element `k` of a row.
    ///
    /// # Safety
    /// `k` is below [`Runs::len`] and the row has been set.
    #[inline(always)]
    pub(super) unsafe fn read(&self, row: usize, k: usize) -> T {
        debug_assert!(k < self.len && !self.rows[row].is_null());
        // SAFETY: the row was set to `len` elements, and the caller keeps `k` below that.
        unsafe { *self.rows[row].add(k) }
    }
}

impl<const ROWS: usize> Runs<'_, u8, ROWS> {
    /// Reads elements `4 * k` to `4 * k + 3` of a row, the first in the lowest byte.
    ///
    /// # Safety
    /// `4 * k + 4` is at most [`Runs::len`] and the row has been set.
    #[inline(always)]
    pub(super) unsafe fn read4(&self, row: usize, k: usize) -> u32 {
        debug_assert!(4 * k + 4 <= self.len && !self.rows[row].is_null());
        // SAFETY: the row was set to `len` elements, and the caller keeps the four below that; the read does not ask for
        // alignment.
        u32::from_le(unsafe { self.rows[row].add(4 * k).cast::<u32>().read_unaligned() })
    }
}
