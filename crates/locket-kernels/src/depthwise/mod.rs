//! Depthwise convolution: each channel is filtered by its own kernel; registers run over channels.
//!
//! Output pixels are taken eight or four at a time, so that a loaded input register serves every pixel of the tile that needs it; the
//! tile is the outer loop and the channel the inner one, which keeps memory accesses consecutive. Tiles at the left and right edge
//! skip the columns that are outside. Rows above and below the image are skipped. Kernels 3 and 5 wide with stride 1 and 2 are
//! compiled with these as constants; others, and lines of less than four pixels, are taken pixel by pixel.
#![expect(unsafe_code, reason = "loads of a tile, whose range is checked beforehand")]

mod f32;
mod quads;
mod u8;

use core::ops::Range;

pub use self::f32::DepthwiseF32;
pub use self::u8::DepthwiseU8;

use crate::aligned::Aligned;
use crate::geometry::{ConvGeometry, Window};
use crate::simd::Simd;

/// Loads, products and results of one element type. Channels are counted within a pixel; weights and bias are padded to
/// whole registers.
trait Element<S: Simd> {
    /// A register of inputs, weights or sums.
    type Register: Copy;

    /// Elements of the input.
    fn input_len(&self) -> usize;
    /// Loads a register of inputs, or fewer if `count < LANES`.
    fn input(&self, simd: S, at: usize, count: usize) -> Self::Register;
    /// Loads a register of inputs.
    ///
    /// # Safety
    /// `at + LANES` is at most [`Element::input_len`].
    unsafe fn input_unchecked(&self, simd: S, at: usize) -> Self::Register;
    /// Loads the weights of a tap.
    fn weight(&self, simd: S, tap: usize, channel: usize) -> Self::Register;
    /// The sum that each output starts with.
    fn start(&self, simd: S, channel: usize) -> Self::Register;
    /// `acc + input * weight`.
    fn multiply_add(
        &self,
        simd: S,
        acc: Self::Register,
        input: Self::Register,
        weight: Self::Register,
    ) -> Self::Register;
    /// Writes `count` channels to the output element `at` on.
    fn finish(&mut self, simd: S, acc: Self::Register, channel: usize, at: usize, count: usize);
}

/// Where one line of output pixels and the input rows under it lie.
#[derive(Clone, Debug)]
struct Line {
    channels: usize,
    window: Window,
    /// Kernel rows inside the image.
    taps: Range<usize>,
    /// First element of the input row under kernel row `taps.start`.
    input: usize,
    /// Elements from the input row of one tap to that of the next.
    row_step: usize,
    /// Elements between two input pixels.
    input_stride: usize,
    /// Output element of pixel x = 0; may lie before the slice, whence wrapping.
    output: usize,
    output_stride: usize,
}

impl Line {
    fn output_at(&self, x: usize) -> usize {
        self.output.wrapping_add(x * self.output_stride)
    }
}

/// Returns the lines that the output pixels `rows` lie on, with the columns to compute in each; output elements are counted from the
/// first of these pixels.
#[inline(always)]
fn lines(geometry: &ConvGeometry, rows: Range<usize>) -> Lines<'_> {
    Lines {
        geometry,
        origin: rows.start,
        rows,
    }
}

/// See [`lines`].
struct Lines<'a> {
    geometry: &'a ConvGeometry,
    origin: usize,
    rows: Range<usize>,
}

impl Iterator for Lines<'_> {
    type Item = (Line, Range<usize>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (geometry, first) = (self.geometry, self.rows.start);
        if self.rows.is_empty() {
            return None;
        }
        let (line, x) = (first / geometry.out_width, first % geometry.out_width);
        let (n, y) = (line / geometry.out_height, line % geometry.out_height);
        self.rows.start = self.rows.end.min((line + 1) * geometry.out_width);
        let window = geometry.window();
        let row_elems = geometry.in_width * geometry.input_stride;
        let taps = window.taps(0, y);
        let input_row = if taps.is_empty() {
            0
        } else {
            window.coordinate(0, y, taps.start)
        };
        let place = Line {
            channels: geometry.in_channels,
            window,
            taps,
            input: (n * geometry.in_height + input_row) * row_elems,
            row_step: window.dilation[0] * row_elems,
            input_stride: geometry.input_stride,
            output: ((line * geometry.out_width).wrapping_sub(self.origin))
                .wrapping_mul(geometry.output_stride)
                .wrapping_add(geometry.output_offset),
            output_stride: geometry.output_stride,
        };
        Some((place, x..x + self.rows.start - first))
    }
}

