//! Models of other people give the answers that other runtimes gave, before and after conversion.
//!
//! For each float model of the test kit: the stored outputs of one run (`parity/`) and of the whole dev set (`oracle/`) against
//! the model as it is, as a float32 package and as a float16 package. Packages are written twice, compared byte for byte, and
//! shown to an independent checker if a Python with coremltools is named. Everything goes through the program, as a user would.

mod arrays;
mod table;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use self::arrays::{Answer, Difference};
use crate::ground;

/// Largest difference of float32 answers, as a part of the range of the expected ones.
const FLOAT32: f64 = 1e-4;
/// The same for float16, for each layer with weights. Rounding a weight moves it by at most 2^-11 of itself, so a layer's
/// result by at most 2^-11 of the sum of the magnitudes of its terms; that sum is taken to be 4 times the range of
/// the result, and layers to add up.
const FLOAT16_OF_LAYER: f64 = 4.0 / 2048.0;
/// Operators with weights.
const LAYERS: [&str; 4] = ["conv", "conv_transpose", "linear", "matmul"];
/// Least share of samples with the same top-1 in float32.
const SAME: f64 = 0.999;
/// The same for float16: close scores change places.
const SAME_FLOAT16: f64 = 0.98;
/// Names the Python that runs the checker of packages.
const PYTHON: &str = "LOCKET_CT_PYTHON";

/// A model of the kit, and what is stored about it.
struct Case {
    file: &'static str,
    parity: Option<&'static str>,
    /// Name of the oracle and folder of the data set.
    oracle: Option<(&'static str, &'static str)>,
}

const fn case(
    file: &'static str,
    parity: Option<&'static str>,
    oracle: Option<(&'static str, &'static str)>,
) -> Case {
    Case { file, parity, oracle }
}

const CASES: [Case; 10] = [
    case(
        "squeezenet_v1.1.onnx",
        Some("squeezenet_v1.1"),
        Some(("squeezenet_v1.1", "imagenet")),
    ),
    case(
        "mobilenet_v1_0.25_224.onnx",
        Some("mobilenet_v1_0.25_224"),
        Some(("mobilenet_v1_0.25_224", "imagenet")),
    ),
    case("resnet8_cifar10.onnx", None, Some(("resnet8_cifar10", "cifar10"))),
    case(
        "resnet8_cifar10_float.tflite",
        None,
        Some(("resnet8_cifar10", "cifar10")),
    ),
    case("kws_dscnn.onnx", None, Some(("kws_dscnn", "kws"))),
    case("mnist_cnn.onnx", None, Some(("mnist_cnn", "mnist"))),
    case("vww_mobilenet_v1_0.25_96.onnx", Some("vww_onnx"), None),
    case(
        "vww_mobilenet_v1_0.25_96_float.tflite",
        Some("vww_float_tflite"),
        None,
    ),
    case("ad_autoencoder.onnx", Some("ad_onnx"), None),
    case("ad_autoencoder_float.tflite", Some("ad_float_tflite"), None),
];

/// What one form of a model did.
pub(crate) struct Row {
    pub(crate) model: String,
    pub(crate) form: &'static str,
    pub(crate) against: &'static str,
    pub(crate) parity: Option<f64>,
    /// The most that it may be.
    pub(crate) bound: f64,
    pub(crate) same: Option<Difference>,
    pub(crate) identical: Option<bool>,
    pub(crate) checked: Option<bool>,
    /// What failed; empty if all bounds are kept.
    pub(crate) failures: Vec<String>,
}

struct Runner {
    locket: PathBuf,
    kit: PathBuf,
    checker: Option<(PathBuf, PathBuf)>,
    folder: PathBuf,
}

