//! More pictures for an attacker who has few: flips and crops of their own.
//!
//! The attacker has the model and may run it on whatever they like. So that leakage is not understated for want of pictures, each is
//! also taken mirrored, and then cropped to a random window of 80 to 97 % of each side, mirrored or not, up to [`MOST`]
//! variants each or [`ENOUGH`] pictures in all. Only float32 inputs `[1, C, H, W]` or `[1, H, W, C]` have variants; the picture of a
//! variant is computed back from the input through the recipe's mean and scale.

use locket_data::{
    Preprocess,
    preprocess::{ChannelOrder, Layout},
};
use locket_tensor::{DType, Tensor};

use super::{Set, matrix::Matrix, pictures::average};
use crate::{PrivacyError, random::Random};

/// Most variants of a picture.
const MOST: usize = 8;
/// With so many pictures no more are made.
const ENOUGH: usize = 1000;

/// The attacker's pictures with their variants, those of one picture together.
#[derive(Debug)]
pub(crate) struct Augmented {
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) pictures: Matrix,
    pub(crate) labels: Vec<usize>,
    /// Rows for each picture.
    pub(crate) variants: usize,
}

/// Makes variants of a set.
///
/// # Errors
///
/// If inputs are not of one shape.
pub(crate) fn augmented(set: Set<'_>, recipe: &Preprocess, seed: u64) -> Result<Augmented, PrivacyError> {
    let own = set.pictures;
    let sides = set.inputs.first().and_then(|input| sides(input, recipe));
    let variants = match sides {
        Some(_) => (ENOUGH / own.len().max(1)).clamp(1, MOST),
        None => 1,
    };
    let mut out = Augmented {
        inputs: Vec::with_capacity(own.len() * variants),
        pictures: Matrix::zeros(own.len() * variants, own.values.columns),
        labels: own
            .labels()
            .iter()
            .flat_map(|&label| vec![label; variants])
            .collect(),
        variants,
    };
    let mut random = Random::new(seed, 0xa06);
    for (index, input) in set.inputs.iter().enumerate() {
        out.inputs.push(input.clone());
        out.pictures
            .row_mut(index * variants)
            .copy_from_slice(own.values.row(index));
        let Some(sides) = sides else {
            continue;
        };
        for variant in 1..variants {
            let window = if variant == 1 {
                Window::mirrored(sides)
            } else {
                Window::random(sides, &mut random)
            };
            let values = window.take(input.as_slice::<f32>(), sides);
            let shape = own.shape();
            let picture = picture(&values, sides, recipe);
            let small = average(
                &picture,
                [sides.height, sides.width, sides.channels],
                [shape.height, shape.width],
            );
            out.pictures
                .row_mut(index * variants + variant)
                .copy_from_slice(&small);
            let tensor = Tensor::from_slice(input.shape(), &values);
            out.inputs
                .push(tensor.map_err(|error| PrivacyError::Unsuitable(error.to_string()))?);
        }
    }
    Ok(out)
}

/// Sides of an input and the steps between its elements.
#[derive(Clone, Copy, Debug)]
struct Sides {
    height: usize,
    width: usize,
    channels: usize,
    pixel_step: usize,
    channel_step: usize,
}

fn sides(input: &Tensor, recipe: &Preprocess) -> Option<Sides> {
    if input.dtype() != DType::Float32 || recipe.scale.contains(&0.0) {
        return None;
    }
    match (input.shape(), recipe.layout) {
        (&[1, channels, height, width], Layout::Nchw) => Some(Sides {
            height,
            width,
            channels,
            pixel_step: 1,
            channel_step: height * width,
        }),
        (&[1, height, width, channels], Layout::Nhwc) => Some(Sides {
            height,
            width,
            channels,
            pixel_step: channels,
            channel_step: 1,
        }),
        _ => None,
    }
}

/// A part of a picture, stretched to the whole.
#[derive(Clone, Copy, Debug)]
struct Window {
    top: f64,
    left: f64,
    /// Height and width, in pixels.
    size: [f64; 2],
    mirrored: bool,
}

impl Window {
    fn mirrored(sides: Sides) -> Self {
        Self {
            top: 0.0,
            left: 0.0,
            size: [sides.height as f64, sides.width as f64],
            mirrored: true,
        }
    }

    fn random(sides: Sides, random: &mut Random) -> Self {
        let share = 0.8 + 0.17 * random.uniform();
        let size = [sides.height as f64 * share, sides.width as f64 * share];
        Self {
            top: random.uniform() * (sides.height as f64 - size[0]),
            left: random.uniform() * (sides.width as f64 - size[1]),
            size,
            mirrored: random.sign() < 0.0,
        }
    }

