//! A folder with a small model, data and the binary to run on them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use locket_data::NpyArray;
use locket_formats::coreml::{WriteOptions, write};
use locket_mil::{Program, SourceFormat, text};
use tempfile::TempDir;

/// A classifier of 2x2 pictures with 2 channels in three classes: a convolution, a pool, a layer, a softmax.
const MODEL: &str = r#"
func main opset ios16 (%image: fp32[1, 2, 4, 4]) -> (scores: %p) {
  %w: fp32[4, 2, 3, 3] = ramp(-0.5, 0.0625)
  %c: fp32[1, 4, 4, 4] = conv(x=%image, weight=%w, strides=[1, 1], pad_type="custom", pad=[1, 1, 1, 1], dilations=[1, 1], groups=1) "features/conv"
  %r: fp32[1, 4, 4, 4] = relu(x=%c) "features/relu"
  %m: fp32[1, 4] = reduce_mean(x=%r, axes=[2, 3], keep_dims=false) "pool"
  %d: fp32[3, 4] = ramp(-1.0, 0.25)
  %l: fp32[1, 3] = linear(x=%m, weight=%d) "classifier"
  %p: fp32[1, 3] = softmax(x=%l, axis=-1) "scores"
}
"#;

/// What a run of the binary gave.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A temporary folder with `model.mlpackage`, `data/` (`x.npy`, `y.npy`), `recipe.toml` and `image.npy`.
pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        let workplace = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let function = text::parse(MODEL).unwrap();
        let program = Program::new(function, SourceFormat::Memory);
        write(
            &program,
            &workplace.path("model.mlpackage"),
            &WriteOptions::default(),
        )
        .unwrap();
        let image: Vec<f32> = (0..32u8).map(|n| f32::from(n) / 32.0).collect();
        workplace.array("image.npy", &[1, 2, 4, 4], &image);
        workplace.data("data", &[0, 1, 2, 1]);
        workplace.text(
            "recipe.toml",
            "layout = \"NCHW\"\nscale = [0.00392156862745098]\n",
        );
        workplace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn array(&self, name: &str, shape: &[usize], values: &[f32]) {
        let array = NpyArray::from_elements(shape, values).unwrap();
        array.write(&self.path(name)).unwrap();
    }

    /// Writes a labelled set of 4x4 pictures with two channels.
    pub(crate) fn data(&self, name: &str, labels: &[i32]) {
        std::fs::create_dir_all(self.path(name)).unwrap();
        let pixels: Vec<u8> = (0..labels.len() * 32).map(|n| (n * 37 % 251) as u8).collect();
        let x = NpyArray::from_elements(&[labels.len(), 4, 4, 2], &pixels).unwrap();
        x.write(&self.path(name).join("x.npy")).unwrap();
        let y = NpyArray::from_elements(&[labels.len()], labels).unwrap();
        y.write(&self.path(name).join("y.npy")).unwrap();
    }

    /// Runs the binary in the folder; `arguments` are separated by blanks.
    pub(crate) fn run(&self, arguments: &str) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_locket"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs a command that works and gives its standard output.
    pub(crate) fn output(&self, arguments: &str) -> String {
        let outcome = self.run(arguments);
        assert_eq!(
            outcome.code,
            Some(0),
            "{arguments}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
        outcome.stdout
    }

    /// Runs a command that works with `--json` and gives its object.
    pub(crate) fn json(&self, arguments: &str) -> serde_json::Value {
        let text = self.output(&format!("{arguments} --json"));
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A file's bytes.
    pub(crate) fn bytes(&self, name: impl AsRef<Path>) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }
}
