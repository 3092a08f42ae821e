//! The layers of the design: a crate uses only crates of a strictly lower layer. Dependencies from outside need a reason.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Findings;

/// Layers, lowest first. Crates that only tests or chores use stand outside.
const LAYERS: [(&str, u8); 16] = [
    ("locket-tensor", 0),
    ("locket-kernels", 1),
    ("locket-sandbox", 0),
    ("locket-report", 0),
    ("locket-pool", 0),
    ("locket-scenes", 0),
    ("locket-mil", 1),
    ("locket-data", 1),
    ("locket-ops", 2),
    ("locket-formats", 3),
    ("locket-passes", 3),
    ("locket-runtime", 4),
    ("locket-compress", 5),
    ("locket-privacy", 5),
    ("locket", 6),
    ("locket-cli", 7),
];

/// Crates that may use any other, and that none may use except in tests.
const OUTSIDE: [&str; 2] = ["xtask", "locket-testkit"];

fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, layer)| *layer)
}

/// One dependency of one package.
struct Edge<'a> {
    package: &'a str,
    name: &'a str,
    /// True for dependencies inside the repository.
    ours: bool,
    /// True if only tests use it.
    dev: bool,
}

fn edges(metadata: &Value) -> Result<Vec<Edge<'_>>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata: no packages")?;
    let mut edges = Vec::new();
    for package in packages {
        let from = package["name"]
            .as_str()
            .context("cargo metadata: a package without a name")?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            edges.push(Edge {
                package: from,
                name: dependency["name"]
                    .as_str()
                    .context("cargo metadata: a dependency without a name")?,
                ours: !dependency["path"].is_null(),
                dev: dependency["kind"].as_str() == Some("dev"),
            });
        }
    }
    Ok(edges)
}

/// Checks the direction of every dependency inside the repository.
pub(super) fn check(metadata: &Value, findings: &mut Findings) -> Result<()> {
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if layer(name).is_none() && !OUTSIDE.contains(&name) {
            findings.error(format!(
                "{name}: has no layer; give it one in xtask/src/tidy/layers.rs"
            ));
        }
    }
    // What only tests use may lie higher: a test of a pass reads files and runs plans.
    for edge in edges(metadata)?.into_iter().filter(|edge| edge.ours && !edge.dev) {
        if edge.package == "xtask" {
            continue;
        }
        let (from, to) = (layer(edge.package), layer(edge.name));
        match (from, to) {
            (Some(from), Some(to)) if to < from => {}
            (None, _) if OUTSIDE.contains(&edge.package) => {}
            (_, None) => findings.error(format!(
                "{}: uses {}, which is for tests only",
                edge.package, edge.name
            )),
            (from, Some(to)) => findings.error(format!(
                "{} (layer {}): uses {} (layer {to}), expected a strictly lower layer",
                edge.package,
                from.map_or("none".to_owned(), |layer| layer.to_string()),
                edge.name
            )),
        }
    }
    Ok(())
}

/// Checks that every dependency from outside is named in DEPENDENCIES.md.
pub(super) fn check_reasons(metadata: &Value, text: &str, findings: &mut Findings) -> Result<()> {
    let outside: BTreeSet<&str> = edges(metadata)?
        .into_iter()
        .filter(|edge| !edge.ours)
        .map(|edge| edge.name)
        .collect();
    for name in outside {
        if !text.contains(&format!("`{name}`")) {
            findings.error(format!("DEPENDENCIES.md: expected a line for `{name}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Findings, check, check_reasons};

    fn found(package: &str, dependency: &str, kind: Option<&str>) -> Vec<String> {
        let metadata = json!({"packages": [{
            "name": package,
            "dependencies": [{"name": dependency, "path": "x", "kind": kind}],
        }]});
        let mut findings = Findings::default();
        check(&metadata, &mut findings).unwrap();
        findings.errors
    }

    #[test]
    fn only_lower_layers_may_be_used() {
        assert!(found("locket-ops", "locket-mil", None).is_empty());
        assert!(found("xtask", "locket-cli", None).is_empty());
        for (package, dependency) in [
            ("locket-mil", "locket-ops"),
            ("locket-passes", "locket-formats"),
            ("locket-ops", "locket-testkit"),
            ("locket-unheard-of", "locket-mil"),
        ] {
            assert!(
                !found(package, dependency, None).is_empty(),
                "{package} uses {dependency}"
            );
        }
        assert!(found("locket-passes", "locket-formats", Some("dev")).is_empty());
    }

    #[test]
    fn a_dependency_needs_a_line() {
        let metadata = json!({"packages": [{"name": "locket", "dependencies": [{"name": "serde", "path": null, "kind": null}]}]});
        for (text, errors) in [("| `serde` | …", 0), ("| `serde_json` |", 1), ("", 1)] {
            let mut findings = Findings::default();
            check_reasons(&metadata, text, &mut findings).unwrap();
            assert_eq!(findings.errors.len(), errors, "{text}");
        }
    }
}