/// Runs the output pixels `rows`; `element` writes to a slice that holds exactly these. With `only_edges`, pixels all of whose columns are
/// inside are left out.
#[inline(always)]
fn run_rows<S: Simd, E: Element<S>>(
    simd: S,
    geometry: &ConvGeometry,
    rows: Range<usize>,
    only_edges: bool,
    element: &mut E,
) {
    let interior = geometry.window().interior(1);
    for (line, range) in lines(geometry, rows) {
        if only_edges {
            let start = interior.start.clamp(range.start, range.end);
            run_edge(simd, &line, range.start..start, element);
            run_edge(
                simd,
                &line,
                interior.end.clamp(start, range.end)..range.end,
                element,
            );
            continue;
        }
        match (geometry.kernel[1], geometry.stride[1], geometry.dilation[1]) {
            (3, 1, 1) => run_line::<S, E, 3, 1>(simd, &line, range, &interior, element),
            (3, 2, 1) => run_line::<S, E, 3, 2>(simd, &line, range, &interior, element),
            (5, 1, 1) => run_line::<S, E, 5, 1>(simd, &line, range, &interior, element),
            (5, 2, 1) => run_line::<S, E, 5, 2>(simd, &line, range, &interior, element),
            _ => run_edge(simd, &line, range, element),
        }
    }
}

/// One line in tiles; the last one overlaps the one before it and writes some pixels a second time, the same.
#[inline(always)]
fn run_line<S: Simd, E: Element<S>, const WIDTH: usize, const STRIDE: usize>(
    simd: S,
    line: &Line,
    range: Range<usize>,
    interior: &Range<usize>,
    element: &mut E,
) {
    let (mut x, end) = (range.start, range.end);
    while x + 8 <= end {
        run_tile::<S, E, WIDTH, STRIDE, 8>(simd, line, x, interior, element);
        x += 8;
    }
    while x + 4 <= end {
        run_tile::<S, E, WIDTH, STRIDE, 4>(simd, line, x, interior, element);
        x += 4;
    }
    if x < end && range.len() >= 4 {
        run_tile::<S, E, WIDTH, STRIDE, 4>(simd, line, end - 4, interior, element);
        x = end;
    }
    run_edge(simd, line, x..end, element);
}

/// The columns of input under a tile.
#[derive(Clone, Debug)]
struct Columns {
    /// First element of the first column in the first row; wraps if the column is left of the image.
    first: usize,
    /// Columns inside the image.
    inside: Range<usize>,
}

/// `PIXELS` adjacent output pixels from `x` on.
#[inline(always)]
fn run_tile<S: Simd, E: Element<S>, const WIDTH: usize, const STRIDE: usize, const PIXELS: usize>(
    simd: S,
    line: &Line,
    x: usize,
    interior: &Range<usize>,
    element: &mut E,
) {
    let (start, pad) = (x * STRIDE, line.window.pad[1]);
    let width = (PIXELS - 1) * STRIDE + WIDTH;
    let inside = pad.saturating_sub(start)..(line.window.input[1] + pad).saturating_sub(start).min(width);
    let columns = Columns {
        first: line
            .input
            .wrapping_add(start.wrapping_sub(pad).wrapping_mul(line.input_stride)),
        inside,
    };
    if columns.inside.is_empty() {
        run_edge(simd, line, x..x + PIXELS, element);
        return;
    }
    let rows = line.taps.len().saturating_sub(1) * line.row_step;
    let last = columns
        .first
        .wrapping_add((columns.inside.end - 1) * line.input_stride);
    assert!(line.taps.is_empty() || last + rows + line.channels <= element.input_len());
    if interior.start <= x && x + PIXELS <= interior.end {
        run_channels::<S, E, WIDTH, STRIDE, PIXELS, false>(simd, line, x, &columns, element);
    } else {
        run_channels::<S, E, WIDTH, STRIDE, PIXELS, true>(simd, line, x, &columns, element);
    }
}

/// All channels of a tile whose input [`run_tile`] has checked; if it is `PADDED`, some columns are outside.
#[inline(always)]
fn run_channels<
    S: Simd,
    E: Element<S>,
    const WIDTH: usize,
    const STRIDE: usize,
    const PIXELS: usize,
    const PADDED: bool,
>(
    simd: S,
    line: &Line,
    x: usize,
    columns: &Columns,
    element: &mut E,
) {
    let mut channel = 0;
    while channel + S::LANES <= line.channels {
        run_register::<S, E, WIDTH, STRIDE, PIXELS, PADDED, true>(
            simd,
            line,
            x,
            columns,
            (channel, S::LANES),
            element,
        );
        channel += S::LANES;
    }
    if channel < line.channels {
        let count = line.channels - channel;
        run_register::<S, E, WIDTH, STRIDE, PIXELS, PADDED, false>(
            simd,
            line,
            x,
            columns,
            (channel, count),
            element,
        );
    }
}

