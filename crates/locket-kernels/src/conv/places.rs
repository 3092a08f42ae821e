//! Where the runs of channels lie that a tile of pixels reads, and the loops over blocks and tiles.

use core::ops::Range;

use super::runs::Runs;
use crate::geometry::{ConvGeometry, OUTSIDE, TapTable};

/// Most pixels in a tile, over all instruction sets.
pub(crate) const MAX_TILE_ROWS: usize = 14;

/// The input of one output pixel: the run of tap `(y, x)` starts at `base + v + h`, where `v` is element `vertical + y` of the
/// vertical offsets and `h` element `horizontal + x` of the horizontal ones; it is padding if either is outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pixel {
    base: usize,
    vertical: u32,
    horizontal: u32,
}

/// The input of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps<'a, T> {
    pub(crate) input: &'a [T],
    /// What a tap outside the image reads: at least `run` elements.
    pub(crate) padding: &'a [T],
    /// Elements under one tap.
    pub(crate) run: usize,
    /// Pixels.
    pub(crate) rows: usize,
    pub(crate) place: Place<'a>,
}

/// Where the pixels of one tile read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// At `start`, `stride` elements apart, moved on by the vertical parts; never outside.
    Strided {
        start: usize,
        stride: usize,
        vertical: &'a [u32],
    },
    /// By the table.
    Table {
        pixels: &'a [Pixel],
        table: &'a TapTable,
    },
}

impl<T> Taps<'_, T> {
    /// Moves strided pixels on by as many as there are.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        if let Place::Strided { start, stride, .. } = &mut self.place {
            *start += self.rows * *stride;
        }
    }
}

impl<'a, T: Copy> Taps<'a, T> {
    /// Gathers the runs of all pixels under tap `(y, x)`.
    #[inline(always)]
    pub(super) fn gather<const ROWS: usize>(&self, y: usize, x: usize, runs: &mut Runs<'a, T, ROWS>) {
        match self.place {
            Place::Strided {
                start,
                stride,
                vertical,
            } => {
                runs.set_strided(&self.input[start + vertical[y] as usize..], stride);
            }
            Place::Table { pixels, table } => {
                assert_eq!(pixels.len(), ROWS, "one place for each row");
                for row in 0..ROWS {
                    let pixel = &pixels[row];
                    let vertical = table.vertical()[pixel.vertical as usize + y];
                    let offset = vertical + table.horizontal()[pixel.horizontal as usize + x];
                    let is_outside = offset >= OUTSIDE;
                    let run = if is_outside {
                        self.padding
                    } else {
                        &self.input[pixel.base + offset as usize..]
                    };
                    runs.set(row, run);
                }
            }
        }
    }

    /// Returns the taps: kernel rows and columns.
    #[inline(always)]
    pub(super) fn kernel(&self) -> [usize; 2] {
        match self.place {
            Place::Strided { vertical, .. } => [vertical.len(), 1],
            Place::Table { table, .. } => table.kernel(),
        }
    }
}

impl Default for Place<'_> {
    /// Nowhere.
    fn default() -> Self {
        Self::Strided {
            start: 0,
            stride: 0,
            vertical: &[],
        }
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
        output: [usize; 2],
        image: usize,
    },
}

impl<'a> Places<'a> {
    pub(crate) fn table(geometry: &ConvGeometry, table: &'a TapTable) -> Self {
        let output = [geometry.out_height, geometry.out_width];
        Self::Table {
            table,
            output,
            image: geometry.in_height * geometry.in_width * geometry.input_stride,
        }
    }

    /// Returns the place of a tile of `count` pixels from `first` on, the input moved on by `offset` elements.
    #[inline]
    pub(crate) fn tile<'p>(
        &self,
        first: usize,
        count: usize,
        offset: usize,
        pixels: &'p mut [Pixel; MAX_TILE_ROWS],
    ) -> Place<'p>
    where
        'a: 'p,
    {
        match *self {
            Self::Strided { stride, vertical } => Place::Strided {
                start: first * stride + offset,
                stride,
                vertical,
            },
            Self::Table {
                table,
                output: [out_height, out_width],
                image,
            } => {
                let mut x = first % out_width;
                let mut y = first / out_width % out_height;
                let mut base = first / out_width / out_height * image + offset;
                let [height, width] = table.kernel();
                let pixels = &mut pixels[..count];
                for pixel in &mut *pixels {
                    // Both are indices into tables whose lengths `TapTable` keeps below 2³².
                    *pixel = Pixel {
                        base,
                        vertical: (y * height) as u32,
                        horizontal: (x * width) as u32,
                    };
                    x += 1;
                    if x == out_width {
                        (x, y) = (0, y + 1);
                    }
                    if y == out_height {
                        (y, base) = (0, base + image);
                    }
                }
                Place::Table { pixels, table }
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

/// Calls `body` for consecutive rows of tiles of the same size `(first, count, times)`, of `rows`, with tiles as [`for_each_tile`] cuts
/// them.
#[inline(always)]
pub(crate) fn for_each_row_of_tiles(
    rows: Range<usize>,
    most: usize,
    mut body: impl FnMut(usize, usize, usize),
) {
    let tiles = rows.len().div_ceil(most);
    if tiles == 0 {
        return;
    }
    let (size, larger) = (rows.len() / tiles, rows.len() % tiles);
    if larger > 0 {
        body(rows.start, size + 1, larger);
    }
    body(rows.start + larger * (size + 1), size, tiles - larger);
}

/// Calls `body` for tiles `(first, count, times)`: rows of them if pixels are strided, else one by one.
#[inline(always)]
pub(super) fn for_each_tiles(
    places: Places<'_>,
    range: Range<usize>,
    most: usize,
    mut body: impl FnMut(usize, usize, usize),
) {
    match places {
        Places::Strided { .. } => for_each_row_of_tiles(range, most, body),
        Places::Table { .. } => for_each_tile(range, most, |first, count| body(first, count, 1)),
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
