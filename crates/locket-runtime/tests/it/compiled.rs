//! Compiled files give the bits that the model gives, keep nothing twice, and survive whatever is done to them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use locket_kernels::Isa;
use locket_mil::Function;
use locket_runtime::{
    CompiledError, CompiledFile, PlanOptions, Precision, Session, compile,
    compiled::{Source, is_compiled, save},
};
use locket_tensor::{DType, Tensor};

use crate::models::{RESIDUAL, function, input, predict};

/// Convolutions as they come out of quantisation, one of each kernel.
const INTEGERS: &str = r#"
func main opset ios17 (%x: uint8[1, 8, 9, 9]) -> (y: %y) {
  %w1: int8[64, 8, 3, 3] = ramp(-120, 15)
  %b1: int32[64] = ramp(-300, 50)
  %m1: fp32[64] = ramp(0.0007, 0.0001)
  %a: uint8[1, 64, 9, 9] = locket.conv_u8(x=%x, weight=%w1, bias=%b1, x_zero_point=117, multiplier=%m1, y_zero_point=11, pad_type="same", output_dtype="uint8") "stem"
  %w2: int8[64, 1, 3, 3] = ramp(-120, 15)
  %b2: int32[64] = ramp(-300, 50)
  %m2: fp32[64] = ramp(0.0007, 0.0001)
  %b: uint8[1, 64, 9, 9] = locket.conv_u8(x=%a, weight=%w2, bias=%b2, x_zero_point=11, multiplier=%m2, pad_type="same", groups=64, output_dtype="uint8") "depthwise"
  %c: uint8[1, 5184] = reshape(x=%b, shape=[1, 5184])
  %w3: int8[7, 5184] = ramp(-120, 15)
  %b3: int32[7] = ramp(-300, 50)
  %m3: fp32[7] = ramp(0.0007, 0.0001)
  %y: fp32[1, 7] = locket.linear_u8(x=%c, weight=%w3, bias=%b3, x_zero_point=117, multiplier=%m3, output_dtype="fp32") "head"
}"#;

/// Weights in each compressed form, and a shape for Winograd's convolution.
const COMPRESSED: &str = r#"
func main opset ios18 (%x: fp32[1, 32, 16, 16]) -> (y: %y) {
  %w0: fp32[32, 32, 3, 3] = ramp(-0.1, 0.0125)
  %a: fp32[1, 32, 16, 16] = conv(x=%x, weight=%w0, pad_type="same") "winograd"
  %c1: int8[32, 32, 1, 1] = ramp(-120, 15)
  %s1: fp32[32, 1, 1, 1] = ramp(0.001, 0.0001)
  %w1: fp32[32, 32, 1, 1] = constexpr_blockwise_shift_scale(data=%c1, scale=%s1)
  %b: fp32[1, 32, 16, 16] = conv(x=%a, weight=%w1) "int8"
  %c2: int4[32, 32, 1, 1] = ramp(-8, 1)
  %s2: fp32[32, 4, 1, 1] = ramp(0.001, 0.0001)
  %w2: fp32[32, 32, 1, 1] = constexpr_blockwise_shift_scale(data=%c2, scale=%s2)
  %c: fp32[1, 32, 16, 16] = conv(x=%b, weight=%w2) "int4"
  %c3: uint4[32, 32, 1, 1] = ramp(0, 1)
  %l3: fp32[1, 1, 1, 1, 16, 1] = ramp(-0.5, 0.07)
  %w3: fp32[32, 32, 1, 1] = constexpr_lut_to_dense(indices=%c3, lut=%l3)
  %d: fp32[1, 32, 16, 16] = conv(x=%c, weight=%w3) "palette"
  %h: fp16[32, 32, 1, 1] = ramp(-0.5, 0.0625)
  %w4: fp32[32, 32, 1, 1] = constexpr_cast(source_val=%h, output_dtype="fp32")
  %y: fp32[1, 32, 16, 16] = conv(x=%d, weight=%w4) "half"
}"#;

fn options(isa: Isa) -> PlanOptions {
    PlanOptions {
        isa,
        threads: 1,
        lean: false,
        precision: Precision::Float32,
        depth_first: true,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    }
}

