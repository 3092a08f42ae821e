//! Writes a report to look at its form: from invented figures, marked as sample data, or from a file of evidence.
//!
//! `cargo run -p locket-report --example sample -- OUT.html [met|unproven|infeasible|EVIDENCE.json]`. An output that
//! ends in `.md` or `.json` gets that form.

#![expect(
    clippy::print_stderr,
    reason = "a program of its own, which tells its user what is wrong"
)]

#[path = "../tests/it/sample.rs"]
mod sample;

use std::process::ExitCode;

use locket_report::Evidence;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(output) = arguments.first() else {
        eprintln!("usage: sample OUT.html|OUT.md|OUT.json [met|unproven|infeasible|EVIDENCE.json]");
        return ExitCode::FAILURE;
    };
    match write(output, arguments.get(1).map_or("met", String::as_str)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn write(output: &str, input: &str) -> Result<(), String> {
    let evidence = match sample::evidence(input) {
        Some(evidence) => evidence,
        None => {
            let text = std::fs::read_to_string(input).map_err(|error| format!("{input}: {error}"))?;
            Evidence::from_json(&text).map_err(|error| format!("{input}: {error}"))?
        }
    };
    let document = match output.rsplit_once('.') {
        Some((_, "md")) => locket_report::markdown(&evidence),
        Some((_, "json")) => evidence.to_json(),
        _ => locket_report::html(&evidence),
    };
    std::fs::write(output, document).map_err(|error| format!("{output}: {error}"))
}
