//! Models of other people give the answers that other runtimes gave: the stored outputs of the test kit.

use locket::{DictionaryFeatureProvider, Isolation, Model, ModelConfiguration, Tensor};
use locket_data::NpyArray;

/// Largest difference from the stored output, relative to the output's range.
const TOLERANCE: f32 = 1e-4;

/// (entry under `parity/`, model file): those whose outputs are float.
const MODELS: &[(&str, &str)] = &[
    ("squeezenet_v1.1", "squeezenet_v1.1.onnx"),
    ("mobilenet_v1_0.25_224", "mobilenet_v1_0.25_224.onnx"),
    ("vww_onnx", "vww_mobilenet_v1_0.25_96.onnx"),
    ("vww_float_tflite", "vww_mobilenet_v1_0.25_96_float.tflite"),
    ("ad_onnx", "ad_autoencoder.onnx"),
    ("ad_float_tflite", "ad_autoencoder_float.tflite"),
    ("mobilenet_v1_0.25_224", "mobilenet_v1_0.25_224_f32.mlpackage"),
];

#[test]
fn stored_outputs_are_matched() {
    let Some(kit) = locket_testkit::kit() else { return };
    for (entry, file) in MODELS {
        let folder = kit.join("parity").join(entry);
        let input = NpyArray::read(&folder.join("in0.npy")).unwrap();
        let expected = NpyArray::read(&folder.join("out0.npy")).unwrap().to_f32();
        let configuration = ModelConfiguration {
            isolation: Isolation::InProcess,
            ..ModelConfiguration::default()
        };
        let mut model = Model::load(kit.join("models").join(file), &configuration).unwrap();
        let port = model.inputs()[0].clone();
        let per_sample: usize = port.shape.iter().product();
        let values = input.to_f32();
        let mut found = Vec::new();
        for sample in values.chunks_exact(per_sample) {
            let tensor = Tensor::from_slice(&port.shape, sample).unwrap();
            let outputs = model
                .predict(&DictionaryFeatureProvider::from_iter([(
                    port.name.clone(),
                    tensor,
                )]))
                .unwrap();
            let name = &model.outputs()[0].name;
            found.extend(outputs.multi_array(name).unwrap().to_f32().unwrap());
        }
        assert_eq!(found.len(), expected.len(), "{file}");
        let (low, high) = expected
            .iter()
            .fold((f32::MAX, f32::MIN), |(low, high), &x| (low.min(x), high.max(x)));
        let worst = found
            .iter()
            .zip(&expected)
            .fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        let relative = worst / (high - low);
        assert!(relative <= TOLERANCE, "{file}: {relative:e} of the range");
        let slow: Vec<&str> = model
            .plan()
            .unwrap()
            .steps
            .iter()
            .filter(|step| step.slow)
            .map(|step| &*step.kind)
            .collect();
        assert!(slow.is_empty(), "{file}: {slow:?} run by reference");
    }
}
