//! Integer convolutions on a matrix unit: which suit it, and their tiles of up to 32 pixels by up to 2 registers of channels.
//!
//! Weights are packed as for the vector kernels. The unit reads the pixels where they lie (pointwise, and rows copied for few
//! channels), or from scratch into which the taps of a block of pixels are gathered, one pixel after the other.

use super::places::{Place, Taps};
use super::{Ahead, BLOCK_BYTES, Path};
use crate::geometry::ConvGeometry;
use crate::isa::Isa;
use crate::simd::{
    Amx, Elements, MATRIX_ROWS, MOST_CHUNK_BYTES, MOST_RUNS, PREFETCHES, Product, Sums, Tiles,
};
use crate::weights::Panel;

/// Bytes of K from which on the unit gains more than its sums cost on their way through memory: with 32, times are equal
/// (`examples/roofline.rs`, Sapphire Rapids).
const LEAST_DEPTH_BYTES: usize = 40;

/// Output pixels from which on a matrix product is worth the unit.
const LEAST_PIXELS: usize = 4;

/// How a convolution is cut for the unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    amx: Amx,
    /// Bytes of a run that one step takes.
    chunk: usize,
    /// Steps of a run.
    chunks: usize,
    /// Pixels whose taps are gathered together, if they are.
    gathered: Option<usize>,
}

/// The unit during a call, and room for its sums.
pub(super) struct Unit {
    tiles: Tiles,
    sums: Sums,
}

/// A tile under one or two registers of a panel's channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) panel: Panel,
    /// First lane of the panel, and lanes.
    pub(super) lanes: (usize, usize),
    /// First pixel of the output slice, and pixels.
    pub(super) rows: (usize, usize),
}

impl Matrix {
    /// Returns the cut, or `None` if there is no unit or the shape does not suit it.
    pub(super) fn new(isa: Isa, geometry: &ConvGeometry, path: &Path) -> Option<Self> {
        let amx = isa.unit()?;
        let (runs, run) = path.runs(geometry);
        let (runs, bytes, gathers) = match path {
            Path::Pointwise => (1, run, false),
            Path::Few(_) => (runs, run.next_multiple_of(4), false),
            // The weights of each tap are padded to fours, the gathered pixels are not.
            Path::Taps(_) if !run.is_multiple_of(4) => return None,
            Path::Taps(_) => (1, runs * run, true),
        };
        let chunk = even_chunk(bytes)?;
        let suits = geometry.groups == 1
            && geometry.out_pixels() >= LEAST_PIXELS
            && runs * bytes >= LEAST_DEPTH_BYTES
            && runs <= MOST_RUNS;
        let block = (BLOCK_BYTES / bytes / MATRIX_ROWS).max(1) * MATRIX_ROWS;
        suits.then_some(Self {
            amx,
            chunk,
            chunks: bytes / chunk,
            gathered: gathers.then(|| block.min(geometry.out_pixels())),
        })
    }

    /// Returns the unit, to be held during a call.
    pub(super) fn unit(&self) -> Unit {
        Unit {
            tiles: Tiles::new(self.amx),
            sums: Sums::zeroed(),
        }
    }

    /// Returns the pixels whose taps are gathered together.
    pub(super) fn gathered(&self) -> Option<usize> {
        self.gathered
    }

    /// Multiplies a tile of up to [`MATRIX_ROWS`] strided pixels by a panel; `write` is given the sums of one part after the other.
    /// `share` is as in [`Ahead::of`].
    pub(super) fn multiply(
        &self,
        unit: &mut Unit,
        taps: &Taps<'_, u8>,
        weights: &[u8],
        (panel, row): (Panel, usize),
        share: [usize; 3],
        mut write: impl FnMut(Part, &Sums),
    ) {
        let Place::Strided {
            start,
            stride,
            vertical,
        } = taps.place
        else {
            unreachable!("pixels by the table are gathered first");
        };
        let mut starts = [0; MOST_RUNS];
        for (to, &from) in starts.iter_mut().zip(vertical) {
            *to = start + from as usize;
        }
        let parts = panel.vectors.div_ceil(2);
        let requests = parts * vertical.len() * self.chunks * PREFETCHES;
        let [mut ahead, step] = Ahead::of(weights.len(), requests, share).offsets();
        let register = panel.width / panel.vectors;
        for first in (0..panel.width).step_by(2 * register) {
            let lanes = (panel.width - first).min(2 * register);
            let product = Product {
                a: taps.input,
                runs: &starts[..vertical.len()],
                a_stride: stride,
                rows: taps.rows,
                chunks: self.chunks,
                chunk: self.chunk,
                b: &weights[4 * first..],
                b_stride: 4 * panel.width,
                b_width: 4 * lanes,
                ahead: [ahead - 4 * first, step],
            };
            ahead += requests / parts * step;
            unit.tiles.multiply(Elements::Int8, &product, &mut unit.sums);
            let part = Part {
                panel,
                lanes: (first, lanes),
                rows: (row, taps.rows),
            };
            write(part, &unit.sums);
        }
    }
}

/// Returns the greatest step that divides a run into equal ones, at most half as many again as there must be.
fn even_chunk(bytes: usize) -> Option<usize> {
    if bytes == 0 || !bytes.is_multiple_of(4) {
        return None;
    }
    let least = bytes.div_ceil(MOST_CHUNK_BYTES);
    let steps = (least..=least + least / 2).find(|&steps| (bytes / 4).is_multiple_of(steps))?;
    Some(bytes / steps)
}

#[cfg(test)]
mod tests {
    use super::even_chunk;

    #[test]
    fn steps_divide_runs_evenly() {
        for (bytes, expected) in [
            (4, Some(4)),
            (64, Some(64)),
            (96, Some(48)),
            (160, Some(40)),
            (184, None),
            (640, Some(64)),
            (18, None),
            (0, None),
        ] {
            assert_eq!(even_chunk(bytes), expected, "{bytes}");
        }
    }
}
