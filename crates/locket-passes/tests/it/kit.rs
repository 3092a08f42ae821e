//! Real models of the test kit: nothing quantised stays float, no transpose that could go stays.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use expect_test::expect;
use locket_formats::{ReadOptions, limits::Limits, read};
use locket_mil::{Function, Target};
use locket_passes::{PassReport, lint, lower, simplify};

use crate::{random::compare_each, values::check_types};

/// The path of one of its models; `None`, said aloud, where the kit is missing.
pub(crate) fn model(name: &str) -> Option<PathBuf> {
    Some(locket_testkit::kit()?.join("models").join(name))
}

fn lowered(path: &Path) -> (Function, Vec<PassReport>) {
    let import =
        read(path, &ReadOptions::default(), &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut function = import.program.main().clone();
    let mut reports = simplify(&mut function);
    check_types(&function);
    reports.extend(lower(&mut function));
    check_types(&function);
    (function, reports)
}

fn histogram(function: &Function) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for operation in &function.operations {
        *counts.entry(operation.kind.to_string()).or_default() += 1;
    }
    counts
}

/// Checks that no layer of a quantised model runs on floats, and says which operators it consists of.
fn check_integer(name: &str, expected: &expect_test::Expect) {
    let Some(path) = model(name) else { return };
    let (function, reports) = lowered(&path);
    let counts = histogram(&function);
    for float in [
        "conv",
        "linear",
        "locket.conv",
        "locket.linear",
        "add",
        "concat",
        "max_pool",
        "avg_pool",
    ] {
        let on_codes = float == "concat" && counts.get("quantize").is_none_or(|&count| count <= 2);
        assert!(
            on_codes || !counts.contains_key(float),
            "{name}: {counts:?} {reports:?}"
        );
    }
    expected.assert_eq(&format!("{counts:?}"));
}