    /// Samples the window bilinearly, in the layout of the input.
    fn take(self, values: &[f32], sides: Sides) -> Vec<f32> {
        let rows = places(self.top, self.size[0], sides.height, false);
        let columns = places(self.left, self.size[1], sides.width, self.mirrored);
        let mut out = vec![0.0; values.len()];
        for (y, &(top, down)) in rows.iter().enumerate() {
            for (x, &(left, right)) in columns.iter().enumerate() {
                let at = |row: usize, column: usize| {
                    (row.min(sides.height - 1) * sides.width + column.min(sides.width - 1)) * sides.pixel_step
                };
                let corners = [
                    at(top, left),
                    at(top, left + 1),
                    at(top + 1, left),
                    at(top + 1, left + 1),
                ];
                for channel in 0..sides.channels {
                    let plane = channel * sides.channel_step;
                    let [a, b, c, d] = corners.map(|corner| values[plane + corner]);
                    let (upper, lower) = (a + (b - a) * right, c + (d - c) * right);
                    out[plane + (y * sides.width + x) * sides.pixel_step] = upper + (lower - upper) * down;
                }
            }
        }
        out
    }
}

/// For each output pixel the input pixel before its centre, and how far behind that it lies.
fn places(start: f64, size: f64, count: usize, mirrored: bool) -> Vec<(usize, f32)> {
    let place = |at: usize| {
        let centre = start + (at as f64 + 0.5) * size / count as f64 - 0.5;
        let centre = centre.clamp(0.0, (count - 1) as f64);
        (centre as usize, centre.fract() as f32)
    };
    if mirrored {
        (0..count).rev().map(place).collect()
    } else {
        (0..count).map(place).collect()
    }
}

/// The picture that an input was made of: `[height, width, channels]`, red first, from 0 to 1.
fn picture(values: &[f32], sides: Sides, recipe: &Preprocess) -> Vec<f32> {
    let parameter = |list: &[f64], channel: usize| list[channel.min(list.len() - 1)];
    let mut out = Vec::with_capacity(values.len());
    for pixel in 0..sides.height * sides.width {
        for channel in 0..sides.channels {
            let own = match recipe.channel_order {
                ChannelOrder::Rgb => channel,
                ChannelOrder::Bgr => sides.channels - 1 - channel,
            };
            let value = f64::from(values[own * sides.channel_step + pixel * sides.pixel_step]);
            let grey = value / parameter(&recipe.scale, own) + parameter(&recipe.mean, own);
            out.push((grey / 255.0).clamp(0.0, 1.0) as f32);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use locket_data::{Preprocess, preprocess::ChannelOrder};
    use locket_tensor::Tensor;

    use super::{Set, augmented};
    use crate::leakage::{PictureShape, Pictures};

    /// Eight variants of pictures in blue, green, red with a mean and a scale: the first is the picture, the second its mirror.
    #[test]
    fn variants_are_what_the_model_would_see_of_changed_pictures() {
        let recipe = Preprocess {
            channel_order: ChannelOrder::Bgr,
            mean: vec![10.0, 20.0, 30.0],
            scale: vec![0.5],
            ..Preprocess::default()
        };
        let shape = PictureShape {
            height: 4,
            width: 6,
            channels: 3,
        };
        let pixels: Vec<f32> = (0..72u8).map(f32::from).collect();
        let mut input = vec![0.0; 72];
        for pixel in 0..24 {
            for channel in 0..3 {
                input[(2 - channel) * 24 + pixel] =
                    (pixels[pixel * 3 + channel] - [30.0, 20.0, 10.0][channel]) * 0.5;
            }
        }
        let inputs = vec![Tensor::from_slice(&[1, 3, 4, 6], &input).unwrap()];
        let picture: Vec<f32> = pixels.iter().map(|value| value / 255.0).collect();
        let pictures = Pictures::new(picture.clone(), shape, vec![7]).unwrap();
        let set = Set {
            inputs: &inputs,
            pictures: &pictures,
        };
        let found = augmented(set, &recipe, 1).unwrap();
        assert_eq!(
            (found.variants, found.inputs.len(), found.labels),
            (8, 8, vec![7; 8])
        );
        assert_eq!(found.pictures.row(0), picture);
        let mirror = found.pictures.row(1);
        for (at, value) in picture.iter().enumerate() {
            let (row, column, channel) = (at / 18, at / 3 % 6, at % 3);
            let other = mirror[row * 18 + (5 - column) * 3 + channel];
            assert!((other - value).abs() < 1e-6, "{at}: {other} {value}");
        }
        // A crop of a ramp is a ramp with a smaller rise.
        let crop = found.pictures.row(2);
        let rise = |picture: &[f32]| (picture[3 * 18] - picture[0]).abs();
        assert!(rise(crop) < rise(&picture) && rise(crop) > 0.6 * rise(&picture));
    }

    #[test]
    fn integers_and_many_pictures_have_no_variants() {
        let shape = PictureShape {
            height: 2,
            width: 2,
            channels: 1,
        };
        let codes = vec![Tensor::from_slice(&[1, 1, 2, 2], &[1_u8, 2, 3, 4]).unwrap()];
        let pictures = Pictures::new(vec![0.0; 4], shape, vec![0]).unwrap();
        let set = Set {
            inputs: &codes,
            pictures: &pictures,
        };
        assert_eq!(augmented(set, &Preprocess::default(), 1).unwrap().variants, 1);
    }
}
