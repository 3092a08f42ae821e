//! The report as a one-page Markdown brief.
//!
//! Names come from files, so everything that Markdown would take for markup is escaped.

use std::fmt::Write as _;

use crate::evidence::{Decision, Evidence, Figure, Gauge, GaugeState, Interval, Kind, Limit, Step, WayDown};
use crate::{prose, units};

/// Tensors and operators named in the brief.
const NAMED: usize = 3;

/// The brief, in GitHub's dialect (tables).
pub fn markdown(evidence: &Evidence) -> String {
    let mut brief = Brief::default();
    brief.opening(evidence);
    brief.gauges(evidence);
    brief.steps(evidence);
    brief.findings(evidence);
    brief.ways_down(
        prose::ways_down_title(evidence.verdict.as_ref()),
        &evidence.ways_down,
    );
    brief.matrix(evidence);
    brief.list("Not measured", &evidence.not_measured);
    brief.list("Notes", &evidence.notes);
    brief.provenance(evidence);
    brief.text
}

/// The text so far.
#[derive(Default)]
struct Brief {
    text: String,
}

impl Brief {
    /// A paragraph of text that is already escaped.
    fn paragraph(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push_str("\n\n");
    }

    fn heading(&mut self, text: &str) {
        self.paragraph(&format!("## {text}"));
    }

    /// A table; a title that starts with `>` is a column of numbers. Cells are escaped already.
    fn table(&mut self, titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let names: Vec<&str> = titles.iter().map(|title| title.trim_start_matches('>')).collect();
        let rules: Vec<&str> = titles
            .iter()
            .map(|title| if title.starts_with('>') { "---:" } else { "---" })
            .collect();
        self.line(&names);
        self.line(&rules);
        for row in rows {
            self.line(&row);
        }
        self.text.push('\n');
    }

    fn line(&mut self, cells: &[impl AsRef<str>]) {
        for cell in cells {
            write!(self.text, "| {} ", cell.as_ref()).expect("a string takes every write");
        }
        self.text.push_str("|\n");
    }

    fn list(&mut self, heading: &str, sentences: &[String]) {
        if sentences.is_empty() {
            return;
        }
        self.heading(heading);
        for sentence in sentences {
            writeln!(self.text, "- {}", escape(sentence)).expect("a string takes every write");
        }
        self.text.push('\n');
    }

    fn opening(&mut self, evidence: &Evidence) {
        self.paragraph(&format!("# {}: Locket report", escape(&evidence.title)));
        if evidence.sample_data {
            self.paragraph("**Sample data: every figure is invented.**");
        }
        let verdict = evidence.verdict.as_ref();
        let sentence = prose::verdict_sentence(verdict, &evidence.gauges);
        self.paragraph(&format!(
            "**{}** {}",
            prose::verdict_title(verdict),
            escape(&sentence)
        ));
        if let Some(contradiction) = evidence.contradiction() {
            self.paragraph(&format!("**This report contradicts itself:** {contradiction}."));
        }
        if let Some(headline) = prose::headline(evidence) {
            self.paragraph(&escape(&headline));
        }
        for shortfall in verdict.map(crate::Verdict::shortfalls).unwrap_or_default() {
            self.paragraph(&format!(
                "{}: {}",
                prose::capitalise(shortfall.limit.word()),
                escape(&shortfall.fix)
            ));
        }
        let device = evidence
            .budgets
            .device
            .as_ref()
            .map(|device| format!(" for {}", device.name))
            .unwrap_or_default();
        if let Some(budgets) = prose::budgets_line(&evidence.budgets) {
            self.paragraph(&format!("Asked{}: {}.", escape(&device), escape(&budgets)));
        }
    }

    fn gauges(&mut self, evidence: &Evidence) {
        let rows: Vec<Vec<String>> = evidence
            .gauges
            .iter()
            .map(|(limit, gauge)| gauge_row(limit, gauge))
            .collect();
        if !rows.is_empty() {
            self.table(&["Limit", ">allowed", ">reached", ">margin", "", "what"], rows);
        }
    }

    fn steps(&mut self, evidence: &Evidence) {
        if evidence.steps.is_empty() {
            return;
        }
        self.heading("Steps");
        let titles = [
            "Step",
            ">package",
            ">peak memory",
            ">median",
            ">p99",
            ">top-1",
            ">drop (95 %)",
            "decision",
        ];
        self.table(
            &titles,
            evidence
                .steps
                .iter()
                .map(|step| step_row(step, evidence.packaged_step())),
        );
        self.paragraph(
            "Figures are measured, peak memory is exact from the plan, unless a figure says otherwise. Drops are in percentage \
             points of top-1, paired with the source.",
        );
    }