fn source() -> Source {
    Source {
        file: "model".to_owned(),
        hash: None,
    }
}

struct Saved {
    folder: tempfile::TempDir,
}

impl Saved {
    fn new(function: &Function, isas: &[Isa]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets: Vec<PlanOptions> = isas.iter().map(|&isa| options(isa)).collect();
        save(function, &targets, source(), &folder.path().join("model.locket")).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.locket")
    }

    /// Another file with this content.
    fn with(&self, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("other.locket");
        fs::write(&path, content).unwrap();
        path
    }
}

fn given(function: &Function) -> Tensor {
    let ty = function.ty(function.inputs[0]);
    if ty.shape().is_some() && ty.dtype() == Some(DType::UInt8) {
        let codes: Vec<u8> = (0..ty.elems()).map(|n| (n * 37 % 251) as u8).collect();
        return Tensor::from_slice(ty.shape().unwrap(), &codes).unwrap();
    }
    input(function, 0)
}

fn open(path: &Path, isa: Isa) -> Result<Session, CompiledError> {
    let plan = CompiledFile::open(path)?.plan(options(isa))?;
    Ok(Session::new(plan)?)
}

#[test]
fn compiled_models_give_the_same_bits_on_every_instruction_set() {
    for text in [RESIDUAL, INTEGERS, COMPRESSED] {
        let function = function(text);
        let inputs = [given(&function)];
        let isas = Isa::available();
        let saved = Saved::new(&function, &isas);
        assert!(is_compiled(&saved.path()));
        for isa in isas {
            let plan = compile(&function, options(isa)).unwrap().plan;
            let mut session = open(&saved.path(), isa).unwrap();
            let kernels = |plan: &locket_runtime::Plan| -> Vec<String> {
                plan.steps
                    .iter()
                    .map(|step| step.step.kernel().to_owned())
                    .collect()
            };
            assert_eq!(kernels(session.plan()), kernels(&plan));
            assert_eq!(session.plan().peak_bytes(), plan.peak_bytes());
            let expected = predict(&mut Session::new(plan).unwrap(), &inputs);
            assert_eq!(predict(&mut session, &inputs), expected);
        }
    }
}

#[test]
fn a_file_keeps_the_arithmetic_that_it_was_compiled_for() {
    for text in [RESIDUAL, COMPRESSED] {
        let function = function(text);
        let inputs = [given(&function)];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.locket");
        for isa in Isa::available() {
            let narrow = PlanOptions {
                precision: Precision::Bf16,
                ..options(isa)
            };
            save(&function, &[narrow], source(), &path).unwrap();
            let plan = compile(&function, narrow).unwrap().plan;
            assert!(
                plan.steps
                    .iter()
                    .any(|step| step.step.kernel().starts_with("bf16_"))
            );
            let expected = predict(&mut Session::new(plan).unwrap(), &inputs);
            // Opened as if for float32.
            let mut session = open(&path, isa).unwrap();
            assert_eq!(session.plan().options.precision, Precision::Bf16);
            assert_eq!(predict(&mut session, &inputs), expected);
        }
    }
}

#[test]
fn weights_are_in_the_file_once() {
    for text in [INTEGERS, COMPRESSED] {
        let function = function(text);
        let saved = Saved::new(&function, &[Isa::best()]);
        let length = usize::try_from(fs::metadata(saved.path()).unwrap().len()).unwrap();
        let plan = CompiledFile::open(&saved.path())
            .unwrap()
            .plan(options(Isa::best()));
        let weights = plan.unwrap().weight_bytes;
        assert!(length < weights + 8192, "{length} bytes for {weights} of weights");
    }
}

#[test]
fn a_machine_takes_the_fastest_kernels_that_it_has() {
    let function = function(RESIDUAL);
    let inputs = [input(&function, 0)];
    let saved = Saved::new(&function, &[Isa::SCALAR]);
    let plan = CompiledFile::open(&saved.path())
        .unwrap()
        .plan(options(Isa::best()))
        .unwrap();
    assert_eq!(plan.options.isa, Isa::SCALAR);
    predict(&mut Session::new(plan).unwrap(), &inputs);
    if Isa::best() != Isa::SCALAR {
        let saved = Saved::new(&function, &[Isa::best()]);
        let error = open(&saved.path(), Isa::SCALAR).unwrap_err().to_string();
        assert!(error.contains("--target-isa scalar"), "{error}");
    }
}

