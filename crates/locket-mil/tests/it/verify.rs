//! Each rule of the representation has a function that breaks it.

use expect_test::{Expect, expect};
use locket_mil::{Function, Target, Type, text, verify};
use locket_tensor::DType;

fn sample() -> Function {
    text::parse(
        "func f opset ios15 (%x: fp32[1]) -> (y: %b) {
           %a: fp32[1] = relu(x=%x)
           %b: fp32[1] = relu(x=%a)
         }",
    )
    .unwrap()
}

fn broken(change: impl FnOnce(&mut Function), expected: Expect) {
    let mut function = sample();
    verify(&function).unwrap();
    change(&mut function);
    expected.assert_eq(&verify(&function).unwrap_err().to_string());
}

#[test]
fn broken_rules_are_named() {
    broken(
        |f| f.operations.swap(0, 1),
        expect!["function f: relu (relu): parameter x reads a, which is not defined before it"],
    );
    broken(|f| f.outputs.clear(), expect!["function f: no results"]);
    broken(
        |f| f.operations[1].outputs = f.operations[0].outputs.clone(),
        expect!["function f: relu (relu): defines a a second time"],
    );
    broken(
        |f| {
            let x = f.inputs[0];
            f.operations[0].inputs.push(("x".into(), x.into()));
        },
        expect!["function f: relu (relu): parameter x is bound twice"],
    );
    broken(
        |f| {
            let id = f.add_constant("c", 1.0f32);
            f.set_type(id, Type::tensor(DType::Int32, &[]));
        },
        expect!["function f: constant c is declared int32[], its data is fp32[]"],
    );
}

#[test]
fn names_are_made_unique() {
    let mut function = Function::new("f", Target::Ios15);
    let names: Vec<String> = (0..5)
        .map(|_| {
            let id = function.add_constant("w", 1.0f32);
            function.value(id).name.clone()
        })
        .collect();
    assert_eq!(names, ["w", "w_1", "w_2", "w_3", "w_4"]);
}
