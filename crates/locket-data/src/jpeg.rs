//! JPEG pictures, to the same bits as libjpeg-turbo with its default settings, and so as Pillow.
//!
//! Accuracy on photos is compared sample by sample with what others measured, and pixels that differ by a few levels in a tenth of
//! the picture change answers. The arithmetic that is fixed here is not the standard's (ITU T.81 leaves it open) but that library's:
//! the integer transform with 13-bit constants, "fancy" triangle upsampling of colour, 16-bit colour conversion.
//!
//! Read are sequential and progressive Huffman files of 8 bits with one or three components; what else there is (four components, 12
//! bits, arithmetic coding) is left to another decoder. A file that ends early is an error, not a picture that turns grey.

mod bits;
mod colour;
mod frame;
mod huffman;
mod scan;
mod transform;
mod upsample;

use frame::{Component, Frame};
use huffman::Table;
use scan::Scan;

/// Most scans of a file: progressive files have about ten. With the size of the picture this bounds the time.
const MAX_SCANS: usize = 128;

/// What came of a file.
pub(crate) enum Outcome {
    /// Width, height, and pixels, red first.
    Picture(usize, usize, Vec<u8>),
    /// A kind of file that is not read here.
    Other,
}

/// What the markers before a scan say.
#[derive(Default)]
struct Tables {
    /// In the order of the coefficients' rows.
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    restart_interval: usize,
    has_jfif: bool,
    /// The transform that Adobe's marker names.
    adobe: Option<u8>,
}

/// Decodes a file. `check` is told the size before memory for it is taken, and may refuse it; `pixels` is memory to use again.
pub(crate) fn decode(
    file: &[u8],
    pixels: Vec<u8>,
    check: impl Fn(usize, usize) -> Result<usize, String>,
) -> Result<Outcome, String> {
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut scans = 0;
    let mut at = 2;
    loop {
        let (marker, start) = next_marker(file, at)?;
        if marker == 0xd9 {
            break;
        }
        let segment = segment(file, start)?;
        at = start + 2 + segment.len();
        match marker {
            0xc0..=0xc2 => {
                if frame.is_some() {
                    return Err(format!("a second frame at byte {start}"));
                }
                match Frame::read(segment, marker == 0xc2, file.len(), &check)? {
                    Some(read) => frame = Some(read),
                    None => return Ok(Outcome::Other),
                }
            }
            0xc4 => huffman::read(segment, &mut tables.dc, &mut tables.ac)?,
            // Lossless, hierarchical, arithmetic.
            0xc3 | 0xc5..=0xcb | 0xcd..=0xcf => return Ok(Outcome::Other),
            0xda => {
                let frame = frame
                    .as_mut()
                    .ok_or_else(|| format!("a scan before its frame at byte {start}"))?;
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(format!("more than {MAX_SCANS} scans"));
                }
                frame.keep_quantization(&tables.quantization, segment);
                at = Scan::read(segment, frame)?.run(file, at, frame, &tables)?;
            }
            0xdb => quantization(segment, &mut tables.quantization)?,
            0xdd => {
                let [high, low, ..] = *segment else {
                    return Err(format!("a short restart interval at byte {start}"));
                };
                tables.restart_interval = usize::from(u16::from_be_bytes([high, low]));
            }
            0xe0 => tables.has_jfif |= segment.starts_with(b"JFIF\0"),
            0xee if segment.starts_with(b"Adobe") => tables.adobe = segment.get(11).copied(),
            _ => {}
        }
    }
    let frame = frame.filter(|_| scans > 0).ok_or("no picture in the file")?;
    finish(frame, &tables, pixels)
}

/// The next marker from `at` on, and where its segment starts.
fn next_marker(file: &[u8], mut at: usize) -> Result<(u8, usize), String> {
    let truncated = || format!("the file ends at byte {}, expected a marker", file.len());
    // Bytes between segments are skipped, as libjpeg does.
    loop {
        let rest = file.get(at..).ok_or_else(truncated)?;
        at += rest.iter().position(|&byte| byte == 0xff).ok_or_else(truncated)?;
        let fill = file[at..].iter().take_while(|&&byte| byte == 0xff).count();
        let marker = *file.get(at + fill).ok_or_else(truncated)?;
        at += fill + 1;
        // Stuffed bytes and markers without a segment.
        if !matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
            return Ok((marker, at));
        }
    }
}

/// The content of the segment whose length stands at `at`.
fn segment(file: &[u8], at: usize) -> Result<&[u8], String> {
    let truncated = || {
        format!(
            "the file ends at byte {} within the segment at byte {at}",
            file.len()
        )
    };
    let &[high, low] = file.get(at..at + 2).ok_or_else(truncated)? else {
        return Err(truncated());
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 {
        return Err(format!(
            "a segment of {length} bytes at byte {at}, expected at least 2"
        ));
    }
    file.get(at + 2..at + length).ok_or_else(truncated)
}

/// Reads quantisation tables, whose entries stand in zigzag order.
fn quantization(mut segment: &[u8], tables: &mut [Option<[u16; 64]>; 4]) -> Result<(), String> {
    while let [kind, rest @ ..] = segment {
        let wide = kind >> 4 != 0;
        let length = if wide { 128 } else { 64 };
        let table = tables.get_mut(usize::from(kind & 15));
        let (Some(table), Some((values, rest))) = (table, rest.split_at_checked(length)) else {
            return Err(format!("a broken quantisation table {kind:#04x}"));
        };
        let mut read = [0; 64];
        for (index, &place) in scan::ZIGZAG.iter().enumerate().take(64) {
            read[usize::from(place)] = match wide {
                true => u16::from_be_bytes([values[2 * index], values[2 * index + 1]]),
                false => u16::from(values[index]),
            };
        }
        *table = Some(read);
        segment = rest;
    }
    Ok(())
}

/// Coefficients or samples to pixels.
fn finish(mut frame: Frame, tables: &Tables, mut pixels: Vec<u8>) -> Result<Outcome, String> {
    let planes: Vec<Vec<u8>> = frame
        .components
        .iter_mut()
        .map(Component::take_plane)
        .collect::<Result<_, _>>()?;
    let frame = &frame;
    let (width, height) = (frame.width, frame.height);
    // What was in it is overwritten row by row.
    pixels.resize(width * height * 3, 0);
    let ycc = frame.components.len() == 3 && is_ycc(frame, tables);
    let mut rows = vec![vec![0; width]; frame.components.len()];
    for (y, pixels) in pixels.chunks_exact_mut(width * 3).enumerate() {
        for ((component, plane), row) in frame.components.iter().zip(&planes).zip(&mut rows) {
            upsample::row(frame, component, plane, y, row);
        }
        match rows.as_slice() {
            [grey] => {
                for (pixel, &grey) in pixels.chunks_exact_mut(3).zip(grey) {
                    pixel.fill(grey);
                }
            }
            [a, b, c] => colour::row([a, b, c], ycc, pixels),
            _ => unreachable!("frames have one or three components"),
        }
    }
    Ok(Outcome::Picture(width, height, pixels))
}

/// Whether three components are luma and colour differences: what libjpeg makes of markers and names.
fn is_ycc(frame: &Frame, tables: &Tables) -> bool {
    if tables.has_jfif {
        return true;
    }
    match tables.adobe {
        Some(transform) => transform != 0,
        None => frame
            .components
            .iter()
            .map(|component| component.name)
            .ne(*b"RGB"),
    }
}
