//! Every mistake a user can make is one clear line, `error: …`, and exit code 1.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::workplace::Workplace;

/// Runs commands that fail, and compares the lines that they print.
fn check(workplace: &Workplace, commands: &[&str], expected: &Expect) {
    let mut text = String::new();
    for command in commands {
        let outcome = workplace.run(command);
        assert_eq!(outcome.code, Some(1), "{command}: {}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stdout, "", "{command}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{command}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with("error: "), "{command}: {}", outcome.stderr);
        let _ = write!(text, "$ locket {command}\n{}", outcome.stderr);
    }
    expected.assert_eq(&text);
}

#[test]
fn models_that_cannot_be_read() {
    let workplace = Workplace::new();
    let onnx = locket_testkit::repository().join("models").join("scenes_mobilenet.onnx");
    let bytes = std::fs::read(onnx).unwrap();
    std::fs::write(workplace.path("truncated.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    workplace.text("empty.onnx", "");
    workplace.text("notes.txt", "hello, world");
    check(
        &workplace,
        &[
            "inspect nothing.onnx",
            "inspect empty.onnx",
            "inspect notes.txt",
            "inspect data",
            "inspect truncated.onnx",
        ],
        &expect![[""]],
    );
}

#[test]
fn inputs_that_do_not_fit() {
    let workplace = Workplace::new();
    workplace.array("last.npy", &[1, 4, 4, 2], &[0.0; 32]);
    workplace.array("single.npy", &[2, 4, 4], &[0.0; 32]);
    workplace.array("other.npy", &[3], &[0.0; 3]);
    let doubles = locket_data::NpyArray::from_elements(&[1, 2, 4, 4], &[0.0f64; 32]).unwrap();
    doubles.write(&workplace.path("doubles.npy")).unwrap();
    let whole = workplace.bytes("image.npy");
    std::fs::write(workplace.path("half.npy"), &whole[..whole.len() / 2]).unwrap();
    let run = |input: &str| format!("run model.mlpackage --input {input} --output-dir out");
    let commands = [
        "image=nothing.npy",
        "picture=image.npy",
        "last.npy",
        "single.npy",
        "other.npy",
        "doubles.npy",
        "half.npy",
        "image.npy --input image=image.npy",
    ]
    .map(run);
    check(&workplace, &commands.each_ref().map(String::as_str), &expect![[""]]);
}

#[test]
fn data_that_does_not_fit() {
    let workplace = Workplace::new();
    workplace.data("labels", &[0, 7]);
    workplace.data("negative", &[0, -1]);
    workplace.data("empty", &[]);
    std::fs::create_dir(workplace.path("hollow")).unwrap();
    workplace.text("wrong.toml", "sclae = [1.0]\n");
    workplace.text("crop.toml", "label_offset = 9\n");
    let eval = |data: &str, recipe: &str| format!("eval model.mlpackage --data {data} --preprocess {recipe}");
    let commands = [
        eval("labels", "recipe.toml"),
        eval("negative", "recipe.toml"),
        eval("empty", "recipe.toml"),
        eval("hollow", "recipe.toml"),
        eval("nothing", "recipe.toml"),
        eval("data", "nothing.toml"),
        eval("data", "wrong.toml"),
        eval("data", "crop.toml"),
        eval("data", "recipe.toml --limit 0"),
    ];
    check(&workplace, &commands.each_ref().map(String::as_str), &expect![[""]]);
}

#[test]
fn options_that_make_no_sense() {
    let workplace = Workplace::new();
    check(
        &workplace,
        &[
            "inspect model.mlpackage --memory 8",
            "inspect model.mlpackage --memory 8M",
            "bench model.mlpackage --latency 25",
            "bench model.mlpackage --fps 30 --reserve 40ms",
            "bench model.mlpackage --fps 30 --latency 25ms",
            "bench model.mlpackage --min-time -1",
            "inspect model.mlpackage --threads 0",
            "inspect model.mlpackage --isa mmx",
            "inspect",
            "inpsect model.mlpackage",
            "devices pager",
            "check model.mlpackage --target ios12",
            "convert model.mlpackage -o out.onnx",
            "convert model.mlpackage -o data",
        ],
        &expect![[""]],
    );
}

#[test]
fn compressions_that_cannot_be_made() {
    let workplace = Workplace::new();
    workplace.data("empty", &[]);
    check(
        &workplace,
        &[
            "compress model.mlpackage --recipe w3 -o out.mlpackage",
            "compress model.mlpackage --recipe w8a8 -o out.mlpackage",
            "compress model.mlpackage --recipe w8a8 --calib data -o out.mlpackage",
            "compress model.mlpackage --recipe w8a8 --calib empty --preprocess recipe.toml -o out.mlpackage",
            "compress model.mlpackage --recipe w8 --data data --preprocess recipe.toml --max-drop 0.7 -o out.mlpackage",
        ],
        &expect![[""]],
    );
    assert!(!workplace.path("out.mlpackage").exists());
}
