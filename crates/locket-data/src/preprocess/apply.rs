//! Applies a recipe to one sample.

use half::f16;

use super::{ChannelOrder, InputSpec, IntegerInput, Layout, MAX_SIDE, Preprocess, RawSample, SampleBuffer};
use crate::Problem;
use crate::image::MAX_PIXELS;
use crate::npy::{NpyElement, NpyType, convert_to_f32};
use crate::resize::{Picture, ResizeScratch, Window, resize_bilinear};

/// Memory between the steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    resize: ResizeScratch,
    cropped: Vec<u8>,
    floats: Vec<f32>,
    shape: Vec<usize>,
    /// `mean` and `scale` of each channel, in the order of the input.
    affine: Vec<(f32, f32)>,
}

impl Scratch {
    pub(super) fn wipe(&mut self, mut wipe: impl FnMut(&mut [u8])) {
        wipe(&mut self.cropped);
        wipe(bytemuck::cast_slice_mut(&mut self.floats));
        self.resize.wipe(wipe);
    }
}

impl Preprocess {
    /// Makes `input`'s elements from a raw sample and leaves them in `buffer`.
    ///
    /// # Errors
    ///
    /// [`Problem`]: why this sample does not fit the recipe, or the recipe the input.
    pub fn apply(
        &self,
        sample: RawSample<'_>,
        input: &InputSpec,
        buffer: &mut SampleBuffer,
    ) -> Result<(), Problem> {
        Ok(self.fill(sample, input, buffer)?)
    }

    fn fill(
        &self,
        sample: RawSample<'_>,
        input: &InputSpec,
        buffer: &mut SampleBuffer,
    ) -> Result<(), String> {
        let SampleBuffer {
            dtype,
            elements,
            scratch,
            ..
        } = buffer;
        let Scratch {
            resize,
            cropped,
            floats,
            shape,
            affine,
        } = scratch;
        let bytes = self.resize_and_crop(sample, resize, cropped, shape)?;
        let channels = shape.last().copied().unwrap_or(1);
        let count = element_count(sample.dtype, shape, bytes)?;
        self.check_shape(shape, input)?;
        let reversed = self.channel_order == ChannelOrder::Bgr;
        if reversed && channels != 3 {
            return Err(format!(
                "channel_order = \"BGR\" needs 3 channels, the sample has {channels}"
            ));
        }
        let arrange = Arrange {
            channels,
            layout: self.layout,
            reversed,
        };
        *dtype = input.dtype;
        if self.is_raw(input)? {
            return copy_raw(
                sample.dtype,
                bytes,
                input.dtype,
                arrange,
                elements.prepare(count * input.dtype.size_bytes()),
            );
        }
        self.channel_affine(channels, affine)?;
        let quantize = |real: f32, low: f32, high: f32| {
            // `is_raw` has checked that an integer input has a quantisation.
            let (scale, zero_point) = input.quantization.map_or((1.0, 0), |q| (q.scale, q.zero_point));
            ((real / scale).round_ties_even() + zero_point as f32).clamp(low, high)
        };
        // The closest to the metal a sample gets: one conversion per element, monomorphic in source and target.
        let mut real_values = RealValues {
            dtype: sample.dtype,
            bytes,
            arrange,
            affine,
            floats,
        };
        match input.dtype {
            NpyType::F32 => real_values.write(elements.prepare(count), |real| real),
            NpyType::F16 => real_values.write(elements.prepare(count), f16::from_f32),
            NpyType::U8 => {
                real_values.write(elements.prepare(count), |real| quantize(real, 0.0, 255.0) as u8);
            }
            NpyType::I8 => real_values.write(elements.prepare(count), |real| {
                quantize(real, -128.0, 127.0) as i8
            }),
            NpyType::I16 => {
                real_values.write(elements.prepare(count), |real| {
                    quantize(real, -32768.0, 32767.0) as i16
                });
            }
            other => {
                return Err(format!(
                    "an input of {other} cannot take real values, expected integer_input = \"raw\""
                ));
            }
        }
        Ok(())
    }

