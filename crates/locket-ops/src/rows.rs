//! How the rows of a step's output depend on rows of its input, for execution in strips.

/// A step over images, channels last, whose output rows are computed from a window of input rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowWindow {
    /// Rows of the first input.
    pub in_rows: usize,
    /// Bytes of a row of the first input.
    pub in_row_bytes: usize,
    /// Rows of the output.
    pub out_rows: usize,
    /// Bytes of a row of the output.
    pub out_row_bytes: usize,
    /// Units of the step in a row of the output.
    pub row_units: usize,
    /// Rows of the kernel.
    pub kernel: usize,
    /// Input rows from one output row to the next.
    pub stride: usize,
    /// Input rows from one kernel row to the next.
    pub dilation: usize,
    /// Rows of padding above the input.
    pub pad: usize,
}

impl RowWindow {
    /// The input rows under output rows `start..end`, which are not empty; empty if all lie in the padding.
    pub fn input(&self, start: usize, end: usize) -> (usize, usize) {
        let first = (start * self.stride).saturating_sub(self.pad);
        let last = (end - 1) * self.stride + (self.kernel - 1) * self.dilation + 1;
        let end = last.saturating_sub(self.pad).min(self.in_rows);
        (first.min(end), end)
    }

    /// The shape in which output rows `start..end` are computed from just the input rows under them.
    pub fn strip(&self, start: usize, end: usize) -> Strip {
        let (first, last) = self.input(start, end);
        Strip {
            in_rows: last - first,
            out_rows: end - start,
            pad: self.pad.saturating_sub(start * self.stride),
        }
    }
}

/// A part of an image that a step is to compute as if it were the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Rows of the first input.
    pub in_rows: usize,
    /// Rows of the output.
    pub out_rows: usize,
    /// Rows of padding above the input.
    pub pad: usize,
}

#[cfg(test)]
mod tests {
    use super::{RowWindow, Strip};

    #[test]
    fn strips_cover_what_the_whole_reads() {
        let window = RowWindow {
            in_rows: 9,
            in_row_bytes: 1,
            out_rows: 5,
            out_row_bytes: 1,
            row_units: 1,
            kernel: 3,
            stride: 2,
            dilation: 1,
            pad: 1,
        };
        assert_eq!(window.input(0, 1), (0, 2));
        assert_eq!(window.input(1, 3), (1, 6));
        assert_eq!(window.input(4, 5), (7, 9));
        let (in_rows, out_rows) = (2, 1);
        let strip = window.strip(0, 1);
        assert_eq!(
            strip,
            Strip {
                in_rows,
                out_rows,
                pad: 1
            }
        );
        assert_eq!(window.strip(1, 3).pad, 0);
    }
}
