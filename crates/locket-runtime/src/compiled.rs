//! The compiled form of a model, `model.locket`: one file that is mapped, not read.
//!
//! ```text
//! 0    "LOCKET\r\n"   magic; the line ending tells of a transfer as text
//! 8    u32           version of the format
//! 12   u32           zero
//! 16   u64, u64      bytes of the description, and their xxh3 hash
//! 32   u64, u64      bytes of the data, and the xxh3 hash of the hashes of its chunks of 1 MiB
//! 48   u64           where the data starts, a multiple of 64
//! 56   u64           zero
//! 64                 the description, JSON
//! ...                the data: weights, each on a 64-byte boundary
//! ```
//!
//! All numbers are little-endian. The description holds the lowered program as text, the places of its constants, and for
//! each instruction set the places of what kernels keep (weights as packed). Opening a file plans its program again, which
//! is deterministic, and hands every kernel its packed weights out of the mapping: nothing is copied or packed. Constants whose
//! values were only read to be packed are not in the file.
//!
//! The hashes tell damage, not malice. A file made by an enemy may compute anything, but the planner decides every length and
//! offset from the program, so that it reads and writes no memory but its own.

mod hash;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::plan::PlanError;

pub use read::{CompiledFile, is_compiled};
pub use write::{Source, save, write};

const MAGIC: &[u8; 8] = b"LOCKET\r\n";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 64;
const ALIGN: usize = 64;

/// Bytes of the data: where they start and how many they are.
type Span = [u64; 2];

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    /// Version of Locket that wrote the file.
    locket: String,
    source: Source,
    /// As [`crate::PlanOptions::lean`].
    lean: bool,
    /// Whether kernels were packed for [`crate::Precision::Bf16`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bf16: bool,
    /// Places of the program's constants; `None` for those that only packed weights were made of.
    constants: Vec<Option<Span>>,
    targets: Vec<Target>,
    /// The lowered program, with numbers in place of the data of constants.
    program: String,
}

/// What kernels of one instruction set keep.
#[derive(Debug, Serialize, Deserialize)]
struct Target {
    isa: String,
    parts: Vec<StoredParts>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredParts {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    buffers: Vec<Span>,
}

/// Why a compiled file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is not of this format, or of another version.
    #[error("expected {expected}, found {found}")]
    Format {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A part of the file is not what was written.
    #[error(
        "the {part} is damaged: expected hash {expected:016x}, found {found:016x}; compile the model again"
    )]
    Damaged {
        /// `description` or `data`.
        part: &'static str,
        /// The hash in the header.
        expected: u64,
        /// The hash of the bytes.
        found: u64,
    },
    /// Nothing in the file suits the instruction set.
    #[error(
        "compiled for {found}, but kernels of at most {limit} can be used here; compile with --target-isa {limit}"
    )]
    Isa {
        /// What the file has.
        found: String,
        /// What can be used.
        limit: String,
    },
    /// The program in the file cannot be read.
    #[error("the program: {0}")]
    Program(#[from] locket_mil::text::ParseError),
    /// The program in the file cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Packed weights that no kernel asked for.
    #[error("packed weights: {left} more than the program has kernels for")]
    Surplus {
        /// How many are left.
        left: usize,
    },
}
