//! Recipes on a small network.

use locket_compress::{
    calibrate::{Calibration, CalibrationOptions},
    measure::Samples,
    recipe::{
        ApplyOptions, Compressed, LayerChoice, Recipe, WeightForm, apply, apply_mixed, layers, weight_bytes,
    },
};
use locket_formats::{coreml, limits::Limits};
use locket_mil::{Function, Program, SourceFormat, text};
use locket_ops::Weight;
use locket_runtime::compile;
use locket_tensor::Tensor;

use crate::network::{NETWORK, network, plan_options, samples, weight};

fn calibration<'a>(program: &Program, samples: &'a Samples, threads: usize) -> Calibration<'a> {
    let options = CalibrationOptions {
        plan: plan_options(threads),
        seed: 3,
    };
    Calibration::collect(program, samples, options, &|_| {}).unwrap()
}

fn applied(program: &Program, recipe: &str, calibration: Option<&Calibration<'_>>) -> Compressed {
    let recipe: Recipe = recipe.parse().unwrap();
    apply(program, recipe, calibration, &ApplyOptions::new(plan_options(2))).unwrap()
}

fn scores(function: &Function, samples: &Samples) -> Vec<f32> {
    let evaluation = locket_compress::measure::evaluate(function, samples, plan_options(2), &|_| {}).unwrap();
    evaluation.scores
}

/// Root of the mean square by which scores differ from those of the float network, over the standard deviation of those.
fn distance(found: &[f32], float: &[f32]) -> f64 {
    let mean = float.iter().sum::<f32>() / float.len() as f32;
    let square = |difference: f32| f64::from(difference).powi(2);
    let off: f64 = found.iter().zip(float).map(|(a, b)| square(a - b)).sum();
    let spread: f64 = float.iter().map(|value| square(value - mean)).sum();
    (off / spread).sqrt()
}

/// The weights of all layers, expanded.
fn weights(function: &Function) -> Vec<Vec<f32>> {
    let expanded = |layer: &locket_compress::recipe::Layer| {
        Weight::of(function, weight(function, layer.output))
            .unwrap()
            .expand()
            .unwrap()
            .to_f32()
            .unwrap()
    };
    layers(function).iter().map(expanded).collect()
}

/// Recipes, and how far scores may move: several times what was seen, far below what a mistake gives.
const RECIPES: [(&str, f64); 17] = [
    ("w8a8", 0.012),
    ("w8", 0.001),
    ("w4", 0.012),
    ("f16", 0.000_1),
    ("pal8", 0.001),
    ("pal6", 0.003),
    ("pal4", 0.01),
    ("pal4g16", 0.015),
    ("pal3", 0.02),
    ("pal2", 0.04),
    ("pal1", 0.07),
    ("prune50", 0.05),
    ("prune50+w8", 0.05),
    ("pal4a8", 0.02),
    ("pal4g1a8", 0.02),
    ("pal3g8a8", 0.03),
    ("prune50+w8a8", 0.05),
];

#[test]
fn every_recipe_survives_the_file_and_keeps_the_scores() {
    let (program, samples) = (network(), samples(24));
    let calibration = calibration(&program, &samples, 2);
    let float = scores(program.main(), &samples);
    let folder = tempfile::tempdir().unwrap();
    for (recipe, allowed) in RECIPES {
        let compressed = applied(&program, recipe, Some(&calibration));
        let made = compressed.program.main();
        let before = scores(made, &samples);
        let moved = distance(&before, &float);
        println!(
            "{recipe}: scores moved by {moved:.5}, {} bytes",
            weight_bytes(made)
        );
        assert!(moved <= allowed, "{recipe}: scores moved by {moved}");
        assert!(moved > 0.0, "{recipe} changed nothing");
        let path = folder
            .path()
            .join(format!("{}.mlpackage", recipe.replace('+', "_")));
        coreml::write(&compressed.program, &path, &coreml::WriteOptions::default()).unwrap();
        let read = coreml::read(&path, &Limits::default()).unwrap();
        assert_eq!(
            weights(read.main()),
            weights(made),
            "{recipe}: weights changed on the way through a file"
        );
        assert_eq!(
            scores(read.main(), &samples),
            before,
            "{recipe}: scores changed on the way through a file"
        );
        assert_eq!(weight_bytes(read.main()), weight_bytes(made), "{recipe}");
    }
}

