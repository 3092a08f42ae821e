//! The kit is looked for at `LOCKET_KIT`, else beside the repository; without it these tests say that they were skipped.

use std::path::{Path, PathBuf};

use locket_data::npy::NpyArray;
use locket_data::preprocess::{IntegerInput, Layout};
use locket_data::{Dataset, InputSpec, NpyType, Preprocess, SampleBuffer};

/// Largest difference of a sample from Pillow's, of 255. Resizing is exact; JPEG decoding is not: libjpeg-turbo, which
/// Pillow uses, and our decoder round chroma upsampling differently.
const PICTURE_TOLERANCE: i32 = 3;

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn kit() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kit");
    let kit = std::env::var_os("LOCKET_KIT").map_or_else(beside, PathBuf::from);
    if kit.join("kit.json").exists() {
        return Some(kit);
    }
    println!("skipped: no test kit at {}", kit.display());
    None
}

#[test]
fn imagenet_pictures_come_out_as_pillow_makes_them() {
    let Some(kit) = kit() else { return };
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
    let (mut largest, mut exact, mut total) = (0, 0, 0_u64);
    for (index, expected) in expected
        .bytes()
        .chunks_exact(height * width * channels)
        .enumerate()
    {
        dataset.read(index, &recipe, &input, &mut buffer).unwrap();
        let differences = || {
            let pairs = buffer.bytes().iter().zip(expected);
            pairs.map(|(&ours, &theirs)| (i32::from(ours) - i32::from(theirs)).abs())
        };
        assert_eq!(buffer.bytes().len(), expected.len());
        let worst = differences().max().unwrap();
        println!(
            "{:<50} largest difference {worst}, sum {}",
            dataset.names()[index],
            differences().sum::<i32>()
        );
        largest = largest.max(worst);
        exact += differences().filter(|&difference| difference == 0).count();
        total += differences()
            .map(|difference| u64::from(difference.unsigned_abs()))
            .sum::<u64>();
    }
    let samples = expected.len() as f64;
    println!(
        "{pictures} pictures: {:.3} % of samples exact, mean difference {:.5}, largest {largest}",
        100.0 * exact as f64 / samples,
        total as f64 / samples
    );
    assert!(largest <= PICTURE_TOLERANCE, "largest difference {largest}");
}
