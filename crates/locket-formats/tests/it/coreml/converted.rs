//! Models of the test kit from other formats, written as packages.

use std::path::Path;

use locket_formats::coreml::{self, Precision, WriteOptions};
use locket_formats::limits::Limits;
use locket_formats::onnx::{self, ReadOptions};
use locket_mil::{Program, Severity, verify};

use super::{check, contents};

/// Models whose every operator has a place in MIL.
const MODELS: [&str; 9] = [
    "ad_autoencoder",
    "kws_dscnn",
    "kws_dscnn_ortq",
    "mnist_cnn",
    "mobilenet_v1_0.25_224",
    "mobilenet_v2_1.0_224_deq",
    "resnet8_cifar10",
    "squeezenet_v1.1",
    "vww_mobilenet_v1_0.25_96",
];

fn read(path: &Path) -> Program {
    let import = onnx::read(path, &ReadOptions::default(), &Limits::default()).unwrap();
    let errors: Vec<_> = import
        .diagnostics
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    import.program
}

/// Writes every model in both precisions, and hands each package on.
fn each_package(then: impl Fn(&Path, &Program)) {
    let Some(kit) = locket_testkit::kit() else { return };
    let folder = tempfile::tempdir().unwrap();
    for model in MODELS {
        let program = read(&kit.join(format!("models/{model}.onnx")));
        for precision in [Precision::AsIs, Precision::Float16] {
            let path = folder.path().join(format!("{model}_{precision:?}.mlpackage"));
            let options = WriteOptions {
                precision,
                ..WriteOptions::default()
            };
            coreml::write(&program, &path, &options).unwrap_or_else(|error| panic!("{model}: {error}"));
            then(&path, &program);
        }
    }
}

#[test]
fn onnx_models_become_packages() {
    each_package(|path, source| {
        let first = contents(path);
        let read = coreml::read(path, &Limits::default()).unwrap();
        verify(read.main()).unwrap();
        assert_eq!(read.main().outputs.len(), source.main().outputs.len());
        coreml::write(&read, path, &WriteOptions::default()).unwrap();
        let again = contents(path);
        let weights = |files: &[(_, Vec<u8>)]| files.iter().map(|(_, bytes)| bytes.len()).max();
        assert_eq!(weights(&first), weights(&again), "{}", path.display());
    });
}

#[test]
#[ignore = "slow: starts coremltools for each package, 120 s"]
fn the_checker_agrees() {
    each_package(|path, _| check(path));
}
