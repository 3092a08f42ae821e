//! Pictures: JPEG, PNG and WebP bytes to 8-bit RGB.
//!
//! The format is told from the first bytes, not from the file's name. Conversions follow Pillow's `Image.convert("RGB")`,
//! so that a model sees what it was trained and measured on: grey is repeated in all channels, alpha is dropped (not
//! blended), 16-bit samples keep their high byte, CMYK (stored inverted, as Adobe does) becomes `C K / 255` and so on.
//! The EXIF orientation is ignored, as Pillow ignores it unless asked. Colour profiles are ignored. Of an animation the
//! first picture is taken.
//!
//! Sizes are read first and refused above [`MAX_PIXELS`], before memory for the pixels is allocated.

use std::io::Cursor;

use image::{ColorType, ImageDecoder};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::{
    Problem,
    jpeg::{self, Outcome},
};

/// Most pixels of a picture.
pub const MAX_PIXELS: usize = 64 * 1024 * 1024;

/// Largest file of a picture.
pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// A picture, `[height, width, 3]`, red first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RgbImage {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples, `width * height * 3` of them.
    pub pixels: Vec<u8>,
}

/// Decodes a picture into `output`, whose memory is used again.
///
/// # Errors
///
/// [`Problem`]: what is wrong with the bytes.
pub fn decode(file: &[u8], output: &mut RgbImage) -> Result<(), Problem> {
    Ok(decode_any(file, output)?)
}

fn decode_any(file: &[u8], output: &mut RgbImage) -> Result<(), String> {
    match file {
        [0xff, 0xd8, ..] => decode_jpeg(file, output),
        [0x89, b'P', b'N', b'G', ..] => {
            let decoder = image::codecs::png::PngDecoder::with_limits(Cursor::new(file), limits());
            decode_with(decoder.map_err(|error| one_line("png", &error))?, "png", output)
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            let decoder = image::codecs::webp::WebPDecoder::new(Cursor::new(file));
            decode_with(decoder.map_err(|error| one_line("webp", &error))?, "webp", output)
        }
        [] => Err("the file is empty, expected a JPEG, PNG or WebP picture".to_owned()),
        _ => Err("not a picture that can be read, expected JPEG, PNG or WebP".to_owned()),
    }
}

fn limits() -> image::Limits {
    let mut limits = image::Limits::default();
    // 64-bit samples of four channels: the widest pixels there are, twice for the decoder's own working memory.
    limits.max_alloc = Some(MAX_PIXELS as u64 * 16);
    limits
}

/// Refuses empty and very large pictures.
fn check_size(width: usize, height: usize) -> Result<usize, String> {
    match width.checked_mul(height) {
        Some(0) => Err(format!("{width} x {height} pixels, expected at least one")),
        Some(pixels) if pixels <= MAX_PIXELS => Ok(pixels),
        _ => Err(format!(
            "{width} x {height} pixels, at most {MAX_PIXELS} are read"
        )),
    }
}

fn decode_jpeg(file: &[u8], output: &mut RgbImage) -> Result<(), String> {
    match jpeg::decode(file, std::mem::take(&mut output.pixels), check_size) {
        Ok(Outcome::Picture(width, height, pixels)) => {
            *output = RgbImage {
                width,
                height,
                pixels,
            };
            Ok(())
        }
        Ok(Outcome::Other) => decode_other_jpeg(file, output),
        Err(problem) => Err(format!("jpeg: {problem}")),
    }
}

/// Four components, and whatever else the decoder of our own does not read.
fn decode_other_jpeg(file: &[u8], output: &mut RgbImage) -> Result<(), String> {
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        // Without it, a truncated picture would come out grey from where it ends, and count as a sample.
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder
        .decode_headers()
        .map_err(|error| one_line("jpeg", &error))?;
    let (width, height) = decoder
        .info()
        .map(|info| (usize::from(info.width), usize::from(info.height)))
        .unwrap_or_default();
    let pixels = check_size(width, height)?;
    *output = RgbImage {
        width,
        height,
        pixels: std::mem::take(&mut output.pixels),
    };
    output.pixels.clear();
    output.pixels.resize(pixels * 3, 0);
    decoder
        .decode_into(&mut output.pixels)
        .map_err(|error| one_line("jpeg", &error))?;
    Ok(())
}

/// An error of a decoder on one line.
fn one_line(format: &str, error: &dyn std::fmt::Display) -> String {
    let message = error.to_string();
    let words: Vec<&str> = message.split_whitespace().collect();
    format!("{format}: {}", words.join(" "))
}

fn decode_with(decoder: impl ImageDecoder, format: &str, output: &mut RgbImage) -> Result<(), String> {
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    let pixels = check_size(width, height)?;
    let color = decoder.color_type();
    let mut samples = vec![0; pixels * usize::from(color.bytes_per_pixel())];
    decoder
        .read_image(&mut samples)
        .map_err(|error| one_line(format, &error))?;
    *output = RgbImage {
        width,
        height,
        pixels: std::mem::take(&mut output.pixels),
    };
    output.pixels.clear();
    output.pixels.reserve(pixels * 3);
    let out = &mut output.pixels;
    // Wide samples are in the machine's byte order, little-endian here: the high byte is the second.
    match color {
        ColorType::L8 => out.extend(samples.iter().flat_map(|&grey| [grey; 3])),
        ColorType::La8 => out.extend(samples.as_chunks().0.iter().flat_map(|&[grey, _]| [grey; 3])),
        ColorType::Rgb8 => out.extend_from_slice(&samples),
        ColorType::Rgba8 => out.extend(
            samples
                .as_chunks()
                .0
                .iter()
                .flat_map(|&[red, green, blue, _]| [red, green, blue]),
        ),
        ColorType::L16 => out.extend(samples.as_chunks().0.iter().flat_map(|&[_, grey]| [grey; 3])),
        ColorType::La16 => out.extend(
            samples
                .as_chunks()
                .0
                .iter()
                .flat_map(|&[_, grey, _, _]| [grey; 3]),
        ),
        ColorType::Rgb16 => {
            out.extend(
                samples
                    .as_chunks()
                    .0
                    .iter()
                    .flat_map(|&[_, red, _, green, _, blue]| [red, green, blue]),
            );
        }
        ColorType::Rgba16 => {
            let pixels = samples.as_chunks().0;
            out.extend(
                pixels
                    .iter()
                    .flat_map(|&[_, red, _, green, _, blue, _, _]| [red, green, blue]),
            );
        }
        other => return Err(format!("{format}: {other:?} samples are not supported")),
    }
    Ok(())
}
