//! Writes a report from invented figures, marked as sample data, to look at its form:
//! `cargo run -p locket-report --example sample -- OUT.html [met|unproven|infeasible]`. A path that ends in `.md` or
//! `.json` gets that form.

#![expect(
    clippy::print_stderr,
    reason = "a program of its own, which tells its user what is wrong"
)]

#[path = "../tests/it/sample.rs"]
mod sample;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = arguments.get(1).map_or("met", String::as_str);
    let (Some(path), Some(evidence)) = (arguments.first(), sample::evidence(outcome)) else {
        eprintln!("usage: sample OUT.html|OUT.md|OUT.json [met|unproven|infeasible]");
        return ExitCode::FAILURE;
    };
    let document = match path.rsplit_once('.') {
        Some((_, "md")) => locket_report::markdown(&evidence),
        Some((_, "json")) => evidence.to_json(),
        _ => locket_report::html(&evidence),
    };
    match std::fs::write(path, document) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
