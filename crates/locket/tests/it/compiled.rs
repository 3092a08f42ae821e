//! A model that was saved compiled answers as the model itself.

use locket::{DictionaryFeatureProvider, Isolation, Model, ModelConfiguration, Tensor};
use locket_formats::coreml::{WriteOptions, write};
use locket_mil::{Program, SourceFormat, text};

const MODEL: &str = r#"
func main opset ios16 (%image: fp32[1, 4, 6, 6]) -> (scores: %p) {
  %w: fp32[8, 4, 3, 3] = ramp(-0.5, 0.0625)
  %c: fp32[1, 8, 6, 6] = conv(x=%image, weight=%w, pad_type="same") "conv"
  %m: fp32[1, 8] = reduce_mean(x=%c, axes=[2, 3], keep_dims=false) "pool"
  %p: fp32[1, 8] = softmax(x=%m, axis=-1) "scores"
}
"#;

#[test]
fn saved_models_answer_the_same_within_the_same_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let (package, compiled) = (folder.path().join("m.mlpackage"), folder.path().join("m.locket"));
    let program = Program::new(text::parse(MODEL).unwrap(), SourceFormat::Memory);
    write(&program, &package, &WriteOptions::default()).unwrap();
    Model::compile(&package).unwrap().save(&compiled, &[]).unwrap();
    let values: Vec<f32> = (0..144u8).map(|n| f32::from(n) / 144.0).collect();
    let image = Tensor::from_slice(&[1, 4, 6, 6], &values).unwrap();
    let here = || ModelConfiguration {
        isolation: Isolation::InProcess,
        ..ModelConfiguration::default()
    };
    let answer = |path| {
        let mut model = Model::load(path, &here()).unwrap();
        let features = DictionaryFeatureProvider::from_iter([("image".to_owned(), image.clone())]);
        let outputs = model.predict(&features).unwrap();
        outputs.multi_array("scores").unwrap().clone()
    };
    assert_eq!(answer(&package), answer(&compiled));
    let refused =
        |configuration: ModelConfiguration| Model::load(&compiled, &configuration).unwrap_err().to_string();
    let small = refused(ModelConfiguration {
        memory_budget: Some(100),
        ..here()
    });
    assert!(small.contains("memory budget of 100 bytes"), "{small}");
    let unnamed = refused(ModelConfiguration {
        function_name: Some("other".to_owned()),
        ..here()
    });
    assert!(unnamed.contains("the model has main"), "{unnamed}");
}