    /// Resizes and crops where the recipe asks for it. Gives the elements, and their shape in `shape`.
    fn resize_and_crop<'a>(
        &self,
        sample: RawSample<'a>,
        scratch: &mut ResizeScratch,
        cropped: &'a mut Vec<u8>,
        shape: &mut Vec<usize>,
    ) -> Result<&'a [u8], String> {
        shape.clear();
        shape.extend_from_slice(sample.shape);
        if self.resize_short_side.is_none() && self.center_crop.is_none() {
            return Ok(sample.bytes);
        }
        let (&[height, width, channels], NpyType::U8) = (sample.shape, sample.dtype) else {
            let (found, dtype) = (sample.shape, sample.dtype);
            return Err(format!(
                "resizing and cropping need uint8 samples of shape [height, width, channels], found {dtype} {found:?}"
            ));
        };
        element_count(sample.dtype, sample.shape, sample.bytes)?;
        if sample.bytes.is_empty() {
            return Err(format!("shape {:?} has no pixel", sample.shape));
        }
        let (resized_width, resized_height) = self.resized_size(width, height)?;
        let window = match self.center_crop {
            None => Window::whole(resized_width, resized_height),
            Some(side) if side <= resized_width.min(resized_height) => {
                let (left, top) = ((resized_width - side) / 2, (resized_height - side) / 2);
                Window {
                    left,
                    top,
                    width: side,
                    height: side,
                }
            }
            Some(side) => {
                return Err(format!(
                    "center_crop = {side}, but the picture has {resized_width} x {resized_height} pixels"
                ));
            }
        };
        let picture = Picture {
            pixels: sample.bytes,
            width,
            height,
            channels,
        };
        resize_bilinear(picture, resized_width, resized_height, window, scratch, cropped);
        shape.clear();
        shape.extend([window.height, window.width, channels]);
        Ok(cropped)
    }

    /// Width and height after resizing: both scaled alike and rounded to nearest, ties to even.
    pub(super) fn resized_size(&self, width: usize, height: usize) -> Result<(usize, usize), String> {
        let Some(short) = self.resize_short_side else {
            return Ok((width, height));
        };
        let factor = short as f64 / width.min(height) as f64;
        let resize = |side: usize| ((side as f64 * factor).round_ties_even() as usize).max(1);
        let (resized_width, resized_height) = (resize(width), resize(height));
        let fits =
            resized_width.max(resized_height) <= MAX_SIDE && resized_width * resized_height <= MAX_PIXELS;
        if fits {
            return Ok((resized_width, resized_height));
        }
        Err(format!(
            "a picture of {width} x {height} would become {resized_width} x {resized_height} pixels, too large"
        ))
    }

    /// Checks that a sample of `shape` (channels last) fills the input.
    fn check_shape(&self, shape: &[usize], input: &InputSpec) -> Result<(), String> {
        let not_one = |&dimension: &usize| dimension != 1;
        let (channels, others) = shape
            .split_last()
            .map_or((1, shape), |(&channels, others)| (channels, others));
        let (before, after) = match self.layout {
            Layout::Nchw => (Some(channels), None),
            Layout::Nhwc => (None, Some(channels)),
        };
        let laid_out = || before.into_iter().chain(others.iter().copied()).chain(after);
        let wanted = || input.shape.iter().copied().filter(not_one);
        // Also a flat input, which takes the elements in the order of the layout.
        let flat = wanted().count() == 1 && wanted().next() == Some(laid_out().product());
        if flat || laid_out().filter(not_one).eq(wanted()) {
            return Ok(());
        }
        let laid_out: Vec<usize> = laid_out().collect();
        let layout = match self.layout {
            Layout::Nchw => "NCHW",
            Layout::Nhwc => "NHWC",
        };
        Err(format!(
            "the sample has shape {laid_out:?} in layout {layout}, the model's input {:?}",
            input.shape
        ))
    }

    /// Whether stored integers go straight in; checks what an integer input needs otherwise.
    fn is_raw(&self, input: &InputSpec) -> Result<bool, String> {
        if matches!(input.dtype, NpyType::F16 | NpyType::F32 | NpyType::F64) {
            return Ok(false);
        }
        match (self.integer_input, input.quantization) {
            (Some(IntegerInput::Raw), _) => Ok(true),
            (_, Some(quantization)) if quantization.scale > 0.0 && quantization.scale.is_finite() => {
                Ok(false)
            }
            (_, Some(quantization)) => Err(format!(
                "the input's scale is {}, expected a positive number",
                quantization.scale
            )),
            (_, None) => Err(format!(
                "the input is {} without a scale and zero point, expected integer_input = \"raw\" in the recipe",
                input.dtype
            )),
        }
    }

    fn channel_affine(&self, channels: usize, affine: &mut Vec<(f32, f32)>) -> Result<(), String> {
        for (key, values) in [("mean", &self.mean), ("scale", &self.scale)] {
            if values.len() != 1 && values.len() != channels {
                return Err(format!(
                    "{key} has {} values, the sample {channels} channels",
                    values.len()
                ));
            }
        }
        let value = |values: &[f64], channel: usize| {
            values
                .get(channel)
                .or_else(|| values.first())
                .copied()
                .unwrap_or_default() as f32
        };
        affine.clear();
        affine.extend((0..channels).map(|channel| (value(&self.mean, channel), value(&self.scale, channel))));
        Ok(())
    }
}

