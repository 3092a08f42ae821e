//! Small pictures of every kind against what Pillow makes of them (`tests/data/make.py`).

use std::path::{Path, PathBuf};

use locket_data::Problem;
use locket_data::image::{RgbImage, decode};
use locket_data::npy::NpyArray;
use locket_data::resize::{Picture, ResizeScratch, Window, resize_bilinear};

/// Largest difference of a decoded sample from libjpeg-turbo's where another decoder than ours reads the file: its inverse transform
/// rounds differently.
const OTHER_JPEG_TOLERANCE: u8 = 3;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn decode_file(name: &str) -> Result<RgbImage, Problem> {
    let mut picture = RgbImage::default();
    decode(
        &std::fs::read(data(name)).expect("the file is in the repository"),
        &mut picture,
    )?;
    Ok(picture)
}

#[test]
fn pictures_decode_as_pillow_does() {
    let cases = [
        ("jpeg_444.jpg", 0),
        ("jpeg_422.jpg", 0),
        ("jpeg_420.jpg", 0),
        ("jpeg_progressive.jpg", 0),
        ("jpeg_progressive_444.jpg", 0),
        ("jpeg_restart.jpg", 0),
        ("jpeg_narrow.jpg", 0),
        ("jpeg_grey.jpg", 0),
        ("jpeg_rgb.jpg", 0),
        ("jpeg_cmyk.jpg", OTHER_JPEG_TOLERANCE),
        ("jpeg_orientation.jpg", 0),
        ("jpeg_1x1.jpg", 0),
        ("png_rgb.png", 0),
        ("png_rgba.png", 0),
        ("png_grey.png", 0),
        ("png_grey_alpha.png", 0),
        ("png_palette.png", 0),
        ("png_palette_transparent.png", 0),
        ("png_1bit.png", 0),
        ("webp_lossless.webp", 0),
        ("webp_alpha.webp", 0),
        ("webp_lossy.webp", 0),
    ];
    let mut failures = Vec::new();
    for (name, tolerance) in cases {
        let expected = NpyArray::read(&data(name).with_extension("npy")).unwrap();
        let found = match decode_file(name) {
            Ok(found) => found,
            Err(problem) => {
                failures.push(format!("{name}: {problem}"));
                continue;
            }
        };
        assert_eq!([found.height, found.width, 3], expected.shape(), "{name}");
        let differences = || {
            found
                .pixels
                .iter()
                .zip(expected.bytes())
                .map(|(&ours, &theirs)| ours.abs_diff(theirs))
        };
        let largest = differences().max().unwrap();
        let exact = differences().filter(|&difference| difference == 0).count();
        println!(
            "{name:<30} largest difference {largest}, exact {exact} of {}",
            found.pixels.len()
        );
        if largest > tolerance {
            failures.push(format!(
                "{name}: largest difference {largest}, expected at most {tolerance}"
            ));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn resizing_is_pillows_bit_for_bit() {
    let scene = NpyArray::read(&data("scene.npy")).unwrap();
    let &[height, width, channels] = scene.shape() else {
        panic!("three dimensions")
    };
    let red: Vec<u8> = scene.bytes().iter().step_by(channels).copied().collect();
    let colour = Picture {
        pixels: scene.bytes(),
        width,
        height,
        channels,
    };
    let grey = Picture {
        pixels: &red,
        width,
        height,
        channels: 1,
    };
    let mut scratch = ResizeScratch::default();
    let mut output = Vec::new();
    let sizes = [
        (11, 8),
        (37, 8),
        (11, 29),
        (37, 29),
        (60, 50),
        (90, 9),
        (36, 30),
        (2, 3),
        (1, 1),
    ];
    for (width, height) in sizes {
        for (picture, prefix) in [(colour, "resize"), (grey, "resize_grey")] {
            let name = format!("{prefix}_{width}x{height}.npy");
            let expected = NpyArray::read(&data(&name)).unwrap();
            resize_bilinear(
                picture,
                width,
                height,
                Window::whole(width, height),
                &mut scratch,
                &mut output,
            );
            assert!(output == expected.bytes(), "{name}");

            // A window has the pixels that the whole has there.
            let window = Window {
                left: width / 3,
                top: height / 4,
                width: width.div_ceil(2),
                height: height.div_ceil(3),
            };
            resize_bilinear(picture, width, height, window, &mut scratch, &mut output);
            let channels = picture.channels;
            let rows = expected
                .bytes()
                .chunks_exact(width * channels)
                .skip(window.top)
                .take(window.height);
            let expected: Vec<u8> = rows
                .flat_map(|row| &row[window.left * channels..(window.left + window.width) * channels])
                .copied()
                .collect();
            assert!(output == expected, "{name}, {window:?}");
        }
    }
}

#[test]
fn what_is_no_picture_is_an_error() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "the file is empty, expected a JPEG, PNG or WebP picture"),
        (
            b"GIF89a",
            "not a picture that can be read, expected JPEG, PNG or WebP",
        ),
        (b"\x89PNG\r\n\x1a\n", "png: "),
        (&[0xff, 0xd8, 0xff], "jpeg: "),
    ];
    for (file, expected) in cases {
        let problem = decode(file, &mut RgbImage::default()).unwrap_err().to_string();
        assert!(
            problem.starts_with(expected),
            "{problem:?}, expected {expected:?}"
        );
        assert!(!problem.contains('\n'), "one line: {problem:?}");
    }
}

