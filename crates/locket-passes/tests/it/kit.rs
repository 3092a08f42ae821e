//! Real models of the test kit: nothing quantised stays float, no transpose that could go stays.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use locket_formats::{ReadOptions, limits::Limits, read};
use locket_mil::Function;
use locket_passes::{PassReport, lower, simplify};

use crate::values::check_types;

/// The path of a model of the kit; `None`, said aloud, where the kit is missing.
fn model(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kit");
    let kit = std::env::var_os("LOCKET_KIT").map_or(beside, PathBuf::from);
    let path = kit.join("models").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: the test kit has no {}", path.display());
    None
}

fn lowered(path: &Path) -> (Function, Vec<PassReport>) {
    let import =
        read(path, &ReadOptions::default(), &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut function = import.program.main().clone();
    let mut reports = simplify(&mut function);
    check_types(&function);
    reports.extend(lower(&mut function));
    check_types(&function);
    (function, reports)
}

fn histogram(function: &Function) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for operation in &function.operations {
        *counts.entry(operation.kind.to_string()).or_default() += 1;
    }
    counts
}

/// Prints what `LOCKET_SHOW` names: for people who work on the passes.
#[test]
#[ignore = "slow: prints the operators of any model named in LOCKET_SHOW, after the passes"]
fn show() {
    let Ok(names) = std::env::var("LOCKET_SHOW") else {
        return;
    };
    for name in names.split(',') {
        let Some(path) = model(name) else { continue };
        let (function, reports) = lowered(&path);
        println!("== {name}: {:?}", histogram(&function));
        for report in reports {
            for skipped in &report.skipped {
                println!("   {}: {}: {}", report.pass, skipped.node, skipped.reason);
            }
        }
        if std::env::var_os("LOCKET_DUMP").is_some() {
            println!("{}", locket_mil::text::print(&function, 4));
        }
    }
}
