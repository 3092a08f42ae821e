//! Integer and hybrid TFLite models, run through the operators' references, against what LiteRT gave.
//!
//! Float models are compared by the crate that runs them for real; here the meaning of the lowered integers counts.

use std::path::Path;

use locket_formats::limits::Limits;
use locket_formats::{ReadOptions, tflite};
use locket_tensor::{DType, Tensor};

use crate::interpreter::{excess, run};

/// (entry under `parity/`, largest difference: steps of the output for integers, absolute for floats).
///
/// LiteRT's own kernel sets differ from each other by 2 steps (ad), 3 (mobilenet_v1) and 5 (vww).
const MODELS: &[(&str, f64)] = &[
    ("ad_int8_tflite", 1.0),
    ("sww_int8_tflite", 1.0),
    ("vww_int8_tflite", 1.0),
    ("mobilenet_v1_0.25_128_uint8", 3.0),
    ("kws_dynrange_tflite", 1e-4),
];

/// Reads an array of int8, uint8 or float32.
fn npy(path: &Path) -> Tensor {
    let bytes = std::fs::read(path).expect("the kit has the array");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).expect("a text header");
    let dtype = match header
        .split('\'')
        .find(|part| part.starts_with(['|', '<']))
        .expect("an element type")
    {
        "|i1" => DType::Int8,
        "|u1" => DType::UInt8,
        "<f4" => DType::Float32,
        other => panic!("{other} is not expected in the kit"),
    };
    let shape = header.split(['(', ')']).nth(1).expect("a shape");
    let shape: Vec<usize> = shape
        .split(',')
        .filter_map(|dim| dim.trim().parse().ok())
        .collect();
    Tensor::from_bytes(dtype, &shape, &bytes[10 + length..]).expect("a whole array")
}

#[test]
fn integer_models_mean_what_litert_computes() {
    let Some(kit) = locket_testkit::kit() else {
        return;
    };
    for (entry, tolerance) in MODELS {
        let folder = kit.join("parity").join(entry);
        let info = std::fs::read_to_string(folder.join("info.json")).unwrap();
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        let model = kit.join("models").join(info["model"].as_str().unwrap());
        let import = tflite::read(&model, &ReadOptions::default(), &Limits::default()).unwrap();
        let found = run(import.program.main(), &[npy(&folder.join("in0.npy"))]).unwrap();
        let expected = npy(&folder.join("out0.npy"));
        let worst = excess(&found[0], &expected, 0.0, 0.0).unwrap();
        println!("{entry}: largest difference {worst}");
        assert!(
            worst <= *tolerance,
            "{entry}: largest difference {worst}, at most {tolerance}"
        );
    }
}
