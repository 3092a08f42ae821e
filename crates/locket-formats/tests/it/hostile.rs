//! Broken copies of real models: an error or a well-formed program, never a panic.

use std::path::Path;

use locket_formats::limits::Limits;
use locket_formats::{FormatError, Import, ReadOptions, onnx, tflite};
use locket_mil::verify;

use crate::mutation;

/// Small models of the kit; larger ones have nothing that these have not.
const MODELS: [&str; 4] = [
    "kws_dscnn_ortq.onnx",
    "kws_dscnn.onnx",
    "kws_dscnn_int8.tflite",
    "mnist_lstm_uint8.tflite",
];

fn read(path: &Path, bytes: &[u8]) -> Result<Import, FormatError> {
    let (options, limits) = (ReadOptions::default(), Limits::small());
    match path.extension().is_some_and(|extension| extension == "onnx") {
        true => onnx::read_bytes(bytes, &options, &limits),
        false => tflite::read_bytes(bytes, &options, &limits),
    }
}

#[test]
fn broken_copies_of_real_models_never_panic() {
    let Some(kit) = locket_testkit::kit() else {
        return;
    };
    for name in MODELS {
        let path = kit.join("models").join(name);
        let whole = std::fs::read(&path).unwrap();
        assert!(read(&path, &whole).is_ok(), "{name}");
        let mut sound = 0;
        mutation::each(&whole, 150, |bytes| {
            if let Ok(import) = read(&path, bytes) {
                verify(import.program.main()).unwrap();
                sound += 1;
            }
        });
        println!("{name}: {sound} of 150 copies are still sound");
    }
}
