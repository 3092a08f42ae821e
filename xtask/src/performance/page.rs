//! The page with the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{bf16, lines::Line};
use crate::ground;

const LOCKET: &str = "locket";
/// One ReLU of 16 floats: the cost of a call, which would flatter a mean over networks.
const NO_NETWORK: &str = "tiny_nop";

/// The page, from the lines of one run of the driver.
pub(super) fn page(lines: &[Line], date: &str, arguments: &[&str]) -> String {
    let mut text = String::from(
        "# Performance\n\n\
         Locket beside other runtimes, one process for each runtime, model, precision and thread count, runtimes in a random \
         order within each round. A time is the median over rounds of the median of a round; a ratio is Locket's time over \
         the peer's in the same round, and then the median over rounds: below 1, Locket is faster. The best peer is the one \
         with the least time. Memory is the peak resident size above the bare process, Python runners included in neither.\n",
    );
    let peers: BTreeSet<(&str, &str)> = lines.iter().map(|line| (&*line.peer, &*line.version)).collect();
    let named: Vec<String> = peers
        .iter()
        .map(|(peer, version)| format!("{peer} {version}"))
        .collect();
    let rounds = lines.iter().map(|line| line.round + 1).max().unwrap_or(0);
    let shown = arguments
        .iter()
        .map(|argument| hidden(argument))
        .collect::<Vec<_>>()
        .join(" ");
    let _ = write!(
        text,
        "\n- Date: {date}\n- Machine: {}\n- Runtimes: {}\n- Rounds: {rounds}\n- Command: `cargo xtask performance {shown}`\n",
        ground::machine(),
        named.join(", "),
    );
    // With more threads an operator that uses one leaves the others idle: only the runs of one thread tell of the machine.
    let busy = lines
        .iter()
        .filter(|line| line.peer == LOCKET && line.threads == 1)
        .map(|line| line.cpu_per_wall)
        .reduce(f64::min);
    if let Some(least) = busy {
        let _ = writeln!(
            text,
            "- Share of a core that Locket had in its worst run on one thread: {:.0} %",
            least.min(1.0) * 100.0
        );
    }
    let kinds: BTreeSet<(&str, u64)> = lines
        .iter()
        .filter(|line| !bf16::is_own(line))
        .map(|line| (&*line.precision, line.threads))
        .collect();
    for (precision, threads) in kinds {
        let of_kind: Vec<&Line> = lines
            .iter()
            .filter(|line| line.precision == precision && line.threads == threads)
            .collect();
        text.push_str(&section(&of_kind, precision, threads));
    }
    text.push_str(&gain(lines));
    text.push_str(&bf16::section(lines));
    text
}

/// Paths of this machine do not belong on the page.
fn hidden(argument: &str) -> String {
    match argument.rsplit_once('/') {
        Some((_, name)) => format!("…/{name}"),
        None => argument.to_owned(),
    }
}

fn section(lines: &[&Line], precision: &str, threads: u64) -> String {
    let models: BTreeSet<&str> = lines.iter().map(|line| &*line.model).collect();
    let mut text = format!(
        "\n## {}, {threads} thread{}\n\n\
         | model | Locket µs | p99 ÷ p50 | median peer's | best peer | its µs | ratio | other ratios | load + first ms | best peer's | memory MiB | least peer's |\n\
         |---|---:|---:|---:|---|---:|---:|---|---:|---:|---:|---:|\n",
        if precision == "fp32" { "float32" } else { precision },
        if threads == 1 { "" } else { "s" },
    );
    let mut ratios = Vec::new();
    for model in models {
        let of_model: Vec<&Line> = lines.iter().copied().filter(|line| line.model == model).collect();
        let of = |peer: &str| -> Vec<&Line> {
            of_model
                .iter()
                .copied()
                .filter(|line| line.peer == peer)
                .collect()
        };
        let ours = of(LOCKET);
        let peers: BTreeMap<&str, Vec<&Line>> = of_model
            .iter()
            .map(|line| &*line.peer)
            .filter(|peer| *peer != LOCKET)
            .map(|peer| (peer, of(peer)))
            .collect();
        let mut order: Vec<(&str, f64)> = peers
            .iter()
            .map(|(peer, lines)| (*peer, median(lines, |line| line.p50_us)))
            .collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (Some(&(best, best_us)), false) = (order.first(), ours.is_empty()) else {
            continue;
        };
        let best_ratio = ratio(&ours, &peers[best]);
        if model != NO_NETWORK {
            ratios.push(best_ratio);
        }
        let others: Vec<String> = order[1..]
            .iter()
            .map(|(peer, _)| format!("{peer} {:.2}", ratio(&ours, &peers[peer])))
            .collect();
        let start = |lines: &[&Line]| median(lines, |line| line.load_ms + line.first_ms);
        let memory = |lines: &[&Line]| median(lines, |line| line.memory_kib) / 1024.0;
        let least = |of: &dyn Fn(&[&Line]) -> f64| {
            let least = peers
                .iter()
                .map(|(peer, lines)| (of(lines), *peer))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            least.map_or(String::new(), |(value, peer)| format!("{value:.1} {peer}"))
        };
        let _ = writeln!(
            text,
            "| {model} | {} | {:.2} | {:.2} | {best} | {} | **{best_ratio:.2}** | {} | {:.1} | {} | {:.1} | {} |",
            micros(median(&ours, |line| line.p50_us)),
            tail(&ours),
            middle(peers.values().map(|lines| tail(lines)).collect()),
            micros(best_us),
            others.join(", "),
            start(&ours),
            least(&start),
            memory(&ours),
            least(&memory),
        );
    }
    if !ratios.is_empty() {
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "\nAgainst the best peer: geometric mean {mean:.2}, worst {worst:.2}, over {} networks.",
            ratios.len()
        );
    }
    text
}

