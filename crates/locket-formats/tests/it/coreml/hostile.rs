//! Broken packages: whatever is wrong with the bytes, the reader gives an error or a program, in bounded memory.

use std::fs;
use std::path::{Path, PathBuf};

use locket_formats::coreml::schema::{self, Dimension, ModelKind, ValueType};
use locket_formats::coreml::wire::{self, Context};
use locket_formats::coreml::{self, WriteOptions};
use locket_formats::limits::Limits;
use locket_formats::onnx::ReadOptions;
use locket_mil::{Program, SourceFormat, Target, text, verify};
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::Index;

use super::compressed::{IOS16, IOS18};

const MODEL: &str = "Data/com.apple.CoreML/model.mlmodel";
const WEIGHTS: &str = "Data/com.apple.CoreML/weights/weight.bin";

/// A package whose files are changed and put back.
struct Victim {
    folder: tempfile::TempDir,
    package: PathBuf,
}

impl Victim {
    fn new(source: &str, target: Target) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("m.mlpackage");
        let program = Program::new(text::parse(source).unwrap(), SourceFormat::Memory);
        let options = WriteOptions {
            target: Some(target),
            ..WriteOptions::default()
        };
        coreml::write(&program, &package, &options).unwrap();
        Self { folder, package }
    }

    /// Reads the package with one file replaced; a program that comes out must be sound, and is written again.
    fn try_with(&self, file: &str, bytes: &[u8]) -> bool {
        let path = self.package.join(file);
        let before = fs::read(&path).unwrap();
        put(&path, bytes);
        let import = coreml::import(&self.package, &ReadOptions::default(), &Limits::small());
        let read = import.is_ok();
        if let Ok(import) = import {
            import
                .program
                .functions
                .iter()
                .for_each(|function| verify(function).unwrap());
            let _ = coreml::write(
                &import.program,
                &self.folder.path().join("out.mlpackage"),
                &WriteOptions::default(),
            );
        }
        put(&path, &before);
        read
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.package.join(file)).unwrap()
    }
}

/// Replaces a file. Removing it first spares the flush that file systems do when a file is truncated.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A small generator of numbers (splitmix64), so that a failure can be had again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Breaks bytes in one of the ways in which files break, or are broken.
fn mutated(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 => bytes[at] = numbers.next() as u8,
            1 => bytes[at] ^= 1 << numbers.below(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            3 => {
                bytes.remove(at);
            }
            4 => bytes.insert(at, numbers.next() as u8),
            _ => {
                let end = bytes.len().min(at + numbers.below(64));
                let piece = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// The model file with the first dimension of every tensor but the constants left open.
fn opened(bytes: &[u8]) -> Vec<u8> {
    let mut model: schema::Model<'_> = wire::decode(bytes, 0, &mut Context::new(&Limits::small())).unwrap();
    let Some(ModelKind::MlProgram(program)) = &mut model.kind else {
        panic!("not a program")
    };
    for function in program.functions.values_mut() {
        let operations = function
            .blocks
            .values_mut()
            .flat_map(|block| &mut block.operations);
        let computed = operations
            .filter(|operation| operation.kind != "const" && !operation.kind.starts_with("constexpr_"));
        let values = function
            .inputs
            .iter_mut()
            .chain(computed.flat_map(|operation| &mut operation.outputs));
        for value in values {
            if let Some(ValueType::Tensor(tensor)) = &mut value.value_type {
                tensor.dimensions[0] = Dimension::Unknown { variadic: false };
            }
        }
    }
    wire::encode(&model)
}

fn hammer(victim: &Victim, file: &str, times: u64) -> usize {
    let bytes = victim.bytes(file);
    let broken = |seed| mutated(&bytes, &mut Numbers(seed));
    (0..times)
        .filter(|seed| victim.try_with(file, &broken(*seed)))
        .count()
}

#[test]
fn broken_model_files_never_panic() {
    for (source, target) in [(IOS16, Target::Ios16), (IOS18, Target::Ios18)] {
        let victim = Victim::new(source, target);
        let read = hammer(&victim, MODEL, 2000);
        // Some changes hit names and numbers that may be anything: the test reaches past the first check.
        assert!((20..1900).contains(&read), "{read} of 2000 were read");
    }
}

#[test]
fn broken_weight_files_never_panic() {
    let victim = Victim::new(IOS18, Target::Ios18);
    let read = hammer(&victim, WEIGHTS, 1000);
    assert!((20..900).contains(&read), "{read} of 1000 were read");
}

#[test]
fn broken_manifests_never_panic() {
    hammer(&Victim::new(IOS16, Target::Ios16), "Manifest.json", 500);
}

#[test]
fn open_shapes_are_inferred_and_broken_ones_never_panic() {
    let victim = Victim::new(IOS18, Target::Ios18);
    let closed = coreml::read(&victim.package, &Limits::small()).unwrap();
    put(&victim.package.join(MODEL), &opened(&victim.bytes(MODEL)));
    let open = coreml::read(&victim.package, &Limits::small()).unwrap();
    assert_eq!(open, closed);
    let read = hammer(&victim, MODEL, 1000);
    assert!((20..900).contains(&read), "{read} of 1000 were read");
}

#[test]
fn every_truncation_of_a_model_file_is_refused() {
    let victim = Victim::new(IOS16, Target::Ios16);
    let bytes = victim.bytes(MODEL);
    for length in (0..bytes.len()).step_by(7) {
        assert!(!victim.try_with(MODEL, &bytes[..length]), "{length} bytes");
    }
}

#[test]
fn a_weight_file_for_another_program_is_refused() {
    let (one, other) = (
        Victim::new(IOS16, Target::Ios16),
        Victim::new(IOS18, Target::Ios18),
    );
    assert!(!one.try_with(WEIGHTS, &other.bytes(WEIGHTS)));
}

#[test]
fn a_missing_file_is_named() {
    let victim = Victim::new(IOS16, Target::Ios16);
    for file in [WEIGHTS, MODEL, "Manifest.json"] {
        fs::remove_file(victim.package.join(file)).unwrap();
        let error = coreml::read(&victim.package, &Limits::default())
            .unwrap_err()
            .to_string();
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn limits_are_kept() {
    let victim = Victim::new(IOS18, Target::Ios18);
    let cases = [
        (
            "nesting of messages",
            Limits {
                max_depth: 6,
                ..Limits::default()
            },
        ),
        (
            "number of messages",
            Limits {
                max_operations: 2,
                ..Limits::default()
            },
        ),
        (
            "number of operations",
            Limits {
                max_operations: 40,
                ..Limits::default()
            },
        ),
        (
            "elements of",
            Limits {
                max_tensor_elems: 100,
                ..Limits::default()
            },
        ),
        (
            "rank of",
            Limits {
                max_rank: 3,
                ..Limits::default()
            },
        ),
        (
            "bytes of all constants",
            Limits {
                max_constant_bytes: 10,
                ..Limits::default()
            },
        ),
        (
            "model.mlmodel",
            Limits {
                max_file_bytes: 100,
                ..Limits::default()
            },
        ),
    ];
    for (expected, limits) in cases {
        let error = coreml::read(&victim.package, &limits).unwrap_err().to_string();
        assert!(
            error.contains("over a limit") && error.contains(expected),
            "{expected}: {error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_never_panics(at in any::<Index>(), value in any::<u8>(), end in any::<Index>(), cut in any::<bool>()) {
        let victim = Victim::new(IOS16, Target::Ios16);
        let mut bytes = victim.bytes(MODEL);
        let position = at.index(bytes.len());
        bytes[position] = value;
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        victim.try_with(MODEL, &bytes);
    }
}
