//! What an operation costs.

use std::ops::AddAssign;

/// Arithmetic and traffic of one operation: counted from shapes, not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds. An elementwise operation counts one per output element.
    pub macs: u64,
    /// Bytes of its inputs read once, constants included as stored, plus its outputs written once.
    pub bytes: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.macs = self.macs.saturating_add(other.macs);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}
