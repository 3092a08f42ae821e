//! Shapes of convolutions and pools over channels-last tensors, and the table that turns a pixel and a tap into an offset.

use core::ops::Range;

/// The shape of a convolution from `[batch, in_height, in_width, in_channels]` to
/// `[batch, out_height, out_width, out_channels]`.
///
/// Bottom and right padding follow from the output size; they are kept for callers that want to print them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Images.
    pub batch: usize,
    /// Rows of the input.
    pub in_height: usize,
    /// Pixels in a row of the input.
    pub in_width: usize,
    /// Input channels, over all groups.
    pub in_channels: usize,
    /// Rows of the output.
    pub out_height: usize,
    /// Pixels in a row of the output.
    pub out_width: usize,
    /// Output channels, over all groups.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub pad: [usize; 4],
    /// Groups; divides both channel counts.
    pub groups: usize,
    /// Elements between two input pixels, usually `in_channels`.
    pub input_stride: usize,
    /// Elements between two output pixels, usually `out_channels`; more when writing into a concatenation.
    pub output_stride: usize,
    /// First channel to write within an output pixel.
    pub output_offset: usize,
}

impl ConvGeometry {
    /// Returns the shape of `[m, k] · [k, n]`: m pixels with k channels each, one tap.
    pub fn matmul(m: usize, k: usize, n: usize) -> Self {
        Self {
            batch: 1,
            in_height: 1,
            in_width: m,
            in_channels: k,
            out_height: 1,
            out_width: m,
            out_channels: n,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0; 4],
            groups: 1,
            input_stride: k,
            output_stride: n,
            output_offset: 0,
        }
    }

    /// Returns the shape of a strip of one image: other numbers of rows, another padding above.
    #[must_use]
    pub fn strip(&self, in_height: usize, out_height: usize, pad: usize) -> Self {
        Self {
            in_height,
            out_height,
            pad: [pad, 0, self.pad[2], self.pad[3]],
            ..self.clone()
        }
    }

    /// Returns the number of output pixels over the whole batch (M of the product).
    pub fn out_pixels(&self) -> usize {
        self.batch * self.out_height * self.out_width
    }

    /// Returns the taps times the input channels of one group (K of the product).
    pub fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_in_channels()
    }

    /// Returns the multiply-accumulates, taps in the padding included.
    pub fn macs(&self) -> u64 {
        self.out_pixels() as u64 * self.out_channels as u64 * self.depth() as u64
    }

    /// Returns the least input length in elements.
    pub fn input_len(&self) -> usize {
        pixels_len(
            self.batch * self.in_height * self.in_width,
            self.input_stride,
            self.in_channels,
        )
    }

    pub(crate) fn group_in_channels(&self) -> usize {
        self.in_channels / self.groups
    }

    pub(crate) fn group_out_channels(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Whether each output pixel reads the input pixel of the same index, so that no table is needed.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.stride == [1, 1]
            && self.pad[0] == 0
            && self.pad[2] == 0
            && (self.in_height, self.in_width) == (self.out_height, self.out_width)
    }

    pub(crate) fn window(&self) -> Window {
        Window {
            input: [self.in_height, self.in_width],
            output: [self.out_height, self.out_width],
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: [self.pad[0], self.pad[2]],
        }
    }

    /// Panics unless the shape is consistent; kernels rely on it from here on.
    pub(crate) fn check(&self) {
        assert!(self.groups > 0, "a convolution has at least one group");
        assert_eq!(
            self.in_channels % self.groups,
            0,
            "groups divide the input channels"
        );
        assert_eq!(
            self.out_channels % self.groups,
            0,
            "groups divide the output channels"
        );
        assert!(
            self.input_stride >= self.in_channels,
            "input pixels do not overlap"
        );
        assert!(
            self.output_stride >= self.output_offset + self.out_channels,
            "the output fits its pixel"
        );
        self.window().check();
        assert!(
            self.in_height * self.in_width * self.input_stride < OUTSIDE as usize,
            "an image has under 2^30 elements"
        );
    }

    /// Panics unless the slices of a run have the lengths that the shape asks for.
    pub(crate) fn check_run(
        &self,
        input: usize,
        residual: Option<usize>,
        output: usize,
        rows: &Range<usize>,
    ) {
        assert!(
            rows.start <= rows.end && rows.end <= self.out_pixels(),
            "rows {rows:?} exist"
        );
        assert!(
            input >= self.input_len(),
            "input has {input} elements, expected {}",
            self.input_len()
        );
        let expected = pixels_len(
            rows.len(),
            self.output_stride,
            self.output_offset + self.out_channels,
        );
        assert!(
            output >= expected,
            "output has {output} elements, expected {expected}"
        );
        if let Some(residual) = residual {
            let expected = rows.len() * self.out_channels;
            assert!(
                residual >= expected,
                "residual has {residual} elements, expected {expected}"
            );
        }
    }
}

