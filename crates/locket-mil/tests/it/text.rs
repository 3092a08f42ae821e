//! The text form round-trips, and says where a text is wrong.

use expect_test::{Expect, expect};
use locket_mil::text;

fn round_trip(source: &str, expected: Expect) {
    let function = text::parse(source).expect("the text is a function");
    locket_mil::verify(&function).expect("the function keeps the rules");
    let printed = text::print(&function, usize::MAX);
    expected.assert_eq(&printed);
    let again = text::parse(&printed).expect("what is printed parses");
    assert_eq!(text::print(&again, usize::MAX), printed);
}

#[test]
fn constants_and_names_survive() {
    round_trip(
        r#"
        func main opset ios16 (%x: fp32[1, 2]) -> (y: %y) {
          # a comment
          %w: fp32[2, 2] = ramp(0.0, 0.5)
          %q: int4[4] = [1, -2, 3, -8]
          %"a b:0": fp32[1, 2] = linear(x=%x, weight=%w, q=%q, axis=1, pad=[0, 0], mode="sa\"me", keep=true, eps=1e-5) "dense" "other"
          %y: fp32[1, 4] = concat(values=(%x, %"a b:0"), axis=-1)
        }"#,
        expect![[r#"
            func main opset ios16 (%x: fp32[1, 2]) -> (y: %y) {
              %w: fp32[2, 2] = [0.0, 0.5, 1.0, 1.5]
              %q: int4[4] = [1, -2, 3, -8]
              %"a b:0": fp32[1, 2] = linear(x=%x, weight=%w, q=%q, axis=1, pad=[0, 0], mode="sa\"me", keep=true, eps=1e-5) "dense" "other"
              %y: fp32[1, 4] = concat(values=(%x, %"a b:0"), axis=-1)
            }
        "#]],
    );
}

#[test]
fn the_operator_fill_is_no_generated_constant() {
    round_trip(
        r#"
        func main opset ios16 () -> (y: %y) {
          %c: fp32[2, 2] = fill(0.5)
          %z: fp32[2, 2] = fill(shape=[2, 2], value=0.5)
          %y: fp32[2, 2] = add(x=%c, y=%z)
        }"#,
        expect![[r#"
            func main opset ios16 () -> (y: %y) {
              %z: fp32[2, 2] = fill(shape=[2, 2], value=0.5)
              %c: fp32[2, 2] = [0.5, 0.5, 0.5, 0.5]
              %y: fp32[2, 2] = add(x=%c, y=%z)
            }
        "#]],
    );
}

fn fails(source: &str, expected: Expect) {
    expected.assert_eq(&text::parse(source).expect_err("the text is wrong").to_string());
}

#[test]
fn errors_name_the_line() {
    fails("", expect!["line 1: expected `func`, found nothing"]);
    fails(
        "func f opset ios12 () -> () {\n}",
        expect!["line 1: ios12 is no target"],
    );
    fails(
        "func f opset ios15 () -> () {\n%y: fp32[1] = relu(x=%x)\n}",
        expect!["line 2: %x is not defined before its use"],
    );
    fails(
        "func f opset ios15 () -> () {\n%y: fp32[3] = [1.0]\n}",
        expect!["line 2: shape [3] of fp32 needs 12 bytes, found 4"],
    );
    fails("func f opset ios15 () -> (", expect!["line 1: expected a name"]);
}