#[test]
fn second_order_beats_rounding_alone() {
    let (program, samples) = (network(), samples(24));
    let calibration = calibration(&program, &samples, 2);
    let float = scores(program.main(), &samples);
    for recipe in ["w4", "pal4", "pal3", "pal2", "prune50"] {
        let moved = |calibration| {
            let compressed = applied(&program, recipe, calibration);
            assert_eq!(
                compressed.notes.len(),
                usize::from(calibration.is_none()),
                "{recipe}"
            );
            distance(&scores(compressed.program.main(), &samples), &float)
        };
        let (careful, plain) = (moved(Some(&calibration)), moved(None));
        assert!(careful < 0.7 * plain, "{recipe}: {careful} against {plain}");
    }
}

#[test]
fn layers_with_8_bit_operands_run_on_integers_throughout() {
    let (program, samples) = (network(), samples(8));
    let calibration = calibration(&program, &samples, 1);
    for recipe in ["w8a8", "pal4a8", "pal3g8a8", "prune50+w8a8"] {
        runs_on_integers(&applied(&program, recipe, Some(&calibration)));
    }
}

fn runs_on_integers(compressed: &Compressed) {
    let plan = compile(compressed.program.main(), plan_options(1)).unwrap().plan;
    let kinds: Vec<&str> = plan.steps.iter().map(|step| step.kind.as_str()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(count("locket.conv_u8"), 4, "{kinds:?}");
    assert_eq!(count("locket.linear_u8"), 1, "{kinds:?}");
    assert_eq!(count("locket.avg_pool_u8"), 1, "{kinds:?}");
    for float in [
        "locket.conv",
        "locket.linear",
        "conv",
        "linear",
        "add",
        "relu",
        "relu6",
        "dequantize",
    ] {
        assert_eq!(count(float), 0, "{float} in {kinds:?}");
    }
    assert_eq!(count("quantize"), 1, "{kinds:?}");
}

#[test]
fn results_depend_neither_on_threads_nor_on_memory() {
    let (program, samples) = (network(), samples(10));
    let one = calibration(&program, &samples, 1);
    let three = calibration(&program, &samples, 3);
    for recipe in ["w8a8", "pal3", "prune50"] {
        let recipe: Recipe = recipe.parse().unwrap();
        let made = |calibration: &Calibration<'_>, threads: usize, cache_bytes: u64| {
            let options = ApplyOptions {
                cache_bytes,
                ..ApplyOptions::new(plan_options(threads))
            };
            apply(&program, recipe, Some(calibration), &options)
                .unwrap()
                .program
        };
        let wanted = made(&one, 1, u64::MAX);
        assert_eq!(made(&three, 3, u64::MAX), wanted, "{recipe}: threads");
        assert_eq!(made(&one, 2, 0), wanted, "{recipe}: no memory between layers");
        assert_eq!(made(&one, 2, 100_000), wanted, "{recipe}: memory for some layers");
    }
}

