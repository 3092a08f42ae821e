//! Where the runs of channels lie that a tile of pixels reads, and the loops over blocks and tiles.

use core::array::from_fn;
use core::ops::Range;

use crate::geometry::{ConvGeometry, OUTSIDE, TapTable};

/// Most pixels in a tile, over all instruction sets.
pub(crate) const MAX_TILE_ROWS: usize = 14;

/// The input of one output pixel: the run of tap `(y, x)` starts at `base + vertical[y] + horizontal[x]`, or is padding
/// if either part is outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixel<'a> {
    pub(crate) base: usize,
    pub(crate) vertical: &'a [u32],
    pub(crate) horizontal: &'a [u32],
}

impl Pixel<'_> {
    pub(crate) const EMPTY: Self = Self {
        base: 0,
        vertical: &[],
        horizontal: &[],
    };
}

/// The input of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps<'a, T> {
    pub(crate) input: &'a [T],
    /// What a tap outside the image reads: at least `run` elements.
    pub(crate) padding: &'a [T],
    /// Elements under one tap.
    pub(crate) run: usize,
    pub(crate) pixels: &'a [Pixel<'a>],
}

impl<'a, T> Taps<'a, T> {
    /// Returns the runs of all pixels under tap `(y, x)`.
    #[inline(always)]
    pub(crate) fn rows<const ROWS: usize>(&self, y: usize, x: usize) -> [&'a [T]; ROWS] {
        let pixels: &[Pixel<'a>; ROWS] = self.pixels.try_into().expect("the tile was chosen by its pixels");
        from_fn(|row| {
            let pixel = &pixels[row];
            let offset = pixel.vertical[y] + pixel.horizontal[x];
            if offset >= OUTSIDE {
                &self.padding[..self.run]
            } else {
                &self.input[pixel.base + offset as usize..][..self.run]
            }
        })
    }

    /// Returns the taps: kernel rows and columns.
    #[inline(always)]
    pub(crate) fn kernel(&self) -> [usize; 2] {
        [self.pixels[0].vertical.len(), self.pixels[0].horizontal.len()]
    }
}

/// Numbered pixels and where their input lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Places<'a> {
    /// Pixel `i` reads the run at `i * stride`, moved on by the vertical parts.
    Strided { stride: usize, vertical: &'a [u32] },
    /// Pixel `i` of the output, by the table.
    Table {
        table: &'a TapTable,
        out_height: usize,
        out_width: usize,
        image: usize,
    },
}

impl<'a> Places<'a> {
    pub(crate) fn table(geometry: &ConvGeometry, table: &'a TapTable) -> Self {
        Self::Table {
            table,
            out_height: geometry.out_height,
            out_width: geometry.out_width,
            image: geometry.in_height * geometry.in_width * geometry.input_stride,
        }
    }

    /// Describes the pixels from `first` on, the input moved on by `offset` elements.
    pub(crate) fn fill(&self, first: usize, offset: usize, pixels: &mut [Pixel<'a>]) {
        match *self {
            Self::Strided { stride, vertical } => {
                for (index, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = Pixel {
                        base: (first + index) * stride + offset,
                        vertical,
                        horizontal: &[0],
                    };
                }
            }
            Self::Table {
                table,
                out_height,
                out_width,
                image,
            } => {
                let mut x = first % out_width;
                let mut y = first / out_width % out_height;
                let mut n = first / out_width / out_height;
                for pixel in pixels {
                    let (vertical, horizontal) = (table.vertical(y), table.horizontal(x));
                    *pixel = Pixel {
                        base: n * image + offset,
                        vertical,
                        horizontal,
                    };
                    x += 1;
                    if x == out_width {
                        (x, y) = (0, y + 1);
                    }
                    if y == out_height {
                        (y, n) = (0, n + 1);
                    }
                }
            }
        }
    }
}

/// Calls `body` for consecutive parts of `rows` of at most `block` rows.
pub(crate) fn for_each_block(rows: Range<usize>, block: usize, mut body: impl FnMut(Range<usize>)) {
    let mut start = rows.start;
    while start < rows.end {
        let end = rows.end.min(start + block);
        body(start..end);
        start = end;
    }
}

/// Calls `body` for consecutive tiles `(first, count)` of `rows`, as equal as possible and of at most `most` rows.
#[inline(always)]
pub(crate) fn for_each_tile(rows: Range<usize>, most: usize, mut body: impl FnMut(usize, usize)) {
    let tiles = rows.len().div_ceil(most);
    if tiles == 0 {
        return;
    }
    let (size, larger) = (rows.len() / tiles, rows.len() % tiles);
    let mut first = rows.start;
    for tile in 0..tiles {
        let count = size + usize::from(tile < larger);
        body(first, count);
        first += count;
    }
}

#[cfg(test)]
mod tests {
    use super::{for_each_block, for_each_tile};

    #[test]
    fn tiles_cover_the_rows_in_order() {
        for (rows, most) in [
            (0..0, 4),
            (3..4, 14),
            (0..49, 14),
            (5..33, 14),
            (0..15, 14),
            (2..100, 1),
        ] {
            let mut next = rows.start;
            for_each_tile(rows.clone(), most, |first, count| {
                assert_eq!(first, next);
                assert!((1..=most).contains(&count));
                next += count;
            });
            assert_eq!(next, rows.end);
            let mut next = rows.start;
            for_each_block(rows.clone(), most, |block| {
                assert_eq!(block.start, next);
                next = block.end;
            });
            assert_eq!(next, rows.end);
        }
    }
}
