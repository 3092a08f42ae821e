//! Recipes on real models: accuracy on labelled data.

use std::time::Instant;

use crate::kit::{Subject, subject};

/// Applies a recipe, prints what it does, and gives top-1 before, after, and the agreement of both.
fn outcome(name: &str, subject: &Subject, recipe: &str) -> [f64; 3] {
    let calibration = subject.calibration();
    let float = subject.evaluate(&subject.program);
    let start = Instant::now();
    let compressed = subject.apply(recipe, Some(&calibration));
    let took = start.elapsed();
    let after = subject.evaluate(&compressed.program);
    let [before, top1, agreement] =
        [float.top1_share(), after.top1_share(), float.agreement(&after)].map(|x| x * 100.0);
    let bytes: u64 = compressed.layers.iter().map(|layer| layer.bytes_after).sum();
    let of: u64 = compressed.layers.iter().map(|layer| layer.bytes_before).sum();
    println!(
        "{name} {recipe}: top-1 {before:.2} -> {top1:.2}, same as float {agreement:.2}, KL {:.4}, weights {of} -> {bytes} bytes, {took:.1?}",
        float.divergence(&after)
    );
    [before, top1, agreement]
}

#[test]
#[ignore = "slow: two ImageNet models, a minute in release"]
fn w8a8_keeps_the_accuracy_of_imagenet_models() {
    if let Some(subject) = subject("mobilenet_v1_0.25_224.onnx", "imagenet", 104, 407) {
        let [_, top1, agreement] = outcome("mobilenet", &subject, "w8a8");
        assert!(top1 >= 60.0, "top-1 {top1}");
        assert!(agreement >= 88.0, "agreement {agreement}");
    }
    if let Some(subject) = subject("squeezenet_v1.1.onnx", "imagenet", 64, 407) {
        let [before, top1, _] = outcome("squeezenet", &subject, "w8a8");
        assert!(top1 >= before - 0.5, "top-1 {before} -> {top1}");
    }
}

#[test]
fn w8a8_keeps_the_accuracy_of_small_models() {
    for (model, dataset) in [
        ("resnet8_cifar10.onnx", "cifar10"),
        ("kws_dscnn.onnx", "kws"),
        ("mnist_cnn.onnx", "mnist"),
    ] {
        let samples = if cfg!(debug_assertions) { 300 } else { 1000 };
        let Some(subject) = subject(model, dataset, 96, samples) else {
            return;
        };
        let [before, top1, agreement] = outcome(model, &subject, "w8a8");
        // Three standard errors of the difference between two models that disagree on 3 % of the samples.
        let slack = 300.0 * (0.03 / subject.dev.len() as f64).sqrt();
        assert!(top1 >= before - slack, "{model}: top-1 {before} -> {top1}");
        assert!(agreement >= 94.0, "{model}: agreement {agreement}");
    }
}

#[test]
#[ignore = "slow: forms of weights on small models, half a minute in release"]
fn fewer_bits_keep_the_accuracy_of_small_models() {
    let Some(resnet) = subject("resnet8_cifar10.onnx", "cifar10", 192, 4000) else {
        return;
    };
    for (recipe, least) in [
        ("w8", 75.8),
        ("w4", 74.5),
        ("pal6", 75.5),
        ("pal4", 75.0),
        ("pal4g16", 75.0),
        ("pal3", 70.0),
        ("prune50", 70.0),
        ("f16", 76.2),
    ] {
        let [_, top1, _] = outcome("resnet8", &resnet, recipe);
        assert!(top1 >= least, "{recipe}: top-1 {top1}");
    }
}
