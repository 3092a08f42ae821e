//! What a matrix unit computes: products of up to 32 rows by up to 32 columns of 32-bit sums.

/// Rows of one tile.
pub(super) const TILE_ROWS: usize = 16;

/// Most rows of a product: two tiles.
pub(crate) const MATRIX_ROWS: usize = 2 * TILE_ROWS;

/// Columns of a product: two tiles of 32-bit sums.
pub(crate) const MATRIX_COLUMNS: usize = 32;

/// Most bytes of a row that one step takes.
pub(crate) const MOST_CHUNK_BYTES: usize = 64;

/// Lines that a step asks for ahead of time.
pub(crate) const PREFETCHES: usize = 8;

/// Most runs that make up K.
pub(crate) const MOST_RUNS: usize = 16;

/// The element types of a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Elements {
    /// u8 by i8, sums in i32, wrapping.
    Int8,
    /// bf16 by bf16, sums in f32.
    Bf16,
}

/// Sums of one product, `[row][column]`, each 32 bits.
#[repr(C, align(64))]
pub(crate) struct Sums(pub(crate) [u32; MATRIX_ROWS * MATRIX_COLUMNS]);

impl Sums {
    pub(crate) fn zeroed() -> Self {
        Self([0; MATRIX_ROWS * MATRIX_COLUMNS])
    }
}

/// The operands of one product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product<'a> {
    /// The left operand, in bytes.
    pub(crate) a: &'a [u8],
    /// Where the runs of the first row start; at most [`MOST_RUNS`].
    pub(crate) runs: &'a [usize],
    /// Bytes between two rows.
    pub(crate) a_stride: usize,
    /// Rows: 1 to [`MATRIX_ROWS`].
    pub(crate) rows: usize,
    /// Steps of each run.
    pub(crate) chunks: usize,
    /// Bytes of a row that a step takes: a multiple of four up to [`MOST_CHUNK_BYTES`].
    pub(crate) chunk: usize,
    /// The right operand: for each four bytes of a run, columns of four bytes.
    pub(crate) b: &'a [u8],
    /// Bytes between the columns of one four and those of the next.
    pub(crate) b_stride: usize,
    /// Bytes of the columns of one four: 64 for one tile, 128 for two.
    pub(crate) b_width: usize,
    /// Where memory that is needed soon starts, in bytes from the right operand's start, and the bytes from one line to ask for to the
    /// next; [`PREFETCHES`] in a step.
    pub(crate) ahead: [usize; 2],
}

impl Product<'_> {
    /// Panics unless every row and column that the product names lies within its operand.
    #[inline]
    pub(crate) fn check(&self) {
        assert!((1..=MATRIX_ROWS).contains(&self.rows));
        assert!((4..=MOST_CHUNK_BYTES).contains(&self.chunk) && self.chunk.is_multiple_of(4));
        assert!(self.chunks > 0 && (1..=MOST_RUNS).contains(&self.runs.len()));
        let run = self.chunks * self.chunk;
        let last = (self.rows - 1)
            .checked_mul(self.a_stride)
            .map_or(usize::MAX, |last| last.saturating_add(run));
        for &start in self.runs {
            assert!(
                start.saturating_add(last) <= self.a.len(),
                "the rows are within the left operand"
            );
        }
        let fours = self.runs.len() * run / 4;
        let last = (fours - 1)
            .checked_mul(self.b_stride)
            .map_or(usize::MAX, |last| last.saturating_add(self.b_width));
        assert!(last <= self.b.len(), "the columns are within the right operand");
    }
}
