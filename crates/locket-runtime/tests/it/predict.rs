//! Predictions are what the references say, on every instruction set and any number of threads.

use std::{cell::Cell, time::Duration};

use expect_test::expect;
use locket_kernels::Isa;
use locket_runtime::{
    Observer, OutputBuffers, PlanOptions, Precision, RunError, Session, StepEvent, compile,
};
use locket_tensor::{Tensor, TensorMut, TensorRef};

use crate::models::{RESIDUAL, by_reference, function, input, predict, session};

/// Sums of at most 144 products in f32, through four layers, against f64.
const TOLERANCE: f32 = 1e-4;

fn assert_close(found: &Tensor, expected: &Tensor) {
    let (found, expected) = (found.to_f32().unwrap(), expected.to_f32().unwrap());
    let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    for (a, b) in found.iter().zip(&expected) {
        assert!(
            (a - b).abs() <= TOLERANCE * largest,
            "{a} is not {b} (largest {largest})"
        );
    }
}

#[test]
fn sessions_agree_with_references() {
    let function = function(RESIDUAL);
    let inputs = [input(&function, 0)];
    let expected = by_reference(&function, &inputs);
    for isa in Isa::available() {
        for threads in [1, 2, 3] {
            let mut session = session(&function, isa, threads);
            for _ in 0..3 {
                assert_close(&predict(&mut session, &inputs)[0], &expected[0]);
            }
        }
    }
}

/// Reads its input where the caller has it; [`RESIDUAL`] has its own converted.
const READS_IN_PLACE: &str = r#"
func main opset ios16 (%x: fp32[2, 5]) -> (y: %y) {
  %r: fp32[2, 5] = relu(x=%x)
  %y: fp32[2, 5] = softmax(x=%r, axis=-1)
}
"#;

#[test]
fn an_input_at_an_odd_address_gives_the_same_answer() {
    for source in [RESIDUAL, READS_IN_PLACE] {
        odd_address_gives_the_same_answer(source);
    }
}

#[test]
fn who_waits_for_the_inputs_is_told_after_the_last_step_that_reads_them() {
    const READS_LATE: &str = r#"
func main opset ios16 (%x: fp32[2, 5]) -> (y: %y) {
  %a: fp32[2, 5] = softmax(x=%x, axis=-1) "first"
  %b: fp32[2, 5] = add(x=%a, y=%x) "last reader"
  %y: fp32[2, 5] = softmax(x=%b, axis=-1) "after it"
}
"#;
    for (source, next) in [(READS_IN_PLACE, "softmax"), (READS_LATE, "after it")] {
        let function = function(source);
        let (mut session, input) = (session(&function, Isa::best(), 1), input(&function, 0));
        let mut outputs = OutputBuffers::new(&session.plan().outputs);
        let mut tell = |budget, wait| {
            let told = Cell::new(0);
            let have_read = || {
                told.set(told.get() + 1);
                std::thread::sleep(wait);
            };
            let outcome = session.predict_telling(&[input.view()], &mut outputs.views(), budget, &have_read);
            (outcome, told.get())
        };
        assert_eq!(tell(None, Duration::ZERO), (Ok(()), 1));
        // Whatever would come next is late because of the wait.
        let (budget, wait) = (Duration::from_secs(1), Duration::from_millis(1100));
        match tell(Some(budget), wait) {
            (Err(RunError::DeadlineExceeded { operator, .. }), 1) => assert_eq!(operator, next),
            other => panic!("{other:?}"),
        }
    }
}

fn odd_address_gives_the_same_answer(source: &str) {
    let function = function(source);
    let input = input(&function, 0);
    let mut session = session(&function, Isa::best(), 1);
    let expected = predict(&mut session, std::slice::from_ref(&input));
    let view = input.view();
    let mut bytes = vec![0; view.bytes.len() + 1];
    let odd = usize::from(bytes.as_ptr().addr().is_multiple_of(2));
    bytes[odd..][..view.bytes.len()].copy_from_slice(view.bytes);
    let moved = TensorRef {
        bytes: &bytes[odd..][..view.bytes.len()],
        ..view
    };
    let mut found = vec![0; expected[0].bytes().len()];
    let shape = expected[0].shape().to_vec();
    let output = TensorMut {
        dtype: expected[0].dtype(),
        shape: &shape,
        bytes: &mut found,
    };
    session.predict(&[moved], &mut [output], None).unwrap();
    assert_eq!(found, expected[0].bytes());
}

