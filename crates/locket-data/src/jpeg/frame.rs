//! The frame: sizes, components, and their coefficients or samples.

use super::transform;

/// One component.
pub(super) struct Component {
    pub(super) name: u8,
    /// Horizontal and vertical sampling, 1 to 4.
    pub(super) sampling: [usize; 2],
    /// The quantisation table's number, and the table as it was when the component's first scan came.
    quantization: (usize, Option<[u16; 64]>),
    /// Samples that count.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks that hold them; a scan of this component alone has just these.
    pub(super) blocks: [usize; 2],
    /// Blocks in a row of storage: whole units of an interleaved scan.
    pub(super) stride: usize,
    /// 64 for each block, in the order of rows, if several scans make them; else none.
    pub(super) coefficients: Vec<i16>,
    /// The samples of all blocks, if they are made as blocks are read; else none.
    plane: Vec<u8>,
}

impl Component {
    /// Samples in a row of the component's plane.
    pub(super) fn plane_width(&self) -> usize {
        self.stride * 8
    }

    /// Whether there is a block at this place.
    pub(super) fn has_block(&self, place: usize) -> bool {
        place < self.plane.len() / 64
    }

    /// Makes samples of a block that is complete.
    pub(super) fn put_block(&mut self, place: usize, block: &[i16; 64]) -> Result<(), String> {
        let table = self.quantization.1.as_ref().ok_or(NO_TABLE)?;
        let width = self.plane_width();
        let first = place / self.stride * 8 * width + place % self.stride * 8;
        transform::block(block, table, &mut self.plane[first..], width);
        Ok(())
    }

    /// The samples of all blocks, which are then no longer here.
    pub(super) fn take_plane(&mut self) -> Result<Vec<u8>, String> {
        self.quantization.1.ok_or(NO_TABLE)?;
        let coefficients = std::mem::take(&mut self.coefficients);
        if !coefficients.is_empty() {
            self.plane = vec![0; coefficients.len()];
        }
        for (place, block) in coefficients.as_chunks::<64>().0.iter().enumerate() {
            self.put_block(place, block)?;
        }
        Ok(std::mem::take(&mut self.plane))
    }
}

const NO_TABLE: &str = "a component without a quantisation table or scan";

/// A frame.
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) is_progressive: bool,
    /// Greatest sampling of any component.
    pub(super) most: [usize; 2],
    /// Units of an interleaved scan in a row, and rows of them.
    pub(super) units: [usize; 2],
    pub(super) components: Vec<Component>,
}

impl Frame {
    /// Reads a frame; `None` if it is of a kind that is not read here.
    pub(super) fn read(
        segment: &[u8],
        is_progressive: bool,
        file_bytes: usize,
        check: &impl Fn(usize, usize) -> Result<usize, String>,
    ) -> Result<Option<Self>, String> {
        let [bits, y1, y0, x1, x0, count, rest @ ..] = segment else {
            return Err("a frame that is too short".to_owned());
        };
        let height = usize::from(u16::from_be_bytes([*y1, *y0]));
        let width = usize::from(u16::from_be_bytes([*x1, *x0]));
        check(width, height)?;
        if *bits != 8 || !matches!(count, 1 | 3) {
            return Ok(None);
        }
        let parts = rest.as_chunks::<3>().0;
        let parts = parts
            .get(..usize::from(*count))
            .ok_or("a frame that is too short")?;
        let samplings: Vec<[usize; 2]> = parts
            .iter()
            .map(|[_, sampling, _]| [usize::from(sampling >> 4), usize::from(sampling & 15)])
            .collect();
        if samplings.iter().flatten().any(|factor| !(1..=4).contains(factor)) {
            return Err("a sampling factor that is not 1 to 4".to_owned());
        }
        let most = [0, 1].map(|axis| samplings.iter().map(|sampling| sampling[axis]).max().unwrap_or(1));
        let units = [width.div_ceil(8 * most[0]), height.div_ceil(8 * most[1])];
        let blocks: usize = samplings
            .iter()
            .map(|sampling| sampling[0] * sampling[1])
            .sum::<usize>()
            * units[0]
            * units[1];
        // Every block takes at least a bit: memory is bounded by the file.
        if blocks > file_bytes.saturating_mul(8) {
            return Err(format!(
                "{file_bytes} bytes cannot hold {width} x {height} pixels"
            ));
        }
        let components = parts.iter().zip(samplings).map(|([name, _, table], sampling)| {
            let width = (width * sampling[0]).div_ceil(most[0]);
            let height = (height * sampling[1]).div_ceil(most[1]);
            let stride = units[0] * sampling[0];
            let elements = stride * units[1] * sampling[1] * 64;
            let [coefficients, samples] = if is_progressive {
                [elements, 0]
            } else {
                [0, elements]
            };
            Component {
                name: *name,
                sampling,
                quantization: (usize::from(*table), None),
                width,
                height,
                blocks: [width.div_ceil(8), height.div_ceil(8)],
                stride,
                coefficients: vec![0; coefficients],
                plane: vec![0; samples],
            }
        });
        Ok(Some(Self {
            width,
            height,
            is_progressive,
            most,
            units,
            components: components.collect(),
        }))
    }

    /// A component keeps the table that stood when its first scan came.
    pub(super) fn keep_quantization(&mut self, tables: &[Option<[u16; 64]>; 4], scan: &[u8]) {
        let names = scan.get(1..).unwrap_or_default().iter().step_by(2);
        for &name in names.take(scan.first().map_or(0, |&count| usize::from(count))) {
            for component in self
                .components
                .iter_mut()
                .filter(|component| component.name == name)
            {
                let (number, kept) = &mut component.quantization;
                *kept = kept.or(tables.get(*number).copied().flatten());
            }
        }
    }
}
