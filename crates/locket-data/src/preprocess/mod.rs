//! The recipe that turns a raw sample into the elements of a model's input.
//!
//! Order of the steps: resize so that the short side is `resize_short_side` (bilinear, antialiased; both sides rounded to
//! nearest, ties to even), cut the centre `center_crop` square, order the channels, `(x - mean) * scale` in `f32`, lay
//! out. An integer input takes the stored integers (`integer_input = "raw"`) or the real value through the input's own
//! quantisation, `clip(round_half_even(x / scale) + zero_point)` (`"quantize"`, which is also what happens when the recipe
//! says nothing and the input has a quantisation).
//!
//! Left to others: where samples come from ([`crate::dataset`]) and which output is which class (`label_offset` is only
//! carried).

mod apply;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Problem, read_limited};
use crate::image::RgbImage;
use crate::npy::{NpyElement, NpyProblem, NpyType};

/// Largest side of a resized picture.
pub const MAX_SIDE: usize = 16_384;

/// Largest recipe file.
const MAX_RECIPE_BYTES: u64 = 1024 * 1024;

/// Order of the colour channels that the model expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ChannelOrder {
    /// Red, green, blue, as pictures are stored.
    #[default]
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue, green, red.
    #[serde(rename = "BGR")]
    Bgr,
}

/// Where the channels stand in the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Layout {
    /// Channels before everything else.
    #[default]
    #[serde(rename = "NCHW")]
    Nchw,
    /// Channels last, as samples are stored.
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// How an integer input is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntegerInput {
    /// The stored integers go straight in; `mean` and `scale` are not applied.
    Raw,
    /// The real value goes through the input's own scale and zero point.
    Quantize,
}

/// A preprocessing recipe, one key a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// The short side after resizing, in pixels; `None` leaves the size alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize_short_side: Option<usize>,
    /// Side of the centre square that is cut out, in pixels; `None` keeps everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub center_crop: Option<usize>,
    /// Order of the colour channels.
    #[serde(default)]
    pub channel_order: ChannelOrder,
    /// Where the channels stand.
    #[serde(default)]
    pub layout: Layout,
    /// What is subtracted: one value, or one for each channel in `channel_order`.
    #[serde(default = "zero")]
    pub mean: Vec<f64>,
    /// What the difference is multiplied with: one value, or one for each channel.
    #[serde(default = "one")]
    pub scale: Vec<f64>,
    /// How an integer input is filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer_input: Option<IntegerInput>,
    /// Leading outputs of the model that are no class: class = output index - `label_offset`.
    #[serde(default)]
    pub label_offset: usize,
}

fn zero() -> Vec<f64> {
    vec![0.0]
}

fn one() -> Vec<f64> {
    vec![1.0]
}

impl Default for Preprocess {
    /// The recipe that changes nothing but the layout (channels first).
    fn default() -> Self {
        Self {
            resize_short_side: None,
            center_crop: None,
            channel_order: ChannelOrder::default(),
            layout: Layout::default(),
            mean: zero(),
            scale: one(),
            integer_input: None,
            label_offset: 0,
        }
    }
}

/// Scale and zero point of an integer input: real value = `(q - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// Real value of one step.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
}

/// What a model's input wants.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Shape of the input, for one sample; dimensions of 1 (such as the batch) are not compared.
    pub shape: Vec<usize>,
    /// Element type: `F32`, `F16`, or an integer.
    pub dtype: NpyType,
    /// Quantisation of an integer input, if the model states one.
    pub quantization: Option<Quantization>,
}

impl InputSpec {
    /// An input of `f32` elements.
    #[must_use]
    pub fn float32(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            dtype: NpyType::F32,
            quantization: None,
        }
    }
}

/// A raw sample: elements with the channels in the last dimension.
#[derive(Debug, Clone, Copy)]
pub struct RawSample<'a> {
    /// Element type.
    pub dtype: NpyType,
    /// Shape, `[.., channels]`; a scalar has one channel.
    pub shape: &'a [usize],
    /// Elements, little-endian, in C order.
    pub bytes: &'a [u8],
}

