//! Bilinear resizing with antialiasing, bit for bit as Pillow's `Image.resize(size, BILINEAR)` does it on 8-bit images.
//!
//! Output pixel `i` of `n`, made from `N` input pixels, is centred at `c = (i + 1/2) s` with `s = N / n`. Its support is
//! `[c - r, c + r]` with `r = max(s, 1)`: where the picture shrinks, the triangle widens and no input pixel is skipped.
//! Weights are `max(0, 1 - |x + 1/2 - c| / r)`, normalised in `f64`, then rounded to 22 fractional bits. Rows are
//! resized first, then columns, with 8 bits in between; each sum starts at one half and is cut to 0 to 255. A direction
//! whose size does not change is left out, as there is nothing to do.
//!
//! Fixed-point layout and order of passes: Pillow, `src/libImaging/Resample.c`. 22 bits leave room for the sum of products
//! with 8-bit samples in 32 bits.
//!
//! Only the pixels of a window are computed, which saves what a crop would throw away.

/// Fractional bits of a weight.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

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
    rows: Vec<u8>,
    sums: Vec<i32>,
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

    scratch
        .horizontal
        .compute(picture.width, width, window.left, window.width);
    scratch
        .vertical
        .compute(picture.height, height, window.top, window.height);
    // Only the input rows that the window's rows are made of.
    let first_row = scratch.vertical.spans.first().map_or(0, |span| span.start);
    let end_row = scratch
        .vertical
        .spans
        .last()
        .map_or(0, |span| span.start + span.length);

    let row_samples = window.width * channels;
    scratch.rows.clear();
    scratch.rows.reserve((end_row - first_row) * row_samples);
    for row in pixels
        .chunks_exact(picture.width * channels)
        .skip(first_row)
        .take(end_row - first_row)
    {
        if picture.width == width {
            let start = window.left * channels;
            scratch.rows.extend_from_slice(&row[start..start + row_samples]);
        } else {
            resize_row(row, channels, &scratch.horizontal, &mut scratch.rows);
        }
    }
    if picture.height == height {
        output.clone_from(&scratch.rows);
        return;
    }
    output.clear();
    output.reserve(window.height * row_samples);
    for (span, weights) in scratch.vertical.iter() {
        let start = (span.start - first_row) * row_samples;
        let rows = &scratch.rows[start..start + span.length * row_samples];
        blend_rows(rows, row_samples, weights, &mut scratch.sums, output);
    }
}

/// Appends one row with its columns resized.
fn resize_row(row: &[u8], channels: usize, horizontal: &Weights, output: &mut Vec<u8>) {
    for (span, weights) in horizontal.iter() {
        let pixels = &row[span.start * channels..(span.start + span.length) * channels];
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

/// Appends the weighted sum of some rows.
fn blend_rows(rows: &[u8], row_samples: usize, weights: &[i32], sums: &mut Vec<i32>, output: &mut Vec<u8>) {
    sums.clear();
    sums.resize(row_samples, 1 << (WEIGHT_BITS - 1));
    for (row, &weight) in rows.chunks_exact(row_samples).zip(weights) {
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
}

impl Weights {
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
        if input == output {
            // Nothing to blend in this direction; the spans still say which input rows are needed.
            self.spans
                .extend((first..first + count).map(|start| Span { start, length: 1 }));
            self.weights.resize(count, 1 << WEIGHT_BITS);
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
            let one = f64::from(1 << WEIGHT_BITS);
            self.weights
                .extend(self.real.iter().map(|weight| (0.5 + weight / total * one) as i32));
        }
    }
}
