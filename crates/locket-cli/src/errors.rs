//! How a failure is told: one line on standard error.

use std::io::{self, Write};

use clap::error::ErrorKind;

/// Writes `error: …`. A closed standard error is nothing that could be reported.
pub(crate) fn report(message: &str) {
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// Joins lines, and runs of blanks, with one space each.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error with its causes in one line. Causes that a message before them has spelled out, and places that the next
/// message names itself, are said once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = one_line(&cause.to_string());
        if parts.last().is_some_and(|last| text.starts_with(last.as_str())) {
            parts.pop();
        }
        if !parts.last().is_some_and(|last| last.ends_with(text.as_str())) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// True if the reader of our output has gone away, which is its right.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Tells a wrong command line in one line, or prints the help that was asked for. Gives the exit code.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            1
        }
        _ => {
            report(&usage_line(&error.to_string()));
            1
        }
    }
}

/// What clap says in several paragraphs, without the parts that `--help` says better.
fn usage_line(rendered: &str) -> String {
    let kept: Vec<&str> = rendered
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let text = one_line(&kept.join(" "));
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    format!("{}; see locket --help", text.replace(" tip: ", "; "))
}

#[cfg(test)]
mod tests {
    use super::{chain, usage_line};

    #[test]
    fn nothing_is_said_twice() {
        let io = std::io::Error::other("disk is full");
        let both = anyhow::Error::new(io).context("a.onnx: disk is full");
        assert_eq!(chain(&both), "a.onnx: disk is full");
        let placed = anyhow::anyhow!("a.onnx: it is empty").context("a.onnx");
        assert_eq!(chain(&placed), "a.onnx: it is empty");
        let plain = anyhow::anyhow!("it is\n  broken").context("a.onnx");
        assert_eq!(chain(&plain), "a.onnx: it is broken");
    }

    #[test]
    fn a_usage_error_is_one_line() {
        let rendered = "error: the following required arguments were not provided:\n  <MODEL>\n\nUsage: locket inspect \
                        <MODEL>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            usage_line(rendered),
            "the following required arguments were not provided: <MODEL>; see locket --help"
        );
    }
}
