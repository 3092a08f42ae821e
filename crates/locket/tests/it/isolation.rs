//! A model in a worker answers as one in this process, keeps its budgets, and is replaced when it is lost.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use locket::{
    DType, DictionaryFeatureProvider, Error, Isolation, Model, ModelConfiguration, Tensor, TensorMut,
};
use locket_runtime::{
    OutputBuffers, PlanOptions,
    compiled::{Source, save},
};

pub(crate) fn scenes() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/scenes_mobilenet.onnx"
    ))
}

pub(crate) fn worker() -> ModelConfiguration {
    ModelConfiguration {
        worker: Some(env!("CARGO_BIN_EXE_locket-worker").into()),
        threads: Some(2),
        ..ModelConfiguration::default()
    }
}

pub(crate) fn picture() -> DictionaryFeatureProvider {
    let values: Vec<f32> = (0..3 * 64 * 64).map(|n| (n % 97) as f32 / 97.0).collect();
    DictionaryFeatureProvider::from([(
        "image",
        Tensor::from_slice(&[1, 3, 64, 64], &values).expect("as many values as elements"),
    )])
}

/// Writes the program, compiled for one thread of this machine.
pub(crate) fn save_compiled(program: &str, path: &Path) {
    let target = PlanOptions {
        isa: locket::Isa::best(),
        threads: 1,
        lean: false,
        precision: locket::Precision::Float32,
        depth_first: true,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    };
    let source = Source {
        file: "a test".to_owned(),
        hash: None,
    };
    let function = locket_mil::text::parse(program).expect("a program");
    save(&function, &[target], source, path).expect("it is written");
}

#[test]
fn a_worker_answers_the_same_bits_from_a_model_and_from_its_compiled_form() {
    let folder = tempfile::tempdir().unwrap();
    let compiled = folder.path().join("scenes.locket");
    Model::compile(scenes()).unwrap().save(&compiled, &[]).unwrap();
    let here = ModelConfiguration {
        isolation: Isolation::InProcess,
        ..worker()
    };
    let mut here = Model::load(scenes(), &here).unwrap();
    let expected = here.predict(&picture()).unwrap();
    for path in [scenes(), compiled] {
        let mut model = Model::load(&path, &worker()).unwrap();
        assert_eq!((model.inputs(), model.outputs()), (here.inputs(), here.outputs()));
        assert_eq!(model.degraded(), "");
        for _ in 0..3 {
            assert_eq!(model.predict(&picture()).unwrap(), expected);
        }
    }
}

/// Two inputs of other sizes than those of lines of memory, the smaller one first.
const TWO_INPUTS: &str = "func main opset ios16 (%a: fp32[1, 3], %x: fp32[5, 3]) -> (y: %y) {
  %y: fp32[5, 3] = sub(x=%x, y=%a)
}";

#[test]
fn inputs_written_in_place_give_the_same_answer_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.locket");
    save_compiled(TWO_INPUTS, &path);
    for isolation in [Isolation::InProcess, Isolation::Worker] {
        let configuration = ModelConfiguration {
            isolation,
            threads: Some(1),
            ..worker()
        };
        let mut model = Model::load(&path, &configuration).unwrap();
        let room = || OutputBuffers::of([(DType::Float32, vec![5, 3])]);
        let mut y = room();
        // Often enough that a worker's broker knows how long it takes.
        for round in 0..12 {
            let write = |inputs: &mut [TensorMut<'_>]| {
                let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape).collect();
                assert_eq!(shapes, [&[1_usize, 3], &[5, 3]]);
                for (n, input) in inputs.iter_mut().enumerate() {
                    for (m, value) in input.as_mut_slice::<f32>().iter_mut().enumerate() {
                        *value = (n * 100 + m + round) as f32;
                    }
                }
            };
            model.predict_filled(write, &mut y.views()).unwrap();
            let expected: Vec<f32> = (0..15).map(|m| (100 + m - m % 3) as f32).collect();
            assert_eq!(
                y.tensors().unwrap()[0].to_f32().unwrap(),
                expected,
                "{isolation:?}, {round}"
            );
        }
        // Tensors of the caller's lie elsewhere and give the same.
        let tensor = |shape: &[usize], first: f32| {
            let count = shape.iter().product::<usize>();
            let values: Vec<f32> = (0..count).map(|m| first + m as f32).collect();
            Tensor::from_slice(shape, &values).unwrap()
        };
        let (a, x) = (tensor(&[1, 3], 11.0), tensor(&[5, 3], 111.0));
        let expected = y.tensors().unwrap();
        y = room();
        model.predict_into(&[a.view(), x.view()], &mut y.views()).unwrap();
        assert_eq!(y.tensors().unwrap(), expected);
        let wrong = model.predict_filled(|_| panic!("not called"), &mut []);
        assert!(matches!(wrong, Err(Error::Run(_))), "{wrong:?}");
    }
}

#[test]
fn budgets_are_kept_in_the_worker() {
    let small = ModelConfiguration {
        memory_budget: Some(1000),
        ..worker()
    };
    let error = Model::load(scenes(), &small).unwrap_err().to_string();
    assert!(error.contains("memory budget of 1000 bytes"), "{error}");
    let fast = ModelConfiguration {
        latency_budget: Some(Duration::from_nanos(1)),
        ..worker()
    };
    let error = Model::load(scenes(), &fast).unwrap_err();
    assert!(matches!(error, Error::LatencyBudget { .. }), "{error}");
    let mut model = Model::load(scenes(), &worker()).unwrap();
    let expected = model.predict(&picture()).unwrap();
    model.set_latency_budget(Some(Duration::from_nanos(1)));
    let error = model.predict(&picture()).unwrap_err().to_string();
    assert!(error.contains("deadline of 1ns exceeded"), "{error}");
    model.set_latency_budget(None);
    assert_eq!(model.predict(&picture()).unwrap(), expected);
}

#[test]
fn a_worker_is_replaced_after_as_many_predictions_as_it_may_make() {
    let often = ModelConfiguration {
        recycle_after: Some(2),
        ..worker()
    };
    let mut model = Model::load(scenes(), &often).unwrap();
    let expected = model.predict(&picture()).unwrap();
    for _ in 0..4 {
        assert_eq!(model.predict(&picture()).unwrap(), expected);
    }
}

#[test]
fn what_does_not_fit_is_refused_before_the_worker_sees_it() {
    let mut model = Model::load(scenes(), &worker()).unwrap();
    let wrong = Tensor::zeros(DType::Float32, &[1, 3, 8, 8]).unwrap();
    let error = model
        .predict(&DictionaryFeatureProvider::from([("image", wrong)]))
        .unwrap_err();
    assert!(matches!(error, Error::Run(_)), "{error}");
    model.predict(&picture()).unwrap();
}

#[test]
fn files_that_are_no_model_and_programs_that_are_no_worker_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.onnx");
    std::fs::write(&broken, b"hello, world").unwrap();
    let error = Model::load(&broken, &worker()).unwrap_err().to_string();
    assert!(error.contains("neither ONNX nor TFLite"), "{error}");
    let error = Model::load(folder.path(), &worker()).unwrap_err().to_string();
    assert!(error.contains("no Manifest.json"), "{error}");
    let own = ModelConfiguration {
        worker: None,
        ..worker()
    };
    let error = Model::load(scenes(), &own).unwrap_err().to_string();
    assert!(error.contains("run_if_requested"), "{error}");
}