/// One register of channels of a tile whose input [`run_tile`] has checked; all its lanes count if it is `WHOLE`.
#[inline(always)]
fn run_register<
    S: Simd,
    E: Element<S>,
    const WIDTH: usize,
    const STRIDE: usize,
    const PIXELS: usize,
    const PADDED: bool,
    const WHOLE: bool,
>(
    simd: S,
    line: &Line,
    x: usize,
    columns: &Columns,
    (channel, count): (usize, usize),
    element: &mut E,
) {
    let count = if WHOLE { S::LANES } else { count };
    let mut acc = [element.start(simd, channel); PIXELS];
    let mut first = columns.first.wrapping_add(channel);
    for y in line.taps.clone() {
        let mut weights = [element.weight(simd, y * WIDTH, channel); WIDTH];
        for x in 1..WIDTH {
            weights[x] = element.weight(simd, y * WIDTH + x, channel);
        }
        for column in 0..(PIXELS - 1) * STRIDE + WIDTH {
            if PADDED && !columns.inside.contains(&column) {
                continue;
            }
            let at = first.wrapping_add(column * line.input_stride);
            let value = if WHOLE {
                // SAFETY: `run_tile` checked the last channel of the last column inside, in the last row.
                unsafe { element.input_unchecked(simd, at) }
            } else {
                element.input(simd, at, count)
            };
            for pixel in 0..PIXELS {
                if column >= pixel * STRIDE && column - pixel * STRIDE < WIDTH {
                    let weight = weights[column - pixel * STRIDE];
                    acc[pixel] = element.multiply_add(simd, acc[pixel], value, weight);
                }
            }
        }
        first = first.wrapping_add(line.row_step);
    }
    for pixel in 0..PIXELS {
        element.finish(
            simd,
            acc[pixel],
            channel,
            line.output_at(x + pixel) + channel,
            count,
        );
    }
}

/// Output pixels one at a time, with any kernel.
#[inline(always)]
fn run_edge<S: Simd, E: Element<S>>(simd: S, line: &Line, range: Range<usize>, element: &mut E) {
    for x in range {
        let output = line.output_at(x);
        let mut channel = 0;
        while channel + 4 * S::LANES <= line.channels {
            run_pixel::<S, E, 4>(simd, line, x, channel, S::LANES, output, element);
            channel += 4 * S::LANES;
        }
        while channel < line.channels {
            let count = S::LANES.min(line.channels - channel);
            run_pixel::<S, E, 1>(simd, line, x, channel, count, output, element);
            channel += count;
        }
    }
}

/// One output pixel, `VECTORS` registers of channels; the last of them has `count` channels.
#[inline(always)]
fn run_pixel<S: Simd, E: Element<S>, const VECTORS: usize>(
    simd: S,
    line: &Line,
    x: usize,
    channel: usize,
    count: usize,
    output: usize,
    element: &mut E,
) {
    let columns = line.window.taps(1, x);
    let mut acc = [element.start(simd, channel); VECTORS];
    for v in 1..VECTORS {
        acc[v] = element.start(simd, channel + v * S::LANES);
    }
    for y in line.taps.clone() {
        for column in columns.clone() {
            let pixel = line.window.coordinate(1, x, column);
            let at = line.input + (y - line.taps.start) * line.row_step + pixel * line.input_stride + channel;
            let tap = y * line.window.kernel[1] + column;
            for v in 0..VECTORS {
                let value = element.input(simd, at + v * S::LANES, count);
                let weight = element.weight(simd, tap, channel + v * S::LANES);
                acc[v] = element.multiply_add(simd, acc[v], value, weight);
            }
        }
    }
    for v in 0..VECTORS {
        let channel = channel + v * S::LANES;
        element.finish(simd, acc[v], channel, output + channel, count);
    }
}

/// Panics unless the shape is that of a depthwise convolution.
fn check_depthwise(geometry: &ConvGeometry) {
    geometry.check();
    assert!(
        geometry.groups == geometry.in_channels && geometry.groups == geometry.out_channels,
        "a depthwise convolution has as many groups as input and output channels"
    );
}

/// Elements of [`pack`]'s result.
fn packed_len(lanes: usize, channels: usize, taps: usize) -> usize {
    channels.next_multiple_of(lanes) * taps
}

/// Packs `[channel][tap]` to `[tap][channel padded to registers]`.
fn pack<T: bytemuck::Pod>(
    lanes: usize,
    channels: usize,
    taps: usize,
    value: impl Fn(usize, usize) -> T,
) -> Aligned<T> {
    let padded = channels.next_multiple_of(lanes);
    Aligned::build(padded * taps, |packed| {
        for (tap, row) in packed.chunks_exact_mut(padded.max(1)).enumerate() {
            for (channel, target) in row[..channels].iter_mut().enumerate() {
                *target = value(channel, tap);
            }
        }
    })
}
