//! A worker that fails or lies costs one error: this process lives, and the next prediction is answered by another worker.

use std::time::{Duration, Instant};

use locket::{DictionaryFeatureProvider, Error, Isolation, Model, ModelConfiguration, Tensor};

/// Long enough for a machine that does other things, for waits that are expected to succeed.
const PATIENCE: Duration = Duration::from_secs(20);

fn probe(lie: Option<&str>, budget: Option<Duration>) -> Result<Model, Error> {
    let configuration = ModelConfiguration {
        isolation: Isolation::Worker,
        worker: Some(env!("CARGO_BIN_EXE_locket-model-probe").into()),
        threads: Some(1),
        function_name: lie.map(str::to_owned),
        latency_budget: budget,
        ..ModelConfiguration::default()
    };
    // The probe reads no model: any file will do.
    Model::load(env!("CARGO_BIN_EXE_locket-model-probe"), &configuration)
}

fn ask(model: &mut Model, what: f32) -> Result<Vec<f32>, Error> {
    let x = Tensor::from_slice(&[4], &[what, 2.0, 3.0, 4.0])?;
    let outputs = model.predict(&DictionaryFeatureProvider::from([("x", x)]))?;
    let y = outputs.multi_array("y").expect("the output");
    Ok(y.to_f32().expect("floats"))
}

#[test]
fn every_failure_is_one_error_and_the_next_request_is_served() {
    let mut model = probe(None, None).unwrap();
    assert_eq!(ask(&mut model, 0.0).unwrap(), [0.0, 2.0, 3.0, 4.0]);
    for (what, expected) in [
        (2.0, "ended by"),
        (3.0, "worker: "),
        (4.0, "malformed answer: an answer of another length"),
        (5.0, "malformed answer: an answer of another length or kind"),
        (6.0, "malformed answer: twolines[31m"),
        (7.0, "malformed answer: late without a deadline"),
        (8.0, "malformed answer: "),
    ] {
        let error = ask(&mut model, what).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(ask(&mut model, 0.0).unwrap(), [0.0, 2.0, 3.0, 4.0], "{what}");
    }
}

#[test]
fn a_worker_that_hangs_or_says_nothing_is_late_at_its_deadline() {
    let budget = Duration::from_millis(200);
    let mut model = probe(None, Some(budget)).unwrap();
    for what in [1.0, 9.0] {
        let started = Instant::now();
        let error = ask(&mut model, what).unwrap_err();
        assert!(started.elapsed() >= budget);
        let error = error.to_string();
        assert!(error.contains("deadline of 200ms exceeded"), "{error}");
        // A machine that is busy may cut this one too.
        let given_up = Instant::now();
        while ask(&mut model, 0.0).is_err() {
            assert!(given_up.elapsed() < PATIENCE, "no worker answers any more");
        }
    }
}

#[test]
fn interfaces_that_are_none_are_refused() {
    for lie in ["many", "large", "longer", "refuse"] {
        let error = probe(Some(lie), None).unwrap_err().to_string();
        assert!(error.contains("malformed answer"), "{lie}: {error}");
    }
}

/// Lets the worker answer with a kind and bytes that it draws.
fn forged_answers_do_no_harm(count: u32) {
    let mut model = probe(None, None).expect("it starts");
    let (mut answered, mut refused) = (0, 0);
    for seed in 0..count {
        let x = Tensor::from_slice(&[4], &[10.0, seed as f32, 3.0, 4.0]).expect("four values");
        match model.predict(&DictionaryFeatureProvider::from([("x", x)])) {
            Ok(_) => answered += 1,
            Err(error) => {
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(answered + refused, count);
    assert!(
        answered > 0 && refused > 0,
        "{answered} answered, {refused} refused"
    );
    assert_eq!(
        ask(&mut model, 0.0).expect("the next is served"),
        [0.0, 2.0, 3.0, 4.0]
    );
}

#[test]
fn hundreds_of_forged_answers_do_no_harm() {
    forged_answers_do_no_harm(300);
}

#[test]
#[ignore = "slow: ten thousand answers, half of them cost a worker, 60 s"]
fn ten_thousand_forged_answers_do_no_harm() {
    forged_answers_do_no_harm(10_000);
}