/// A truncated picture must not count as a sample with a grey half.
#[test]
fn truncated_pictures_are_errors() {
    for name in [
        "jpeg_420.jpg",
        "jpeg_progressive.jpg",
        "png_rgb.png",
        "webp_lossless.webp",
        "webp_lossy.webp",
    ] {
        let file = std::fs::read(data(name)).unwrap();
        for length in [file.len() / 4, file.len() / 2, file.len() * 3 / 4] {
            let result = decode(&file[..length], &mut RgbImage::default());
            assert!(result.is_err(), "{name} cut to {length} of {} bytes", file.len());
        }
    }
}

/// The same at every length.
#[test]
fn truncated_jpegs_are_errors_wherever_they_end() {
    for name in [
        "jpeg_422.jpg",
        "jpeg_progressive.jpg",
        "jpeg_restart.jpg",
        "jpeg_grey.jpg",
    ] {
        let file = std::fs::read(data(name)).unwrap();
        for length in 0..file.len() - 1 {
            let result = decode(&file[..length], &mut RgbImage::default());
            assert!(result.is_err(), "{name} cut to {length} of {} bytes", file.len());
        }
    }
}

#[test]
fn a_size_that_the_file_cannot_hold_is_refused_before_memory_is_taken() {
    let mut file = std::fs::read(data("jpeg_grey.jpg")).unwrap();
    let frame = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut told = |size: [u8; 4]| {
        file[frame + 5..frame + 9].copy_from_slice(&size);
        decode(&file, &mut RgbImage::default()).unwrap_err().to_string()
    };
    let message = told([0x1f, 0xff, 0x1f, 0xff]);
    assert!(message.contains("cannot hold 8191 x 8191 pixels"), "{message}");
    let message = told([0xff; 4]);
    assert!(message.contains("at most"), "{message}");
}

/// Flips bytes all over every kind of file: an error or a picture, never a panic and never an allocation beyond the limits.
#[test]
fn damaged_pictures_never_panic() {
    let names = [
        "jpeg_444.jpg",
        "jpeg_420.jpg",
        "jpeg_progressive.jpg",
        "jpeg_restart.jpg",
        "jpeg_cmyk.jpg",
        "png_palette_transparent.png",
        "png_rgba.png",
        "webp_lossless.webp",
        "webp_lossy.webp",
    ];
    // A linear congruential generator (Knuth's MMIX constants): the same damage in every run.
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for name in names {
        let original = std::fs::read(data(name)).unwrap();
        let mut picture = RgbImage::default();
        for _ in 0..400 {
            let mut file = original.clone();
            for _ in 0..=random(4) {
                let position = random(file.len());
                file[position] = random(256) as u8;
            }
            if decode(&file, &mut picture).is_ok() {
                assert_eq!(picture.pixels.len(), picture.width * picture.height * 3);
            }
        }
    }
}