    fn findings(&mut self, evidence: &Evidence) {
        let mut lines = Vec::new();
        if let Some(run) = evidence.latency.last() {
            let quantiles = [
                ("p50", run.p50_ms),
                ("p90", run.p90_ms),
                ("p99", run.p99_ms),
                ("p99.9", run.p999_ms),
                ("max", run.max_ms),
            ]
            .map(|(name, value)| format!("{name} {}", units::milliseconds(value)))
            .join(", ");
            let kind = kind_remark(run.kind);
            let overruns = prose::overrun_sentence(run, evidence.budgets.latency_ms);
            lines.push(("Latency", format!("{quantiles}{kind}. {overruns}")));
        }
        if let Some(certificate) = &evidence.certificate {
            lines.push(("Accuracy", prose::certificate_sentence(certificate)));
        }
        if let Some(memory) = &evidence.memory {
            let mut text = prose::memory_sentence(memory, evidence.budgets.memory_bytes);
            let tensors = memory.at_peak.iter().take(NAMED);
            let names: Vec<String> = tensors
                .map(|tensor| format!("{} {}", tensor.name, units::bytes(tensor.size_bytes)))
                .collect();
            if !names.is_empty() {
                write!(text, " Largest tensors then alive: {}.", names.join(", "))
                    .expect("a string takes every write");
            }
            lines.push(("Memory", text));
        }
        if let Some(profile) = evidence
            .profile
            .as_ref()
            .filter(|profile| !profile.operators.is_empty())
        {
            let mut order: Vec<_> = profile.operators.iter().collect();
            order.sort_by_key(|operator| std::cmp::Reverse(operator.wall_ns));
            let slowest = order.iter().take(NAMED);
            let names: Vec<String> = slowest
                .map(|one| format!("{} {}", one.name, units::share(profile.share(one))))
                .collect();
            lines.push((
                "Time",
                format!(
                    "{} Slowest: {}.",
                    prose::profile_sentence(profile),
                    names.join(", ")
                ),
            ));
        }
        if !evidence.diagnostics.is_empty() {
            lines.push(("Diagnostics", diagnostic_codes(evidence)));
        }
        if lines.is_empty() {
            return;
        }
        self.heading("Findings");
        for (lead, text) in lines {
            writeln!(self.text, "- **{lead}.** {}", escape(&text)).expect("a string takes every write");
        }
        self.text.push('\n');
    }

    fn matrix(&mut self, evidence: &Evidence) {
        let Some(matrix) = evidence.matrix.as_ref().filter(|matrix| !matrix.rows.is_empty()) else {
            return;
        };
        self.heading("Privacy trade-off matrix");
        let not_measured = || "not measured".to_owned();
        let rows = matrix.rows.iter().map(|row| {
            let leakage = row.leakage.as_ref();
            vec![
                format!(
                    "{}{}",
                    escape(&row.name),
                    if row.on_front { " (front)" } else { "" }
                ),
                format!("{} ({})", row.accuracy, units::percent(row.drop.value)),
                format!(
                    "{} ({} x {:.2})",
                    row.resources,
                    escape(&row.bottleneck),
                    row.load
                ),
                prose::figure(row.energy_uj, units::microjoules),
                leakage.map_or_else(not_measured, |leakage| {
                    format!("{} (leakage level {})", row.privacy.unwrap_or(0), leakage.level)
                }),
                row.product
                    .map_or_else(|| units::NONE.to_owned(), |product| product.to_string()),
            ]
        });
        self.table(
            &[
                "Variant",
                "accuracy (drop)",
                "resources (load)",
                "energy",
                "privacy",
                ">product",
            ],
            rows,
        );
        if let Some(stability) = &matrix.stability {
            self.paragraph(&prose::stability_sentence(stability));
        }
    }

    fn ways_down(&mut self, title: &str, ways: &[WayDown]) {
        if ways.is_empty() {
            return;
        }
        self.heading(title);
        let dash = || units::NONE.to_owned();
        let rows = ways.iter().map(|way| {
            vec![
                format!("{} ({})", escape(&way.action), way.kind.word()),
                way.memory_change_bytes.map_or_else(dash, units::bytes_change),
                way.latency_change_ms
                    .map_or_else(dash, units::milliseconds_change),
                way.drop_change.map_or_else(dash, units::percent_change),
                escape(&way.remark),
            ]
        });
        self.table(&["Change", ">peak memory", ">latency", ">drop", "remark"], rows);
    }