/// The shape of a pooling over `[batch, in_height, in_width, channels]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Images.
    pub batch: usize,
    /// Rows of the input.
    pub in_height: usize,
    /// Pixels in a row of the input.
    pub in_width: usize,
    /// Channels.
    pub channels: usize,
    /// Rows of the output.
    pub out_height: usize,
    /// Pixels in a row of the output.
    pub out_width: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub pad: [usize; 4],
    /// Elements between two input pixels, usually `channels`.
    pub input_stride: usize,
    /// Elements between two output pixels, usually `channels`.
    pub output_stride: usize,
    /// First channel to write within an output pixel.
    pub output_offset: usize,
}

impl PoolGeometry {
    /// Returns the number of output pixels over the whole batch.
    pub fn out_pixels(&self) -> usize {
        self.batch * self.out_height * self.out_width
    }

    pub(crate) fn window(&self) -> Window {
        Window {
            input: [self.in_height, self.in_width],
            output: [self.out_height, self.out_width],
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: [self.pad[0], self.pad[2]],
        }
    }

    pub(crate) fn check_run(&self, input: usize, output: usize, rows: &Range<usize>) {
        self.window().check();
        assert!(self.input_stride >= self.channels, "input pixels do not overlap");
        assert!(
            self.output_stride >= self.output_offset + self.channels,
            "the output fits its pixel"
        );
        assert!(
            rows.start <= rows.end && rows.end <= self.out_pixels(),
            "rows {rows:?} exist"
        );
        let pixels = self.batch * self.in_height * self.in_width;
        let expected = pixels_len(pixels, self.input_stride, self.channels);
        assert!(
            input >= expected,
            "input has {input} elements, expected {expected}"
        );
        let expected = pixels_len(rows.len(), self.output_stride, self.output_offset + self.channels);
        assert!(
            output >= expected,
            "output has {output} elements, expected {expected}"
        );
    }
}

/// Elements that `pixels` pixels span when the last one may stop after its channels.
pub(crate) fn pixels_len(pixels: usize, stride: usize, channels: usize) -> usize {
    if pixels == 0 {
        0
    } else {
        (pixels - 1) * stride + channels
    }
}

/// How a sliding window lies on an image; axes are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Top and left.
    pub(crate) pad: [usize; 2],
}

impl Window {
    fn check(&self) {
        for axis in 0..2 {
            assert!(
                self.kernel[axis] > 0 && self.stride[axis] > 0 && self.dilation[axis] > 0,
                "{self:?} is a window"
            );
        }
    }

    /// Returns the taps of output coordinate `out` that lie inside the image, and the coordinate of tap 0 plus the padding.
    pub(crate) fn taps(&self, axis: usize, out: usize) -> Range<usize> {
        let start = out * self.stride[axis];
        let (pad, dilation) = (self.pad[axis], self.dilation[axis]);
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let end = (self.input[axis] + pad).saturating_sub(start).div_ceil(dilation);
        let end = end.min(self.kernel[axis]);
        first.min(end)..end
    }

