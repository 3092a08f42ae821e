//! The escape suite in short: nothing gets out of the product, and most is stopped by more than one layer.

use std::collections::BTreeSet;

use locket_sandbox::{
    Layer, Program,
    attempts::{self, Configuration, Family, MatrixOptions, Outcome, matrix},
    imports,
};

use super::program;

/// Attempts that are made against each layer alone, as the whole matrix is too slow here.
const SAMPLE: [(Family, &str); 9] = [
    (Family::Network, "tcp4"),
    (Family::Network, "udp4"),
    (Family::Network, "abstract-stream"),
    (Family::Files, "read"),
    (Family::Files, "rename"),
    (Family::Processes, "signal"),
    (Family::Memory, "turn-into-code"),
    (Family::Ipc, "shared-memory"),
    (Family::Inherited, "pipe"),
];

#[test]
fn attempts_have_names_of_their_own_and_there_are_seventy() {
    let all = attempts::all();
    let names: BTreeSet<_> = all.iter().map(|attempt| (attempt.family, attempt.name)).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.len() >= 70);
    assert!(all.iter().all(|attempt| !attempt.what.is_empty()));
}

#[test]
fn nothing_that_gets_out_without_layers_gets_out_with_all() {
    let options = MatrixOptions {
        program: program(),
        configurations: vec![Configuration::all(), Configuration::product()],
        attempts: attempts::all(),
    };
    let found = matrix(&options, &mut |_, _| {}).expect("canaries and workers");
    let testable = found.testable().count();
    assert!(testable >= 70, "{testable} testable of {}", found.rows.len());
    for row in found.testable() {
        for (configuration, outcome) in found.configurations.iter().zip(&row.outcomes) {
            assert!(
                matches!(outcome, Outcome::Blocked(_)),
                "{}/{} with {}: {outcome:?}",
                row.family,
                row.name,
                configuration.name
            );
        }
    }
    assert_eq!(
        (found.blocked(0), found.blocked(1)),
        ((testable, testable), (testable, testable))
    );
}

#[test]
fn layers_stop_attempts_independently_of_each_other() {
    let options = MatrixOptions {
        program: program(),
        configurations: Layer::ALL.into_iter().map(Configuration::alone).collect(),
        attempts: attempts::all()
            .into_iter()
            .filter(|attempt| SAMPLE.contains(&(attempt.family, attempt.name)))
            .collect(),
    };
    let found = matrix(&options, &mut |_, _| {}).expect("canaries and workers");
    assert_eq!(found.testable().count(), SAMPLE.len(), "{:?}", found.rows);
    assert_eq!(found.stopped_by_at_least(2), SAMPLE.len(), "{:?}", found.rows);
    // What a layer is not for goes through it: the columns show more than that a worker cannot work.
    let gets_through = |name: &str, layer: Layer| {
        let row = found
            .rows
            .iter()
            .find(|row| row.name == name)
            .expect("in the sample");
        row.outcomes[layer as usize] == Outcome::Reached
    };
    assert!(gets_through("udp4", Layer::Landlock));
    assert!(gets_through("tcp4", Layer::Root));
    assert!(gets_through("read", Layer::Namespaces));
    assert!(gets_through("rename", Layer::Limits));
    assert!(gets_through("signal", Layer::Root));
    assert!(gets_through("pipe", Layer::Landlock));
}

#[test]
fn a_worker_that_holds_the_whole_suite_imports_no_network_function() {
    let Program::Path(path) = program() else {
        panic!("a path");
    };
    let names = imports(&std::fs::read(path).expect("the program")).expect("an ELF program");
    assert!(names.iter().any(|name| name == "syscall"), "{names:?}");
    for absent in [
        "socket",
        "connect",
        "bind",
        "listen",
        "sendto",
        "sendmsg",
        "getaddrinfo",
        "gethostbyname",
    ] {
        assert!(!names.iter().any(|name| name == absent), "{absent} in {names:?}");
    }
    assert_eq!(imports(b"no program"), None);
    assert_eq!(imports(b"\x7fELF\x02\x01 cut short"), None);
}