/// Number of elements, checked against the bytes there are.
fn element_count(dtype: NpyType, shape: &[usize], bytes: &[u8]) -> Result<usize, String> {
    let expected = shape
        .iter()
        .try_fold(dtype.size_bytes(), |size, &dimension| size.checked_mul(dimension));
    if expected == Some(bytes.len()) {
        return Ok(bytes.len() / dtype.size_bytes());
    }
    Err(format!(
        "shape {shape:?} of {dtype} does not fill {} bytes",
        bytes.len()
    ))
}

/// How samples (channels last) are laid out in the input.
#[derive(Debug, Clone, Copy)]
struct Arrange {
    channels: usize,
    layout: Layout,
    /// Whether the order of the channels is reversed.
    reversed: bool,
}

impl Arrange {
    /// Writes each element, converted with its channel in the input's order, to its place.
    fn write<S: Copy, T>(self, source: &[S], target: &mut [T], convert: impl Fn(S, usize) -> T) {
        let channels = self.channels;
        let stored = |channel: usize| {
            if self.reversed {
                channels - 1 - channel
            } else {
                channel
            }
        };
        if channels == 0 || source.is_empty() {
            return;
        }
        match self.layout {
            Layout::Nhwc => {
                for (target, source) in target
                    .chunks_exact_mut(channels)
                    .zip(source.chunks_exact(channels))
                {
                    for (channel, target) in target.iter_mut().enumerate() {
                        *target = convert(source[stored(channel)], channel);
                    }
                }
            }
            Layout::Nchw => {
                let plane = source.len() / channels;
                for (channel, target) in target.chunks_exact_mut(plane).enumerate() {
                    let source = source.iter().skip(stored(channel)).step_by(channels);
                    for (target, &source) in target.iter_mut().zip(source) {
                        *target = convert(source, channel);
                    }
                }
            }
        }
    }
}

/// The real values of a sample: `(x - mean) * scale`.
struct RealValues<'a> {
    dtype: NpyType,
    bytes: &'a [u8],
    arrange: Arrange,
    affine: &'a [(f32, f32)],
    floats: &'a mut Vec<f32>,
}

impl RealValues<'_> {
    fn write<T: NpyElement>(&mut self, target: &mut [T], convert: impl Fn(f32) -> T) {
        let affine = self.affine;
        let real = |x: f32, channel: usize| {
            let (mean, scale) = affine[channel];
            convert((x - mean) * scale)
        };
        match self.dtype {
            NpyType::U8 => self
                .arrange
                .write(self.bytes, target, |x: u8, channel| real(f32::from(x), channel)),
            NpyType::I8 => {
                let source: &[i8] = bytemuck::cast_slice(self.bytes);
                self.arrange
                    .write(source, target, |x, channel| real(f32::from(x), channel));
            }
            other => {
                self.floats.resize(target.len(), 0.0);
                convert_to_f32(other, self.bytes, self.floats);
                self.arrange.write(self.floats, target, real);
            }
        }
    }
}

/// Lays out stored integers without changing their values.
fn copy_raw(
    from: NpyType,
    bytes: &[u8],
    to: NpyType,
    arrange: Arrange,
    target: &mut [u8],
) -> Result<(), String> {
    // A value that the other type of the same size has, too, has the same byte in both.
    let fits = match (from, to) {
        (NpyType::U8, NpyType::I8) => bytes.iter().all(|&byte| byte < 128),
        (NpyType::I8, NpyType::U8) => bytes.iter().all(|&byte| byte < 128),
        (from, to) => from == to,
    };
    if !fits {
        return Err(match (from, to) {
            (NpyType::U8 | NpyType::I8, NpyType::U8 | NpyType::I8) => {
                let value = bytes
                    .iter()
                    .find(|&&byte| byte >= 128)
                    .copied()
                    .unwrap_or_default();
                let found = if from == NpyType::U8 {
                    i32::from(value)
                } else {
                    i32::from(value as i8)
                };
                format!(
                    "the stored value {found} does not fit an input of {to}, expected integer_input = \"quantize\""
                )
            }
            _ => format!("stored {from} cannot go straight into an input of {to}"),
        });
    }
    match from.size_bytes() {
        1 => arrange.write(bytes, target, |byte, _| byte),
        2 => arrange.write(
            bytes.as_chunks::<2>().0,
            target.as_chunks_mut::<2>().0,
            |element, _| element,
        ),
        4 => arrange.write(
            bytes.as_chunks::<4>().0,
            target.as_chunks_mut::<4>().0,
            |element, _| element,
        ),
        _ => arrange.write(
            bytes.as_chunks::<8>().0,
            target.as_chunks_mut::<8>().0,
            |element, _| element,
        ),
    }
    Ok(())
}
