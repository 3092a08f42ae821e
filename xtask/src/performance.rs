//! Locket beside other runtimes on the same machine, in rounds.
//!
//! The driver of the peers (a folder that is no part of this repository) starts one process for each runtime, model, precision
//! and thread count, in a random order within each round. Here its models are put together (those of the driver's cache and
//! float models of the test kit with their 8-bit forms), Locket is added as one more peer, and its lines become
//! tables: medians over rounds of ratios taken within a round.

mod bf16;
mod lines;
mod page;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::ground;

const USAGE: &str = "usage: cargo xtask performance --driver DIR --cache DIR --date YYYY-MM-DD [--kit DIR] [--locket PROGRAM] \
                     [--models A,B] [--peers A,B] [--prec fp32,int8] [--threads 1,2] [--rounds N] [--min-time S] [--bf16 A,B] \
                     [--lines FILE.jsonl] [--output FILE.md]";

/// Models of the kit that have a form in 8-bit integers: `NAME.onnx` and `NAME_ortq.onnx`.
const OF_KIT: [&str; 4] = [
    "squeezenet_v1.1",
    "mobilenet_v1_0.25_224",
    "resnet8_cifar10",
    "kws_dscnn",
];

struct Options {
    driver: PathBuf,
    cache: Option<PathBuf>,
    kit: PathBuf,
    locket: Option<PathBuf>,
    date: String,
    models: Option<String>,
    /// Float models to measure in bf16 too.
    bf16: Option<String>,
    peers: String,
    precisions: String,
    threads: String,
    rounds: String,
    min_time: String,
    lines: Option<PathBuf>,
    output: PathBuf,
}

impl Options {
    fn parse(root: &Path, arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            driver: PathBuf::new(),
            cache: None,
            kit: ground::kit(root),
            locket: None,
            date: String::new(),
            models: None,
            bf16: None,
            peers: "ort,openvino,litert,ncnn,mnn,tract,rten".to_owned(),
            precisions: "fp32,int8".to_owned(),
            threads: "1,2".to_owned(),
            rounds: "5".to_owned(),
            min_time: "0.4".to_owned(),
            lines: None,
            output: root.join("docs").join("performance.md"),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = (*rest.next().context(USAGE)?).to_owned();
            match *name {
                "--driver" => options.driver = value.into(),
                "--cache" => options.cache = Some(value.into()),
                "--kit" => options.kit = value.into(),
                "--locket" => options.locket = Some(value.into()),
                "--date" => options.date = value,
                "--models" => options.models = Some(value),
                "--bf16" => options.bf16 = Some(value),
                "--peers" => options.peers = value,
                "--prec" => options.precisions = value,
                "--threads" => options.threads = value,
                "--rounds" => options.rounds = value,
                "--min-time" => options.min_time = value,
                "--lines" => options.lines = Some(value.into()),
                "--output" => options.output = value.into(),
                _ => bail!("{USAGE}"),
            }
        }
        if options.date.is_empty() || options.driver.as_os_str().is_empty() {
            bail!("{USAGE}");
        }
        Ok(options)
    }

    /// The Python of the peers: where the driver looks for it too.
    fn python(&self) -> PathBuf {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let beside = home.join(".cache").join("locket-peers").join("venv");
        let folder = std::env::var_os("PEERS_VENV").map_or(beside, PathBuf::from);
        folder.join("bin").join("python")
    }
}

/// Copies a model with every free dimension bound to 1: peers' runners want shapes that are known.
fn one_sample(python: &Path, from: &Path, to: &Path) -> Result<()> {
    const SCRIPT: &str = "import sys, onnx\n\
        m = onnx.load(sys.argv[1])\n\
        for v in list(m.graph.input) + list(m.graph.output):\n\
        \x20for d in v.type.tensor_type.shape.dim:\n\
        \x20\x20if not d.HasField('dim_value'): d.dim_value = 1\n\
        onnx.save(m, sys.argv[2])\n";
    let status = Command::new(python)
        .args(["-c", SCRIPT])
        .args([from, to])
        .status()
        .with_context(|| format!("starting {}", python.display()))?;
    if !status.success() {
        bail!("{}: binding its free dimensions failed", from.display());
    }
    Ok(())
}