    fn provenance(&mut self, evidence: &Evidence) {
        let provenance = &evidence.provenance;
        let (source, machine) = (&provenance.source, &provenance.machine);
        self.heading("Provenance");
        let commit = provenance
            .commit
            .as_ref()
            .map(|commit| format!(" ({commit})"))
            .unwrap_or_default();
        let data: Vec<String> = provenance
            .data_sets
            .iter()
            .map(|data| {
                format!(
                    "{} {}: {} samples",
                    data.role,
                    data.name,
                    units::count(data.samples)
                )
            })
            .collect();
        let lines = [
            format!(
                "Source: {}, {}, {}, {} parameters, {} multiply-adds, {}",
                source.path,
                source.format,
                units::bytes(source.file_bytes),
                units::count(source.parameters),
                units::short_count(source.macs),
                source.hash
            ),
            format!(
                "Machine: {}, {} cores, {}, {}; {} threads",
                machine.cpu, machine.cores, machine.instruction_set, machine.kernel, provenance.threads
            ),
            format!(
                "Tool: Locket {}{commit}, {}, seed {}",
                provenance.tool_version, provenance.date, provenance.seed
            ),
            format!(
                "Data: {}",
                if data.is_empty() {
                    "none".to_owned()
                } else {
                    data.join("; ")
                }
            ),
            format!("Command: {}", provenance.command_line),
        ];
        for line in lines {
            writeln!(self.text, "- {}", escape(&line)).expect("a string takes every write");
        }
    }
}

fn gauge_row(limit: Limit, gauge: &Gauge) -> Vec<String> {
    let state = match gauge.state() {
        GaugeState::Free => "no limit",
        GaugeState::Met => "met",
        GaugeState::Unproven => "not proven",
        GaugeState::Exceeded => "exceeded",
    };
    let what = if gauge.bound.is_some() {
        &gauge.bound_name
    } else {
        &gauge.value_name
    };
    vec![
        prose::capitalise(limit.word()),
        gauge
            .limit
            .map_or(units::NONE.to_owned(), |most| prose::limit_text(limit, most)),
        format!(
            "{} ({})",
            prose::in_unit(limit, gauge.judged()),
            gauge.kind.word()
        ),
        gauge
            .margin()
            .map_or(units::NONE.to_owned(), |margin| prose::in_unit(limit, margin)),
        state.to_owned(),
        escape(what),
    ]
}

fn step_row(step: &Step, packaged: Option<&Step>) -> Vec<String> {
    let bytes = |figure: Option<Figure<u64>>| maybe(figure, units::bytes);
    let time = |figure: Option<Figure<f64>>| maybe(figure, units::milliseconds);
    let decision = match &step.decision {
        Decision::Source => String::new(),
        Decision::Accepted if packaged.is_some_and(|packaged| std::ptr::eq(packaged, step)) => {
            "packaged".to_owned()
        }
        Decision::Accepted => "accepted".to_owned(),
        Decision::Refused { reason } => format!("refused: {}", escape(reason)),
    };
    vec![
        escape(&step.name),
        bytes(step.package_bytes),
        bytes(step.peak_memory_bytes),
        time(step.latency_p50_ms),
        time(step.latency_p99_ms),
        maybe(step.top1, units::percent),
        step.drop.map_or(units::NONE.to_owned(), interval),
        decision,
    ]
}

fn maybe<T>(value: Option<Figure<T>>, text: impl Fn(T) -> String) -> String {
    value.map_or(units::NONE.to_owned(), |value| prose::figure(value, text))
}

fn interval(drop: Interval) -> String {
    let [estimate, lower, upper] = [drop.estimate, drop.lower, drop.upper].map(units::percent);
    format!("{estimate} ({lower} to {upper}){}", kind_remark(drop.kind))
}

/// What a figure says about itself unless it was measured.
fn kind_remark(kind: Kind) -> String {
    if kind == Kind::Measured {
        String::new()
    } else {
        format!(" ({})", kind.word())
    }
}

/// Each code once with how often it stands, in order of severity.
fn diagnostic_codes(evidence: &Evidence) -> String {
    let mut counts: Vec<((crate::Severity, &str), usize)> = Vec::new();
    for diagnostic in &evidence.diagnostics {
        let key = (diagnostic.severity, diagnostic.code.as_str());
        match counts.iter_mut().find(|(other, _)| *other == key) {
            Some((_, count)) => *count += 1,
            None => counts.push((key, 1)),
        }
    }
    counts.sort();
    let texts: Vec<String> = counts
        .iter()
        .map(|((severity, code), count)| format!("{} {code} × {count}", severity.word()))
        .collect();
    format!("{}.", texts.join(", "))
}

/// `text` on one line with every character escaped that Markdown or HTML could take for markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in crate::table::printable(text).chars() {
        if matches!(
            character,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' | '~' | '!'
        ) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