/// How far the slowest predictions are from the median one.
fn tail(lines: &[&Line]) -> f64 {
    median(lines, |line| line.p99_us / line.p50_us)
}

/// What 8 bits gain over float32, both Locket's.
fn gain(lines: &[Line]) -> String {
    let mut text = String::from(
        "\n## 8 bits against float32, Locket alone\n\n| model | threads | float32 µs | int8 µs | ratio |\n|---|---:|---:|---:|---:|\n",
    );
    let of = |model: &str, threads: u64, precision: &str| -> Vec<&Line> {
        let wanted = |line: &&Line| {
            line.peer == LOCKET
                && line.model == model
                && line.threads == threads
                && line.precision == precision
        };
        lines.iter().filter(wanted).collect()
    };
    let models: BTreeSet<(&str, u64)> = lines.iter().map(|line| (&*line.model, line.threads)).collect();
    for (model, threads) in models {
        let (float, int8) = (of(model, threads, "fp32"), of(model, threads, "int8"));
        if float.is_empty() || int8.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "| {model} | {threads} | {} | {} | {:.3} |",
            micros(median(&float, |line| line.p50_us)),
            micros(median(&int8, |line| line.p50_us)),
            ratio(&int8, &float)
        );
    }
    text
}

pub(super) fn micros(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

/// The median over rounds that both have of ours over theirs.
pub(super) fn ratio(ours: &[&Line], theirs: &[&Line]) -> f64 {
    let both = ours.iter().filter_map(|our| {
        let their = theirs.iter().find(|their| their.round == our.round)?;
        Some(our.p50_us / their.p50_us)
    });
    middle(both.collect())
}

pub(super) fn median(lines: &[&Line], of: impl Fn(&Line) -> f64) -> f64 {
    middle(lines.iter().map(|line| of(line)).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::parse;
    use super::page;

    fn line(peer: &str, round: u64, p50: f64) -> String {
        format!(
            r#"{{"peer": "{peer}", "version": "1", "name": "m", "prec": "fp32", "threads": 1, "round": {round}, "p50_us": {p50}, "p99_us": {}, "load_ms": 2, "first_ms": 1, "rss_peak_kb": 3072, "rss_base_kb": 1024, "cpu_per_wall": 1}}"#,
            p50 * 2.0
        )
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was twice as slow in the second round.
        let text = [
            line("locket", 0, 100.0),
            line("ort", 0, 200.0),
            line("locket", 1, 200.0),
            line("ort", 1, 400.0),
            line("locket", 2, 100.0),
            line("ort", 2, 100.0),
            line("slow", 0, 1000.0),
            r#"{"peer": "gone", "error": "no model file"}"#.to_owned(),
        ];
        let page = page(
            &parse(&text.join("\n")).unwrap(),
            "2026-01-02",
            &["--driver", "/a/b"],
        );
        let row = page.lines().find(|line| line.starts_with("| m |")).unwrap();
        assert_eq!(
            row,
            "| m | 100 | 2.00 | 2.00 | ort | 200 | **0.50** | slow 0.10 | 3.0 | 3.0 ort | 2.0 | 2.0 ort |"
        );
        assert!(
            page.contains("geometric mean 0.50, worst 0.50, over 1 networks"),
            "{page}"
        );
        assert!(page.contains("`cargo xtask performance --driver …/b`"), "{page}");
    }
}