#[test]
fn what_does_not_pay_is_refused_with_numbers() {
    let mut program = network();
    let samples = samples(4);
    let calibration = calibration(&program, &samples, 1);
    let grouped = applied(&program, "pal8g1", Some(&calibration));
    let reason = |made: &Compressed, name: &str| {
        let layer = made.layers.iter().find(|layer| layer.name == name).unwrap();
        assert_eq!(
            layer.done == LayerChoice::FLOAT,
            layer.skipped.is_some(),
            "{name}"
        );
        assert!(
            layer.skipped.is_none() || layer.bytes_after == layer.bytes_before,
            "{name}"
        );
        layer.skipped.clone().unwrap_or_default()
    };
    // 1024 weights as 8-bit indices, and 32 tables of 256 numbers.
    assert_eq!(
        reason(&grouped, "project"),
        "pal8g1 would take 33792 bytes, it takes 4096 now"
    );
    let odd = applied(&program, "pal4g5", Some(&calibration));
    assert_eq!(
        reason(&odd, "grouped"),
        "groups of 5 do not divide its 32 output channels"
    );
    let w8 = applied(&program, "w8", Some(&calibration));
    assert_eq!(reason(&w8, "grouped"), "");
    assert_eq!(reason(&w8, "depthwise"), "");

    // A layer with a weight that is not finite is an error that names it, a tiny layer is left.
    let function = program.main_mut();
    let position = function
        .operations
        .iter()
        .position(|op| op.label() == "project")
        .unwrap();
    let id = function.operations[position].input("weight").unwrap();
    function.set_constant(
        id,
        Tensor::from_slice(&[32, 32, 1, 1], &[f32::INFINITY; 1024]).unwrap(),
    );
    let options = ApplyOptions::new(plan_options(1));
    let w8: Recipe = "w8".parse().unwrap();
    let error = apply(&program, w8, None, &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "project: a weight is inf, only finite numbers can be compressed"
    );
}

#[test]
fn mistakes_are_told() {
    let (program, samples) = (network(), samples(4));
    let options = ApplyOptions::new(plan_options(1));
    let w8a8: Recipe = "w8a8".parse().unwrap();
    let error = |result: Result<Compressed, locket_compress::CompressError>| result.unwrap_err().to_string();
    let told = error(apply(&program, w8a8, None, &options));
    assert_eq!(
        told,
        "w8a8 needs calibration samples to see the ranges of activations"
    );

    let overrides = [("nose".to_owned(), LayerChoice::FLOAT)];
    let named = ApplyOptions {
        overrides: &overrides,
        ..options
    };
    let told = error(apply(&program, "w8".parse().unwrap(), None, &named));
    assert_eq!(
        told,
        "no layer is called nose; the layers are stem, depthwise, project, grouped, head"
    );

    let told = error(apply_mixed(&program, &[LayerChoice::FLOAT; 2], None, &options));
    assert_eq!(told, "expected 5 choices, one for each layer, found 2");

    let first = calibration(&program, &samples, 1);
    let compressed = applied(&program, "w8a8", Some(&first)).program;
    let told = error(apply(&compressed, w8a8, Some(&first), &options));
    assert_eq!(told, "the calibration is of another program");
    let second = calibration(&compressed, &samples, 1);
    let told = error(apply(&compressed, w8a8, Some(&second), &options));
    assert_eq!(
        told,
        "its activations are quantised already; apply w8a8 to the float model"
    );

    let none = Samples {
        inputs: Vec::new(),
        labels: Vec::new(),
        label_offset: 0,
    };
    let nothing = CalibrationOptions {
        plan: plan_options(1),
        seed: 0,
    };
    let told = Calibration::collect(&program, &none, nothing, &|_| {})
        .unwrap_err()
        .to_string();
    assert_eq!(told, "the calibration set is empty");
}

