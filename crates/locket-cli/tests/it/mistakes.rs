//! Every mistake a user can make is one clear line, `error: …`, and exit code 1.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::workplace::Workplace;

/// Runs commands that fail, and compares the lines that they print.
fn check(workplace: &Workplace, commands: &[&str], expected: &Expect) {
    let mut text = String::new();
    for command in commands {
        let outcome = workplace.run(command);
        assert_eq!(
            outcome.code,
            Some(1),
            "{command}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "", "{command}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{command}: {}", outcome.stderr);
        assert!(
            outcome.stderr.starts_with("error: "),
            "{command}: {}",
            outcome.stderr
        );
        let _ = write!(text, "$ locket {command}\n{}", outcome.stderr);
    }
    expected.assert_eq(&text);
}

#[test]
fn models_that_cannot_be_read() {
    let workplace = Workplace::new();
    let onnx = locket_testkit::repository()
        .join("models")
        .join("scenes_mobilenet.onnx");
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
        &expect![[r#"
            $ locket inspect nothing.onnx
            error: nothing.onnx: No such file or directory (os error 2)
            $ locket inspect empty.onnx
            error: empty.onnx: the file is empty; export the model again
            $ locket inspect notes.txt
            error: notes.txt: it is neither ONNX, TFLite nor a .mlpackage; give a model file
            $ locket inspect data
            error: data: the folder has no Manifest.json, so it is no .mlpackage; give a model file or a .mlpackage
            $ locket inspect truncated.onnx
            error: truncated.onnx: ONNX file is broken at byte 19: expected a length of at most 472422, found 944862
        "#]],
    );
}

#[test]
fn leakage_of_what_is_no_picture() {
    let workplace = Workplace::new();
    check(
        &workplace,
        &[
            "leakage model.mlpackage --data data --aux data --preprocess recipe.toml",
            "leakage model.mlpackage --data data --aux data --limit 0",
            "leakage model.mlpackage --data data --aux data --noise 0",
        ],
        &expect![[r#"
            $ locket leakage model.mlpackage --data data --aux data --preprocess recipe.toml
            error: expected a model with one input that is a picture with 1 or 3 channels, found image: [1, 2, 4, 4]
            $ locket leakage model.mlpackage --data data --aux data --limit 0
            error: --limit: expected at least 1, found 0
            $ locket leakage model.mlpackage --data data --aux data --noise 0
            error: --noise: expected a deviation above 0, found 0
        "#]],
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
    check(
        &workplace,
        &commands.each_ref().map(String::as_str),
        &expect![[r#"
        $ locket run model.mlpackage --input image=nothing.npy --output-dir out
        error: cannot open nothing.npy: No such file or directory (os error 2)
        $ locket run model.mlpackage --input picture=image.npy --output-dir out
        error: --input picture=image.npy: no input is called picture; the model's inputs are image
        $ locket run model.mlpackage --input last.npy --output-dir out
        error: last.npy: input image expects shape [1, 2, 4, 4], found [1, 4, 4, 2]; channels are last, in numpy: x.transpose(0, 3, 1, 2)
        $ locket run model.mlpackage --input single.npy --output-dir out
        error: single.npy: input image expects shape [1, 2, 4, 4], found [2, 4, 4]; in numpy: x[None] adds the batch dimension
        $ locket run model.mlpackage --input other.npy --output-dir out
        error: other.npy: input image expects shape [1, 2, 4, 4], found [3]
        $ locket run model.mlpackage --input doubles.npy --output-dir out
        error: doubles.npy: input image expects float32 [1, 2, 4, 4], found float64; numpy makes float64 by default, use x.astype('float32')
        $ locket run model.mlpackage --input half.npy --output-dir out
        error: half.npy: shape [1, 2, 4, 4] of float32 needs 128 bytes of data, found 0
        $ locket run model.mlpackage --input image.npy --input image=image.npy --output-dir out
        error: --input image=image.npy: input image is given twice
    "#]],
    );
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
    check(
        &workplace,
        &commands.each_ref().map(String::as_str),
        &expect![[r#"
        $ locket eval model.mlpackage --data labels --preprocess recipe.toml
        error: labels/y.npy, row 1: label 7, expected 0 to 2 (3 classes)
        $ locket eval model.mlpackage --data negative --preprocess recipe.toml
        error: negative/y.npy: row 1: label -1, expected a whole number from 0
        $ locket eval model.mlpackage --data empty --preprocess recipe.toml
        error: empty: the set is empty, expected at least one sample
        $ locket eval model.mlpackage --data hollow --preprocess recipe.toml
        error: hollow: holds neither labels.csv nor x.npy and y.npy
        $ locket eval model.mlpackage --data nothing --preprocess recipe.toml
        error: cannot open nothing: No such file or directory (os error 2)
        $ locket eval model.mlpackage --data data --preprocess nothing.toml
        error: cannot open nothing.toml: No such file or directory (os error 2)
        $ locket eval model.mlpackage --data data --preprocess wrong.toml
        error: wrong.toml: line 1: unknown field `sclae`, expected one of `resize_short_side`, `center_crop`, `channel_order`, `layout`, `mean`, `scale`, `integer_input`, `label_offset`
        $ locket eval model.mlpackage --data data --preprocess crop.toml
        error: model.mlpackage: output scores has 3 elements, expected more than label_offset = 9
        $ locket eval model.mlpackage --data data --preprocess recipe.toml --limit 0
        error: --limit: expected at least 1, found 0
    "#]],
    );
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
            "bench model.mlpackage --precision fp16",
            "inspect model.mlpackage --threads 0",
            "inspect",
            "inpsect model.mlpackage",
            "devices pager",
            "check model.mlpackage --target ios12",
            "convert model.mlpackage -o out.onnx",
            "convert model.mlpackage -o data",
        ],
        &expect![[r#"
            $ locket inspect model.mlpackage --memory 8
            error: invalid value '8' for '--memory <SIZE>': expected a size with a unit such as 8MB or 8MiB, found 8; see locket --help
            $ locket inspect model.mlpackage --memory 8M
            error: invalid value '8M' for '--memory <SIZE>': expected a unit of size (B, kB, MB, GB, KiB, MiB, GiB), found M in 8M; see locket --help
            $ locket bench model.mlpackage --latency 25
            error: invalid value '25' for '--latency <TIME>': expected a time with a unit such as 25ms, found 25; see locket --help
            $ locket bench model.mlpackage --fps 30 --reserve 40ms
            error: --reserve: expected less than a frame of 33.3ms, found 40ms
            $ locket bench model.mlpackage --fps 30 --latency 25ms
            error: the argument '--fps <N>' cannot be used with '--latency <TIME>'; see locket --help
            $ locket bench model.mlpackage --min-time -1
            error: --min-time: expected 0 to 1000000000 seconds, found -1
            $ locket bench model.mlpackage --precision fp16
            error: invalid value 'fp16' for '--precision <NAME>' [possible values: float32, bf16]; a similar value exists: 'bf16'; see locket --help
            $ locket inspect model.mlpackage --threads 0
            error: --threads: expected 1 to 1024, found 0
            $ locket inspect
            error: the following required arguments were not provided: <MODEL>; see locket --help
            $ locket inpsect model.mlpackage
            error: unrecognized subcommand 'inpsect'; a similar subcommand exists: 'inspect'; see locket --help
            $ locket devices pager
            error: no device is called pager; known are watch-series-7, watch-ultra, iphone-12, iphone-15-pro, raspberry-pi-4, host
            $ locket check model.mlpackage --target ios12
            error: invalid value 'ios12' for '--target <TARGET>': expected one of ios15, ios16, ios17, ios18, ios26, found ios12; see locket --help
            $ locket convert model.mlpackage -o out.onnx
            error: --output out.onnx: expected a name that ends in .mlpackage
            $ locket convert model.mlpackage -o data
            error: --output data: expected a name that ends in .mlpackage
        "#]],
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
        &expect![[r#"
            $ locket compress model.mlpackage --recipe w3 -o out.mlpackage
            error: invalid value 'w3' for '--recipe <NAME>': expected a recipe, found "w3"; known are w8a8, w8, w4, pal1, pal2, pal3, pal4, pal6, pal8 (each also with g16 and the like for groups of output channels), prune50 (1 to 99 percent), prune50+w8, f16; a8 after a palette or prune50+w8 makes activations 8-bit too, as in pal4g1a8; see locket --help
            $ locket compress model.mlpackage --recipe w8a8 -o out.mlpackage
            error: --recipe w8a8 needs calibration samples: give --calib DIR and --preprocess FILE
            $ locket compress model.mlpackage --recipe w8a8 --calib data -o out.mlpackage
            error: the following required arguments were not provided: --preprocess <FILE>; see locket --help
            $ locket compress model.mlpackage --recipe w8a8 --calib empty --preprocess recipe.toml -o out.mlpackage
            error: empty: the set is empty, expected at least one sample
            $ locket compress model.mlpackage --recipe w8 --data data --preprocess recipe.toml --max-drop 0.7 -o out.mlpackage
            error: invalid value '0.7' for '--max-drop <SHARE>': expected a share with a unit such as 0.7%, found 0.7; see locket --help
        "#]],
    );
    assert!(!workplace.path("out.mlpackage").exists());
}

#[test]
fn an_instruction_set_that_is_not_here() {
    let outcome = Workplace::new().run("inspect model.mlpackage --isa mmx");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stderr
            .starts_with("error: --isa: expected one that this machine has (scalar"),
        "{}",
        outcome.stderr
    );
}