#[test]
fn threads_do_not_change_a_bit() {
    let function = function(RESIDUAL);
    let inputs = [input(&function, 0)];
    for precision in [Precision::Float32, Precision::Bf16] {
        for isa in Isa::available() {
            let [one, three] = [1, 3].map(|threads| {
                let options = PlanOptions {
                    precision,
                    ..session(&function, isa, threads).plan().options
                };
                let plan = compile(&function, options).unwrap().plan;
                predict(&mut Session::new(plan).unwrap(), &inputs)
            });
            assert_eq!(one, three, "{precision:?} {isa}");
        }
    }
}

#[test]
fn bf16_is_near_float32_but_not_the_same() {
    let function = function(RESIDUAL);
    let inputs = [input(&function, 0)];
    let expected = by_reference(&function, &inputs)[0].to_f32().unwrap();
    let largest = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    for isa in Isa::available() {
        let options = PlanOptions {
            precision: Precision::Bf16,
            ..session(&function, isa, 1).plan().options
        };
        let plan = compile(&function, options).unwrap().plan;
        let found = predict(&mut Session::new(plan).unwrap(), &inputs)[0]
            .to_f32()
            .unwrap();
        let difference = found
            .iter()
            .zip(&expected)
            .fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        // Four layers, each moving its factors by up to 2⁻⁹.
        assert!(
            difference > 1e-5 * largest && difference < 0.02 * largest,
            "{isa}: {difference} of {largest}"
        );
    }
}

#[test]
fn wrong_tensors_are_named() {
    let function = function(RESIDUAL);
    let mut session = session(&function, Isa::best(), 1);
    let small = Tensor::from_slice(&[1, 3, 12, 11], &[0f32; 396]).unwrap();
    let error = session.predict(&[small.view()], &mut [], None).unwrap_err();
    expect!["input x: expected fp32 [1, 3, 12, 12], found fp32 [1, 3, 12, 11]"].assert_eq(&error.to_string());
    let error = session.predict(&[], &mut [], None).unwrap_err();
    expect!["expected 1 inputs, found 0"].assert_eq(&error.to_string());
}

#[test]
fn a_late_prediction_is_an_error_and_the_session_lives() {
    let function = function(RESIDUAL);
    let inputs = [input(&function, 0)];
    let mut session = session(&function, Isa::best(), 1);
    let expected = predict(&mut session, &inputs);
    let mut bytes = vec![0u8; 480 * 4];
    let output = TensorMut {
        dtype: locket_tensor::DType::Float32,
        shape: &[1, 16, 6, 5],
        bytes: &mut bytes,
    };
    let outcome = session.predict(&[inputs[0].view()], &mut [output], Some(Duration::ZERO));
    let Err(RunError::DeadlineExceeded { operator, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(operator, "stem");
    assert_eq!(predict(&mut session, &inputs), expected);
}

#[test]
fn a_prediction_that_is_late_after_its_last_step_is_late() {
    // Without a step, only the test after the last one is left.
    let function =
        function("func main opset ios16 (%x: fp32[1]) -> (y: %y) {\n  %y: fp32[2] = ramp(0.0, 1.0)\n}");
    let mut session = session(&function, Isa::best(), 1);
    assert!(session.plan().steps.is_empty());
    let mut bytes = [7; 8];
    let output = TensorMut {
        dtype: locket_tensor::DType::Float32,
        shape: &[2],
        bytes: &mut bytes,
    };
    let input = input(&function, 0);
    let outcome = session.predict(&[input.view()], &mut [output], Some(Duration::ZERO));
    let Err(RunError::DeadlineExceeded { operator, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(operator, "the outputs");
    assert_eq!(bytes, [7; 8], "outputs are untouched");
}

#[derive(Default)]
struct Names(Vec<String>);

impl Observer for Names {
    fn after(&mut self, event: StepEvent<'_>) {
        self.0
            .push(event.step.origin.first().unwrap_or(&event.step.kind).clone());
    }
}

#[test]
fn an_observer_sees_every_step_in_order() {
    let function = function(RESIDUAL);
    let inputs = [input(&function, 0)];
    let mut session = session(&function, Isa::best(), 1);
    let mut names = Names::default();
    let mut bytes = vec![0u8; 480 * 4];
    let output = TensorMut {
        dtype: locket_tensor::DType::Float32,
        shape: &[1, 16, 6, 5],
        bytes: &mut bytes,
    };
    session
        .predict_observed(&[inputs[0].view()], &mut [output], &mut names)
        .unwrap();
    assert_eq!(
        names.0,
        ["stem", "depthwise", "project", "pool", "locket.to_layout", "head"]
    );
}
