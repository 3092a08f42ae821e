use super::{InputSpec, IntegerInput, Layout, Preprocess, Quantization, RawSample, SampleBuffer};
use crate::npy::NpyType;

fn recipe(text: &str) -> Preprocess {
    Preprocess::parse(text).expect(text)
}

fn spec(shape: &[usize], dtype: NpyType) -> InputSpec {
    InputSpec {
        shape: shape.to_vec(),
        dtype,
        quantization: None,
    }
}

fn quantized(shape: &[usize], dtype: NpyType, scale: f32, zero_point: i32) -> InputSpec {
    InputSpec {
        quantization: Some(Quantization { scale, zero_point }),
        ..spec(shape, dtype)
    }
}

fn pixels<'a>(shape: &'a [usize], bytes: &'a [u8]) -> RawSample<'a> {
    RawSample {
        dtype: NpyType::U8,
        shape,
        bytes,
    }
}

fn apply(recipe: &Preprocess, sample: RawSample<'_>, input: &InputSpec) -> Result<SampleBuffer, String> {
    let mut buffer = SampleBuffer::new();
    recipe
        .apply(sample, input, &mut buffer)
        .map_err(|problem| problem.to_string())?;
    Ok(buffer)
}

#[test]
fn a_recipe_has_its_keys_and_defaults() {
    let full = recipe(
        "resize_short_side = 256\ncenter_crop = 224\nchannel_order = \"BGR\"\nlayout = \"NHWC\"\nmean = [104.0, 117.0, \
         123.0]\nscale = [2.0]\ninteger_input = \"raw\"\nlabel_offset = 1\n",
    );
    assert_eq!(
        (full.resize_short_side, full.center_crop, full.label_offset),
        (Some(256), Some(224), 1)
    );
    assert_eq!(
        (full.layout, full.integer_input),
        (Layout::Nhwc, Some(IntegerInput::Raw))
    );
    assert_eq!(recipe(&full.text().unwrap()), full);
    assert_eq!(recipe(""), Preprocess::default());
    assert_eq!(recipe("mean = [1]").mean, [1.0]);
}

#[test]
fn wrong_recipes_are_refused_in_one_line() {
    let cases = [
        (
            "layout = \"NCHW\"\nmeans = [1.0]",
            "line 2: unknown field `means`, expected one of `resize_short_side`",
        ),
        (
            "layout = \"HWC\"",
            "line 1: unknown variant `HWC`, expected `NCHW` or `NHWC`",
        ),
        (
            "channel_order = \"rgb\"",
            "line 1: unknown variant `rgb`, expected `RGB` or `BGR`",
        ),
        (
            "integer_input = \"int\"",
            "line 1: unknown variant `int`, expected `raw` or `quantize`",
        ),
        (
            "\n\nmean = 1.0",
            "line 3: invalid type: floating point `1.0`, expected a sequence",
        ),
        (
            "center_crop = -1",
            "line 1: invalid value: integer `-1`, expected usize",
        ),
        ("center_crop = 0", "center_crop = 0, expected 1 to 16384"),
        (
            "resize_short_side = 20000",
            "resize_short_side = 20000, expected 1 to 16384",
        ),
        (
            "resize_short_side = 200\ncenter_crop = 224",
            "center_crop = 224, expected at most resize_short_side = 200",
        ),
        (
            "mean = []",
            "mean = [], expected one value, or one for each channel",
        ),
        ("scale = [1.0, nan]", "scale has NaN, expected finite numbers"),
        ("scale = [1e300]", "scale has 1e300, expected finite numbers"),
        (
            "mean = [1.0, 2.0]\nscale = [1.0, 2.0, 3.0]",
            "mean has 2 values and scale 3, expected one or as many",
        ),
        ("layout = ", "line 1: "),
    ];
    for (text, expected) in cases {
        let problem = Preprocess::parse(text).expect_err(text).to_string();
        assert!(
            problem.starts_with(expected) && !problem.contains('\n'),
            "{problem}\nexpected {expected}"
        );
    }
}