    /// Returns the input coordinate under a tap that [`Window::taps`] gave.
    pub(crate) fn coordinate(&self, axis: usize, out: usize, tap: usize) -> usize {
        out * self.stride[axis] + tap * self.dilation[axis] - self.pad[axis]
    }

    /// Returns the output coordinates whose taps all lie inside the image.
    pub(crate) fn interior(&self, axis: usize) -> Range<usize> {
        let all = 0..self.output[axis];
        let is_inside = |&out: &usize| self.taps(axis, out) == (0..self.kernel[axis]);
        let start = all.clone().find(is_inside).unwrap_or(0);
        let end = all.rev().find(is_inside).map_or(start, |last| last + 1);
        start..end
    }
}

/// Offsets at or above this mark a tap outside the image. Valid ones are below, and the sum of two parts of which one
/// or both are outside stays at or above it.
pub(crate) const OUTSIDE: u32 = 1 << 30;

/// Offsets of taps within an image, split into a vertical and a horizontal part: the table has
/// `out_height * kernel_height + out_width * kernel_width` entries instead of one for each pixel and tap.
#[derive(Clone, Debug)]
pub(crate) struct TapTable {
    vertical: Vec<u32>,
    horizontal: Vec<u32>,
    kernel: [usize; 2],
}

impl TapTable {
    pub(crate) fn new(window: &Window, pixel_stride: usize) -> Self {
        let row_stride = window.input[1] * pixel_stride;
        Self {
            vertical: axis_offsets(window, 0, row_stride),
            horizontal: axis_offsets(window, 1, pixel_stride),
            kernel: window.kernel,
        }
    }

    /// Returns the vertical parts, `[out_height][kernel_height]`.
    pub(crate) fn vertical(&self) -> &[u32] {
        &self.vertical
    }

    /// Returns the horizontal parts, `[out_width][kernel_width]`.
    pub(crate) fn horizontal(&self) -> &[u32] {
        &self.horizontal
    }

    /// Returns the kernel's height and width.
    pub(crate) fn kernel(&self) -> [usize; 2] {
        self.kernel
    }
}

fn axis_offsets(window: &Window, axis: usize, stride: usize) -> Vec<u32> {
    let entries = window.output[axis] * window.kernel[axis];
    assert!(u32::try_from(entries).is_ok(), "a table has under 2^32 entries");
    let mut offsets = vec![OUTSIDE; entries];
    for out in 0..window.output[axis] {
        for tap in window.taps(axis, out) {
            let offset = window.coordinate(axis, out, tap) * stride;
            offsets[out * window.kernel[axis] + tap] =
                u32::try_from(offset).expect("an image has under 2^30 elements");
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::{OUTSIDE, TapTable, Window};

    #[test]
    fn taps_match_a_search_over_all_coordinates() {
        for (input, kernel, stride, dilation, pad) in [
            (5, 3, 1, 1, 1),
            (7, 3, 2, 1, 0),
            (9, 5, 2, 2, 4),
            (4, 3, 1, 3, 6),
            (1, 3, 1, 1, 1),
            (6, 2, 3, 1, 0),
        ] {
            let window = Window {
                input: [input, 1],
                output: [4, 1],
                kernel: [kernel, 1],
                stride: [stride, 1],
                dilation: [dilation, 1],
                pad: [pad, 0],
            };
            let table = TapTable::new(&window, 3);
            for out in 0..4 {
                let inside: Vec<usize> = (0..kernel)
                    .filter(|tap| (pad..pad + input).contains(&(out * stride + tap * dilation)))
                    .collect();
                assert_eq!(
                    window.taps(0, out).collect::<Vec<_>>(),
                    inside,
                    "{window:?} {out}"
                );
                for tap in 0..kernel {
                    let expected = if inside.contains(&tap) {
                        3 * u32::try_from(out * stride + tap * dilation - pad).unwrap()
                    } else {
                        OUTSIDE
                    };
                    assert_eq!(table.vertical()[out * kernel + tap], expected);
                }
            }
        }
    }
}
