//! Bilinear resizing with antialiasing, bit for bit as Pillow's `Image.resize(size, BILINEAR)` does it on 8-bit images.
//!
//! Output pixel `i` of `n`, made from `N` input pixels, is centred at `c = (i + 1/2) s` with `s = N / n`. Its support is
//! `[c - r, c + r]` with `r = max(s, 1)`: where the picture shrinks, the triangle widens and no input pixel is skipped.
//! Weights are `max(0, 1 - |x + 1/2 - c| / r)`, normalised in `f64`, then rounded to 22 fractional bits. Rows are
//! resized first, then columns, with 8 bits in between; each sum starts at one half and is cut to 0 to 255. A direction
//! whose size does not change is left out, as there is nothing to do. Where more than twice as many rows go as columns,
//! columns are resized first (found by trying: Pillow 13 does so, earlier versions never; samples differ by 1).
//!
//! Fixed-point format: Pillow, `src/libImaging/Resample.c`. 22 bits leave room for the sum of products with 8-bit samples
//! in 32 bits.
//!
//! Only the pixels of a window are computed, which saves what a crop would throw away.

use std::ops::Range;

/// Fractional bits of a weight.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// The weight of a pixel that is all there is.
const WHOLE: i32 = 1 << WEIGHT_BITS;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

impl Window {
    /// The window that is a whole picture.
    #[must_use]
    pub const fn whole(width: usize, height: usize) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }
}

/// An 8-bit picture in memory, `[height, width, channels]`.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Samples, interleaved by channel.
    pub pixels: &'a [u8],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples of one pixel.
    pub channels: usize,
}

/// Memory that resizing needs, kept between pictures.
#[derive(Debug, Clone, Default)]
pub struct ResizeScratch {
    horizontal: Weights,
    vertical: Weights,
    between: Vec<u8>,
    sums: Vec<i32>,
}

impl ResizeScratch {
    /// Calls `wipe` for what pixels were in.
    pub(crate) fn wipe(&mut self, mut wipe: impl FnMut(&mut [u8])) {
        wipe(&mut self.between);
        wipe(bytemuck::cast_slice_mut(&mut self.sums));
    }
}

/// Resizes `picture` to `width` x `height` and leaves the pixels of `window` in `output`, `[window.height, window.width,
/// channels]`.
///
/// # Panics
///
/// If a size is 0, `picture.pixels` is not as long as its sizes say, or `window` is empty or reaches outside.
pub fn resize_bilinear(
    picture: Picture<'_>,
    width: usize,
    height: usize,
    window: Window,
    scratch: &mut ResizeScratch,
    output: &mut Vec<u8>,
) {
    let Picture { pixels, channels, .. } = picture;
    assert!(
        picture.width > 0 && picture.height > 0 && channels > 0,
        "a picture has at least one sample"
    );
    assert_eq!(
        pixels.len(),
        picture.width * picture.height * channels,
        "the pixels fill the picture"
    );
    assert!(
        window.width > 0 && window.height > 0,
        "a window has at least one pixel"
    );
    assert!(
        window.left + window.width <= width && window.top + window.height <= height,
        "the window is inside"
    );

    let ResizeScratch {
        horizontal,
        vertical,
        between,
        sums,
    } = scratch;
    horizontal.compute(picture.width, width, window.left, window.width);
    vertical.compute(picture.height, height, window.top, window.height);
    // Only the input pixels that the window is made of.
    let (rows, columns) = (vertical.needed(), horizontal.needed());
    between.clear();
    output.clear();
    if columns_first(picture, width, height) {
        let samples = columns.start * channels..columns.end * channels;
        for (span, weights) in vertical.iter() {
            let rows = pixels
                .chunks_exact(picture.width * channels)
                .skip(span.start)
                .take(span.length);
            blend_rows(rows.map(|row| &row[samples.clone()]), weights, sums, between);
        }
        for row in between.chunks_exact(samples.len()) {
            resize_row(row, channels, horizontal, columns.start, output);
        }
    } else {
        for row in pixels
            .chunks_exact(picture.width * channels)
            .skip(rows.start)
            .take(rows.len())
        {
            resize_row(row, channels, horizontal, 0, between);
        }
        for (span, weights) in vertical.iter() {
            let rows = between
                .chunks_exact(window.width * channels)
                .skip(span.start - rows.start);
            blend_rows(rows.take(span.length), weights, sums, output);
        }
    }
}

