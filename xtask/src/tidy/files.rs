//! Checks of single files.

use super::Findings;

/// Longest source file, in lines.
const MAX_LINES: usize = 800;
/// From this length on a file should be divided.
const WARN_LINES: usize = 600;

/// Where `unsafe` may stand: beginnings of paths.
const UNSAFE_PLACES: [&str; 5] = [
    "crates/locket-kernels/",
    "crates/locket-pool/",
    "crates/locket-sandbox/",
    "crates/locket-tensor/src/mmap.rs",
    // An allocator that counts can only be made with unsafe code.
    "crates/locket-runtime/tests/no_allocation.rs",
];

/// Checks one file; `name` is its path in the repository, with `/`.
pub(super) fn check(name: &str, text: &str, findings: &mut Findings) {
    machine_paths(name, text, findings);
    if !name.ends_with(".rs") {
        return;
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.error(format!("{name}: {lines} lines, at most {MAX_LINES}"));
    } else if lines > WARN_LINES {
        findings.warning(format!("{name}: {lines} lines, should be less than {WARN_LINES}"));
    }
    if !UNSAFE_PLACES.iter().any(|place| name.starts_with(place)) {
        for (number, line) in text.lines().enumerate() {
            if uses_unsafe(line) {
                findings.error(format!("{name}:{}: unsafe code is not allowed here", number + 1));
            }
        }
    }
    // Unit tests in a file of their own belong to the module beside them.
    if name.contains("/src/") && !name.ends_with("/tests.rs") && !has_module_docs(text) {
        findings.error(format!("{name}: expected module documentation (//!) at the top"));
    }
}

/// True if the line has the keyword, outside comments, text and names of lints.
fn uses_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default().replace("'\"'", "");
    let mut outside = String::new();
    let mut in_text = false;
    let mut characters = code.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => in_text = !in_text,
            '\\' if in_text => {
                characters.next();
            }
            _ if !in_text => outside.push(character),
            _ => {}
        }
    }
    outside
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|word| word == "unsafe")
}

/// True if the first thing in the file, attributes aside, is documentation of the module.
fn has_module_docs(text: &str) -> bool {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("#!["));
    first.is_some_and(|line| line.starts_with("//!"))
}

/// Finds absolute paths below folders that only one machine has.
fn machine_paths(name: &str, text: &str, findings: &mut Findings) {
    // Put together here, so that this file does not find itself.
    let roots = ["home", "root", "work", "Users"].map(|folder| format!("/{folder}/"));
    for (number, line) in text.lines().enumerate() {
        for root in &roots {
            let is_path = line.match_indices(root.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| matches!(c, '"' | '\'' | '`' | ' ' | '(' | '=' | ':'))
            });
            if is_path {
                findings.error(format!(
                    "{name}:{}: a path of somebody's machine ({root})",
                    number + 1
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, check, uses_unsafe};

    fn errors(name: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(name, text, &mut findings);
        findings.errors
    }

    #[test]
    fn the_keyword_is_told_from_the_word() {
        for (line, expected) in [
            ("unsafe { x }", true),
            ("pub unsafe fn f() {}", true),
            ("// unsafe here", false),
            ("#![forbid(unsafe_code)]", false),
            ("let x = \"unsafe\";", false),
            ("let x = \"a \\\" unsafe\";", false),
            ("if c == '\"' { unsafe { f() } }", true),
            ("let y = \"a\"; unsafe { g(\"b\") }", true),
        ] {
            assert_eq!(uses_unsafe(line), expected, "{line}");
        }
    }

    #[test]
    fn files_are_held_to_the_rules() {
        let long = "//! docs\n".repeat(801);
        let path = format!("//! docs\nlet x = \"/{}/me/x\";\n", "home");
        for (name, text, count) in [
            ("crates/a/src/x.rs", "//! docs\n", 0),
            ("crates/a/src/x.rs", "#![forbid(unsafe_code)]\n\n//! docs\n", 0),
            ("crates/a/src/x.rs", "use a::b;\n", 1),
            ("crates/a/tests/x.rs", "use a::b;\n", 0),
            ("crates/a/src/x/tests.rs", "use a::b;\n", 0),
            ("crates/a/src/x.rs", "//! docs\nunsafe {}\n", 1),
            ("crates/locket-kernels/src/x.rs", "//! docs\nunsafe {}\n", 0),
            ("crates/a/src/x.rs", long.as_str(), 1),
            ("README.md", path.as_str(), 1),
            ("README.md", "see docs/home/index.html", 0),
        ] {
            assert_eq!(
                errors(name, text).len(),
                count,
                "{name}: {:?}",
                errors(name, text)
            );
        }
    }
}
