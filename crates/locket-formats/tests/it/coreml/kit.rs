//! The packages of the test kit, which coremltools wrote.

use std::path::Path;

use expect_test::expect;
use locket_formats::coreml;
use locket_formats::limits::Limits;
use locket_mil::verify;

use super::kit;

/// One line for each package: interface, operators, constants.
fn summary(path: &Path) -> String {
    let program = coreml::read(path, &Limits::default()).unwrap();
    let main = program.main();
    verify(main).unwrap();
    let name = |id| format!("{}: {}", main.value(id).name, main.ty(id));
    let inputs: Vec<_> = main.inputs.iter().map(|id| name(*id)).collect();
    let outputs: Vec<_> = main
        .outputs
        .iter()
        .map(|output| format!("{}: {}", output.name, main.ty(output.value)))
        .collect();
    let operators: Vec<_> = program
        .histogram()
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let bytes: usize = main.used_constants().iter().map(|id| main.ty(*id).bytes()).sum();
    format!(
        "({}) -> ({}) {}, {bytes} bytes\n  {}",
        inputs.join(", "),
        outputs.join(", "),
        main.opset,
        operators.join(", ")
    )
}

#[test]
fn packages_are_read() {
    let Some(kit) = kit() else { return };
    let cases = [
        (
            "f32",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 1870329 bytes
              conv 27, relu6 27, linear 1, reduce_mean 1, softmax 1"#]],
        ),
        (
            "f16",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 935657 bytes
              conv 27, relu6 27, cast 2, linear 1, reduce_mean 1, softmax 1"#]],
        ),
        (
            "w8",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 530925 bytes
              conv 27, relu6 27, constexpr_affine_dequantize 11, linear 1, reduce_mean 1, softmax 1"#]],
        ),
        (
            "pal6",
            expect![[r#"
            (input: fp32[1, 3, 224, 224]) -> (prob: fp32[1, 1000]) ios16, 408161 bytes
              conv 27, relu6 27, constexpr_lut_to_dense 11, linear 1, reduce_mean 1, softmax 1"#]],
        ),
    ];
    for (variant, expected) in cases {
        let path = kit.join(format!("models/mobilenet_v1_0.25_224_{variant}.mlpackage"));
        expected.assert_eq(&summary(&path));
    }
}