#[test]
fn files_are_reproducible_and_leave_nothing_beside_them() {
    let function = function(COMPRESSED);
    let (one, two) = (
        Saved::new(&function, &[Isa::SCALAR]),
        Saved::new(&function, &[Isa::SCALAR]),
    );
    assert!(fs::read(one.path()).unwrap() == fs::read(two.path()).unwrap());
    assert_eq!(fs::read_dir(one.folder.path()).unwrap().count(), 1);
    let nowhere = one.folder.path().join("none/model.locket");
    assert!(save(&function, &[options(Isa::SCALAR)], source(), &nowhere).is_err());
}

#[test]
fn damage_is_told() {
    let saved = Saved::new(&function(INTEGERS), &[Isa::SCALAR]);
    let whole = fs::read(saved.path()).unwrap();
    for at in (0..whole.len()).step_by(97).chain(0..56) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        // Eight bytes of the header and padding mean nothing.
        if let Err(error) = CompiledFile::open(&saved.with(&damaged)) {
            assert!(!error.to_string().contains('\n'), "{error}");
        } else {
            assert!(
                (12..16).contains(&at) || damaged[at] == 1 << (at % 8),
                "byte {at}"
            );
        }
    }
    for length in (0..whole.len()).step_by(61) {
        assert!(CompiledFile::open(&saved.with(&whole[..length])).is_err());
    }
}

/// A file with another description, whose hashes are right.
fn forged(whole: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
    let word = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap());
    let (length, start) = (word(16) as usize, word(48) as usize);
    let text = change(String::from_utf8(whole[64..64 + length].to_vec()).unwrap());
    let mut forged = whole[..64].to_vec();
    forged.extend(text.as_bytes());
    forged.resize(forged.len().next_multiple_of(64), 0);
    let start_now = forged.len() as u64;
    forged.extend(&whole[start..]);
    forged[16..24].copy_from_slice(&(text.len() as u64).to_le_bytes());
    forged[24..32].copy_from_slice(&twox_hash::XxHash3_64::oneshot(text.as_bytes()).to_le_bytes());
    forged[48..56].copy_from_slice(&start_now.to_le_bytes());
    forged
}

#[test]
fn forged_descriptions_never_panic() {
    for text in [RESIDUAL, INTEGERS, COMPRESSED] {
        let function = function(text);
        let inputs = [given(&function)];
        let saved = Saved::new(&function, &[Isa::best()]);
        let whole = fs::read(saved.path()).unwrap();
        let same = forged(&whole, |text| text);
        assert_eq!(
            predict(&mut open(&saved.with(&same), Isa::best()).unwrap(), &inputs),
            predict(&mut open(&saved.path(), Isa::best()).unwrap(), &inputs)
        );
        let mut state = 11u64;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            (state >> 33) as usize % limit
        };
        let mut planned = 0;
        for _ in 0..400 {
            let bytes = forged(&whole, |text| {
                let mut text = text.into_bytes();
                for _ in 0..1 + below(2) {
                    // Digits for digits keep most descriptions readable: shapes, places, attributes change.
                    let digits: Vec<usize> =
                        (0..text.len()).filter(|&at| text[at].is_ascii_digit()).collect();
                    let at = digits[below(digits.len())];
                    text[at] = b"0123456789"[below(10)];
                }
                String::from_utf8(text).unwrap()
            });
            if let Ok(mut session) = open(&saved.with(&bytes), Isa::best()) {
                planned += 1;
                let port = &session.plan().inputs[0];
                if *port.shape == *inputs[0].shape() && session.plan().outputs[0].shape.len() < 8 {
                    predict(&mut session, &inputs);
                }
            }
        }
        assert!(
            planned > 20,
            "of 400, {planned} were planned: too few to be a test"
        );
    }
}
