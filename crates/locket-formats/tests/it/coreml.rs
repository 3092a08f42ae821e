//! Core ML packages, from files and back.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stderr, reason = "a skipped test must be seen")]

mod compressed;
mod converted;
mod hostile;
mod interface;
mod packages;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Lets the independent checker, on top of coremltools, judge a package. Skips, and says so, where the interpreter
/// that has coremltools (`LOCKET_CT_PYTHON`) or the checker is missing.
fn check(package: &Path) {
    let Some(python) = std::env::var_os("LOCKET_CT_PYTHON") else {
        eprintln!("skipped: LOCKET_CT_PYTHON names no interpreter with coremltools");
        return;
    };
    let Some(kit) = locket_testkit::kit() else { return };
    let checker = kit.join("../tools/check_mlpackage.py");
    let output = Command::new(python)
        .arg(checker)
        .arg(package)
        .arg("--materialize")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let verdict: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(
        output.status.success(),
        "{}: {verdict:?}\n{said}",
        package.display()
    );
}

/// All files of a package by path, with their bytes.
fn contents(package: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![package.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(package).unwrap().to_owned();
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
