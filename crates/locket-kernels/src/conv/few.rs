//! Input with few channels: a kernel row of pixels is one run.
//!
//! With three channels a tap is too short a run to be worth its bookkeeping, and padding it to four for `vpdpbusd`
//! wastes a quarter. Here the `kernel_height` input rows of one output row are copied into scratch with their padding,
//! so that all `kernel_width * channels` values of a kernel row are contiguous and never outside. Rows that the output row before
//! read too are moved up in scratch. Three channels may also lie plane after plane, as images are given: the copy turns them.

use bytemuck::Pod;

use crate::geometry::ConvGeometry;
use crate::transpose::zip_planes;

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
    /// Whether the input is `[batch, 3, height, width]`.
    planes: bool,
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
            planes: false,
        })
    }

    /// The same for three channels that lie plane after plane.
    #[must_use]
    pub(crate) fn of_planes(mut self) -> Self {
        self.planes = true;
        self
    }

    /// Returns the scratch elements that [`FewChannels::copy`] fills.
    pub(crate) fn elems(&self) -> usize {
        self.vertical.len() * self.row_elems + SLACK
    }

    /// Copies the input rows of output row `y` of image `n`, with `padding` outside the image. `follows` says that scratch holds
    /// those of output row `y - 1` of the same image.
    pub(crate) fn copy<T: Pod>(
        &self,
        geometry: &ConvGeometry,
        (n, y): (usize, usize),
        follows: bool,
        input: &[T],
        padding: T,
        scratch: &mut [T],
    ) {
        let inside = geometry.window().taps(0, y);
        let taps = self.vertical.len();
        let rows = &mut scratch[..self.elems() - SLACK];
        let mut held = 0;
        if follows && geometry.dilation[0] == 1 && geometry.stride[0] < taps {
            held = taps - geometry.stride[0];
            rows.copy_within(geometry.stride[0] * self.row_elems.., 0);
        }
        for (tap, row) in rows.chunks_exact_mut(self.row_elems).enumerate().skip(held) {
            if !inside.contains(&tap) {
                row.fill(padding);
                continue;
            }
            let line = geometry.window().coordinate(0, y, tap);
            self.copy_row(geometry, (n, line), input, padding, row);
        }
        scratch[self.elems() - SLACK..self.elems()].fill(padding);
    }

    /// Calls `ask` with every 64 bytes of planes that the output row after `y` is the first to read: an input that another core has
    /// just written is too far off to wait for when the row is copied.
    pub(crate) fn ahead<T: Pod>(
        &self,
        geometry: &ConvGeometry,
        (n, y): (usize, usize),
        input: &[T],
        ask: impl Fn(&[T]),
    ) {
        if !self.planes {
            return;
        }
        let (height, width) = (geometry.in_height, geometry.in_width);
        let (stride, taps) = (geometry.stride[0], geometry.kernel[0]);
        let next = (y * stride + taps).saturating_sub(geometry.pad[0]);
        for line in next..height.min(next + stride) {
            for channel in 0..3 {
                let plane = &input[((n * 3 + channel) * height + line) * width..][..width];
                plane.chunks(64 / size_of::<T>()).for_each(&ask);
            }
        }
    }

    /// Copies line `line` of image `n` between its padding.
    fn copy_row<T: Pod>(
        &self,
        geometry: &ConvGeometry,
        (n, line): (usize, usize),
        input: &[T],
        padding: T,
        row: &mut [T],
    ) {
        let channels = geometry.in_channels;
        let (height, width) = (geometry.in_height, geometry.in_width);
        let left = (geometry.pad[2] * channels).min(row.len());
        // Input pixels that any output pixel of the row reads.
        let pixels = width.min((row.len() - left) / channels);
        let end = left + pixels * channels;
        row[..left].fill(padding);
        row[end..].fill(padding);
        let row = &mut row[left..end];
        if self.planes {
            let plane = |channel: usize| &input[((n * 3 + channel) * height + line) * width..][..pixels];
            return zip_planes([plane(0), plane(1), plane(2)], row);
        }
        let from = &input[(n * height + line) * width * geometry.input_stride..];
        if geometry.input_stride == channels {
            row.copy_from_slice(&from[..pixels * channels]);
        } else {
            let from = from.chunks(geometry.input_stride);
            for (to, from) in row.chunks_exact_mut(channels).zip(from) {
                to.copy_from_slice(&from[..channels]);
            }
        }
    }
}
