//! The TFLite reader on real models and on broken bytes.

use locket_formats::limits::Limits;
use locket_formats::{Import, ReadOptions, tflite};
use locket_mil::{Dialect, verify};

use crate::kit;

/// Models with operators that have no lowering yet, with the operators.
const FOREIGN: &[(&str, &[&str])] = &[(
    "mnist_lstm_uint8.tflite",
    &["tflite.UNIDIRECTIONAL_SEQUENCE_LSTM"],
)];

fn foreign(import: &Import) -> Vec<&str> {
    let operations = &import.program.main().operations;
    let foreign = operations
        .iter()
        .filter(|operation| operation.dialect() == Dialect::Foreign);
    let mut kinds: Vec<&str> = foreign.map(|operation| &*operation.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn kit_models_are_read() {
    for path in kit::models(".tflite") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let import = tflite::read(&path, &ReadOptions::default(), &Limits::default());
        let import = import.unwrap_or_else(|error| panic!("{name}: {error}"));
        verify(import.program.main()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = FOREIGN
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(&[][..], |(_, kinds)| kinds);
        assert_eq!(foreign(&import), expected, "{name}");
    }
}
