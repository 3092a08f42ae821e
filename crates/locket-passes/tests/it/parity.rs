//! Quantised models of the test kit, lowered and run with real kernels, against what LiteRT gave for the same bytes.

use std::path::Path;

use locket_formats::{ReadOptions, limits::Limits, read};
use locket_mil::{Function, ValueId};
use locket_passes::{lower, simplify};
use locket_tensor::{DType, Tensor};

use crate::{kit::model, random::run_planned};

/// The raw elements of an `.npy` file of bytes or floats.
fn npy(path: &Path) -> Vec<u8> {
    let content = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let header = usize::from(u16::from_le_bytes([content[8], content[9]]));
    content[10 + header..].to_vec()
}

fn lowered(path: &Path) -> Function {
    let import =
        read(path, &ReadOptions::default(), &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut function = import.program.main().clone();
    simplify(&mut function);
    lower(&mut function);
    function
}

fn input(function: &Function, bytes: &[u8]) -> Vec<(ValueId, Tensor)> {
    let id = function.inputs[0];
    let ty = function.ty(id);
    let tensor = Tensor::from_bytes(ty.dtype().unwrap(), ty.shape().unwrap(), bytes).unwrap();
    vec![(id, tensor)]
}

/// The largest difference in codes.
fn difference(expected: &[u8], found: &Tensor) -> i32 {
    let signed = found.dtype() == DType::Int8;
    let code = |byte: u8| {
        if signed {
            i32::from(byte.cast_signed())
        } else {
            i32::from(byte)
        }
    };
    assert_eq!(expected.len(), found.bytes().len());
    let pairs = expected.iter().zip(found.bytes());
    pairs.map(|(&a, &b)| (code(a) - code(b)).abs()).max().unwrap_or(0)
}

/// The allowed differences are what LiteRT's own kernel sets differ by from each other on these inputs.
#[test]
fn quantized_tflite_models_give_what_litert_gives() {
    let cases = [
        ("sww_int8.tflite", "sww_int8_tflite", 1),
        ("ad_autoencoder_int8.tflite", "ad_int8_tflite", 2),
        ("vww_mobilenet_v1_0.25_96_int8.tflite", "vww_int8_tflite", 5),
        ("mobilenet_v2_1.0_224_ptq.tflite", "mobilenet_v2_1.0_224_ptq", 2),
        (
            "mobilenet_v1_0.25_128_uint8.tflite",
            "mobilenet_v1_0.25_128_uint8",
            3,
        ),
    ];
    let mut said = Vec::new();
    let mut failed = false;
    for (file, parity, allowed) in cases {
        let (Some(path), Some(kit)) = (model(file), locket_testkit::kit()) else {
            return;
        };
        let folder = kit.join("parity").join(parity);
        let function = lowered(&path);
        let given = input(&function, &npy(&folder.join("in0.npy")));
        let found = run_planned(&function, &given, 1);
        let found = difference(&npy(&folder.join("out0.npy")), &found[0]);
        said.push(format!("{file}: {found} steps apart, allowed are {allowed}"));
        failed |= found > allowed;
    }
    let said = said.join("\n");
    eprintln!("{said}");
    assert!(!failed, "{said}");
}

/// Key words: the answers are the ones that LiteRT gives.
#[test]
fn the_key_word_model_answers_as_litert_does() {
    let (Some(path), Some(kit)) = (model("kws_dscnn_int8.tflite"), locket_testkit::kit()) else {
        return;
    };
    let samples = npy(&kit.join("data/kws/dev/x.npy"));
    let oracle = npy(&kit.join("oracle/kws_dscnn_int8.dev.npy"));
    let function = lowered(&path);
    let elems = function.ty(function.inputs[0]).elems();
    let count = samples.len() / elems;
    let classes = oracle.len() / 4 / count;
    let best = |values: &[f32]| {
        let order = |a: &(usize, &f32), b: &(usize, &f32)| a.1.total_cmp(b.1).then(b.0.cmp(&a.0));
        values.iter().enumerate().max_by(order).map(|(class, _)| class)
    };
    let mut same = 0;
    for (sample, oracle) in samples.chunks_exact(elems).zip(oracle.chunks_exact(classes * 4)) {
        let found = run_planned(&function, &input(&function, sample), 1);
        let expected: Vec<f32> = oracle
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        same += usize::from(best(&found[0].to_f32().unwrap()) == best(&expected));
    }
    eprintln!("{same} of {count} answers are the same");
    // Two classes can be one step apart, and a step is what integer kernels may differ by.
    assert!(same * 100 >= count * 99);
}
