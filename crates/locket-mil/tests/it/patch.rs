//! Edits apply as a whole and keep order.

use expect_test::expect;
use locket_mil::{Operation, Patch, text};

#[test]
fn removes_inserts_and_redirects() {
    let mut function = text::parse(
        "func f opset ios15 (%x: fp32[1]) -> (y: %c) {
           %a: fp32[1] = relu(x=%x)
           %b: fp32[1] = relu(x=%a)
           %c: fp32[1] = exp(x=%b)
         }",
    )
    .unwrap();
    let (a, b) = (
        function.operations[0].outputs[0],
        function.operations[1].outputs[0],
    );
    let fresh = function.add_result("n", function.ty(a).clone());
    let mut patch = Patch::new("test");
    patch.remove(1);
    patch.insert_before(
        2,
        Operation {
            kind: "abs".into(),
            inputs: vec![("x".into(), a.into())],
            outputs: vec![fresh],
            origin: vec![],
        },
    );
    patch.redirect(b, fresh);
    assert_eq!(patch.apply(&mut function), 3);
    locket_mil::verify(&function).unwrap();
    expect![[r#"
        func f opset ios15 (%x: fp32[1]) -> (y: %c) {
          %a: fp32[1] = relu(x=%x)
          %n: fp32[1] = abs(x=%a)
          %c: fp32[1] = exp(x=%n)
        }
    "#]]
    .assert_eq(&text::print(&function, 0));
}
