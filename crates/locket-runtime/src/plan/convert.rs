//! The step that moves a tensor from one layout to the other.

use std::ops::Range;

use locket_ops::{Layout, Prepared, Step, transpose_bytes};
use locket_tensor::DType;

/// Transposes `[outer, a, b]` to `[outer, b, a]`, elements of `width` bytes. One unit is one `outer`.
#[derive(Debug)]
struct Convert {
    a: usize,
    b: usize,
    width: usize,
}

/// A step that turns a tensor of this logical shape from layout `from` to the other one.
pub(super) fn step(dtype: DType, shape: &[usize], from: Layout) -> Prepared {
    let (channels, pixels) = (shape[1], shape[2..].iter().product::<usize>());
    let (a, b) = match from {
        Layout::RowMajor => (channels, pixels),
        Layout::ChannelsLast => (pixels, channels),
    };
    let width = dtype.bits() / 8;
    Prepared::new(Convert { a, b, width }, shape[0], a * b * width)
}

impl Step for Convert {
    fn run(&self, units: Range<usize>, inputs: &[&[u8]], output: &mut [u8], _scratch: &mut [u8]) {
        let size = self.a * self.b * self.width;
        let input = &inputs[0][units.start * size..units.end * size];
        transpose_bytes(self.width, [units.len(), self.a, self.b], input, output);
    }

    fn kernel(&self) -> &str {
        "transpose"
    }
}