#[test]
fn channels_are_ordered_shifted_scaled_and_laid_out() {
    // Two pixels: [10, 20, 30] and [40, 50, 60].
    let bytes = [10, 20, 30, 40, 50, 60];
    let sample = pixels(&[1, 2, 3], &bytes);
    let cases: [(&str, &[usize], [f32; 6]); 5] = [
        ("", &[1, 3, 1, 2], [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]),
        (
            "layout = \"NHWC\"",
            &[1, 1, 2, 3],
            [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        ),
        (
            "channel_order = \"BGR\"",
            &[3, 1, 2],
            [30.0, 60.0, 20.0, 50.0, 10.0, 40.0],
        ),
        // Means and scales are in the order of the input: 1 belongs to blue.
        (
            "channel_order = \"BGR\"\nlayout = \"NHWC\"\nmean = [1, 2, 3]\nscale = [1, 10, 100]",
            &[1, 1, 2, 3],
            [29.0, 180.0, 700.0, 59.0, 480.0, 3700.0],
        ),
        (
            "mean = [10]\nscale = [0.5]",
            &[6],
            [0.0, 15.0, 5.0, 20.0, 10.0, 25.0],
        ),
    ];
    for (text, shape, expected) in cases {
        let buffer = apply(&recipe(text), sample, &spec(shape, NpyType::F32)).expect(text);
        assert_eq!(buffer.elements::<f32>().unwrap(), expected, "{text}");
        assert_eq!(
            buffer.elements::<i8>().unwrap_err().to_string(),
            "elements are float32, expected int8"
        );
    }
    let half = apply(
        &recipe("scale = [0.5]"),
        sample,
        &spec(&[1, 3, 1, 2], NpyType::F16),
    )
    .unwrap();
    assert_eq!(half.elements::<half::f16>().unwrap()[1].to_f32(), 20.0);
}

#[test]
fn integers_are_quantised_with_ties_to_even_and_clipped() {
    let bytes = [0, 1, 2, 3, 4, 5, 200, 255];
    let sample = pixels(&[8, 1], &bytes);
    let cases: [(NpyType, f32, i32, [i16; 8]); 4] = [
        // x / 2 = 0, 0.5, 1, 1.5, 2, 2.5, 100, 127.5: ties go to even, then the zero point is added.
        (NpyType::U8, 2.0, 1, [1, 1, 2, 3, 3, 3, 101, 129]),
        (NpyType::I8, 2.0, 0, [0, 0, 1, 2, 2, 2, 100, 127]),
        (
            NpyType::I8,
            1.0,
            -128,
            [-128, -127, -126, -125, -124, -123, 72, 127],
        ),
        (NpyType::I16, 0.01, 0, [0, 100, 200, 300, 400, 500, 20000, 25500]),
    ];
    for (dtype, scale, zero_point, expected) in cases {
        let input = quantized(&[1, 8, 1], dtype, scale, zero_point);
        for text in [
            "layout = \"NHWC\"",
            "layout = \"NHWC\"\ninteger_input = \"quantize\"",
        ] {
            let buffer = apply(&recipe(text), sample, &input).unwrap();
            let found: Vec<i16> = match dtype {
                NpyType::U8 => buffer.bytes().iter().map(|&x| i16::from(x)).collect(),
                NpyType::I8 => buffer
                    .elements::<i8>()
                    .unwrap()
                    .iter()
                    .map(|&x| i16::from(x))
                    .collect(),
                _ => buffer.elements::<i16>().unwrap().to_vec(),
            };
            assert_eq!(found, expected, "{dtype}, scale {scale}");
        }
    }
}

#[test]
fn raw_integers_keep_their_values() {
    let raw = recipe("integer_input = \"raw\"\nlayout = \"NCHW\"\nmean = [5]");
    let small = [1, 2, 3, 127];
    let same = apply(&raw, pixels(&[2, 2], &small), &spec(&[2, 2], NpyType::U8)).unwrap();
    assert_eq!(same.bytes(), [1, 3, 2, 127]);
    let signed = apply(&raw, pixels(&[2, 2], &small), &spec(&[2, 2], NpyType::I8)).unwrap();
    assert_eq!(signed.elements::<i8>().unwrap(), [1, 3, 2, 127]);
    let problem = apply(&raw, pixels(&[2], &[1, 128]), &spec(&[2], NpyType::I8)).unwrap_err();
    assert_eq!(
        problem,
        "the stored value 128 does not fit an input of int8, expected integer_input = \"quantize\""
    );
    let negative = RawSample {
        dtype: NpyType::I8,
        shape: &[2],
        bytes: &[1, 0xff],
    };
    let problem = apply(&raw, negative, &spec(&[2], NpyType::U8)).unwrap_err();
    assert_eq!(
        problem,
        "the stored value -1 does not fit an input of uint8, expected integer_input = \"quantize\""
    );
    // Token identifiers: wider integers, as they are.
    let tokens: Vec<u8> = [7_i32, -1, 30000]
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect();
    let sample = RawSample {
        dtype: NpyType::I32,
        shape: &[3],
        bytes: &tokens,
    };
    let buffer = apply(&raw, sample, &spec(&[1, 3], NpyType::I32)).unwrap();
    assert_eq!(buffer.elements::<i32>().unwrap(), [7, -1, 30000]);
    let problem = apply(&raw, sample, &spec(&[1, 3], NpyType::I64)).unwrap_err();
    assert_eq!(problem, "stored int32 cannot go straight into an input of int64");
}

#[test]
fn what_does_not_fit_is_named() {
    let bytes = [0; 24];
    let sample = pixels(&[4, 2, 3], &bytes);
    let float = |shape: &[usize]| spec(shape, NpyType::F32);
    let cases = [
        (
            "",
            float(&[1, 4, 2, 3]),
            "the sample has shape [3, 4, 2] in layout NCHW, the model's input [1, 4, 2, 3]",
        ),
        (
            "layout = \"NHWC\"",
            float(&[1, 3, 4, 2]),
            "the sample has shape [4, 2, 3] in layout NHWC, the model's input",
        ),
        (
            "center_crop = 2",
            float(&[3, 2, 4]),
            "the sample has shape [3, 2, 2] in layout NCHW, the model's input [3, 2, 4]",
        ),
        (
            "center_crop = 3",
            float(&[3, 3, 3]),
            "center_crop = 3, but the picture has 2 x 4 pixels",
        ),
        (
            "resize_short_side = 16384",
            float(&[3, 3, 3]),
            "a picture of 2 x 4 would become 16384 x 32768 pixels, too large",
        ),
        (
            "mean = [1, 2]",
            float(&[3, 4, 2]),
            "mean has 2 values, the sample 3 channels",
        ),
        (
            "",
            spec(&[3, 4, 2], NpyType::I8),
            "the input is int8 without a scale and zero point, expected integer_input",
        ),
        (
            "",
            quantized(&[3, 4, 2], NpyType::I8, 0.0, 0),
            "the input's scale is 0, expected a positive number",
        ),
        (
            "",
            quantized(&[3, 4, 2], NpyType::I32, 1.0, 0),
            "an input of int32 cannot take real values",
        ),
    ];
    for (text, input, expected) in cases {
        let problem = apply(&recipe(text), sample, &input).expect_err(text);
        assert!(problem.starts_with(expected), "{problem}\nexpected {expected}");
    }
    let grey = apply(
        &recipe("channel_order = \"BGR\""),
        pixels(&[24, 1], &bytes),
        &float(&[24]),
    )
    .unwrap_err();
    assert_eq!(grey, "channel_order = \"BGR\" needs 3 channels, the sample has 1");
    let signed = RawSample {
        dtype: NpyType::I8,
        shape: &[4, 2, 3],
        bytes: &bytes,
    };
    let problem = apply(&recipe("center_crop = 2"), signed, &float(&[3, 2, 2])).unwrap_err();
    assert!(problem.starts_with(
        "resizing and cropping need uint8 samples of shape [height, width, channels], found int8"
    ));
    let short = apply(&recipe(""), pixels(&[5, 5], &bytes), &float(&[5, 5])).unwrap_err();
    assert_eq!(short, "shape [5, 5] of uint8 does not fill 24 bytes");
    let empty = apply(&recipe("center_crop = 1"), pixels(&[0, 2, 3], &[]), &float(&[3])).unwrap_err();
    assert_eq!(empty, "shape [0, 2, 3] has no pixel");
}

#[test]
fn the_short_side_is_rounded_to_even() {
    let resized = |short: usize, width: usize, height: usize| {
        Preprocess {
            resize_short_side: Some(short),
            ..Preprocess::default()
        }
        .resized_size(width, height)
        .unwrap()
    };
    // Python: s = short / min(w, h); round(w * s), round(h * s).
    assert_eq!(resized(256, 500, 375), (341, 256));
    assert_eq!(resized(256, 375, 500), (256, 341));
    assert_eq!(resized(5, 2, 3), (5, 8), "7.5 goes to 8");
    assert_eq!(resized(3, 2, 3), (3, 4), "4.5 goes to 4");
    assert_eq!(resized(1, 640, 480), (1, 1));
}

/// The centre window of the resized picture, not a resized centre.
#[test]
fn cropping_takes_the_centre_after_resizing() {
    let bytes: Vec<u8> = (0..5 * 7).map(|index| index * 7).collect();
    let nhwc = recipe("layout = \"NHWC\"\ninteger_input = \"raw\"\nresize_short_side = 4");
    let whole = apply(&nhwc, pixels(&[5, 7, 1], &bytes), &spec(&[4, 6, 1], NpyType::U8)).unwrap();
    let cropped = Preprocess {
        center_crop: Some(3),
        ..nhwc
    };
    let centre = apply(
        &cropped,
        pixels(&[5, 7, 1], &bytes),
        &spec(&[3, 3, 1], NpyType::U8),
    )
    .unwrap();
    // (6 - 3) / 2 = 1 column and (4 - 3) / 2 = 0 rows are left out before the window.
    let expected: Vec<u8> = (0..3)
        .flat_map(|row| whole.bytes()[row * 6 + 1..row * 6 + 4].to_vec())
        .collect();
    assert_eq!(centre.bytes(), expected);
}

#[test]
fn floats_and_wide_integers_are_samples_too() {
    let bytes: Vec<u8> = [0.5_f32, -3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let sample = RawSample {
        dtype: NpyType::F32,
        shape: &[2],
        bytes: &bytes,
    };
    let buffer = apply(
        &recipe("mean = [1]\nscale = [2]"),
        sample,
        &spec(&[1, 2], NpyType::F32),
    )
    .unwrap();
    assert_eq!(buffer.elements::<f32>().unwrap(), [-1.0, -8.0]);
    let bytes: Vec<u8> = [-300_i16, 7].iter().flat_map(|x| x.to_le_bytes()).collect();
    let sample = RawSample {
        dtype: NpyType::I16,
        shape: &[2],
        bytes: &bytes,
    };
    let buffer = apply(&recipe(""), sample, &quantized(&[2], NpyType::I8, 4.0, 0)).unwrap();
    assert_eq!(buffer.elements::<i8>().unwrap(), [-75, 2]);
}

#[test]
fn a_buffer_is_not_allocated_again() {
    let bytes = [9; 300];
    let mut buffer = SampleBuffer::new();
    let plain = recipe("resize_short_side = 8\ncenter_crop = 8");
    let input = spec(&[3, 8, 8], NpyType::F32);
    plain
        .apply(pixels(&[10, 10, 3], &bytes), &input, &mut buffer)
        .unwrap();
    let start = buffer.bytes().as_ptr();
    plain
        .apply(pixels(&[10, 10, 3], &bytes), &input, &mut buffer)
        .unwrap();
    assert_eq!(buffer.bytes().as_ptr(), start);
    assert_eq!(buffer.elements::<f32>().unwrap(), [9.0; 192]);
}

#[test]
fn a_wiped_buffer_holds_nothing_of_a_sample() {
    let recipe = recipe("resize_short_side = 4\ncenter_crop = 3\nmean = [3, 2, 1]\nscale = [0.5]");
    let sample = RawSample {
        dtype: NpyType::U8,
        shape: &[8, 9, 3],
        bytes: &[200; 8 * 9 * 3],
    };
    let mut buffer = SampleBuffer::new();
    recipe
        .apply(sample, &InputSpec::float32(&[1, 3, 3, 3]), &mut buffer)
        .unwrap();
    assert!(buffer.bytes().iter().any(|&byte| byte != 0));
    let mut bytes = 0;
    buffer.wipe(|part| {
        bytes += part.len();
        part.fill(0);
    });
    // At least what was resized and what came out of it.
    assert!(bytes >= 3 * 3 * 3 * (1 + 4), "{bytes}");
    assert!(buffer.bytes().iter().all(|&byte| byte == 0));
}
