//! The kit is looked for at `LOCKET_KIT`, else beside the repository; without it these tests say that they were skipped.

use std::path::PathBuf;

use locket_data::npy::NpyArray;
use locket_data::preprocess::{IntegerInput, Layout};
use locket_data::{Dataset, InputSpec, NpyType, Preprocess, Quantization, SampleBuffer};

#[test]
fn imagenet_pictures_come_out_as_pillow_makes_them() {
    let Some(kit) = locket_testkit::kit() else { return };
    let expected = NpyArray::read(&kit.join("parity/preprocess_imagenet224.npy")).unwrap();
    let [pictures, height, width, channels] = *expected.shape() else {
        panic!("four dimensions")
    };
    let dataset = Dataset::open(&kit.join("data/imagenet/calib")).unwrap();
    let recipe = Preprocess {
        resize_short_side: Some(256),
        center_crop: Some(224),
        layout: Layout::Nhwc,
        integer_input: Some(IntegerInput::Raw),
        ..Preprocess::default()
    };
    let input = InputSpec {
        shape: vec![1, height, width, channels],
        dtype: NpyType::U8,
        quantization: None,
    };
    let mut buffer = SampleBuffer::new();
    let samples = expected.bytes().chunks_exact(height * width * channels);
    assert_eq!(samples.len(), pictures);
    for (index, expected) in samples.enumerate() {
        dataset.read(index, &recipe, &input, &mut buffer).unwrap();
        let same = buffer.bytes() == expected;
        assert!(same, "{} differs", dataset.names()[index]);
    }
}

/// What a model's input is, and what a sample of its set must become: computed here from the arrays, without the crate's own
/// steps.
#[test]
fn recipes_of_array_sets_give_what_their_formula_says() {
    let Some(kit) = locket_testkit::kit() else { return };
    let quantization = |scale, zero_point| Some(Quantization { scale, zero_point });
    // Recipe, set, input, and the element at a place of the input from the stored byte (arrays have one channel, or three).
    type Expected = fn(u8) -> f32;
    let cases: [(&str, &str, InputSpec, Expected); 6] = [
        (
            "kws_dscnn_int8.tflite",
            "kws",
            InputSpec {
                shape: vec![1, 49, 10, 1],
                dtype: NpyType::I8,
                quantization: quantization(0.584_702_9, 83),
            },
            |byte| f32::from(byte as i8),
        ),
        (
            "kws_dscnn.onnx",
            "kws",
            InputSpec::float32(&[1, 1, 49, 10]),
            |byte| (f32::from(byte as i8) - 83.0) * 0.584_702_9,
        ),
        (
            "resnet8_cifar10_int8.tflite",
            "cifar10",
            InputSpec {
                shape: vec![1, 32, 32, 3],
                dtype: NpyType::I8,
                quantization: quantization(1.0, -128),
            },
            |byte| f32::from(byte) - 128.0,
        ),
        (
            "resnet8_cifar10.onnx",
            "cifar10",
            InputSpec::float32(&[1, 3, 32, 32]),
            f32::from,
        ),
        (
            "mnist_cnn.onnx",
            "mnist",
            InputSpec::float32(&[1, 1, 28, 28]),
            |byte| f32::from(byte) * (1.0 / 255.0),
        ),
        (
            "mnist_lstm_uint8.tflite",
            "mnist",
            InputSpec {
                shape: vec![1, 28, 28],
                dtype: NpyType::U8,
                quantization: None,
            },
            f32::from,
        ),
    ];
    let mut buffer = SampleBuffer::new();
    for (model, set, input, expected) in cases {
        let folder = kit.join("data").join(set).join("calib");
        let dataset = Dataset::open(&folder).unwrap();
        dataset.check_labels(dataset.class_names().len()).unwrap();
        let recipe = Preprocess::read(&kit.join(format!("preprocess/{model}.toml"))).unwrap();
        let stored = NpyArray::read(&folder.join("x.npy")).unwrap();
        let sample_bytes = stored.bytes().len() / dataset.len();
        for index in [0, 1, dataset.len() - 1] {
            dataset.read(index, &recipe, &input, &mut buffer).unwrap();
            let found: Vec<f32> = match input.dtype {
                NpyType::F32 => buffer.elements::<f32>().unwrap().to_vec(),
                NpyType::I8 => buffer.bytes().iter().map(|&byte| f32::from(byte as i8)).collect(),
                _ => buffer.bytes().iter().map(|&byte| f32::from(byte)).collect(),
            };
            let stored = &stored.bytes()[index * sample_bytes..(index + 1) * sample_bytes];
            let planes = if recipe.layout == Layout::Nchw && set == "cifar10" {
                3
            } else {
                1
            };
            let laid_out = (0..planes).flat_map(|channel| stored.iter().skip(channel).step_by(planes));
            let expected: Vec<f32> = laid_out.map(|&byte| expected(byte)).collect();
            assert!(found == expected, "{model}, sample {index}");
        }
    }
}

#[test]
fn every_recipe_of_the_kit_is_read() {
    let Some(kit) = locket_testkit::kit() else { return };
    let recipes = std::fs::read_dir(kit.join("preprocess")).unwrap();
    let paths: Vec<PathBuf> = recipes.map(|entry| entry.unwrap().path()).collect();
    assert!(paths.len() > 20);
    for path in paths {
        if let Err(error) = Preprocess::read(&path) {
            panic!("{error}");
        }
    }
}

/// SqueezeNet's recipe (blue first, a mean for each channel) against the plain pixels of the same size.
#[test]
fn every_picture_of_the_kit_becomes_an_input() {
    let Some(kit) = locket_testkit::kit() else { return };
    let recipe = Preprocess::read(&kit.join("preprocess/squeezenet_v1.1.onnx.toml")).unwrap();
    let plain = Preprocess {
        resize_short_side: Some(256),
        center_crop: Some(227),
        layout: Layout::Nhwc,
        integer_input: Some(IntegerInput::Raw),
        ..Preprocess::default()
    };
    let float = InputSpec::float32(&[1, 3, 227, 227]);
    let raw = InputSpec {
        shape: vec![1, 227, 227, 3],
        dtype: NpyType::U8,
        quantization: None,
    };
    let (mut buffer, mut pixels) = (SampleBuffer::new(), SampleBuffer::new());
    let mut pictures = 0;
    for split in ["calib", "dev"] {
        let dataset = Dataset::open(&kit.join("data/imagenet").join(split)).unwrap();
        assert_eq!(dataset.class_names().len(), 1000);
        for index in 0..dataset.len() {
            dataset.read(index, &recipe, &float, &mut buffer).unwrap();
            pictures += 1;
            if index % 10 > 0 {
                continue;
            }
            dataset.read(index, &plain, &raw, &mut pixels).unwrap();
            let input = buffer.elements::<f32>().unwrap();
            for (channel, mean) in [104.0, 117.0, 123.0].into_iter().enumerate() {
                let plane = &input[channel * 227 * 227..(channel + 1) * 227 * 227];
                let stored = pixels.bytes().iter().skip(2 - channel).step_by(3);
                assert!(
                    plane
                        .iter()
                        .zip(stored)
                        .all(|(&x, &pixel)| x == f32::from(pixel) - mean),
                    "sample {index}"
                );
            }
        }
    }
    println!("{pictures} pictures");
}
