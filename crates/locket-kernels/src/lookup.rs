//! Functions of one byte by a table of 256 entries.

use crate::isa::{Isa, Kernel};
use crate::simd::Simd;

/// Writes `table[x]` for each byte of `input`.
///
/// # Panics
/// If the slices differ in length.
pub fn lookup_u8(isa: Isa, table: &[u8; 256], input: &[u8], output: &mut [u8]) {
    assert_eq!(input.len(), output.len(), "as many outputs as inputs");
    output.copy_from_slice(input);
    lookup_u8_in_place(isa, table, output);
}

/// Replaces each byte by the table's entry.
pub fn lookup_u8_in_place(isa: Isa, table: &[u8; 256], bytes: &mut [u8]) {
    isa.dispatch_driver(Lookup { table, bytes });
}

struct Lookup<'a> {
    table: &'a [u8; 256],
    bytes: &'a mut [u8],
}

impl Kernel for Lookup<'_> {
    type Output = ();

    fn run<S: Simd>(self, simd: S) {
        simd.map_bytes(self.table, self.bytes);
    }
}
