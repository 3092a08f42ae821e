//! Limits that every reader keeps, so that a hostile file costs bounded memory and time.
//!
//! A reader takes a [`Limits`] and refuses, with [`FormatError::Limit`](crate::FormatError::Limit), what is larger.

/// Upper bounds for what a reader accepts.
///
/// The defaults admit every model that fits a phone with room to spare; a caller that reads files from
/// strangers lowers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
    /// Largest number of elements of one tensor, constant or not.
    pub max_tensor_elems: u64,
    /// Largest sum of the bytes of all constants that a reader holds, including those it computes.
    pub max_constant_bytes: u64,
    /// Largest number of operations in a program.
    pub max_operations: usize,
    /// Largest rank of a tensor.
    pub max_rank: usize,
    /// Deepest nesting of messages, blocks or sub-graphs.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 4 << 30,
            max_tensor_elems: 1 << 31,
            max_constant_bytes: 8 << 30,
            max_operations: 200_000,
            max_rank: 16,
            max_depth: 64,
        }
    }
}

impl Limits {
    /// Returns limits for tests with hostile bytes: small enough that a whole run stays cheap.
    #[must_use]
    pub fn small() -> Self {
        Self {
            max_file_bytes: 64 << 20,
            max_tensor_elems: 1 << 22,
            max_constant_bytes: 64 << 20,
            max_operations: 20_000,
            max_rank: 8,
            max_depth: 32,
        }
    }
}
