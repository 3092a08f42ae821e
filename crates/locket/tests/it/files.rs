//! A worker takes models of every kind: what is in their files is read there, by the names that this side opened.

use std::path::Path;

use locket::{DictionaryFeatureProvider, Isolation, Model, ModelConfiguration, Tensor};
use locket_formats::{ReadOptions, coreml, limits::Limits};

use crate::isolation::{picture, save_compiled, scenes, worker};

fn here() -> ModelConfiguration {
    ModelConfiguration {
        isolation: Isolation::InProcess,
        ..worker()
    }
}

#[test]
fn a_package_and_a_link_answer_as_in_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("scenes.mlpackage");
    let import = locket_formats::read(&scenes(), &ReadOptions::default(), &Limits::default()).unwrap();
    coreml::write(&import.program, &package, &coreml::WriteOptions::default()).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(scenes(), &link).unwrap();
    for path in [&package, &link] {
        let expected = Model::load(path, &here()).unwrap().predict(&picture()).unwrap();
        let found = Model::load(path, &worker()).unwrap().predict(&picture()).unwrap();
        assert_eq!(found, expected, "{}", path.display());
    }
}

/// A field of a protobuf message that has a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128 * 128);
    let length = [content.len() as u8 & 0x7f | 0x80, (content.len() >> 7) as u8];
    [&[number << 3 | 2], &length[..], content].concat()
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// ONNX for `y = x + w`, four floats, with `w` in the second half of the file at `location`.
fn with_external_data(location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| {
        let entry = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
        field(13, &entry)
    };
    let w = [
        varint(1, 4),
        varint(2, 1),
        field(8, b"w"),
        entry("location", location),
        entry("offset", "16"),
        entry("length", "16"),
        varint(14, 1),
    ];
    let value = |name: &str| {
        let shape = field(2, &field(1, &varint(1, 4)));
        let tensor = field(1, &[varint(1, 1), shape].concat());
        [field(1, name.as_bytes()), field(2, &tensor)].concat()
    };
    let add = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")];
    let graph = [
        field(1, &add.concat()),
        field(2, b"graph"),
        field(5, &w.concat()),
        field(11, &value("x")),
        field(12, &value("y")),
    ];
    let opset = varint(2, 13);
    [varint(1, 8), field(7, &graph.concat()), field(8, &opset)].concat()
}

fn sum(path: &Path) -> Result<Vec<f32>, String> {
    let x = Tensor::from_slice(&[4], &[1f32, 2.0, 3.0, 4.0]).expect("four values");
    let mut model = Model::load(path, &worker()).map_err(|error| error.to_string())?;
    let outputs = model
        .predict(&DictionaryFeatureProvider::from([("x", x)]))
        .map_err(|error| error.to_string())?;
    let y = outputs.multi_array("y").expect("the output");
    Ok(y.to_f32().expect("floats"))
}

#[test]
fn external_data_of_onnx_is_opened_here_and_read_there() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir_all(inner.join("deep, er")).unwrap();
    let model = inner.join("sum.onnx");
    std::fs::write(&model, with_external_data("deep, er/w.bin")).unwrap();
    let error = sum(&model).unwrap_err();
    assert!(error.contains("No such file"), "{error}");
    let weights: Vec<u8> = [0f32, 0.0, 0.0, 0.0, 10.0, 20.0, 30.0, 40.0]
        .iter()
        .flat_map(|weight| weight.to_le_bytes())
        .collect();
    std::fs::write(inner.join("deep, er/w.bin"), &weights).unwrap();
    assert_eq!(sum(&model).unwrap(), [11.0, 22.0, 33.0, 44.0]);
    std::fs::write(folder.path().join("secret"), &weights).unwrap();
    std::fs::write(&model, with_external_data("../secret")).unwrap();
    let error = sum(&model).unwrap_err();
    assert!(error.contains("leads elsewhere"), "{error}");
}

#[test]
fn a_large_interface_has_room_and_a_larger_one_is_told() {
    // A name has no limit of its own.
    let named = |bytes: usize| {
        let name = "n".repeat(bytes);
        format!("func main opset ios16 (%x: fp32[1]) -> ({name}: %y) {{\n  %y: fp32[1] = relu(x=%x)\n}}")
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("named.locket");
    for (bytes, fits) in [(100_000, true), (2 << 20, false)] {
        save_compiled(&named(bytes), &path);
        match Model::load(&path, &worker()) {
            Ok(model) => assert!(fits && model.outputs()[0].name.len() == bytes),
            Err(error) => {
                assert!(!fits, "{error}");
                assert!(error.to_string().contains("the interface takes"), "{error}");
            }
        }
    }
}