/// Runs everything and writes the table.
///
/// # Errors
///
/// If something cannot be run, or a bound is not kept.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let options = table::Options::parse(root, arguments)?;
    if !options.kit.join("kit.json").is_file() {
        bail!("no test kit at {} (give --kit DIR)", options.kit.display());
    }
    let locket = match &options.locket {
        Some(path) => path.clone(),
        None => ground::program(root)?,
    };
    let script = options.kit.join("..").join("tools").join("check_mlpackage.py");
    let python = std::env::var_os(PYTHON).map(PathBuf::from);
    let folder = std::env::temp_dir().join(format!("locket-conformance-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let runner = Runner {
        locket,
        kit: options.kit.clone(),
        checker: python.filter(|_| script.is_file()).map(|python| (python, script)),
        folder: folder.clone(),
    };
    let mut rows = Vec::new();
    for case in &CASES {
        let made = runner.case(case).with_context(|| case.file.to_owned())?;
        for row in &made {
            table::say(row)?;
        }
        rows.extend(made);
    }
    std::fs::remove_dir_all(&folder)?;
    table::write(&options, &rows, runner.checker.is_some())?;
    let failures: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            row.failures
                .iter()
                .map(move |failure| format!("{} {}: {failure}", row.model, row.form))
        })
        .collect();
    if !failures.is_empty() {
        bail!("{} bounds are not kept: {}", failures.len(), failures.join("; "));
    }
    Ok(())
}

