//! Locket's float32 programs in bf16 beside themselves in float32: both in turn, on one thread.

use std::{
    collections::BTreeSet, fmt::Write as _, fs::OpenOptions, io::Write as _, path::Path, process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    Options,
    lines::Line,
    page::{median, micros, ratio},
};

/// The names under which the lines stand: the arithmetic, and float32 in the same rounds.
const NARROW: &str = "bf16";
const PLAIN: &str = "fp32 beside bf16";

/// Whether a line is of this comparison.
pub(super) fn is_own(line: &Line) -> bool {
    line.precision == NARROW || line.precision == PLAIN
}

/// Measures the models that were asked for, and adds lines like those of the driver.
pub(super) fn measure(options: &Options, models: &Path, locket: &Path, lines: &Path) -> Result<()> {
    let Some(names) = &options.bf16 else {
        return Ok(());
    };
    let rounds: u64 = options.rounds.parse().context("--rounds: expected a number")?;
    let mut output = OpenOptions::new()
        .append(true)
        .open(lines)
        .with_context(|| lines.display().to_string())?;
    for name in names.split(',') {
        let model = models.join(format!("{name}.onnx"));
        for round in 0..rounds {
            let mut order = [(PLAIN, "float32"), (NARROW, "bf16")];
            if round % 2 == 1 {
                order.reverse();
            }
            for (precision, option) in order {
                let mut line = bench(locket, &model, option, &options.min_time)?;
                let extra = serde_json::json!({
                    "peer": "locket", "name": name, "prec": precision, "threads": 1, "round": round,
                });
                for (key, value) in extra.as_object().into_iter().flatten() {
                    line.insert(key.clone(), value.clone());
                }
                writeln!(output, "{}", serde_json::to_string(&line)?)?;
            }
        }
    }
    Ok(())
}

fn bench(
    locket: &Path,
    model: &Path,
    precision: &str,
    min_time: &str,
) -> Result<serde_json::Map<String, serde_json::Value>> {
    let run = Command::new(locket)
        .arg("bench")
        .arg(model)
        .args(["--threads", "1", "--iters", "20", "--min-time", min_time])
        .args(["--precision", precision, "--json"])
        .output()
        .with_context(|| format!("starting {}", locket.display()))?;
    if !run.status.success() {
        bail!(
            "{}: {}",
            model.display(),
            String::from_utf8_lossy(&run.stderr).trim()
        );
    }
    Ok(serde_json::from_slice(&run.stdout)?)
}

/// The table; nothing if it was not asked for.
pub(super) fn section(lines: &[Line]) -> String {
    let of = |model: &str, precision: &str| -> Vec<&Line> {
        lines
            .iter()
            .filter(|line| line.model == model && line.precision == precision)
            .collect()
    };
    let models: BTreeSet<&str> = lines
        .iter()
        .filter(|line| is_own(line))
        .map(|line| &*line.model)
        .collect();
    if models.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## bf16 against float32, Locket alone, 1 thread\n\n\
         The option `--precision bf16`. Error: outputs against those in float32 on the same made-up inputs; weights are random.\n\n\
         | model | float32 µs | bf16 µs | ratio | signal to noise dB | greatest difference ÷ greatest output |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    for model in models {
        let (plain, narrow) = (of(model, PLAIN), of(model, NARROW));
        let deviation = |key: fn(&Line) -> Option<f64>| {
            let values: Vec<f64> = narrow.iter().filter_map(|line| key(line)).collect();
            values.first().copied().unwrap_or(f64::NAN)
        };
        let _ = writeln!(
            text,
            "| {model} | {} | {} | {:.2} | {:.1} | {:.4} |",
            micros(median(&plain, |line| line.p50_us)),
            micros(median(&narrow, |line| line.p50_us)),
            ratio(&narrow, &plain),
            deviation(|line| line.signal_to_noise_db),
            deviation(|line| line.greatest_relative),
        );
    }
    text
}
