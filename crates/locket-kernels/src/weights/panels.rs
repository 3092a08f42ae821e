//! How output channels are cut into panels, and packing by panel.
//!
//! A panel holds the weights of up to three registers of output channels, `[k][lane]`, so that a tile reads them
//! front to back. The channels of each group are padded with zeros to whole registers.

use bytemuck::Pod;

use crate::aligned::Aligned;
use crate::geometry::ConvGeometry;
use crate::isa::Isa;

/// The cut of output channels into panels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels {
    groups: usize,
    /// Channels of one group.
    columns: usize,
    lanes: usize,
    /// Registers of the last panel of a group; all others have two.
    tail: usize,
    per_group: usize,
}

/// One panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) index: usize,
    pub(crate) group: usize,
    /// First channel, counted over all groups.
    pub(crate) first: usize,
    /// Channels, without padding.
    pub(crate) columns: usize,
    /// Registers.
    pub(crate) vectors: usize,
    /// Lanes: channels with padding.
    pub(crate) width: usize,
    /// Lanes of all panels before this one.
    pub(crate) start: usize,
}

impl Panels {
    /// Cuts `columns` channels in each of `groups`. With a single output row (`rows == 1`) all panels but the last have
    /// the same width, so that threads can share the columns.
    pub(crate) fn new(lanes: usize, groups: usize, columns: usize, rows: usize) -> Self {
        let vectors = columns.div_ceil(lanes);
        let (per_group, tail) = match (vectors, vectors % 2) {
            (1, _) => (1, 1),
            (_, 0) => (vectors / 2, 2),
            // An odd register is cheaper in a panel of three than alone.
            (_, _) if rows > 1 => (vectors / 2, 3),
            (_, _) => (vectors / 2 + 1, 1),
        };
        Self {
            groups,
            columns,
            lanes,
            tail,
            per_group,
        }
    }

    /// Cuts the output channels of a convolution.
    pub(crate) fn of(isa: Isa, geometry: &ConvGeometry) -> Self {
        Self::new(
            isa.lanes(),
            geometry.groups,
            geometry.group_out_channels(),
            geometry.out_pixels(),
        )
    }

    /// Returns the number of panels over all groups.
    pub(crate) fn count(&self) -> usize {
        self.groups * self.per_group
    }

    /// Returns the width of all panels but the last of a group.
    pub(crate) fn grain(&self) -> usize {
        2 * self.lanes
    }

    /// Returns the lanes of all panels.
    pub(crate) fn padded_columns(&self) -> usize {
        self.groups * self.group_width()
    }

    /// Returns the lanes of the widest panel.
    pub(crate) fn max_width(&self) -> usize {
        if self.per_group > 1 {
            self.tail.max(2) * self.lanes
        } else {
            self.tail * self.lanes
        }
    }

    fn group_width(&self) -> usize {
        (2 * (self.per_group - 1) + self.tail) * self.lanes
    }

    /// Returns panel `index < count()`.
    pub(crate) fn panel(&self, index: usize) -> Panel {
        let (group, within) = (index / self.per_group, index % self.per_group);
        let vectors = if within + 1 == self.per_group {
            self.tail
        } else {
            2
        };
        let offset = within * self.grain();
        let width = vectors * self.lanes;
        Panel {
            index,
            group,
            first: group * self.columns + offset,
            columns: width.min(self.columns - offset),
            vectors,
            width,
            start: group * self.group_width() + offset,
        }
    }

    /// Packs `depth` values for each channel: `[panel][k][lane]`, zero in the padding.
    pub(crate) fn pack<T: Pod>(&self, depth: usize, value: impl Fn(usize, usize) -> T) -> Aligned<T> {
        self.pack_rows(RowOrder::plain(depth), value)
    }