impl Runner {
    fn locket(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.locket)
            .args(arguments)
            .output()
            .with_context(|| self.locket.display().to_string())?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn case(&self, case: &Case) -> Result<Vec<Row>> {
        let source = self.kit.join("models").join(case.file);
        let stored = self.stored(case)?;
        let answers = self.answers(case, &source, "source")?;
        let mut rows = vec![judge(
            case,
            "source",
            "stored outputs",
            &answers,
            &stored,
            (FLOAT32, SAME),
        )];
        let float16 = FLOAT16_OF_LAYER * self.layers(&source)? as f64;
        for (form, bounds) in [("f32", (FLOAT32, SAME)), ("f16", (float16, SAME_FLOAT16))] {
            let first = self.folder.join(format!("{form}.mlpackage"));
            let second = self.folder.join(format!("{form}-again.mlpackage"));
            for package in [&first, &second] {
                self.locket(&[
                    "convert",
                    text(&source)?,
                    "-o",
                    text(package)?,
                    "--precision",
                    form,
                ])?;
            }
            let again = self.answers(case, &first, form)?;
            let name = if form == "f32" {
                "float32 package"
            } else {
                "float16 package"
            };
            let mut row = judge(case, name, "source", &again, &answers, bounds);
            let identical = arrays::same_files(&first, &second)?;
            row.identical = Some(identical);
            if !identical {
                row.failures.push("two conversions differ".to_owned());
            }
            if let Some(problem) = self.check(&first)? {
                row.checked = Some(problem.is_empty());
                if !problem.is_empty() {
                    row.failures.push(format!("the checker says: {problem}"));
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// Layers with weights, as `locket inspect` counts them.
    fn layers(&self, model: &Path) -> Result<u64> {
        let output = Command::new(&self.locket)
            .args(["inspect", text(model)?, "--json"])
            .output()
            .with_context(|| self.locket.display().to_string())?;
        let found: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("locket inspect --json")?;
        let operators = found["operators"].as_array().context("operators")?;
        let layers = operators
            .iter()
            .filter(|operator| LAYERS.iter().any(|layer| operator["operator"] == *layer));
        Ok(layers.filter_map(|operator| operator["count"].as_u64()).sum())
    }

    /// What the checker has against a package; `None` if there is no checker.
    fn check(&self, package: &Path) -> Result<Option<String>> {
        let Some((python, script)) = &self.checker else {
            return Ok(None);
        };
        let output = Command::new(python)
            .arg(script)
            .arg(package)
            .arg("--quiet")
            .output()
            .with_context(|| python.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("failed without a word");
        Ok(Some(if output.status.success() {
            String::new()
        } else {
            last.to_owned()
        }))
    }

    fn stored(&self, case: &Case) -> Result<Answer> {
        let parity = match case.parity {
            Some(name) => Some(arrays::read(
                &self.kit.join("parity").join(name).join("out0.npy"),
            )?),
            None => None,
        };
        let scores = match case.oracle {
            Some((name, _)) => Some(arrays::read(
                &self.kit.join("oracle").join(format!("{name}.dev.npy")),
            )?),
            None => None,
        };
        Ok(Answer { parity, scores })
    }

    /// Runs a model on the stored input and on the dev set.
    fn answers(&self, case: &Case, model: &Path, form: &str) -> Result<Answer> {
        let parity = match case.parity {
            Some(name) => Some(self.parity(&self.kit.join("parity").join(name).join("in0.npy"), model)?),
            None => None,
        };
        let scores = match case.oracle {
            Some((_, set)) => {
                let out = self.folder.join(format!("{form}.npy"));
                let data = self.kit.join("data").join(set).join("dev");
                let recipe = self.kit.join("preprocess").join(format!("{}.toml", case.file));
                self.locket(&[
                    "eval",
                    text(model)?,
                    "--data",
                    text(&data)?,
                    "--preprocess",
                    text(&recipe)?,
                    "--predictions",
                    text(&out)?,
                ])?;
                Some(arrays::read(&out)?)
            }
            None => None,
        };
        Ok(Answer { parity, scores })
    }

    /// Runs each sample of a stored input by itself.
    fn parity(&self, input: &Path, model: &Path) -> Result<arrays::Rows> {
        let (sample, out) = (self.folder.join("sample.npy"), self.folder.join("out"));
        let mut all = Vec::new();
        for row in arrays::samples(input)? {
            row.write(&sample)?;
            if out.exists() {
                std::fs::remove_dir_all(&out)?;
            }
            self.locket(&[
                "run",
                text(model)?,
                "--input",
                text(&sample)?,
                "--output-dir",
                text(&out)?,
            ])?;
            let files: Vec<PathBuf> = std::fs::read_dir(&out)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<_>>()?;
            let [file] = files.as_slice() else {
                bail!("expected one output, found {}", files.len());
            };
            all.extend(arrays::read(file)?.values);
        }
        let columns = all.len() / arrays::samples(input)?.len().max(1);
        Ok(arrays::Rows { columns, values: all })
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{}: not UTF-8", path.display()))
}

fn judge(
    case: &Case,
    form: &'static str,
    against: &'static str,
    found: &Answer,
    expected: &Answer,
    (bound, least): (f64, f64),
) -> Row {
    let mut failures = Vec::new();
    let mut compare = |found: &Option<arrays::Rows>, expected: &Option<arrays::Rows>| -> Option<Difference> {
        let (Some(found), Some(expected)) = (found, expected) else {
            return None;
        };
        let difference = arrays::difference(found, expected);
        if difference.is_none() {
            failures.push("the outputs have another size".to_owned());
        }
        difference
    };
    let parity = compare(&found.parity, &expected.parity);
    let scores = compare(&found.scores, &expected.scores);
    // Where scores are stored as float16 they cannot be closer than its steps: they are judged by top-1 alone.
    let of_range = parity.or(scores).map(|difference| difference.of_range);
    if let Some(of_range) = of_range.filter(|of_range| *of_range > bound) {
        failures.push(format!(
            "largest difference {of_range:.1e} of the range, at most {bound:.1e}"
        ));
    }
    if let Some(few) = scores.filter(|scores| (scores.same as f64) < least * scores.rows as f64) {
        failures.push(format!("same top-1 on {} of {}", few.same, few.rows));
    }
    Row {
        model: case.file.to_owned(),
        form,
        against,
        parity: of_range,
        bound,
        same: scores,
        identical: None,
        checked: None,
        failures,
    }
}
