//! The pictures that attacks try to reconstruct: what the model was shown, small.
//!
//! A target is the sample after the recipe's resizing and cropping, because what was cut away cannot be reconstructed,
//! averaged down to at most [`SIDE`] pixels a side, red first, with values from 0 to 1.

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_data::{
    Dataset, InputSpec, Preprocess, SampleBuffer,
    preprocess::{ChannelOrder, Layout},
};
use locket_mil::{Function, Type};

use super::matrix::Matrix;
use crate::PrivacyError;

/// Longest side of a target in pixels.
pub const SIDE: usize = 32;

/// Height, width and channels of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureShape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
}

impl PictureShape {
    /// Samples of one picture.
    pub fn elems(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Small pictures, `[pictures, height, width, channels]`, and the classes of those.
#[derive(Clone, Debug)]
pub struct Pictures {
    pub(crate) values: Matrix,
    shape: PictureShape,
    labels: Vec<usize>,
}

impl Pictures {
    /// Reads the first `limit` samples of a set as `function` is shown them, on `threads` threads. `progress` is told how
    /// many are done.
    ///
    /// # Errors
    ///
    /// If the input is no picture, or a sample cannot be read or is none of 8 bits.
    pub fn load(
        dataset: &Dataset,
        recipe: &Preprocess,
        function: &Function,
        limit: Option<usize>,
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, PrivacyError> {
        let [height, width, channels] = picture_sides(function, recipe)?;
        let shown = Preprocess {
            channel_order: ChannelOrder::Rgb,
            layout: Layout::Nhwc,
            mean: vec![0.0],
            scale: vec![1.0],
            integer_input: None,
            ..recipe.clone()
        };
        let spec = InputSpec::float32(&[1, height, width, channels]);
        let shape = PictureShape {
            height: height.min(SIDE),
            width: width.min(SIDE),
            channels,
        };
        let count = limit.unwrap_or(usize::MAX).min(dataset.len());
        let done = AtomicUsize::new(0);
        let buffers: Vec<SampleBuffer> = (0..threads.max(1)).map(|_| SampleBuffer::new()).collect();
        let rows = locket_pool::in_order(count, buffers, |buffer, index| {
            dataset.read(index, &shown, &spec, buffer)?;
            let values = buffer
                .elements::<f32>()
                .map_err(|error| PrivacyError::Unsuitable(error.to_string()))?;
            if let Some(value) = values.iter().find(|value| !(0.0..=255.0).contains(*value)) {
                return Err(PrivacyError::Unsuitable(format!(
                    "{}: expected a picture with values from 0 to 255, found {value}",
                    dataset.names()[index]
                )));
            }
            let mut small = average(values, [height, width, channels], [shape.height, shape.width]);
            small.iter_mut().for_each(|value| *value /= 255.0);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(small)
        })?;
        Ok(Self {
            values: Matrix::from_rows(rows, shape.elems()),
            shape,
            labels: dataset.labels()[..count].to_vec(),
        })
    }

    /// Pictures that are in memory: `values` from 0 to 1, one row of `shape` for each label.
    ///
    /// # Errors
    ///
    /// If the length does not fit, or the picture is neither grey nor of three colours.
    pub fn new(values: Vec<f32>, shape: PictureShape, labels: Vec<usize>) -> Result<Self, PrivacyError> {
        let (columns, rows) = (shape.elems(), labels.len());
        if values.len() != columns * rows || !matches!(shape.channels, 1 | 3) {
            return Err(PrivacyError::Unsuitable(format!(
                "expected {rows} pictures of {columns} values with 1 or 3 channels, found {} values with {} channels",
                values.len(),
                shape.channels
            )));
        }
        Ok(Self {
            values: Matrix {
                rows,
                columns,
                values,
            },
            shape,
            labels,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.rows
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.values.rows == 0
    }

    /// Sides of each.
    pub fn shape(&self) -> PictureShape {
        self.shape
    }

    /// The class of each.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }
}

/// Height, width and channels of a function's only input.
fn picture_sides(function: &Function, recipe: &Preprocess) -> Result<[usize; 3], PrivacyError> {
    let unsuitable = |found: String| {
        PrivacyError::Unsuitable(format!(
            "expected a model with one input that is a picture with 1 or 3 channels, found {found}"
        ))
    };
    let &[input] = function.inputs.as_slice() else {
        return Err(unsuitable(format!("{} inputs", function.inputs.len())));
    };
    let value = function.value(input);
    let Type::Tensor { shape, .. } = &value.ty else {
        return Err(unsuitable(format!("input {}, which is no tensor", value.name)));
    };
    let sides = match (&shape[..], recipe.layout) {
        (&[1, channels, height, width], Layout::Nchw) | (&[1, height, width, channels], Layout::Nhwc) => {
            [height, width, channels]
        }
        (&[1, height, width], _) => [height, width, 1],
        (shape, _) => return Err(unsuitable(format!("{}: {shape:?}", value.name))),
    };
    if matches!(sides[2], 1 | 3) && sides[0] > 0 && sides[1] > 0 {
        Ok(sides)
    } else {
        Err(unsuitable(format!("{}: {shape:?}", value.name)))
    }
}

/// Averages `[height, width, channels]` over the cells of a coarser grid. Cells share the pixels on their borders.
pub(crate) fn average(
    values: &[f32],
    [height, width, channels]: [usize; 3],
    [rows, columns]: [usize; 2],
) -> Vec<f32> {
    if (height, width) == (rows, columns) {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(rows * columns * channels);
    let mut sums = vec![0.0_f64; channels];
    for row in 0..rows {
        let (top, bottom) = cell(row, rows, height);
        for column in 0..columns {
            let (left, right) = cell(column, columns, width);
            sums.fill(0.0);
            for y in top..bottom {
                let pixels = &values[(y * width + left) * channels..(y * width + right) * channels];
                for pixel in pixels.chunks_exact(channels) {
                    sums.iter_mut()
                        .zip(pixel)
                        .for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            let count = ((bottom - top) * (right - left)) as f64;
            out.extend(sums.iter().map(|sum| (sum / count) as f32));
        }
    }
    out
}

/// The pixels of one cell of a coarser grid.
pub(crate) fn cell(index: usize, cells: usize, pixels: usize) -> (usize, usize) {
    (index * pixels / cells, ((index + 1) * pixels).div_ceil(cells))
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn an_average_keeps_what_is_even_and_halves_what_is_twice_as_large() {
        let even = average(&[0.5; 7 * 5 * 3], [7, 5, 3], [3, 2]);
        assert_eq!(even, vec![0.5; 3 * 2 * 3]);
        let ramp: Vec<f32> = (0..16u8).map(f32::from).collect();
        assert_eq!(average(&ramp, [4, 4, 1], [2, 2]), [2.5, 4.5, 10.5, 12.5]);
        assert_eq!(average(&ramp, [4, 4, 1], [4, 4]), ramp);
    }
}