    /// Packs the rows of a matrix, a row for each channel: `[panel][k][lane]`, zero in the padding. `value(n, at)` is element `at` of
    /// row `n` as it is stored.
    pub(crate) fn pack_rows<T: Pod>(&self, order: RowOrder, value: impl Fn(usize, usize) -> T) -> Aligned<T> {
        let RowOrder { channels, taps } = order;
        let depth = channels * taps;
        Aligned::build(self.padded_columns() * depth, |packed| {
            for index in 0..self.count() {
                let panel = self.panel(index);
                let target = &mut packed[panel.start * depth..][..panel.width * depth];
                // Reads along rows, writes down columns: in blocks, so that the lines written to stay in the first-level cache.
                let block = (BLOCK_BYTES / (panel.width * taps.max(1) * size_of::<T>())).max(1);
                for start in (0..channels).step_by(block) {
                    let end = channels.min(start + block);
                    for lane in 0..panel.columns {
                        for channel in start..end {
                            for tap in 0..taps {
                                target[(tap * channels + channel) * panel.width + lane] =
                                    value(panel.first + lane, channel * taps + tap);
                            }
                        }
                    }
                }
            }
        })
    }
}

/// Elements of each row that are turned at a time: a line of float32.
const TURNED: usize = 16;
/// Lanes of the widest panel of any instruction set.
const MAX_WIDTH: usize = 48;

impl Panels {
    /// Packs a matrix that lies in memory, `[n][at]`, each element converted: as [`Panels::pack_rows`]. Reads and writes whole
    /// lines, one row after another.
    pub(crate) fn pack_matrix<S: Copy, T: Pod>(
        &self,
        order: RowOrder,
        matrix: &[S],
        convert: impl Fn(S) -> T,
    ) -> Aligned<T> {
        let RowOrder { channels, taps } = order;
        let depth = channels * taps;
        Aligned::build(self.padded_columns() * depth, |packed| {
            let mut turned = [[T::zeroed(); MAX_WIDTH]; TURNED];
            for index in 0..self.count() {
                let panel = self.panel(index);
                let target = &mut packed[panel.start * depth..][..panel.width * depth];
                let rows = &matrix[panel.first * depth..][..panel.columns * depth];
                for start in (0..depth).step_by(TURNED) {
                    for (lane, row) in rows.chunks_exact(depth).enumerate() {
                        let values = &row[start..depth.min(start + TURNED)];
                        for (column, &value) in turned.iter_mut().zip(values) {
                            column[lane] = convert(value);
                        }
                    }
                    for (at, column) in (start..depth).zip(&turned) {
                        let k = if taps == 1 {
                            at
                        } else {
                            at % taps * channels + at / taps
                        };
                        target[k * panel.width..][..panel.columns].copy_from_slice(&column[..panel.columns]);
                    }
                }
            }
        })
    }
}

/// Bytes that packing writes to before it goes on to the next ones: a part of a first-level cache.
const BLOCK_BYTES: usize = 8 * 1024;

/// How a row of weights is stored: `[channels][taps]`. Kernels want taps first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowOrder {
    pub(crate) channels: usize,
    pub(crate) taps: usize,
}

impl RowOrder {
    /// The order in which kernels want it.
    pub(crate) fn plain(depth: usize) -> Self {
        Self {
            channels: depth,
            taps: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Panels;

    #[test]
    fn panels_cover_every_channel_once() {
        for (lanes, groups, columns, rows) in [
            (16, 1, 48, 9),
            (16, 1, 48, 1),
            (8, 3, 5, 2),
            (8, 2, 37, 7),
            (16, 1, 1, 1),
            (16, 1, 1000, 1),
            (16, 1, 80, 4),
        ] {
            let panels = Panels::new(lanes, groups, columns, rows);
            let (mut first, mut start) = (0, 0);
            for index in 0..panels.count() {
                let panel = panels.panel(index);
                assert_eq!((panel.first, panel.start), (first, start));
                assert!(
                    panel.columns > 0 && panel.columns <= panel.width && panel.width <= panels.max_width()
                );
                first += panel.columns;
                start += panel.width;
            }
            assert_eq!((first, start), (groups * columns, panels.padded_columns()));
        }
    }
}
