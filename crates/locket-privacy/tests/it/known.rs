//! Networks that let everything or nothing through.

use locket_data::Preprocess;
use locket_kernels::Isa;
use locket_mil::{Function, text};
use locket_privacy::{
    PrivacyError,
    leakage::{self, Outcome, PictureShape, Pictures, Request, Set},
};
use locket_runtime::{PlanOptions, Precision};
use locket_tensor::Tensor;

const SHAPE: PictureShape = PictureShape {
    height: 12,
    width: 12,
    channels: 1,
};

/// A network whose first activation holds the picture, and whose output says nothing of it.
const SOURCE: &str = r#"func main opset ios16 (%image: fp32[1, 1, 12, 12]) -> (nothing: %z) {
  %w: fp32[4, 1, 1, 1] = ramp(0.5, 0.25)
  %c: fp32[1, 4, 12, 12] = conv(x=%image, weight=%w, strides=[1, 1], pad_type="valid", pad=[0, 0, 0, 0], dilations=[1, 1], groups=1) "features/conv"
  %r: fp32[1, 4, 12, 12] = relu(x=%c) "features/relu"
  %m: fp32[1, 4] = reduce_mean(x=%r, axes=[2, 3], keep_dims=false) "pool"
  %n: fp32[1, 4] = fill(0.0)
  %z: fp32[1, 4] = mul(x=%m, y=%n) "nothing"
}"#;

/// Smooth pictures: a sum of waves with random phases, which low-pass pictures of the world resemble more than noise does.
fn pictures(count: usize, seed: u64) -> (Vec<Tensor>, Vec<f32>) {
    let mut state = seed;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f32 / (1_u64 << 53) as f32
    };
    let mut all = Vec::new();
    for _ in 0..count {
        let waves: Vec<[f32; 4]> = (0..6)
            .map(|_| [uniform() * 1.2, uniform() * 1.2, uniform() * 6.3, uniform()])
            .collect();
        for y in 0..12_u8 {
            for x in 0..12_u8 {
                let value = |[down, across, phase, size]: &[f32; 4]| {
                    size * (down * f32::from(y) + across * f32::from(x) + phase).sin()
                };
                let sum: f32 = waves.iter().map(value).sum();
                all.push((0.5 + sum / 6.0).clamp(0.0, 1.0));
            }
        }
    }
    let inputs = all
        .chunks_exact(SHAPE.elems())
        .map(|picture| {
            let values: Vec<f32> = picture.iter().map(|value| value * 255.0).collect();
            Tensor::from_slice(&[1, 1, 12, 12], &values).unwrap()
        })
        .collect();
    (inputs, all)
}

fn measure(
    function: &Function,
    [known, attacked]: [&(Vec<Tensor>, Vec<f32>); 2],
    threads: usize,
) -> Result<Outcome, PrivacyError> {
    let small =
        |set: &(Vec<Tensor>, Vec<f32>)| Pictures::new(set.1.clone(), SHAPE, vec![0; set.0.len()]).unwrap();
    let pictures = [small(known), small(attacked)];
    leakage::measure(Request {
        function,
        attacked: Set {
            inputs: &attacked.0,
            pictures: &pictures[1],
        },
        auxiliary: Set {
            inputs: &known.0,
            pictures: &pictures[0],
        },
        taps: &[],
        outputs_only: false,
        plan: PlanOptions {
            isa: Isa::best(),
            threads,
            lean: false,
            precision: Precision::Float32,
            depth_first: true,
            hand_over_ns: PlanOptions::HAND_OVER_NS,
        },
        recipe: &Preprocess::default(),
        noise: None,
        seed: 3,
        progress: &|_, _, _| {},
    })
}

#[test]
fn what_holds_the_picture_scores_five_and_what_says_nothing_scores_one() {
    let function = text::parse(SOURCE).unwrap();
    let (known, attacked) = (pictures(40, 1), pictures(400, 2));
    let outcome = measure(&function, [&known, &attacked], 2).unwrap();
    assert_eq!(
        (outcome.identity.level.value, outcome.shuffled.level.value),
        (5, 1)
    );
    let level = |name: &str| {
        let leak = outcome.leaks.iter().find(|leak| leak.tap.name == name);
        leak.map(|leak| (leak.level.value, leak.level.reason.clone()))
            .unwrap()
    };
    assert_eq!(level("features/relu").0, 5);
    assert_eq!(level("nothing").0, 1, "{}", level("nothing").1);
    assert!(level("pool").0 < 5);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let function = text::parse(SOURCE).unwrap();
    let (known, attacked) = (pictures(32, 1), pictures(64, 2));
    let [one, two] = [1, 2].map(|threads| measure(&function, [&known, &attacked], threads).unwrap());
    for (one, two) in one.leaks.iter().zip(&two.leaks) {
        assert_eq!(
            (&one.scores, &one.curve, &one.level),
            (&two.scores, &two.curve, &two.level)
        );
    }
}

#[test]
fn a_measurement_whose_controls_fail_is_refused() {
    let function = text::parse(SOURCE).unwrap();
    let (known, mut attacked) = (pictures(40, 1), pictures(100, 2));
    // The pictures are no longer those that the inputs were made of.
    attacked.1.rotate_left(SHAPE.elems() * 50);
    let error = measure(&function, [&known, &attacked], 2).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the measurement is invalid: control identity scored level"),
        "{text}"
    );
}

#[test]
fn too_few_pictures_are_refused() {
    let function = text::parse(SOURCE).unwrap();
    let error = measure(&function, [&pictures(31, 1), &pictures(64, 2)], 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected at least 32 pictures of the attacker, found 31"
    );
    let error = measure(&function, [&pictures(32, 1), &pictures(63, 2)], 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected at least 64 pictures to attack, found 63"
    );
}
