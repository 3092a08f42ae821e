//! Rows of a layer's result: one for each pixel of a convolution's, one for each vector that a fully connected layer makes.
//! Which rows are looked at is a matter of the seed and the place alone, so that two runs see the same ones.

use std::ops::Range;

use locket_mil::{Function, ValueId};

/// A value behind a layer, and how its elements fall into rows of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) value: ValueId,
    /// Pictures (or 1).
    batch: usize,
    /// Elements of a row.
    pub(crate) channels: usize,
    /// Rows of one picture.
    pixels: usize,
    /// True if the elements of a row are neighbours, as for a fully connected layer.
    together: bool,
}

impl Point {
    /// A value behind a convolution (`[N, C, pixels..]`) or a fully connected layer (`[.., C]`).
    pub(crate) fn new(function: &Function, value: ValueId, linear: bool) -> Self {
        let shape = function.ty(value).shape().unwrap_or_default();
        let elems: usize = shape.iter().product();
        let (batch, channels) = if linear {
            (1, shape.last().copied().unwrap_or(1))
        } else {
            (
                shape.first().copied().unwrap_or(1),
                shape.get(1).copied().unwrap_or(1),
            )
        };
        Self {
            value,
            batch,
            channels,
            pixels: elems / (batch * channels).max(1),
            together: linear,
        }
    }

    /// Rows of one sample.
    pub(crate) fn rows(&self) -> usize {
        self.batch * self.pixels
    }

    /// Where the element of a row and channel is.
    fn at(&self, row: usize, channel: usize) -> usize {
        if self.together {
            row * self.channels + channel
        } else {
            let (picture, pixel) = (row / self.pixels, row % self.pixels);
            (picture * self.channels + channel) * self.pixels + pixel
        }
    }

    /// The sum over all rows, for each channel.
    pub(crate) fn sums(&self, values: &[f32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels];
        if self.together {
            for row in values.chunks_exact(self.channels.max(1)) {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, &value)| *sum += f64::from(value));
            }
        } else {
            for (index, plane) in values.chunks_exact(self.pixels.max(1)).enumerate() {
                sums[index % self.channels] += plane.iter().map(|&value| f64::from(value)).sum::<f64>();
            }
        }
        sums
    }

    /// Some rows, one after the other.
    pub(crate) fn gather(&self, values: &[f32], rows: &[usize]) -> Vec<f32> {
        let row = |&row: &usize| (0..self.channels).map(move |channel| values[self.at(row, channel)]);
        rows.iter().flat_map(row).collect()
    }
}

/// How many rows are looked at, and which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowChoice {
    seed: u64,
    /// Rows of each sample, at most.
    each: usize,
}

impl RowChoice {
    /// As many rows of each of `samples` samples as make `rows` together, fewer if those of all `channels` would take
    /// more than `bytes` as float32, at least one.
    pub(crate) fn new(seed: u64, samples: usize, channels: usize, rows: usize, bytes: usize) -> Self {
        let affordable = bytes / (4 * channels.max(1));
        let each = rows.min(affordable).div_ceil(samples.max(1)).max(1);
        Self { seed, each }
    }

    /// The same choice with fewer rows, so that vectors of `width` for all `samples` have at most `elems` elements.
    pub(crate) fn narrowed(&self, samples: usize, width: usize, elems: usize) -> Self {
        let affordable = elems / (samples * width).max(1);
        Self {
            each: self.each.min(affordable).max(1),
            ..*self
        }
    }

    /// The rows of a sample that are looked at, ascending: one in each of equal stretches.
    pub(crate) fn of(&self, point: &Point, sample: usize) -> Vec<usize> {
        let rows = point.rows();
        if rows <= self.each {
            return (0..rows).collect();
        }
        let mut state = self
            .seed
            .wrapping_add((sample as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_add((point.value.index() as u64) << 32);
        (0..self.each)
            .map(|stretch| {
                let Range { start, end } = rows * stretch / self.each..rows * (stretch + 1) / self.each;
                start + (next(&mut state) % (end - start).max(1) as u64) as usize
            })
            .collect()
    }
}

/// The next number of the SplitMix64 generator (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use locket_mil::{Function, Target, Type};
    use locket_tensor::DType;

    use super::{Point, RowChoice};

    fn point(shape: &[usize], linear: bool) -> Point {
        let mut function = Function::new("main", Target::Ios15);
        let value = function.add_input("x", Type::tensor(DType::Float32, shape));
        Point::new(&function, value, linear)
    }

    #[test]
    fn rows_are_pixels_or_vectors() {
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        // Two pictures, three channels, two pixels.
        let picture = point(&[2, 3, 1, 2], false);
        assert_eq!((picture.rows(), picture.channels), (4, 3));
        assert_eq!(picture.gather(&values, &[1, 2]), [1.0, 3.0, 5.0, 6.0, 8.0, 10.0]);
        assert_eq!(
            picture.sums(&values),
            [
                0.0 + 1.0 + 6.0 + 7.0,
                2.0 + 3.0 + 8.0 + 9.0,
                4.0 + 5.0 + 10.0 + 11.0
            ]
        );
        let vectors = point(&[1, 4, 3], true);
        assert_eq!((vectors.rows(), vectors.channels), (4, 3));
        assert_eq!(vectors.gather(&values, &[3]), [9.0, 10.0, 11.0]);
        assert_eq!(vectors.sums(&values), [18.0, 22.0, 26.0]);
    }

    #[test]
    fn chosen_rows_are_spread_and_repeatable() {
        let point = point(&[1, 8, 30, 30], false);
        let choice = RowChoice::new(7, 10, 8, 500, 1 << 20);
        for sample in 0..10 {
            let rows = choice.of(&point, sample);
            assert_eq!(rows, choice.of(&point, sample));
            assert_eq!(rows.len(), 50);
            assert!(
                rows.iter().enumerate().all(|(index, row)| row / 18 == index),
                "{rows:?}"
            );
        }
        assert_ne!(choice.of(&point, 0), choice.of(&point, 1));
        // Little memory: still one row of each sample.
        let poor = RowChoice::new(7, 10, 8, 500, 1);
        assert_eq!(poor.of(&point, 0).len(), 1);
    }
}