impl Preprocess {
    /// Reads a recipe file.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`], or [`DataError::Recipe`] that names the line and the key.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        read_limited(path, MAX_RECIPE_BYTES, &mut bytes)?;
        let problem = |problem| DataError::Recipe {
            path: path.to_owned(),
            problem,
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| problem("not UTF-8 text".to_owned().into()))?;
        Self::parse(text).map_err(problem)
    }

    /// Parses a recipe.
    ///
    /// # Errors
    ///
    /// [`Problem`]: what is wrong, in which line or key.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let recipe: Self = toml::from_str(text).map_err(|error| {
            // The parser's own rendering draws the source over several lines; an error here is one line.
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            match error.span().and_then(|span| text.get(..span.start)) {
                Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
                None => message,
            }
        })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe as [`Preprocess::parse`] reads it.
    ///
    /// # Errors
    ///
    /// [`Problem`]: a side or an offset that the text form has no number for.
    pub fn text(&self) -> Result<String, Problem> {
        toml::to_string(self).map_err(|error| error.to_string().into())
    }

    /// Checks what types do not express.
    fn check(&self) -> Result<(), String> {
        for (key, side) in [
            ("resize_short_side", self.resize_short_side),
            ("center_crop", self.center_crop),
        ] {
            if let Some(side) = side
                && !(1..=MAX_SIDE).contains(&side)
            {
                return Err(format!("{key} = {side}, expected 1 to {MAX_SIDE}"));
            }
        }
        if let (Some(short), Some(crop)) = (self.resize_short_side, self.center_crop)
            && crop > short
        {
            return Err(format!(
                "center_crop = {crop}, expected at most resize_short_side = {short}"
            ));
        }
        for (key, values) in [("mean", &self.mean), ("scale", &self.scale)] {
            if values.is_empty() {
                return Err(format!("{key} = [], expected one value, or one for each channel"));
            }
            if let Some(value) = values.iter().find(|value| !(**value as f32).is_finite()) {
                return Err(format!("{key} has {value:?}, expected finite numbers"));
            }
        }
        if self.mean.len() > 1 && self.scale.len() > 1 && self.mean.len() != self.scale.len() {
            let (means, scales) = (self.mean.len(), self.scale.len());
            return Err(format!(
                "mean has {means} values and scale {scales}, expected one or as many"
            ));
        }
        Ok(())
    }
}

/// Holds one preprocessed sample, and the memory that making it needs; used again, it is not allocated again.
#[derive(Debug, Clone)]
pub struct SampleBuffer {
    dtype: NpyType,
    elements: ElementBuffer,
    pub(crate) file: Vec<u8>,
    pub(crate) picture: RgbImage,
    scratch: apply::Scratch,
}

impl Default for SampleBuffer {
    fn default() -> Self {
        Self {
            dtype: NpyType::F32,
            elements: ElementBuffer::default(),
            file: Vec::new(),
            picture: RgbImage::default(),
            scratch: apply::Scratch::default(),
        }
    }
}

impl SampleBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Type of the elements, that of the [`InputSpec`] last used.
    #[must_use]
    pub const fn dtype(&self) -> NpyType {
        self.dtype
    }

    /// The elements' bytes, little-endian, in the order of the input's shape.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.elements.bytes()
    }

    /// Calls `wipe` for all memory that making the sample may have left data in.
    pub fn wipe(&mut self, mut wipe: impl FnMut(&mut [u8])) {
        wipe(bytemuck::cast_slice_mut(&mut self.elements.words));
        wipe(&mut self.file);
        wipe(&mut self.picture.pixels);
        self.scratch.wipe(wipe);
    }

    /// The elements as `T`.
    ///
    /// # Errors
    ///
    /// [`NpyProblem::WrongType`] if they are of another type.
    pub fn elements<T: NpyElement>(&self) -> Result<&[T], NpyProblem> {
        if T::TYPE != self.dtype {
            return Err(NpyProblem::WrongType {
                expected: T::TYPE,
                found: self.dtype,
            });
        }
        Ok(bytemuck::cast_slice(self.bytes()))
    }
}

/// Memory for elements of any type, aligned for each.
#[derive(Debug, Clone, Default)]
struct ElementBuffer {
    words: Vec<u64>,
    length_bytes: usize,
}

impl ElementBuffer {
    /// Makes room for `count` elements and gives them; what is in them is unspecified.
    fn prepare<T: NpyElement>(&mut self, count: usize) -> &mut [T] {
        self.length_bytes = count * size_of::<T>();
        self.words.resize(self.length_bytes.div_ceil(size_of::<u64>()), 0);
        &mut bytemuck::cast_slice_mut(&mut self.words)[..count]
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length_bytes]
    }
}