/// Whether columns are resized before rows; it shows in what the 8 bits between the passes round away.
const fn columns_first(picture: Picture<'_>, width: usize, height: usize) -> bool {
    // Rows that go, against twice the columns that go (none where the picture becomes wider).
    picture.height.saturating_sub(height) > 2 * picture.width.saturating_sub(width)
}

/// Appends one row with its columns resized; `row` starts at column `first`.
fn resize_row(row: &[u8], channels: usize, horizontal: &Weights, first: usize, output: &mut Vec<u8>) {
    if horizontal.identity {
        let columns = horizontal.needed();
        output.extend_from_slice(&row[(columns.start - first) * channels..(columns.end - first) * channels]);
        return;
    }
    for (span, weights) in horizontal.iter() {
        let start = span.start - first;
        let pixels = &row[start * channels..(start + span.length) * channels];
        if let (3, (pixels, [])) = (channels, pixels.as_chunks::<3>()) {
            let mut sums = [1 << (WEIGHT_BITS - 1); 3];
            for (pixel, &weight) in pixels.iter().zip(weights) {
                for (sum, &sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(sample) * weight;
                }
            }
            output.extend(sums.map(to_sample));
            continue;
        }
        for channel in 0..channels {
            let samples = pixels.iter().skip(channel).step_by(channels);
            let products = samples
                .zip(weights)
                .map(|(&sample, &weight)| i32::from(sample) * weight);
            output.push(to_sample((1 << (WEIGHT_BITS - 1)) + products.sum::<i32>()));
        }
    }
}

/// Appends the weighted sum of some rows, all of one length.
fn blend_rows<'a>(
    mut rows: impl Iterator<Item = &'a [u8]>,
    weights: &[i32],
    sums: &mut Vec<i32>,
    output: &mut Vec<u8>,
) {
    if let [WHOLE] = weights {
        output.extend(rows.next().into_iter().flatten());
        return;
    }
    sums.clear();
    for (row, &weight) in rows.zip(weights) {
        sums.resize(row.len(), 1 << (WEIGHT_BITS - 1));
        for (sum, &sample) in sums.iter_mut().zip(row) {
            *sum += i32::from(sample) * weight;
        }
    }
    output.extend(sums.iter().map(|&sum| to_sample(sum)));
}

fn to_sample(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// The input pixels of one output pixel.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
}

/// For each output pixel of a window, its input pixels and their weights.
#[derive(Debug, Clone, Default)]
struct Weights {
    spans: Vec<Span>,
    /// The weights of all spans, one after the other.
    weights: Vec<i32>,
    /// Weights of one span before rounding.
    real: Vec<f64>,
    /// Whether each output pixel is one input pixel.
    identity: bool,
}

impl Weights {
    /// The input pixels that any output pixel of the window is made of.
    fn needed(&self) -> Range<usize> {
        // Both ends of the spans only go up.
        let start = self.spans.first().map_or(0, |span| span.start);
        start..self.spans.last().map_or(start, |span| span.start + span.length)
    }

    fn iter(&self) -> impl Iterator<Item = (Span, &[i32])> {
        let mut rest = self.weights.as_slice();
        self.spans.iter().map(move |&span| {
            let (weights, after) = rest.split_at(span.length);
            rest = after;
            (span, weights)
        })
    }

    /// Fills in the weights of output pixels `first..first + count` when `input` pixels become `output`.
    fn compute(&mut self, input: usize, output: usize, first: usize, count: usize) {
        self.spans.clear();
        self.weights.clear();
        let scale = input as f64 / output as f64;
        let radius = scale.max(1.0);
        self.identity = input == output;
        if self.identity {
            self.spans
                .extend((first..first + count).map(|start| Span { start, length: 1 }));
            self.weights.resize(count, WHOLE);
            return;
        }
        for index in first..first + count {
            let centre = (index as f64 + 0.5) * scale;
            // Truncation towards zero; `as` also brings a negative start to 0.
            let start = (centre - radius + 0.5) as usize;
            let end = ((centre + radius + 0.5) as usize).min(input);
            // Multiplying with the inverse, as Pillow does: division rounds differently.
            let inverse = 1.0 / radius;
            self.real.clear();
            self.real.extend((start..end).map(|x| {
                let distance = ((x as f64 - centre + 0.5) * inverse).abs();
                (1.0 - distance).max(0.0)
            }));
            let total: f64 = self.real.iter().sum();
            self.spans.push(Span {
                start,
                length: end - start,
            });
            let one = f64::from(WHOLE);
            self.weights
                .extend(self.real.iter().map(|weight| (0.5 + weight / total * one) as i32));
        }
    }
}
