//! The integer convolution on a matrix unit.

use core::ops::Range;

use bytemuck::cast_slice;

use super::gather::Gather;
use super::matrix::{Matrix, Part, Unit};
use super::places::Place;
use super::tile_u8::{TileU8, store_sums};
use super::u8::{From, Run};
use super::{MAX_TILE_ROWS, Pixel, Places, Taps, for_each_block, for_each_tile};
use crate::geometry::TapTable;
use crate::simd::{MATRIX_ROWS, Simd, Sums};
use crate::weights::Panel;

impl Run<'_> {
    /// Blocks of pixels whose taps are gathered first, each under every panel.
    pub(super) fn gathered_blocks<S: Simd>(&mut self, simd: S, unit: &mut Option<Unit>, table: &TapTable) {
        let conv = self.conv;
        let depth = conv.geometry.depth();
        let scratch = core::mem::take(&mut self.scratch);
        let places = Places::Strided {
            stride: depth,
            vertical: &[0],
        };
        for_each_block(self.rows.clone(), conv.gathered_pixels(), |block| {
            let pixels = &mut scratch[..block.len() * depth];
            conv.isa.dispatch(Gather {
                geometry: &conv.geometry,
                table,
                input: self.input,
                padding: conv.input_zero_point,
                pixels: block.clone(),
                stride: depth,
                output: pixels,
            });
            let from = From {
                places,
                input: pixels,
                run: depth,
            };
            for index in self.panels.clone() {
                let panel = conv.panels.panel(index);
                let output_row = block.start - self.rows.start;
                self.tiles(simd, unit, from, 0..block.len(), output_row, &panel);
            }
        });
    }

    /// All tiles of a range of pixels under one panel; the first is pixel `output_row` of the output slice.
    pub(super) fn matrix_tiles<S: Simd>(
        &mut self,
        simd: S,
        (matrix, unit): (&Matrix, &mut Unit),
        from: From<'_>,
        range: Range<usize>,
        output_row: usize,
        panel: &Panel,
    ) {
        let weights = self.conv.panel_weights(panel);
        let mut pixels = [Pixel::default(); MAX_TILE_ROWS];
        for_each_tile(range.clone(), MATRIX_ROWS, |first, count| {
            let taps = Taps {
                input: from.input,
                padding: &[],
                run: from.run,
                rows: count,
                place: from.places.tile(first, count, 0, &mut pixels),
            };
            let row = output_row + first - range.start;
            let share = [first - range.start, count, range.len()];
            let weights = cast_slice(weights);
            matrix.multiply(unit, &taps, weights, (*panel, row), share, |part, sums| {
                self.write(simd, part, sums);
            });
        });
    }

    /// Writes out what the matrix unit has left in memory.
    fn write<S: Simd>(&mut self, simd: S, part: Part, sums: &Sums) {
        let geometry = &self.conv.geometry;
        let (panel, (lane, lanes), (row, rows)) = (part.panel, part.lanes, part.rows);
        let channel = panel.first + lane;
        let output = row * geometry.output_stride + geometry.output_offset + channel - self.column;
        let mut tile = TileU8 {
            taps: Taps {
                input: &[],
                padding: &[],
                run: 0,
                rows,
                place: Place::default(),
            },
            panel: &[],
            bias: &self.conv.bias.as_slice()[panel.start + lane..][..lanes],
            row_bias: &[],
            multiplier: &self.conv.multiplier.as_slice()[panel.start + lane..][..lanes],
            target: self.sink.at(
                output,
                row * geometry.out_channels + channel,
                geometry.out_channels,
            ),
            output_stride: geometry.output_stride,
            columns: (panel.columns - lane).min(lanes),
            times: 1,
        };
        store_sums(simd, cast_slice(&sums.0), &mut tile);
    }
}
