//! Input with few channels: a kernel row of pixels is one run.
//!
//! With three channels a tap is too short a run to be worth its bookkeeping, and padding it to four for `vpdpbusd`
//! wastes a quarter. Here the `kernel_height` input rows of one output row are copied into scratch with their padding,
//! so that all `kernel_width * channels` values of a kernel row are contiguous and never outside.

use crate::geometry::ConvGeometry;

/// Bytes of a pixel up to which copying rows is worth it.
const MOST_PIXEL_BYTES: usize = 128;

/// The copy of the input rows of one output row.
#[derive(Clone, Debug)]
pub(crate) struct FewChannels {
    /// Offset of each kernel row in scratch.
    pub(crate) vertical: Vec<u32>,
    /// Elements from one output pixel's run to the next.
    pub(crate) step: usize,
    row_elems: usize,
}

/// Elements after the last row, so that a run may be read in whole groups of four.
const SLACK: usize = 3;

impl FewChannels {
    /// Returns the plan, or `None` if the convolution has many channels, groups or horizontal dilation.
    pub(crate) fn new(geometry: &ConvGeometry, element_bytes: usize) -> Option<Self> {
        let suits = geometry.groups == 1
            && geometry.in_channels * element_bytes <= MOST_PIXEL_BYTES
            && geometry.kernel[1] > 1
            && geometry.dilation[1] == 1;
        if !suits {
            return None;
        }
        let columns = (geometry.out_width.max(1) - 1) * geometry.stride[1] + geometry.kernel[1];
        let row_elems = columns * geometry.in_channels;
        let end = u32::try_from(row_elems * geometry.kernel[0]).ok()?;
        let vertical = (0..end).step_by(row_elems).collect();
        Some(Self {
            vertical,
            step: geometry.stride[1] * geometry.in_channels,
            row_elems,
        })
    }

    /// Returns the scratch elements that [`FewChannels::copy`] fills.
    pub(crate) fn elems(&self) -> usize {
        self.vertical.len() * self.row_elems + SLACK
    }

    /// Copies the input rows of output row `y` of image `n`, with `padding` outside the image.
    pub(crate) fn copy<T: Copy>(
        &self,
        geometry: &ConvGeometry,
        (n, y): (usize, usize),
        input: &[T],
        padding: T,
        scratch: &mut [T],
    ) {
        let channels = geometry.in_channels;
        let inside = geometry.window().taps(0, y);
        let left = geometry.pad[2] * channels;
        // Input pixels that any output pixel of the row reads.
        let pixels = geometry
            .in_width
            .min((self.row_elems / channels).saturating_sub(geometry.pad[2]));
        for (tap, row) in scratch[..self.elems() - SLACK]
            .chunks_exact_mut(self.row_elems)
            .enumerate()
        {
            if !inside.contains(&tap) {
                row.fill(padding);
                continue;
            }
            let line = n * geometry.in_height + geometry.window().coordinate(0, y, tap);
            let from = &input[line * geometry.in_width * geometry.input_stride..];
            let left = left.min(row.len());
            row[..left].fill(padding);
            let end = left + pixels * channels;
            if geometry.input_stride == channels {
                row[left..end].copy_from_slice(&from[..pixels * channels]);
            } else {
                let from = from.chunks(geometry.input_stride);
                for (to, from) in row[left..end].chunks_exact_mut(channels).zip(from) {
                    to.copy_from_slice(&from[..channels]);
                }
            }
            row[end..].fill(padding);
        }
        scratch[self.elems() - SLACK..self.elems()].fill(padding);
    }
}