#[test]
fn quantized_models_run_on_integers() {
    check_integer(
        "squeezenet_v1.1_ortq.onnx",
        &expect![[
            r#"{"concat": 8, "dequantize": 2, "locket.avg_pool_u8": 1, "locket.conv_u8": 26, "locket.max_pool": 3, "quantize": 2, "reshape": 1, "softmax": 1}"#
        ]],
    );
    check_integer(
        "mobilenet_v1_0.25_224_ortq.onnx",
        &expect![[
            r#"{"dequantize": 2, "locket.avg_pool_u8": 1, "locket.conv_u8": 27, "locket.linear_u8": 1, "quantize": 2, "reshape": 1, "softmax": 1}"#
        ]],
    );
    check_integer(
        "resnet8_cifar10_ortq.onnx",
        &expect![[
            r#"{"dequantize": 2, "locket.add_u8": 3, "locket.avg_pool_u8": 1, "locket.conv_u8": 9, "locket.linear_u8": 1, "quantize": 2, "reshape": 1, "softmax": 1}"#
        ]],
    );
    check_integer(
        "kws_dscnn_ortq.onnx",
        &expect![[
            r#"{"dequantize": 2, "locket.avg_pool_u8": 1, "locket.conv_u8": 9, "locket.linear_u8": 1, "quantize": 2, "reshape": 1, "softmax": 1}"#
        ]],
    );
    check_integer(
        "resnet8_cifar10_int8.tflite",
        &expect![[
            r#"{"dequantize": 1, "locket.add_u8": 3, "locket.avg_pool_u8": 1, "locket.conv_u8": 9, "locket.linear_u8": 1, "locket.lookup_u8": 2, "quantize": 1, "reshape": 1, "softmax": 1, "transpose": 1}"#
        ]],
    );
    check_integer(
        "kws_dscnn_int8.tflite",
        &expect![[
            r#"{"dequantize": 1, "locket.avg_pool_u8": 1, "locket.conv_u8": 9, "locket.linear_u8": 1, "locket.lookup_u8": 2, "quantize": 1, "reshape": 2, "softmax": 1}"#
        ]],
    );
    check_integer(
        "vww_mobilenet_v1_0.25_96_int8.tflite",
        &expect![[
            r#"{"dequantize": 1, "locket.avg_pool_u8": 1, "locket.conv_u8": 27, "locket.linear_u8": 1, "locket.lookup_u8": 2, "quantize": 1, "reshape": 1, "softmax": 1, "transpose": 1}"#
        ]],
    );
    check_integer(
        "ad_autoencoder_int8.tflite",
        &expect![[r#"{"locket.linear_u8": 10, "locket.lookup_u8": 2}"#]],
    );
    check_integer(
        "sww_int8.tflite",
        &expect![[
            r#"{"dequantize": 1, "locket.conv_u8": 8, "locket.linear_u8": 1, "locket.lookup_u8": 2, "quantize": 1, "reshape": 1, "softmax": 1, "transpose": 1}"#
        ]],
    );
    check_integer(
        "mobilenet_v2_1.0_224_ptq.tflite",
        &expect![[
            r#"{"dequantize": 1, "locket.add_u8": 10, "locket.avg_pool_u8": 1, "locket.conv_u8": 53, "quantize": 1, "reshape": 1, "softmax": 1, "transpose": 1}"#
        ]],
    );
}

fn check_float(name: &str, expected: &expect_test::Expect) {
    let Some(path) = model(name) else { return };
    expected.assert_eq(&format!("{:?}", histogram(&lowered(&path).0)));
}

#[test]
fn float_models_become_layers() {
    check_float(
        "squeezenet_v1.1.onnx",
        &expect![[
            r#"{"concat": 8, "locket.conv": 26, "max_pool": 3, "reduce_mean": 1, "reshape": 1, "softmax": 1}"#
        ]],
    );
    check_float(
        "mobilenet_v1_0.25_224.onnx",
        &expect![[
            r#"{"locket.conv": 27, "locket.linear": 1, "reduce_mean": 1, "reshape": 1, "softmax": 1}"#
        ]],
    );
    check_float(
        "resnet8_cifar10.onnx",
        &expect![[r#"{"avg_pool": 1, "locket.conv": 9, "locket.linear": 1, "reshape": 1, "softmax": 1}"#]],
    );
    check_float(
        "resnet8_cifar10_float.tflite",
        &expect![[
            r#"{"avg_pool": 1, "locket.conv": 9, "locket.linear": 1, "reshape": 1, "softmax": 1, "transpose": 1}"#
        ]],
    );
    check_float(
        "mnist_cnn.onnx",
        &expect![[
            r#"{"locket.conv": 4, "locket.linear": 2, "max_pool": 2, "reshape": 1, "softmax": 1, "transpose": 1}"#
        ]],
    );
    check_float(
        "ad_autoencoder_float.tflite",
        &expect![[r#"{"locket.linear": 10}"#]],
    );
    check_float(
        "mobilenet_v1_0.25_224_f16.mlpackage",
        &expect![[r#"{"locket.conv": 27, "locket.linear": 1, "reduce_mean": 1, "softmax": 1}"#]],
    );
    check_float(
        "mobilenet_v1_0.25_224_pal6.mlpackage",
        &expect![[
            r#"{"constexpr_lut_to_dense": 11, "locket.conv": 27, "locket.linear": 1, "reduce_mean": 1, "softmax": 1}"#
        ]],
    );
}

/// Prints what `LOCKET_SHOW` names: for people who work on the passes.
#[test]
#[ignore = "slow: prints the operators of any model named in LOCKET_SHOW, after the passes"]
fn show() {
    let Ok(names) = std::env::var("LOCKET_SHOW") else {
        return;
    };
    for name in names.split(',') {
        let Some(path) = model(name) else { continue };
        let import = match read(&path, &ReadOptions::default(), &Limits::default()) {
            Ok(import) => import,
            Err(error) => {
                println!("== {name}: {error}");
                continue;
            }
        };
        let program = import.program;
        let mut function = program.main().clone();
        let mut reports = simplify(&mut function);
        reports.extend(lower(&mut function));
        println!("== {name}: {:?}", histogram(&function));
        for finding in lint(&program, Target::Ios18) {
            println!(
                "   {} {:?} {}: {}",
                finding.code, finding.severity, finding.node, finding.message
            );
        }
        for report in reports {
            for skipped in &report.skipped {
                println!("   {}: {}: {}", report.pass, skipped.node, skipped.reason);
            }
        }
        if std::env::var_os("LOCKET_DUMP").is_some() {
            println!("{}", locket_mil::text::print(&function, 4));
        }
    }
}

/// Each integer operation of a real model gives what its float pattern gives, within a step, from the same operands.
#[test]
fn integer_layers_of_real_models_agree_within_a_step() {
    let names = [
        ("resnet8_cifar10_ortq.onnx", 14),
        ("kws_dscnn_ortq.onnx", 11),
        ("resnet8_cifar10_int8.tflite", 14),
        ("kws_dscnn_int8.tflite", 11),
        ("ad_autoencoder_int8.tflite", 10),
        ("vww_mobilenet_v1_0.25_96_int8.tflite", 29),
    ];
    for (name, layers) in names {
        let Some(path) = model(name) else { continue };
        let import = read(&path, &ReadOptions::default(), &Limits::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut function = import.program.main().clone();
        simplify(&mut function);
        let mut integer = function.clone();
        lower(&mut integer);
        let compared = compare_each(&function, &integer, 1);
        assert!(
            compared >= layers,
            "{name}: only {compared} integer operations were compared"
        );
    }
}
