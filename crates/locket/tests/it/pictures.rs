//! A picture's file in, outputs out: the same in a worker and in this process, and a broken one costs an error.

use std::path::PathBuf;

use locket::{Error, Isolation, Model, ModelConfiguration, Preprocess};

use crate::isolation::{scenes, worker};

/// One of each kind.
const PICTURES: [&str; 7] = [
    "jpeg_420.jpg",
    "jpeg_progressive.jpg",
    "jpeg_cmyk.jpg",
    "png_rgba.png",
    "png_palette.png",
    "webp_lossy.webp",
    "webp_lossless.webp",
];

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../locket-data/tests/data");
    std::fs::read(PathBuf::from(folder).join(name)).expect("a picture of the tests")
}

fn configuration(isolation: Isolation) -> ModelConfiguration {
    let recipe = "resize_short_side = 70\ncenter_crop = 64\nmean = [127.5]\nscale = [0.00784313725490196]";
    ModelConfiguration {
        isolation,
        preprocess: Some(Preprocess::parse(recipe).expect("a recipe")),
        ..worker()
    }
}

#[test]
fn pictures_answer_the_same_bits_in_a_worker() {
    let mut here = Model::load(scenes(), &configuration(Isolation::InProcess)).unwrap();
    let mut there = Model::load(scenes(), &configuration(Isolation::Worker)).unwrap();
    for name in ["jpeg_420.jpg", "png_rgba.png", "webp_lossy.webp", "jpeg_cmyk.jpg"] {
        let expected = here.predict_image(&file(name)).unwrap();
        assert_eq!(there.predict_image(&file(name)).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_broken_picture_is_one_line_and_the_next_is_answered() {
    let mut here = Model::load(scenes(), &configuration(Isolation::InProcess)).unwrap();
    let mut there = Model::load(scenes(), &configuration(Isolation::Worker)).unwrap();
    let good = file("jpeg_420.jpg");
    for broken in [&good[..good.len() / 2], b"", b"hello, world"] {
        let messages = [&mut here, &mut there].map(|model| {
            let error = model.predict_image(broken).unwrap_err();
            assert!(matches!(error, Error::Picture { .. }), "{error}");
            model.predict_image(&good).unwrap();
            error.to_string()
        });
        assert_eq!(messages[0], messages[1]);
        assert_eq!(messages[0].lines().count(), 1);
    }
}

#[test]
fn a_picture_larger_than_the_room_gets_more() {
    let mut model = Model::load(scenes(), &configuration(Isolation::Worker)).unwrap();
    let small = file("jpeg_420.jpg");
    let expected = model.predict_image(&small).unwrap();
    // What follows the end of a picture does not matter.
    let large = [small.clone(), vec![0; 3 << 20]].concat();
    assert_eq!(model.predict_image(&large).unwrap(), expected);
    assert_eq!(model.predict_image(&small).unwrap(), expected);
}

#[test]
fn pictures_need_a_recipe_and_an_input_that_they_fit() {
    for isolation in [Isolation::InProcess, Isolation::Worker] {
        let without = ModelConfiguration {
            preprocess: None,
            ..configuration(isolation)
        };
        let mut model = Model::load(scenes(), &without).unwrap();
        let error = model.predict_image(&file("jpeg_420.jpg")).unwrap_err();
        assert!(matches!(error, Error::Preprocess { .. }), "{error}");
        let unfit = ModelConfiguration {
            preprocess: Some(Preprocess::default()),
            ..configuration(isolation)
        };
        let mut model = Model::load(scenes(), &unfit).unwrap();
        let error = model.predict_image(&file("jpeg_420.jpg")).unwrap_err();
        assert!(matches!(error, Error::Picture { .. }), "{error}");
    }
}

#[test]
fn pictures_and_predictions_need_no_more_stack_than_a_worker_scrubs() {
    let small = std::thread::Builder::new().stack_size(128 << 10);
    let mut model = Model::load(scenes(), &configuration(Isolation::InProcess)).unwrap();
    let work = move || {
        for name in PICTURES {
            model.predict_image(&file(name)).unwrap();
        }
    };
    small.spawn(work).unwrap().join().unwrap();
}

/// Numbers that look random, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// A picture with some of its bytes changed, cut off or repeated.
fn damaged(picture: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = picture.to_vec();
    for _ in 0..1 + numbers.below(8) {
        let at = numbers.below(bytes.len());
        match numbers.below(4) {
            0 => bytes[at] = numbers.below(256) as u8,
            1 => bytes[at] ^= 1 << numbers.below(8),
            2 => bytes.truncate(at.max(1)),
            _ => {
                let end = (at + 1 + numbers.below(64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// Hands over damaged pictures: each costs at most an error, and the worker that follows answers as the first.
fn damaged_pictures_do_no_harm(count: usize) {
    let mut model = Model::load(scenes(), &configuration(Isolation::Worker)).expect("it starts");
    let pictures = PICTURES.map(file);
    let expected = model.predict_image(&pictures[0]).expect("it is whole");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut answered, mut refused, mut lost) = (0, 0, 0);
    for n in 0..count {
        let picture = damaged(&pictures[n % pictures.len()], &mut numbers);
        match model.predict_image(&picture) {
            Ok(_) => answered += 1,
            Err(Error::Picture { .. }) => refused += 1,
            Err(Error::Worker(_)) => lost += 1,
            Err(error) => panic!("picture {n}: {error}"),
        }
    }
    assert_eq!(model.predict_image(&pictures[0]).expect("it is whole"), expected);
    assert_eq!(answered + refused + lost, count);
    assert!(
        answered > 0 && refused > count / 10,
        "{answered} answered, {refused} refused, {lost} lost"
    );
}

#[test]
fn hundreds_of_damaged_pictures_do_no_harm() {
    damaged_pictures_do_no_harm(400);
}

#[test]
#[ignore = "slow: ten thousand pictures, 60 s"]
fn ten_thousand_damaged_pictures_do_no_harm() {
    damaged_pictures_do_no_harm(10_000);
}
