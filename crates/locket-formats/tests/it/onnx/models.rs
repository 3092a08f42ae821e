//! Real models.

use locket_formats::limits::Limits;
use locket_formats::onnx::{Import, ReadOptions, read};
use locket_mil::{Dialect, verify};

use crate::kit;

fn foreign(import: &Import) -> Vec<String> {
    let operations = &import.program.main().operations;
    let foreign = operations
        .iter()
        .filter(|operation| operation.dialect() == Dialect::Foreign);
    foreign
        .map(|operation| format!("{} {}", operation.kind, operation.label()))
        .collect()
}

#[test]
fn kit_models_are_read() {
    for path in kit::models(".onnx") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let import = read(&path, &ReadOptions::default(), &Limits::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        verify(import.program.main()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let foreign = foreign(&import);
        let recurrent = name.starts_with("silero");
        assert!(recurrent || foreign.is_empty(), "{name}: {foreign:?}");
    }
}