/// Measures, and writes the page.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let options = Options::parse(root, arguments)?;
    let work = root.join("target").join("performance");
    fs::create_dir_all(&work)?;
    let locket = match &options.locket {
        Some(program) => program.clone(),
        None => ground::program(root)?,
    };
    let lines = match &options.lines {
        Some(lines) => lines.clone(),
        None => measure(&options, &work, &locket)?,
    };
    let text = fs::read_to_string(&lines).with_context(|| format!("reading {}", lines.display()))?;
    let page = page::page(&lines::parse(&text)?, &options.date, arguments);
    ground::write_page(&options.output, &page)
}

/// Runs the driver; gives the file with its lines.
fn measure(options: &Options, work: &Path, locket: &Path) -> Result<PathBuf> {
    let models = work.join("models");
    if models.exists() {
        fs::remove_dir_all(&models)?;
    }
    fs::create_dir_all(&models)?;
    let mut names = Vec::new();
    if let Some(cache) = &options.cache {
        names.extend(gather(cache, &models)?);
    }
    for name in OF_KIT {
        let folder = options.kit.join("models");
        if folder.join(format!("{name}.onnx")).is_file() {
            let python = options.python();
            for (in_kit, in_driver) in [("", ""), ("_ortq", ".int8")] {
                let from = folder.join(format!("{name}{in_kit}.onnx"));
                one_sample(&python, &from, &models.join(format!("{name}{in_driver}.onnx")))?;
            }
            names.push(name.to_owned());
        }
    }
    let config = work.join("peers.json");
    let text = fs::read_to_string(options.driver.join("peers.json")).context("the driver's peers.json")?;
    let mut peers: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)?;
    let entry = serde_json::json!({
        "cmd": format!("{} bench", locket.display()),
        "fp32": "{m}.onnx",
        "int8": "{m}.int8.onnx",
    });
    peers.insert("locket".to_owned(), entry);
    fs::write(&config, serde_json::to_string(&peers)?)?;
    let lines = work.join("lines.jsonl");
    if lines.exists() {
        fs::remove_file(&lines)?;
    }
    let models_wanted = options.models.clone().unwrap_or_else(|| names.join(","));
    let driver = options.driver.join("drive.py");
    let mut command = Command::new("bash");
    command
        .arg(options.driver.join("quiet.sh"))
        .arg("python3")
        .arg(driver);
    for (name, value) in [
        ("--models", &models_wanted),
        ("--peers", &format!("locket,{}", options.peers)),
        ("--prec", &options.precisions),
        ("--threads", &options.threads),
        ("--rounds", &options.rounds),
        ("--min-time", &options.min_time),
    ] {
        command.args([name, value]);
    }
    command.arg("--config").arg(&config).arg("--cache").arg(&models);
    let status = command
        .arg("--out")
        .arg(&lines)
        .status()
        .context("starting the driver")?;
    if !status.success() {
        bail!("the driver failed: {status}");
    }
    bf16::measure(options, &models, locket, &lines)?;
    Ok(lines)
}

/// Links everything in the driver's cache; gives the names of its models.
fn gather(cache: &Path, models: &Path) -> Result<Vec<String>> {
    for entry in fs::read_dir(cache).with_context(|| format!("reading {}", cache.display()))? {
        let entry = entry?;
        symlink(entry.path(), models.join(entry.file_name()))?;
    }
    let info = fs::read_to_string(cache.join("info.json")).context("the cache's info.json")?;
    let info: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&info)?;
    Ok(info.keys().cloned().collect())
}
