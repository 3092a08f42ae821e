//! The loop on a small network: what it hands over keeps to the limits, and what it says of it is true of the file.

use std::time::Duration;

use locket_compress::{
    calibrate::{Calibration, CalibrationOptions},
    measure::{Samples, evaluate, package_bytes},
    recipe::{ApplyOptions, LayerChoice, WeightForm},
    search::{
        Decision, Goals, Outcome, Request, Shortfall, Targets, allocate, operand_sensitivity, optimize,
    },
};
use locket_formats::{coreml, limits::Limits};

use crate::network::{network, plan_options, samples};

/// Samples whose labels are what the float network says, so that every change of an answer is a loss.
fn labelled(count: usize) -> Samples {
    let mut samples = samples(count);
    let float = evaluate(network().main(), &samples, plan_options(2), &|_| {}).unwrap();
    samples.labels = float.predicted;
    samples
}

fn outcome(goals: Goals, folder: &std::path::Path) -> (Outcome, Samples) {
    let (program, calibration, evaluation) = (network(), samples(16), labelled(60));
    let outcome = optimize(Request {
        program: &program,
        calibration: &calibration,
        evaluation: &evaluation,
        goals,
        plan: plan_options(2),
        seed: 0,
        folder,
        progress: &|_| {},
    });
    (outcome.unwrap(), evaluation)
}

#[test]
fn a_package_over_its_limit_gets_fewer_bits_and_is_what_is_said_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (without, _) = outcome(
        Goals {
            latency: Some(Duration::from_secs(1)),
            ..Goals::default()
        },
        folder.path(),
    );
    assert_eq!(without.tried.len(), 2, "8 bits everywhere are enough");
    let limit = without.best().variant.package_bytes - 1200;
    let folder = tempfile::tempdir().unwrap();
    let (outcome, evaluation) = outcome(
        Goals {
            size_bytes: Some(limit),
            ..Goals::default()
        },
        folder.path(),
    );
    assert_eq!(outcome.shortfalls, []);
    let best = &outcome.best().variant;
    assert!(best.package_bytes <= limit, "{} of {limit}", best.package_bytes);
    assert!(best.recipe.contains("pal"), "{}", best.recipe);
    assert_eq!(best.package_bytes, package_bytes(&best.package).unwrap());
    let read = coreml::read(&best.package, &Limits::default()).unwrap();
    let again = evaluate(read.main(), &evaluation, plan_options(1), &|_| {}).unwrap();
    assert_eq!(again, best.evaluation);
}

#[test]
fn every_layer_is_asked_whether_it_bears_integers_and_what_time_they_take() {
    let (program, inputs) = (network(), samples(16));
    let options = CalibrationOptions {
        plan: plan_options(1),
        seed: 3,
    };
    let calibration = Calibration::collect(&program, &inputs, options, &|_| {}).unwrap();
    let forms: [(LayerChoice, &dyn Fn(&str) -> u64); 2] = [
        (LayerChoice::W8A8, &|_| 10),
        (LayerChoice::weights(WeightForm::Int8), &|_| 20),
    ];
    let apply = ApplyOptions::new(plan_options(1));
    let table = operand_sensitivity(&program, &calibration, &forms, &apply, &|_| {}).unwrap();
    assert_eq!((table.layers.len(), table.samples), (5, 16));
    for layer in &table.layers {
        assert_eq!(layer.time_ns, [10, 20], "{layer:?}");
        // Integers round the operand beside the weight.
        assert!(layer.divergence[0] > layer.divergence[1], "{layer:?}");
    }
    // In 85 of 100 units of time some layers have to compute on integers and some need not.
    let targets = Targets {
        bytes: None,
        time_ns: Some(85),
    };
    let choices = allocate(&table, targets).unwrap();
    let integers = choices.iter().filter(|choice| choice.activations).count();
    assert_eq!(integers, 2, "{choices:?}");
}

#[test]
fn limits_out_of_reach_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, _) = outcome(
        Goals {
            memory_bytes: Some(1000),
            size_bytes: Some(1000),
            ..Goals::default()
        },
        folder.path(),
    );
    let best = &outcome.best().variant;
    let expected = [
        Shortfall::Memory {
            peak: best.peak_bytes,
            limit: 1000,
        },
        Shortfall::Size {
            package: best.package_bytes,
            limit: 1000,
        },
    ];
    assert_eq!(outcome.shortfalls, expected);
}

#[test]
fn a_drop_beyond_the_limit_is_refused_with_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, _) = outcome(
        Goals {
            size_bytes: Some(1000),
            max_drop: Some(0.0),
            ..Goals::default()
        },
        folder.path(),
    );
    for tried in &outcome.tried[1..] {
        let lost = tried.paired.lost() > 0;
        match &tried.decision {
            Decision::Refused(reason) if lost => {
                assert!(reason.contains("of 60 samples lost"), "{reason}");
            }
            Decision::Refused(reason) => assert!(reason.contains("no smaller"), "{reason}"),
            decision => assert!(!lost, "{decision:?} though {:?}", tried.paired),
        }
    }
    assert!(outcome.best().paired.lost() == 0);
    assert!(
        outcome
            .shortfalls
            .iter()
            .any(|item| matches!(item, Shortfall::Size { .. }))
    );
}