#[test]
fn layers_can_have_forms_of_their_own() {
    let (program, samples) = (network(), samples(16));
    let calibration = calibration(&program, &samples, 2);
    let float = scores(program.main(), &samples);
    let palette = LayerChoice::weights(WeightForm::Palette { bits: 4, group: None });
    let choices = [
        LayerChoice::W8A8,
        LayerChoice::W8A8,
        palette,
        LayerChoice::weights(WeightForm::Int8),
        LayerChoice::FLOAT,
    ];
    let mixed = apply_mixed(
        &program,
        &choices,
        Some(&calibration),
        &ApplyOptions::new(plan_options(2)),
    )
    .unwrap();
    let done: Vec<LayerChoice> = mixed.layers.iter().map(|layer| layer.done).collect();
    assert_eq!(done, choices);
    let moved = distance(&scores(mixed.program.main(), &samples), &float);
    assert!(moved > 0.0 && moved < 0.03, "{moved}");
    // What the report says is what the function has: nothing but layers and biases.
    let all: u64 = mixed.layers.iter().map(|layer| layer.bytes_after).sum();
    let before: u64 = mixed.layers.iter().map(|layer| layer.bytes_before).sum();
    let other = weight_bytes(program.main()) - before;
    let biases_added = 3 * 32 * 4;
    let single_numbers = 4 * 4 + 3;
    let found = weight_bytes(mixed.program.main());
    assert!(found <= all + other + biases_added, "{found} {all} {other}");
    assert!(
        found + single_numbers + 64 >= all + other,
        "{found} {all} {other}"
    );
}

#[test]
fn float16_programs_keep_their_type() {
    let mut function = text::parse(&NETWORK.replace("fp32", "fp16")).unwrap();
    // The same weights as the float32 network has, rounded.
    let wide = network();
    for (narrow, layer) in layers(&function).iter().zip(layers(wide.main())) {
        let id = weight(&function, narrow.output);
        let values = wide
            .main()
            .const_tensor(weight(wide.main(), layer.output))
            .unwrap()
            .to_f32()
            .unwrap();
        let values: Vec<half::f16> = values.into_iter().map(half::f16::from_f32).collect();
        function.set_constant(id, Tensor::from_slice(&layer.weight_shape, &values).unwrap());
    }
    let program = Program::new(function, SourceFormat::Memory);
    let wide = samples(16);
    let narrow = |tensor: &Tensor| {
        let values: Vec<half::f16> = tensor
            .as_slice::<f32>()
            .iter()
            .map(|&value| half::f16::from_f32(value))
            .collect();
        Tensor::from_slice(tensor.shape(), &values).unwrap()
    };
    let samples = Samples {
        inputs: wide.inputs.iter().map(narrow).collect(),
        ..wide
    };
    let calibration = calibration(&program, &samples, 2);
    let float = scores(program.main(), &samples);
    for (recipe, allowed) in RECIPES.into_iter().filter(|(recipe, _)| *recipe != "f16") {
        let compressed = applied(&program, recipe, Some(&calibration));
        let moved = distance(&scores(compressed.program.main(), &samples), &float);
        assert!(
            moved > 0.0 && moved <= allowed,
            "{recipe}: scores moved by {moved}"
        );
        let known = compressed
            .layers
            .iter()
            .filter(|layer| layer.skipped.is_none())
            .count();
        assert!(known >= 3, "{recipe}: {:?}", compressed.layers);
    }
    let f16 = applied(&program, "f16", Some(&calibration));
    let reasons: Vec<_> = f16
        .layers
        .iter()
        .filter_map(|layer| layer.skipped.as_deref())
        .collect();
    assert_eq!(reasons, ["its weight is float16 already"; 5]);
}

#[test]
fn a_feature_that_is_an_output_too_is_what_the_next_layer_reads() {
    let mut program = network();
    let function = program.main_mut();
    let position = function
        .operations
        .iter()
        .position(|op| op.label() == "sum_relu")
        .unwrap();
    let feature = function.operations[position].outputs[0];
    function.add_output("feature", feature);
    let samples = samples(8);
    let calibration = calibration(&program, &samples, 1);
    let compressed = applied(&program, "w8a8", Some(&calibration));
    let plan = compile(compressed.program.main(), plan_options(1)).unwrap().plan;
    let kinds: Vec<&str> = plan.steps.iter().map(|step| step.kind.as_str()).collect();
    assert!(!kinds.contains(&"locket.conv"), "{kinds:?}");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "dequantize").count(),
        1,
        "{kinds:?}"
    );
    assert_eq!(plan.outputs[1].name, "feature");
}
