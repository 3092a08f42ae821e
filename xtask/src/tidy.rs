//! What the compiler does not check: layers, length of files, places of `unsafe`, module docs, dependencies with a reason,
//! paths of somebody's machine.
//!
//! Only files that git knows, or would take, are looked at.

mod files;
mod layers;

use std::{
    io::{self, Write},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Must be mended.
    pub(crate) errors: Vec<String>,
    /// Should be.
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    pub(crate) fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    pub(crate) fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }
}

/// Runs every check and prints what was found.
///
/// # Errors
///
/// If something must be mended, or cargo or git cannot be asked.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut findings = Findings::default();
    let metadata = metadata(root)?;
    layers::check(&metadata, &mut findings)?;
    let dependencies = std::fs::read_to_string(root.join("DEPENDENCIES.md")).unwrap_or_default();
    layers::check_reasons(&metadata, &dependencies, &mut findings)?;
    let listed = output(
        root,
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    )?;
    let mut count = 0;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        // Pictures, models and other files that are no text, and files that were just removed, have nothing to check.
        let Ok(text) = std::fs::read_to_string(root.join(name)) else {
            continue;
        };
        count += 1;
        files::check(name, &text, &mut findings);
    }
    let mut err = io::stderr().lock();
    for warning in &findings.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    for error in &findings.errors {
        writeln!(err, "error: {error}")?;
    }
    let (errors, warnings) = (findings.errors.len(), findings.warnings.len());
    if errors > 0 {
        bail!("tidy: {errors} to mend, {warnings} warnings, in {count} files");
    }
    writeln!(io::stdout(), "tidy: {count} files, {warnings} warnings")?;
    Ok(())
}

/// What cargo knows of the workspace.
pub(crate) fn metadata(root: &Path) -> Result<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let text = output(root, &cargo, &["metadata", "--format-version", "1", "--no-deps"])?;
    serde_json::from_str(&text).context("cargo metadata")
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let what = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(what)?;
    if !output.status.success() {
        bail!("{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(what)
}
